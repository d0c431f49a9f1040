import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { startMachine } from "../../scripts/machine.ts";
import { narOf } from "../../src/nix/nar.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";

const run = promisify(execFile);
const SIGNAL = new AbortController().signal;

/** Trees by what is odd about them. */
const TREES: Readonly<Record<string, (folder: Folder) => Promise<string>>> = {
  "a file": (folder) => folder.write("t", "content"),
  "an empty file": (folder) => folder.write("t", ""),
  "eight bytes": (folder) => folder.write("t", "12345678"),
  "nine bytes": (folder) => folder.write("t", "123456789"),
  "an executable": async (folder) => {
    const path = await folder.write("t", "#!/bin/sh\n");
    await chmod(path, 0o755);
    return path;
  },
  "executable for others only": async (folder) => {
    const path = await folder.write("t", "x");
    await chmod(path, 0o655);
    return path;
  },
  "an empty folder": async (folder) => {
    await mkdir(folder.at("t"));
    return folder.at("t");
  },
  "a link": async (folder) => {
    await symlink("../nowhere", folder.at("t"));
    return folder.at("t");
  },
  "links in a folder": async (folder) => {
    await mkdir(folder.at("t"));
    await symlink("/etc/passwd", folder.at("t", "absolute"));
    await symlink("nowhere", folder.at("t", "dangling"));
    await symlink(".", folder.at("t", "round"));
    await symlink("ünï → x", folder.at("t", "text"));
    return folder.at("t");
  },
  "names in the order of their bytes": async (folder) => {
    for (const name of [
      "b",
      "a",
      "B",
      "A",
      "a.b",
      "a-b",
      "aa",
      "ä",
      "z",
      "10",
      "9",
      "~",
      " ",
      "é\u0301",
    ]) {
      await folder.write(`t/${name}`, name);
    }
    return folder.at("t");
  },
  "names that are not text": async (folder) => {
    await mkdir(folder.at("t"));
    for (const bytes of [[0xff, 0xfe], [0x80], [0xc3], [0x0a], [0x1b, 0x5b]]) {
      await writeFile(Buffer.concat([Buffer.from(folder.at("t/")), Buffer.from(bytes)]), "x");
    }
    return folder.at("t");
  },
  "names that look like the format": async (folder) => {
    for (const name of ["(", ")", "type", "nix-archive-1", "entry", "~nix~case~hack~1"]) {
      await folder.write(`t/${name}`, name);
    }
    return folder.at("t");
  },
  "3 MB and a byte": (folder) => folder.write("t", Buffer.alloc(3 * 1024 * 1024 + 1, "nar")),
  "a thousand small files, some deep": async (folder) => {
    for (let n = 0; n < 1000; n++) {
      await folder.write(`t/${n % 7}/${n % 11}/${n}`, "x".repeat(n));
    }
    return folder.at("t");
  },
};

describe("the NAR of a tree", () => {
  test("is, byte for byte, what nix-store --dump gives", async () => {
    await using machine = await startMachine();
    const differing: string[] = [];
    for (const [name, plant] of Object.entries(TREES)) {
      await using folder = await temporaryFolder();
      const path = await plant(folder);
      const { stdout } = await run("nix-store", ["--dump", path], {
        env: machine.environment,
        encoding: "buffer",
        maxBuffer: 64 * 1024 * 1024,
      });
      const ours = createHash("sha256");
      for await (const chunk of narOf(path, SIGNAL)) ours.update(chunk);
      const theirs = createHash("sha256").update(stdout);
      if (ours.digest("hex") !== theirs.digest("hex")) differing.push(name);
    }
    expect(differing).toEqual([]);
  });

  test("comes in pieces, so that memory does not grow with it", async () => {
    await using folder = await temporaryFolder();
    const path = await folder.write("t", Buffer.alloc(10 * 1024 * 1024));
    const sizes: number[] = [];
    for await (const chunk of narOf(path, SIGNAL)) sizes.push(chunk.length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(2 * 1024 * 1024);
  });

  test("ends with the run", async () => {
    await using folder = await temporaryFolder();
    const path = await folder.write("t", "x");
    const reading = async () => {
      for await (const _ of narOf(path, AbortSignal.abort(new Error("interrupted"))));
    };
    await expect(reading()).rejects.toThrow("interrupted");
  });

  test.each([
    [
      "a path that is not there",
      (folder: Folder) => folder.at("nowhere"),
      "is not in the store any more",
    ],
    [
      "a pipe",
      async (folder: Folder) => {
        await run("mkfifo", [folder.at("t")]);
        return folder.at("t");
      },
      "neither a file, a directory nor a symbolic link",
    ],
  ])("of %s is an error", async (_, plant, message) => {
    await using folder = await temporaryFolder();
    const path = await plant(folder);
    const reading = async () => {
      for await (const _chunk of narOf(path, SIGNAL));
    };
    await expect(reading()).rejects.toThrow(message);
  });
});
