/** Owns telling a process from a later one that was given the same number. */

import { readFile } from "node:fs/promises";
import { exec } from "./exec.ts";

const DEADLINE = 5_000;

/** A number and when it was given; undefined where no process has it now. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Of no meaning but to be compared. */
  readonly began: string;
}

export async function identityOf(pid: number): Promise<ProcessIdentity | undefined> {
  const began = process.platform === "linux" ? await ticksOf(pid) : await startOf(pid);
  return began === undefined ? undefined : { pid, began };
}

export async function isRunning({ pid, began }: ProcessIdentity): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return (await identityOf(pid))?.began === began;
}

/** Field 22 of /proc/PID/stat, behind a name that may hold anything. Source: proc(5). */
async function ticksOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
}

async function startOf(pid: number): Promise<string | undefined> {
  const { stdout } = await exec("ps", ["-o", "lstart=", "-p", String(pid)], {
    env: { LC_ALL: "C", PATH: "/usr/bin:/bin" },
    signal: new AbortController().signal,
    deadline: DEADLINE,
  });
  return stdout.trim() || undefined;
}
