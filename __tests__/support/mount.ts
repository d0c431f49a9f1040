/** Owns mounts for tests: a tmpfs of a given size, or a folder shown at another place, each in a folder of its own. */

import { execFile } from "node:child_process";
import { mkdtemp, readFile, realpath, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Mounted extends AsyncDisposable {
  readonly path: string;
  at(...names: string[]): string;
  /** `size=200m`, `ro`. */
  remount(options: string): Promise<void>;
}

/** Mounting is root's alone, and Linux's; elsewhere there is no small file system to test with. */
export const canMount = process.platform === "linux" && process.getuid?.() === 0;

/** A tmpfs with these options (`size=64m,nr_inodes=2000`), in a new folder of `below`. */
export function mountTmpfs(options: string, below = tmpdir()): Promise<Mounted> {
  return mounted(["-t", "tmpfs", "-o", `${options},mode=755`, "tmpfs"], below);
}

/** The folder once more, at a place that everybody can get to. */
export function bindMount(folder: string): Promise<Mounted> {
  return mounted(["--bind", folder], "/run");
}

async function mounted(what: readonly string[], below: string): Promise<Mounted> {
  const path = await realpath(await mkdtemp(join(below, "ncp-mount-")));
  await run("mount", [...what, path]);
  return {
    path,
    at: (...names) => join(path, ...names),
    remount: async (how) => {
      await run("mount", ["-o", `remount,${how}`, path]);
    },
    async [Symbol.asyncDispose]() {
      // What a build left behind may hold it for a moment. Nothing is deleted through a mount.
      for (let attempt = 1; ; attempt++) {
        try {
          await run("umount", [path]);
          break;
        } catch (error) {
          if (attempt === 20) throw error;
          await wait(250);
        }
      }
      if (await isMounted(path)) throw new Error(`${path} is still mounted`);
      await rmdir(path);
    },
  };
}

async function isMounted(path: string): Promise<boolean> {
  const mounts = await readFile("/proc/self/mountinfo", "utf8");
  return mounts.split("\n").some((line) => line.split(" ")[4] === path);
}
