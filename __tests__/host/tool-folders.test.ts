import { execFileSync } from "node:child_process";
import { chmod, mkdir, readFile, rm, stat, symlink } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { folderSize } from "../../src/host/disk.ts";
import {
  findToolFolders,
  machineReclaimer,
  type ReclaimerParts,
  removeToolFolder,
  TOOL_FOLDERS,
  unusedXcodes,
} from "../../src/host/tool-folders.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { canMount, mountTmpfs } from "../support/mount.ts";
import { SIGNAL } from "../support/world.ts";

const ENVIRONMENT = { PATH: "/usr/bin:/bin" };
const there = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

/** A runner's tools, made up: two folders, and links that point out of them and into them. */
async function toolTree(folder: Folder) {
  await folder.write("precious/file", "keep me");
  await folder.write("usr/android/sdk/big", Buffer.alloc(3_000_000, 1));
  await folder.write("usr/android/sdk/read-only/file", "x");
  await chmod(folder.at("usr/android/sdk/read-only"), 0o500);
  await folder.write("usr/dotnet/small", Buffer.alloc(1_000_000, 1));
  await symlink(folder.at("precious"), folder.at("usr/android/out"));
  await symlink(folder.at("precious", "file"), folder.at("usr/dotnet/out"));
  await symlink(folder.at("precious"), folder.at("usr/linked"));
  await mkdir(folder.at("real/below"), { recursive: true });
  await folder.write("real/below/file", "keep me, too");
  await symlink(folder.at("real"), folder.at("usr/by-link"));
  await folder.write("usr/file", "no folder");
  const names = ["android", "dotnet", "linked", "by-link/below", "file", "absent"];
  return names.map((name) => folder.at("usr", ...name.split("/")));
}

describe("tool folders of a hosted runner", () => {
  test("are found with their sizes; a link, what is below one and what is no folder are not", async () => {
    await using folder = await temporaryFolder();
    const list = await toolTree(folder);
    const found = await findToolFolders(list, SIGNAL);
    expect(found.map(({ path }) => path)).toEqual(list.slice(0, 2));
    const [android, dotnet] = found;
    expect(android?.bytes).toBeGreaterThanOrEqual(3_000_000);
    expect(android?.bytes).toBeLessThan(3_200_000);
    expect(dotnet?.bytes).toBeLessThan(1_200_000);
    expect(android?.fileSystem).toBe(String((await stat(folder.path)).dev));
  });

  test("are deleted whole, and nothing that a link in them points to", async () => {
    await using folder = await temporaryFolder();
    const list = await toolTree(folder);
    const [android = "", dotnet = ""] = list;
    await removeToolFolder(list, android, ENVIRONMENT, SIGNAL);
    expect(await there(android)).toBe(false);
    expect(await there(dotnet)).toBe(true);
    await removeToolFolder(list, dotnet, ENVIRONMENT, SIGNAL);
    expect(await there(dotnet)).toBe(false);
    expect(await readFile(folder.at("precious", "file"), "utf8")).toBe("keep me");
  });

  test.each([
    ["linked", "it is a symbolic link"],
    ["by-link/below", "it is below a symbolic link"],
    ["file", "it is no folder"],
    ["absent", "it is not there"],
    ["", "it is not in the list"],
    ["android/sdk", "it is not in the list"],
    ["../precious", "it is not in the list"],
    ["android/../../precious", "it is not in the list"],
  ])("usr/%s is left alone: %s", async (name, why) => {
    await using folder = await temporaryFolder();
    const list = await toolTree(folder);
    const path = name === "" ? folder.path : `${folder.path}/usr/${name}`;
    await expect(removeToolFolder(list, path, ENVIRONMENT, SIGNAL)).rejects.toThrow(why);
    expect(await readFile(folder.at("precious", "file"), "utf8")).toBe("keep me");
    expect(await readFile(folder.at("real", "below", "file"), "utf8")).toBe("keep me, too");
  });

  (canMount ? test : test.skip)("one with something mounted in it is left alone", async () => {
    await using mounted = await mountTmpfs("size=1m");
    const list = [mounted.path];
    expect(await findToolFolders(list, SIGNAL)).toEqual([]);
    const removing = removeToolFolder(list, mounted.path, ENVIRONMENT, SIGNAL);
    await expect(removing).rejects.toThrow("something is mounted there");
  });

  (canMount ? test : test.skip)(
    "one of a container's image is left alone: deleting it frees nothing",
    async () => {
      await using below = await mountTmpfs("size=8m");
      for (const name of ["lower", "upper", "work", "merged"]) await mkdir(below.at(name));
      await mkdir(below.at("lower/android"));
      const merged = below.at("merged");
      const options = `lowerdir=${below.at("lower")},upperdir=${below.at("upper")},workdir=${below.at("work")}`;
      execFileSync("mount", ["-t", "overlay", "-o", options, "overlay", merged]);
      try {
        const list = [`${merged}/android`];
        expect(await findToolFolders(list, SIGNAL)).toEqual([]);
        await expect(removeToolFolder(list, list[0] ?? "", ENVIRONMENT, SIGNAL)).rejects.toThrow(
          "it belongs to a container's image",
        );
      } finally {
        execFileSync("umount", [merged]);
      }
    },
  );

  test("the real list holds whole, absolute paths, none of them inside another", () => {
    for (const path of TOOL_FOLDERS) {
      expect(path).toMatch(/^(\/[\w.-]+){2,}$/);
      expect(path).not.toContain("..");
      expect(TOOL_FOLDERS.filter((other) => `${path}/`.startsWith(`${other}/`))).toEqual([path]);
    }
  });
});

describe("Xcodes", () => {
  async function applications(folder: Folder) {
    for (const name of [
      "Xcode_26.0.1.app",
      "Xcode_16.4.app",
      "Xcode_27_beta_2.app",
      "Safari.app",
    ]) {
      await folder.write(`Applications/${name}/Contents/Developer/usr/bin/cc`, "");
    }
    await symlink(folder.at("Applications/Xcode_26.0.1.app"), folder.at("Applications/Xcode.app"));
    await symlink(folder.at("Applications/Xcode.app"), folder.at("Applications/Xcode_26.0.app"));
    await symlink(
      folder.at("Applications/Xcode_16.4.app/Contents/Developer"),
      folder.at("xcode_select_link"),
    );
    return folder.at("Applications");
  }

  test("that nothing points to are found, and no link for one", async () => {
    await using folder = await temporaryFolder();
    const places = {
      applications: await applications(folder),
      selected: [folder.at("Applications/Xcode.app"), folder.at("xcode_select_link")],
    };
    const unused = folder.at("Applications/Xcode_27_beta_2.app");
    // A link by such a name is among them, and is left alone like any link.
    const list = await unusedXcodes(places);
    expect(list).toContain(unused);
    expect((await findToolFolders(list, SIGNAL)).map(({ path }) => path)).toEqual([unused]);
    const reclaimer = machineReclaimer(parts(folder, { list: [], xcodes: places }));
    await expect(
      reclaimer.remove(folder.at("Applications/Xcode_16.4.app"), SIGNAL),
    ).rejects.toThrow("it is not in the list");
    await reclaimer.remove(unused, SIGNAL);
    expect(await there(unused)).toBe(false);
    expect(await there(folder.at("Applications/Xcode_16.4.app"))).toBe(true);
  });

  test("are none where nobody says which one is in use", async () => {
    await using folder = await temporaryFolder();
    const places = { applications: await applications(folder), selected: [folder.at("nowhere")] };
    expect(await unusedXcodes(places)).toEqual([]);
    expect(await unusedXcodes({ applications: folder.at("none"), selected: [] })).toEqual([]);
  });
});

function parts(folder: Folder, more: Partial<ReclaimerParts> = {}): ReclaimerParts {
  return {
    environment: { ...ENVIRONMENT, RUNNER_ENVIRONMENT: "github-hosted" },
    folder: folder.at("temp"),
    list: [folder.at("usr", "android")],
    secondDisk: folder.at("mnt"),
    builder: "ourselves",
    absent: "an error",
    ...more,
  };
}

describe("what a machine gives where space lacks", () => {
  test.each(["self-hosted", "", "GitHub-hosted", "github-hosted "])(
    "a runner that calls itself %j has no tool folder to give",
    async (environment) => {
      await using folder = await temporaryFolder();
      const [android = ""] = await toolTree(folder);
      const reclaimer = machineReclaimer(
        parts(folder, { environment: { ...ENVIRONMENT, RUNNER_ENVIRONMENT: environment } }),
      );
      expect(reclaimer.machine).toBe("kept");
      expect(await reclaimer.toolFolders(SIGNAL)).toEqual([]);
      await expect(reclaimer.remove(android, SIGNAL)).rejects.toThrow("is not thrown away");
      expect(await there(android)).toBe(true);
      await mkdir(folder.at("mnt"));
      expect(await reclaimer.buildDirectories()).toEqual([folder.at("temp", "build")]);
    },
  );

  test("a hosted one has the tools of its list and its second disk", async () => {
    await using folder = await temporaryFolder();
    const [android = "", dotnet = ""] = await toolTree(folder);
    await mkdir(folder.at("mnt"));
    const reclaimer = machineReclaimer(parts(folder));
    expect((await reclaimer.toolFolders(SIGNAL)).map(({ path }) => path)).toEqual([android]);
    await reclaimer.remove(android, SIGNAL);
    expect(await there(android)).toBe(false);
    await expect(reclaimer.remove(dotnet, SIGNAL)).rejects.toThrow("it is not in the list");
    const second = folder.at("mnt", "nix-cache-preflight");
    expect(await reclaimer.buildDirectories()).toEqual([folder.at("temp", "build"), second]);
    await reclaimer.makeBuildDirectory(second, SIGNAL);
    expect((await stat(second)).mode & 0o777).toBe(0o755);
  });

  test("build users must be able to get there, and nobody else to write there", async () => {
    await using folder = await temporaryFolder();
    const reclaimer = machineReclaimer(parts(folder, { builder: "others" }));
    // The folder of a test is its user's alone.
    expect(await reclaimer.buildDirectories()).toEqual([]);
  });

  test("says of a build directory whether it can be used", async () => {
    await using folder = await temporaryFolder();
    await folder.write("file", "");
    const reclaimer = machineReclaimer(parts(folder));
    expect(await reclaimer.usable(folder.path)).toBe("usable");
    expect(await reclaimer.usable(folder.at("none"))).toBe("absent");
    expect(await reclaimer.usable(folder.at("file"))).toBe("not writable");
    const newer = machineReclaimer(parts(folder, { absent: "made by Nix" }));
    expect(await newer.usable(folder.at("none"))).toBe("usable");
  });

  test("a build directory that cannot be made is an error with its path", async () => {
    await using folder = await temporaryFolder();
    await folder.write("temp", "a file");
    const reclaimer = machineReclaimer(parts(folder));
    const making = reclaimer.makeBuildDirectory(folder.at("temp", "build"), SIGNAL);
    await expect(making).rejects.toThrow(folder.at("temp"));
  });
});

describe("what a folder takes", () => {
  test("is what its files take on the disk, a link not followed", async () => {
    await using folder = await temporaryFolder();
    await folder.write("out/big", Buffer.alloc(2_000_000, 1));
    await folder.write("in/one", Buffer.alloc(100_000, 1));
    await symlink(folder.at("out"), folder.at("in", "link"));
    const size = await folderSize(folder.at("in"), SIGNAL);
    expect(size.bytes).toBeLessThan(200_000);
    expect(size).toMatchObject({ inodes: 3, seen: "whole" });
  });

  test("of one that is not there is nothing", async () => {
    await using folder = await temporaryFolder();
    expect(await folderSize(folder.at("none"), SIGNAL)).toMatchObject({
      bytes: 0,
      seen: "in part",
    });
    await rm(folder.at("none"), { force: true });
  });
});
