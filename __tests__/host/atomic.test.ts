import { execFile } from "node:child_process";
import { readdir, readFile, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { makeFolder, stage, sweep, writeStream, writeWhole } from "../../src/host/atomic.ts";
import { temporaryFolder } from "../support/folder.ts";

const run = promisify(execFile);

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

describe("a file that is written whole", () => {
  test("has the content and the mode, and its folder is made", async () => {
    await using folder = await temporaryFolder();
    const file = folder.at("a", "b", "file");
    await writeWhole(file, "ünï", 0o600);
    expect(await readFile(file, "utf8")).toBe("ünï");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await writeWhole(file, Buffer.from([0, 1, 2]));
    expect(await readFile(file)).toEqual(Buffer.from([0, 1, 2]));
    expect(await readdir(folder.at("a", "b"))).toEqual(["file"]);
  });

  test("has folders of the mode that is asked for, all that are made", async () => {
    await using folder = await temporaryFolder();
    await makeFolder(folder.at("a", "b"), 0o700);
    await makeFolder(folder.at("a", "b"), 0o755);
    const modes = [folder.at("a"), folder.at("a", "b")].map(async (at) => (await stat(at)).mode);
    expect((await Promise.all(modes)).map((mode) => mode & 0o777)).toEqual([0o700, 0o700]);
  });

  test("ends where the kernel lets nobody make a folder, and calls it absent", async () => {
    await expect(writeWhole("/proc/a/b/file", "content")).rejects.toThrow("ENOENT");
  });

  test("is not seen before its end, and the old one until then", async () => {
    await using folder = await temporaryFolder();
    const file = await folder.write("file", "old");
    const seen: string[] = [];
    await writeStream(
      file,
      (async function* () {
        yield Buffer.from("ne");
        seen.push(await readFile(file, "utf8"));
        yield Buffer.from("w");
        seen.push(await readFile(file, "utf8"));
      })(),
    );
    expect([...seen, await readFile(file, "utf8")]).toEqual(["old", "old", "new"]);
  });

  test("leaves nothing behind when its content fails", async () => {
    await using folder = await temporaryFolder();
    const file = await folder.write("file", "old");
    const failing = (async function* () {
      yield Buffer.from("half");
      throw new Error("the source is gone");
    })();
    await expect(writeStream(file, failing)).rejects.toThrow("the source is gone");
    expect(await readdir(folder.path)).toEqual(["file"]);
    expect(await readFile(file, "utf8")).toBe("old");
  });

  test("is refused where there is no space for all of it", async () => {
    await using folder = await temporaryFolder();
    // A limit on file sizes shortens a write as a full disk does; no mount is needed for it.
    const source = join(import.meta.dirname, "..", "..", "src", "host", "atomic.ts");
    const program = `
      import { writeWhole } from ${JSON.stringify(source)};
      await writeWhole("out", Buffer.alloc(3_000_000, 1)).then(
        () => console.log("written"),
        ({ code }) => console.log(code),
      );`;
    const script = 'ulimit -f 1024; exec "$0" --input-type=module-typescript -e "$1"';
    const { stdout } = await run("/bin/bash", ["-c", script, process.execPath, program], {
      cwd: folder.path,
      env: {},
    });
    expect(stdout).toBe("EFBIG\n");
    expect(await readdir(folder.path)).toEqual([]);
  });

  test("of one name from many writers is one of theirs, whole", async () => {
    await using folder = await temporaryFolder();
    const texts = Array.from({ length: 20 }, (_, n) => `${n}`.repeat(100_000));
    await Promise.all(texts.map((text) => writeWhole(folder.at("file"), text)));
    expect(texts).toContain(await readFile(folder.at("file"), "utf8"));
    expect(await readdir(folder.path)).toEqual(["file"]);
  });
});

describe("a staged file", () => {
  test("goes where it is told at the end", async () => {
    await using folder = await temporaryFolder();
    const staged = await stage(folder.at("staged"), chunks("con", "tent"));
    expect(await readdir(folder.path)).toEqual([expect.stringMatching(/^staged\.tmp-/)]);
    await staged.commit(folder.at("sub", "final"));
    expect(await readFile(folder.at("sub", "final"), "utf8")).toBe("content");
    expect(await readdir(folder.path)).toEqual(["sub"]);
  });

  test("can be discarded, twice", async () => {
    await using folder = await temporaryFolder();
    const staged = await stage(folder.at("staged"), chunks("x"));
    await staged.discard();
    await staged.discard();
    expect(await readdir(folder.path)).toEqual([]);
  });
});

describe("sweeping", () => {
  test("takes old temporary files of ours, and nothing else", async () => {
    await using folder = await temporaryFolder();
    const names = ["a.tmp-0123456789ab", "b.tmp-0123456789ab", "c.tmp-short", "d.narinfo"];
    const old = new Date(Date.now() - 3_600_000);
    for (const name of names) {
      const file = await folder.write(name, "x");
      if (!name.startsWith("b")) await utimes(file, old, old);
    }
    await sweep(folder.path, 60_000);
    expect((await readdir(folder.path)).sort()).toEqual([
      "b.tmp-0123456789ab",
      "c.tmp-short",
      "d.narinfo",
    ]);
  });

  test("of a folder that is not there does nothing", async () => {
    await using folder = await temporaryFolder();
    await sweep(folder.at("nowhere"), 0);
    expect(await readdir(folder.path)).toEqual([]);
  });
});
