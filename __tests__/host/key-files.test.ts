import { execFile } from "node:child_process";
import { symlink } from "node:fs/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { hashKeyFiles } from "../../src/host/key-files.ts";
import { temporaryFolder } from "../support/folder.ts";

const run = promisify(execFile);

describe("the hash of a lock file", () => {
  test.each([
    ["flake.lock", '{"nodes": {}}\n'],
    ["empty.lock", ""],
    ["no-newline.lock", "x"],
    ["crlf.lock", "a\r\nb\r\n"],
    ["bytes.lock", Buffer.from([0, 255, 10, 0])],
    ["large.lock", Buffer.alloc(3_000_000, "lock")],
    ["with space.lock", "x"],
    ["ünï.lock", "x"],
    ["-dash.lock", "x"],
  ])("%s is what sha256sum FILE | head -c 16 says", async (name, content) => {
    await using folder = await temporaryFolder();
    await folder.write(name, content);
    const { stdout } = await run("/bin/sh", ["-c", 'sha256sum -- "$1" | head -c 16', "sh", name], {
      cwd: folder.path,
    });
    expect(stdout).toMatch(/^[0-9a-f]{16}$/);
    expect(await hashKeyFiles(folder.path, [name])).toEqual([{ name, hash: stdout }]);
  });
});

describe("key files", () => {
  async function named(names: readonly string[], patterns: readonly string[]) {
    await using folder = await temporaryFolder();
    for (const name of names) await folder.write(name, name);
    return (await hashKeyFiles(folder.path, patterns)).map(({ name, hash }) =>
      hash === undefined ? `${name}: none` : name,
    );
  }

  test.each([
    [
      ["b.lock", "a.lock"],
      ["b.lock", "a.lock"],
      ["b.lock", "a.lock"],
    ],
    [["b.lock", "a.lock"], ["*.lock"], ["a.lock", "b.lock"]],
    [
      ["b.lock", "a.lock"],
      ["b.lock", "*.lock"],
      ["b.lock", "a.lock"],
    ],
    [["a.lock"], ["flake.lock", "a.lock"], ["flake.lock: none", "a.lock"]],
    [["x/Cargo.lock", "Cargo.lock"], ["**/Cargo.lock"], ["Cargo.lock", "x/Cargo.lock"]],
    [
      ["x/Cargo.lock", "node_modules/y/Cargo.lock", "x/node_modules/z/Cargo.lock"],
      ["**/Cargo.lock"],
      ["x/Cargo.lock"],
    ],
    [[], [], []],
    [["folder/file"], ["folder"], ["folder: none"]],
    [["a{b}.lock"], ["*.lock"], ["a{b}.lock"]],
    [["a{b}.lock"], ["a{b}.lock"], ["a{b}.lock"]],
    [["./a.lock"], ["./a.lock", "a.lock"], ["a.lock"]],
    // As @actions/glob has them: `!`, dot folders, and no braces.
    [["a.lock", "b.lock", "c/b.lock"], ["**/*.lock", "!**/b.lock"], ["a.lock"]],
    [
      ["a.lock", "b.lock"],
      ["*.lock", "!b.lock", "b.lock"],
      ["a.lock", "b.lock"],
    ],
    [["a.lock"], ["!a.lock", "a.lock"], ["a.lock"]],
    [["a.lock"], ["a.lock", "!a.lock"], ["a.lock: none"]],
    [["a.lock", "b.lock"], ["*.lock", "! b.lock"], ["a.lock"]],
    [[".config/x.lock", "x.lock"], ["**/x.lock"], [".config/x.lock", "x.lock"]],
    [["node_modules/a.lock", "a.lock"], ["node_modules/*.lock"], ["node_modules/a.lock"]],
    [[".git/index", "x/.git/index", "x/index"], ["**/index"], ["x/index"]],
    [["x/a.lock", "x/y/b.lock"], ["x/**"], ["x/a.lock", "x/y/b.lock"]],
    [["x/a.lock"], ["x/*", "x"], ["x/a.lock", "x: none"]],
    [["a.lock"], ["?.lock"], ["a.lock"]],
    [["a.lock", "z.lock"], ["[a-f].lock"], ["a.lock"]],
  ])("of %j by %j are %j", async (names, patterns, expected) => {
    expect(await named(names, patterns)).toEqual(expected);
  });

  test("a link is what it leads to, and nothing where it leads nowhere", async () => {
    await using folder = await temporaryFolder();
    await folder.write("real.lock", "x");
    await symlink("real.lock", folder.at("flake.lock"));
    await symlink("nowhere", folder.at("Cargo.lock"));
    const [real, flake, cargo] = await hashKeyFiles(folder.path, [
      "real.lock",
      "flake.lock",
      "Cargo.lock",
    ]);
    expect(flake?.hash).toBe(real?.hash);
    expect(cargo).toEqual({ name: "Cargo.lock", hash: undefined });
  });

  test.each(["flake.lock", "sub/*.lock"])(
    "by an absolute path inside the workspace are the same: %s",
    async (pattern) => {
      await using folder = await temporaryFolder();
      for (const name of ["flake.lock", "sub/a.lock"]) await folder.write(`w [x]*/${name}`, name);
      const workspace = folder.at("w [x]*");
      const [file] = await hashKeyFiles(workspace, [pattern]);
      const [same] = await hashKeyFiles(workspace, [`${workspace}/${pattern}`]);
      expect(file?.hash).toBeDefined();
      expect([same?.name, same?.hash]).toEqual([file?.name, file?.hash]);
    },
  );

  test.each(["/etc/passwd", "../flake.lock", "x/../../flake.lock", "/etc/*", "~/flake.lock", ".."])(
    "outside of the workspace are an error that names the line: %s",
    async (pattern) => {
      await using folder = await temporaryFolder();
      await folder.write("flake.lock", "x");
      await folder.write("w/x/file", "x");
      const error = await hashKeyFiles(folder.at("w"), [pattern]).catch((one: unknown) => one);
      expect(error).toMatchObject({
        code: "NCP-101",
        message: `key-files: "${pattern}" is outside of the workspace`,
      });
    },
  );

  test("a link that leads out of the workspace is none, and named; a pattern does not go through one", async () => {
    await using folder = await temporaryFolder();
    await folder.write("secret/a.lock", "secret");
    await folder.write("w/real.lock", "x");
    await symlink(folder.at("secret/a.lock"), folder.at("w/Cargo.lock"));
    await symlink("/dev/zero", folder.at("w/flake.lock"));
    await symlink(folder.at("secret"), folder.at("w/folder"));
    const lines = ["Cargo.lock", "flake.lock", "folder/a.lock", "**/*.lock"];
    const found = await hashKeyFiles(folder.at("w"), lines);
    const out = (to: string) =>
      `it is a link that leads out of the workspace (to ${to}), and is not read`;
    expect(found.map(({ name, hash, why }) => [name, hash === undefined, why])).toEqual([
      ["Cargo.lock", true, out(folder.at("secret/a.lock"))],
      ["flake.lock", true, out("/dev/zero")],
      ["folder/a.lock", true, out(folder.at("secret/a.lock"))],
      ["real.lock", false, undefined],
    ]);
  });

  test.each([
    ["flake.lock, Cargo.lock", "no such file; key-files takes one name or pattern per line"],
    ["flake.lock Cargo.lock", "no such file; key-files takes one name or pattern per line"],
    ["*.nix,*.toml", "no such file; key-files takes one name or pattern per line"],
    ["flake.lok", undefined],
    ["folder", "it is a folder; its files are folder/**"],
    ["pipe", "it is no regular file"],
  ])("%s has no hash, and says why", async (line, why) => {
    await using folder = await temporaryFolder();
    await folder.write("folder/file", "x");
    await run("mkfifo", [folder.at("pipe")]);
    const [file] = await hashKeyFiles(folder.path, [line]);
    expect([file?.name, file?.hash, file?.why]).toEqual([line, undefined, why]);
  });

  test("a name with a blank that is there is no list", async () => {
    await using folder = await temporaryFolder();
    await folder.write("a, b.lock", "x");
    expect((await hashKeyFiles(folder.path, ["a, b.lock"]))[0]?.hash).toBeDefined();
  });

  test("many of one pattern carry it, and their whole sum: the key may need it", async () => {
    await using folder = await temporaryFolder();
    await folder.write("x/Cargo.lock", "x");
    const [file] = await hashKeyFiles(folder.path, ["**/Cargo.lock"]);
    const { stdout } = await run("sha256sum", [folder.at("x/Cargo.lock")]);
    expect(file?.from).toEqual({ pattern: "**/Cargo.lock", sha256: stdout.slice(0, 64) });
  });
});
