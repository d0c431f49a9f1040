/** The tool folders of hosted runners: a fixed list, looked at and deleted with every care. */

import { constants } from "node:fs";
import { access, lstat, readdir, readFile, realpath, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { UserError } from "../domain/errors.ts";
import type { Reclaimer, ToolFolder } from "../domain/ports.ts";
import { makeFolder } from "./atomic.ts";
import { disk, folderSize, isOverlay } from "./disk.ts";
import { type Environment, isHosted } from "./environment.ts";
import { exec } from "./exec.ts";
import { folderOf } from "./programs.ts";

/**
 * What the images of GitHub's runners bring along and a Nix job has no use for. Whole paths only:
 * nothing else is ever deleted but Xcodes that are not in use. Which of them are there differs by
 * image and architecture. Source: images/*\/scripts/build/install-*.sh in github.com/actions/runner-images.
 */
export const TOOL_FOLDERS: readonly string[] = [
  "/usr/local/lib/android",
  "/usr/share/dotnet",
  "/usr/local/.ghcup",
  "/usr/share/swift",
  "/opt/hostedtoolcache/CodeQL",
  "/usr/local/share/chromium",
  "/usr/local/share/vcpkg",
  "/usr/share/miniconda",
  "/usr/share/kotlinc",
  "/usr/share/sbt",
  "/Users/runner/Library/Android/sdk",
  "/Users/runner/hostedtoolcache/CodeQL",
  "/Users/runner/.dotnet",
  "/Library/Developer/CoreSimulator/Profiles/Runtimes",
];

/** Of macOS: ten gigabytes each. */
export interface XcodePlaces {
  readonly applications: string;
  /** Links to, or below, the one in use. */
  readonly selected: readonly string[];
}

export const XCODES: XcodePlaces = {
  applications: "/Applications",
  selected: ["/Applications/Xcode.app", "/var/db/xcode_select_link"],
};

/** Those that nothing points to; none where it cannot be told which one is in use. */
export async function unusedXcodes({ applications, selected }: XcodePlaces): Promise<string[]> {
  const names = await readdir(applications).catch(() => []);
  const versions = names.filter((name) => /^Xcode_\d+(\.\d+)*(_[A-Za-z0-9_]+)?\.app$/.test(name));
  if (versions.length === 0) return [];
  const used = await Promise.all(selected.map((link) => realpath(link).catch(() => undefined)));
  const found = used.flatMap((path) => path ?? []);
  if (found.length === 0) return [];
  return versions
    .map((name) => join(applications, name))
    .filter((path) => !found.some((one) => `${one}/`.startsWith(`${path}/`)));
}

const DEADLINE = 600_000;

/** Those of `list` that are there, with what they take. */
export async function findToolFolders(
  list: readonly string[],
  signal: AbortSignal,
): Promise<ToolFolder[]> {
  const found: ToolFolder[] = [];
  for (const path of list) {
    if ((await whyNot(path)) !== undefined) continue;
    const { id } = await disk.fileSystem(path);
    const { bytes } = await folderSize(path, signal);
    found.push({ path, bytes, fileSystem: id });
  }
  return found;
}

/** Deletes one folder of `list`; throws for anything else, and where it could not be done whole. */
export async function removeToolFolder(
  list: readonly string[],
  path: string,
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const why = list.includes(path) ? await whyNot(path) : "it is not in the list";
  if (why !== undefined) throw new UserError("NCP-408", `${path} is not deleted: ${why}`);
  // rm follows no link; both systems' flag for staying on the file system.
  const oneFileSystem = process.platform === "darwin" ? "-x" : "--one-file-system";
  // What root runs cannot be ended by us: it ends by itself.
  const ending = process.platform === "linux" ? ["timeout", String(DEADLINE / 1000)] : [];
  await asRoot([...ending, "rm", "-rf", oneFileSystem, "--", path], environment, signal);
}

/** Runs a command as root, which a hosted runner's user may without a password. */
export async function asRoot(
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && folderOf("sudo", environment["PATH"] ?? "") === undefined) {
    throw new Error("it takes root, which this user is not, and there is no sudo");
  }
  const all = isRoot ? command : ["sudo", "-n", ...command];
  const [program = "", ...args] = all;
  const { code, stderr } = await exec(program, args, {
    env: { PATH: environment["PATH"] ?? "" },
    signal,
    deadline: DEADLINE,
  });
  if (code !== 0) throw new Error(`${all.join(" ")}: ${stderr.trim().slice(-1_000)}`);
}

/** Why the folder must be left alone; undefined where nothing speaks against it. */
async function whyNot(path: string): Promise<string | undefined> {
  const stats = await lstat(path).catch(() => undefined);
  if (!stats) return "it is not there";
  if (stats.isSymbolicLink()) return "it is a symbolic link";
  if (!stats.isDirectory()) return "it is no folder";
  if ((await realpath(path)) !== path) return "it is below a symbolic link";
  if (isOverlay(path)) return "it belongs to a container's image, and deleting it frees nothing";
  if ((await lstat(dirname(path))).dev !== stats.dev) return "something is mounted there";
  // A folder of the same file system can be mounted below it, which rm does not tell.
  const mounts = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  const below = mounts.split("\n").some((line) => {
    const point = line.split(" ")[4]?.replaceAll("\\040", " ") ?? "";
    return point === path || point.startsWith(`${path}/`);
  });
  return below ? "something is mounted in it" : undefined;
}

export interface ReclaimerParts {
  readonly environment: Environment;
  /** A folder of ours in the runner's temporary folder. */
  readonly folder: string;
  /** The only folders that may be deleted; not read from anything a job can change. */
  readonly list: readonly string[];
  readonly xcodes?: XcodePlaces;
  /** Where a hosted runner has a second disk, which only root may write to. */
  readonly secondDisk: string;
  /** Who writes in the build directory: we, or Nix's build users, who must be able to get there. */
  readonly builder: "ourselves" | "others";
  /** What Nix does with a build directory that is not there. */
  readonly absent: "made by Nix" | "an error";
}

/** Of older and of larger Linux runners of GitHub's; on others it is a folder of the first disk. */
export const SECOND_DISK = "/mnt";

export function machineReclaimer(parts: ReclaimerParts): Reclaimer {
  const { environment, folder, builder, secondDisk } = parts;
  const { list: fixed, xcodes } = parts;
  // Asked anew before each is deleted: a step may have selected another one.
  const list = async () => [...fixed, ...(xcodes ? await unusedXcodes(xcodes) : [])];
  const machine = isHosted(environment) ? "hosted" : "kept";
  const second = join(secondDisk, "nix-cache-preflight");
  return {
    machine,
    async usable(directory) {
      const there = await stat(directory).catch(() => undefined);
      if (!there) return parts.absent === "made by Nix" ? "usable" : "absent";
      if (!there.isDirectory()) return "not writable";
      return builder === "others" || (await isWritable(directory)) ? "usable" : "not writable";
    },
    async buildDirectories() {
      const places = [join(folder, "build")];
      const there = await stat(secondDisk).catch(() => undefined);
      if (machine === "hosted" && there?.isDirectory()) places.push(second);
      const found: string[] = [];
      for (const place of places) {
        const above = await nearest(place);
        const ours = place === second || (await isWritable(above));
        if (ours && (builder === "ourselves" || (await isOpenToOthers(above)))) found.push(place);
      }
      return found;
    },
    async makeBuildDirectory(directory, signal) {
      if (directory !== second || (await isWritable(await nearest(directory)))) {
        await makeFolder(directory, 0o755);
      } else {
        const owner = `${process.getuid?.() ?? 0}`;
        await asRoot(["install", "-d", "-m", "755", "-o", owner, directory], environment, signal);
      }
      const stats = await lstat(directory);
      if (!stats.isDirectory()) throw new Error(`${directory} is no folder`);
    },
    toolFolders: async (signal) =>
      machine === "hosted" ? findToolFolders(await list(), signal) : [],
    async remove(path, signal) {
      if (machine !== "hosted") throw new Error(`${path}: this machine is not thrown away`);
      await removeToolFolder(await list(), path, environment, signal);
    },
  };
}

async function isWritable(directory: string): Promise<boolean> {
  return access(directory, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function nearest(path: string): Promise<string> {
  for (let at = resolve(path); ; at = dirname(at)) {
    if (at === dirname(at) || (await stat(at).catch(() => undefined))) return at;
  }
}

/**
 * Nix's build users have to pass every folder above, and Nix refuses one that everybody may write to.
 * Source: nix/src/libstore/unix/build/derivation-builder.cc, checkNotWorldWritable.
 */
async function isOpenToOthers(directory: string): Promise<boolean> {
  for (let at = directory; ; at = dirname(at)) {
    const stats = await lstat(at);
    if (stats.isSymbolicLink() || (stats.mode & 0o002) !== 0 || (stats.mode & 0o001) === 0) {
      return false;
    }
    if (at === dirname(at)) return true;
  }
}
