/** Processes, known by their number and the moment they began: which run, what they started, their end. */

import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type ExecResult, exec } from "./exec.ts";

/** Milliseconds between asking a process to end and ending it. */
const GRACE = 5_000;
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

/** What `pid` started and is running, with all that those started. */
export async function descendantsOf(pid: number): Promise<ProcessIdentity[]> {
  const everyone = await processes();
  const found = everyone.filter(({ parent }) => parent === pid);
  for (const one of found) found.push(...everyone.filter(({ parent }) => parent === one.pid));
  const identities = await Promise.all(found.map((one) => identityOf(one.pid)));
  return identities.filter((identity) => identity !== undefined);
}

/** First they may clean up; what still runs after the grace is stopped hard. */
export async function endProcesses(
  identities: readonly ProcessIdentity[],
  grace = GRACE,
): Promise<void> {
  const left = async () => {
    const running = await Promise.all(identities.map(isRunning));
    return identities.filter((_, at) => running[at]);
  };
  for (const { pid } of await left()) signalled(pid, "SIGTERM");
  const until = performance.now() + grace;
  while (performance.now() < until && (await left()).length > 0) await sleep(POLL);
  for (const { pid } of await left()) signalled(pid, "SIGKILL");
}

function signalled(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended by itself.
  }
}

const POLL = 50;

interface RunningProcess {
  readonly pid: number;
  readonly parent: number;
}

/** All of this machine; without `ps` where Linux can be asked, since a container may have none. */
async function processes(): Promise<RunningProcess[]> {
  if (process.platform === "linux") {
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    const found = pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
      return { pid: Number(pid), parent: Number(fieldsOf(stat)[1]) };
    });
    return Promise.all(found);
  }
  const { stdout } = await ps(["-A", "-o", "pid=,ppid="]);
  return [...stdout.matchAll(/^ *(\d+) +(\d+) *$/gm)].map(([, pid, parent]) => ({
    pid: Number(pid),
    parent: Number(parent),
  }));
}

function ps(args: readonly string[]): Promise<ExecResult> {
  return exec("ps", args, {
    env: { LC_ALL: "C", PATH: "/usr/bin:/bin" },
    signal: new AbortController().signal,
    deadline: DEADLINE,
  });
}

/** Of /proc/PID/stat, from field 3 on, which stands behind a name that may hold anything. Source: proc(5). */
function fieldsOf(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Field 22 of /proc/PID/stat. */
async function ticksOf(pid: number): Promise<string | undefined> {
  const fields = fieldsOf(await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ""));
  // It has ended, and nobody has asked yet how.
  return fields[0] === "Z" ? undefined : fields[19];
}

async function startOf(pid: number): Promise<string | undefined> {
  const { stdout } = await ps(["-o", "stat=,lstart=", "-p", String(pid)]);
  const [, state = "", began = ""] = /^\s*(\S+)\s+(.*\S)/.exec(stdout) ?? [];
  return began === "" || state.startsWith("Z") ? undefined : began;
}
