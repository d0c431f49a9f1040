/** The folder of a command on the command line: its own, and gone when it is over. */

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { makeFolder } from "../host/atomic.ts";
import type { Environment } from "../host/environment.ts";

/**
 * A folder for this command alone, with the netrc file of private caches among its files: it goes at the
 * end. What killed commands left goes now.
 */
export async function beginFolder(environment: Environment): Promise<string> {
  const state = stateFolder(environment);
  try {
    await makeFolder(state, 0o700);
    for (const name of await readdir(state)) {
      const pid = /^run-(\d+)-/.exec(name)?.[1];
      if (pid !== undefined && !isAlive(Number(pid)))
        await rm(join(state, name), { recursive: true, force: true });
    }
    // Where earlier versions kept it.
    await rm(join(state, "netrc"), { force: true });
    return await mkdtemp(join(state, `run-${process.pid}-`));
  } catch {
    // A home that cannot be written to.
    return mkdtemp(join(tmpdir(), "nix-cache-preflight-"));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function stateFolder(environment: Environment): string {
  const home = environment["HOME"] ?? homedir();
  return join(
    environment["XDG_STATE_HOME"] || join(home, ".local", "state"),
    "nix-cache-preflight",
  );
}
