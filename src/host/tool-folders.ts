/** Owns the tool folders of hosted runners: a fixed list, looked at and deleted with every care. */

import { lstat, readFile, realpath } from "node:fs/promises";
import { dirname } from "node:path";
import { UserError } from "../domain/errors.ts";
import type { ToolFolder } from "../domain/ports.ts";
import { exec } from "./exec.ts";
import { folderSize } from "./folder-size.ts";

/**
 * What the images of GitHub's runners bring along and a Nix job has no use for. Whole paths only, no
 * pattern: nothing else is ever deleted. Source: the lists in github.com/actions/runner-images.
 */
export const TOOL_FOLDERS: readonly string[] = [
  "/usr/local/lib/android",
  "/usr/share/dotnet",
  "/usr/local/.ghcup",
  "/opt/ghc",
  "/usr/share/swift",
  "/opt/hostedtoolcache/CodeQL",
  "/usr/local/share/boost",
  "/usr/local/share/chromium",
  "/usr/local/share/vcpkg",
  "/usr/local/graalvm",
  "/usr/share/miniconda",
  "/Users/runner/Library/Android/sdk",
  "/Users/runner/hostedtoolcache/CodeQL",
  "/Users/runner/.dotnet",
];

const DEADLINE = 600_000;

/** Those of `list` that are there, with what they take. */
export async function findToolFolders(
  list: readonly string[],
  signal: AbortSignal,
): Promise<ToolFolder[]> {
  const found: ToolFolder[] = [];
  for (const path of list) {
    if ((await whyNot(path)) !== undefined) continue;
    const { dev } = await lstat(path);
    const { bytes } = await folderSize(path, signal);
    found.push({ path, bytes, fileSystem: String(dev) });
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
  await asRoot(["rm", "-rf", oneFileSystem, "--", path], environment, signal);
}

/** Runs a command as root, which a hosted runner's user may without a password. */
export async function asRoot(
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const all = process.getuid?.() === 0 ? command : ["sudo", "-n", ...command];
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
  if ((await lstat(dirname(path))).dev !== stats.dev) return "something is mounted there";
  // A folder of the same file system can be mounted below it, which rm does not tell.
  const mounts = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  const below = mounts.split("\n").some((line) => {
    const point = line.split(" ")[4]?.replaceAll("\\040", " ") ?? "";
    return point === path || point.startsWith(`${path}/`);
  });
  return below ? "something is mounted in it" : undefined;
}
