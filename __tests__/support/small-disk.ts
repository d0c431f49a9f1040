/** Owns a file system of a few megabytes, to run out of disk space on; it takes the right to mount one. */

import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  grow(megabytes: number): Promise<void>;
}

/** What a command has to be run by, to mount; undefined where nobody may. */
export const MOUNTING: readonly string[] | undefined = (() => {
  if (process.platform !== "linux") return undefined;
  if (process.getuid?.() === 0) return canMount([]) ? [] : undefined;
  return canMount(["sudo", "-n"]) ? ["sudo", "-n"] : undefined;
})();

function canMount(by: readonly string[]): boolean {
  try {
    const [command = "unshare", ...args] = [...by, "unshare", "--mount", "/bin/true"];
    execFileSync(command, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

export async function smallDisk(megabytes: number): Promise<SmallDisk> {
  const path = await mkdtemp(join(tmpdir(), "ncp-disk-"));
  const privileged = async (...words: string[]) => {
    const [command = "", ...args] = [...(MOUNTING ?? []), ...words];
    await run(command, args);
  };
  await privileged("mount", "-t", "tmpfs", "-o", `size=${megabytes}m,mode=0777`, "tmpfs", path);
  return {
    path,
    grow: (size) => privileged("mount", "-o", `remount,size=${size}m`, path),
    async [Symbol.asyncDispose]() {
      await privileged("umount", path);
      // Not recursively: were it mounted still, this fails.
      await rmdir(path);
    },
  };
}
