/** Owns what this machine can give where room lacks: other places to build in, and tool folders. */

import { constants } from "node:fs";
import { access, lstat, mkdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Relief } from "../domain/ports.ts";
import type { Environment } from "./environment.ts";
import { asRoot, findToolFolders, removeToolFolder } from "./tool-folders.ts";

export interface ReliefParts {
  readonly environment: Environment;
  /** A folder of ours in the runner's temporary folder. */
  readonly folder: string;
  /** The only folders that may be deleted; not read from anything a job can change. */
  readonly list: readonly string[];
  /** Where a hosted runner has a second disk, which only root may write to. */
  readonly secondDisk: string;
  /** Who writes in the build directory: we, or Nix's build users, who must be able to get there. */
  readonly builder: "ourselves" | "others";
  /** What Nix does with a build directory that is not there. */
  readonly absent: "made by Nix" | "an error";
}

/** Of GitHub's Linux runners: often larger than what is left of the first. */
export const SECOND_DISK = "/mnt";

export function machineRelief(parts: ReliefParts): Relief {
  const { environment, folder, list, builder, secondDisk } = parts;
  // The runner sets it, and lets no step write a variable of this name.
  const machine = environment["RUNNER_ENVIRONMENT"] === "github-hosted" ? "hosted" : "kept";
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
        await mkdir(directory, { recursive: true, mode: 0o755 });
      } else {
        const owner = `${process.getuid?.() ?? 0}`;
        await asRoot(["install", "-d", "-m", "755", "-o", owner, directory], environment, signal);
      }
      const stats = await lstat(directory);
      if (!stats.isDirectory()) throw new Error(`${directory} is no folder`);
    },
    toolFolders: async (signal) => (machine === "hosted" ? findToolFolders(list, signal) : []),
    async remove(path, signal) {
      if (machine !== "hosted") throw new Error(`${path}: this machine is not thrown away`);
      await removeToolFolder(list, path, environment, signal);
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
