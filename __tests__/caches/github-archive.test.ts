import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import { FOREIGN, unpack } from "../../src/caches/github/archive.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";

const LONG = `nar/${"n".repeat(180)}`;

/** As the client packs: `tar --posix -P`, of the folder `own` in `from`. */
function pack(folder: Folder, ...args: readonly string[]): Promise<string> {
  const all = ["--posix", "-P", "-C", folder.at("from"), "-cf", "-", ...args];
  const tar = execFileSync("tar", all, { maxBuffer: 1 << 26 });
  return folder.write("cache.tzst", zstdCompressSync(tar));
}

async function filled(): Promise<Folder> {
  const folder = await temporaryFolder();
  await folder.write("from/own/nix-cache-info", "StoreDir: /nix/store\n");
  await folder.write(`from/own/${LONG}`, "x".repeat(3_000_000));
  await folder.write("from/own/empty", "");
  await folder.write("outside", "mine");
  await mkdir(folder.at("to"));
  return folder;
}

describe("an entry's archive", () => {
  test.each(["zstd", "gzip"] as const)("is unpacked as it was packed: %s", async (form) => {
    await using folder = await filled();
    const archive = await pack(folder, "own");
    if (form === "gzip")
      execFileSync("tar", ["--posix", "-czf", archive, "own"], { cwd: folder.at("from") });
    await unpack(archive, form, folder.at("to"), "own");
    execFileSync("diff", ["-r", folder.at("from", "own"), folder.at("to", "own")]);
  });

  test.each<[string, (folder: Folder) => Promise<string>]>([
    ["an absolute name", (folder) => pack(folder, "own", folder.at("outside"))],
    ["one that leads out", (folder) => pack(folder, "own", "../outside")],
    ["one that leads out further down", (folder) => pack(folder, "own", "own/../../outside")],
    [
      "one beside the folder",
      (folder) => pack(folder, "own", "--transform=s,^own/empty,other/empty,"),
    ],
    [
      "a link, and a file through it",
      async (folder) => {
        await symlink(folder.path, folder.at("from/own/link"));
        return pack(folder, "own");
      },
    ],
    [
      "a hard link",
      async (folder) => {
        execFileSync("ln", [folder.at("from/own/empty"), folder.at("from/own/again")]);
        return pack(folder, "own");
      },
    ],
    [
      "a pipe",
      async (folder) => {
        execFileSync("mkfifo", [folder.at("from/own/pipe")]);
        return pack(folder, "own");
      },
    ],
  ])("with %s is refused, before anything is written", async (_, make) => {
    await using folder = await filled();
    const archive = await make(folder);
    await expect(unpack(archive, "zstd", folder.at("to"), "own")).rejects.toThrow(FOREIGN);
    expect(await readdir(folder.at("to"))).toEqual([]);
    expect(await readFile(folder.at("outside"), "utf8")).toBe("mine");
  });

  test("a link that stands where it is unpacked is not followed", async () => {
    await using folder = await filled();
    await using outside = await temporaryFolder();
    const archive = await pack(folder, "own");
    await symlink(outside.path, folder.at("to", "own"));
    await unpack(archive, "zstd", folder.at("to"), "own");
    expect(await readdir(outside.path)).toEqual([]);
    expect(await readFile(folder.at("to/own/empty"), "utf8")).toBe("");
  });

  test("a refusal of the storage in its place is told by its name", async () => {
    await using folder = await filled();
    const archive = await pack(folder, "own");
    const answer =
      '\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>BlobNotFound</Code><Message>x</Message></Error>';
    await writeFile(archive, answer);
    await expect(unpack(archive, "zstd", folder.at("to"), "own")).rejects.toThrow(
      "the storage answered BlobNotFound",
    );
  });

  test("damaged, it is refused", async () => {
    await using folder = await filled();
    const archive = await pack(folder, "own");
    const bytes = await readFile(archive);
    const tar = execFileSync("zstd", ["-dqc", archive], { maxBuffer: 1 << 26 });
    const flipped = Buffer.from(tar);
    flipped[0] = 7;
    for (const damaged of [
      bytes.subarray(0, 100),
      Buffer.from("no archive"),
      zstdCompressSync(flipped),
      zstdCompressSync(tar.subarray(0, 5_000)),
    ]) {
      await writeFile(archive, damaged);
      await expect(unpack(archive, "zstd", folder.at("to"), "own")).rejects.toThrow();
      expect(await readdir(folder.at("to"))).toEqual([]);
    }
  });
});
