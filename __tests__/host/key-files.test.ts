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
});
