import { execFile } from "node:child_process";
import { mkdir, symlink } from "node:fs/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { disk, isMissing, isOverlay, readIfThere } from "../../src/host/disk.ts";
import { temporaryFolder } from "../support/folder.ts";
import { canMount, mountTmpfs } from "../support/mount.ts";

const run = promisify(execFile);

describe("the file system of a path", () => {
  test("has the size and the mount point that df says", async () => {
    await using folder = await temporaryFolder();
    const found = await disk.fileSystem(folder.path);
    const { stdout } = await run("df", ["-B1", "--output=size,target", folder.path]);
    const [size, target] = stdout.trim().split("\n")[1]?.trim().split(/\s+/) ?? [];
    expect(String(found.totalBytes)).toBe(size);
    // A bind mount within one device is df's to tell apart; we name the top of the device.
    expect(target?.startsWith(found.mountPoint) || found.mountPoint === target).toBe(true);
    expect(found.freeBytes).toBeGreaterThan(0);
    expect(found.freeBytes).toBeLessThan(found.totalBytes);
  });

  test("that does not exist is that of its nearest parent", async () => {
    await using folder = await temporaryFolder();
    const here = await disk.fileSystem(folder.path);
    expect((await disk.fileSystem(folder.at("not", "there", "yet"))).id).toBe(here.id);
  });

  test("is one and the same for all that lies on it, and another for /proc", async () => {
    await using folder = await temporaryFolder();
    await mkdir(folder.at("sub"));
    await symlink(folder.at("sub"), folder.at("link"));
    const [top, sub, link, proc] = await Promise.all(
      [folder.path, folder.at("sub"), folder.at("link"), "/proc"].map((path) =>
        disk.fileSystem(path),
      ),
    );
    expect([sub?.id, link?.id]).toEqual([top?.id, top?.id]);
    expect(proc?.id).not.toBe(top?.id);
    expect(proc?.mountPoint).toBe("/proc");
  });
});

(canMount ? describe : describe.skip)("file systems that share one pool of space", () => {
  test("an overlay and what its upper layer lies on are one", async () => {
    await using below = await mountTmpfs("size=48m");
    for (const name of ["lower", "upper", "work", "merged"]) await mkdir(below.at(name));
    const options = `lowerdir=${below.at("lower")},upperdir=${below.at("upper")},workdir=${below.at("work")}`;
    await run("mount", ["-t", "overlay", "-o", options, "overlay", below.at("merged")]);
    try {
      const [one, other] = [
        await disk.fileSystem(below.path),
        await disk.fileSystem(below.at("merged")),
      ];
      expect(other.mountPoint).not.toBe(one.mountPoint);
      expect(other.id).toBe(one.id);
      expect([isOverlay(below.at("merged")), isOverlay(below.path)]).toEqual([true, false]);
    } finally {
      await run("umount", [below.at("merged")]);
    }
  });

  test("two of one size that are empty are two", async () => {
    await using one = await mountTmpfs("size=64m");
    await using other = await mountTmpfs("size=64m");
    const ids = [await disk.fileSystem(one.path), await disk.fileSystem(other.path)];
    expect(ids[0]?.id).not.toBe(ids[1]?.id);
  });
});

describe("a file that may be missing", () => {
  test.each([
    ["file", "text"],
    ["nowhere", undefined],
    ["file/below", undefined],
    ["no/such/folder", undefined],
  ])("%s: %j", async (name, expected) => {
    await using folder = await temporaryFolder();
    await folder.write("file", "text");
    expect(await readIfThere(folder.at(name))).toBe(expected);
  });

  test("is not read where it is a device or a pipe: those may have no end, and no word", async () => {
    await using folder = await temporaryFolder();
    await symlink("/dev/zero", folder.at("flake.lock"));
    await run("mkfifo", [folder.at("pipe")]);
    for (const name of ["flake.lock", "pipe"]) {
      await expect(readIfThere(folder.at(name))).rejects.toThrow(
        `${folder.at(name)} is no regular file, and is not read`,
      );
    }
  });

  test("is not missing for being a folder", async () => {
    await using folder = await temporaryFolder();
    await expect(readIfThere(folder.path)).rejects.toThrow("EISDIR");
    expect(isMissing(new Error("x"))).toBe(false);
    expect(isMissing(undefined)).toBe(false);
  });
});
