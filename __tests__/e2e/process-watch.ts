/** Owns watching every process of this machine: what its arguments and its environment hold. */

import { readdir, readFile } from "node:fs/promises";

export interface Watched {
  /** Command lines that were seen, each once. */
  readonly commands: ReadonlySet<string>;
  /** Where a secret was: `environ of nix-store --realise …`. */
  readonly leaks: readonly string[];
}

/**
 * Samples /proc until `task` is done. `mayHold` are the processes that are given the secret: the
 * runner's own step, and this one.
 */
export async function watchProcesses(
  secrets: readonly string[],
  mayHold: (command: string) => boolean,
  task: () => Promise<unknown>,
): Promise<Watched> {
  const commands = new Set<string>();
  const leaks: string[] = [];
  let isDone = false;
  const watching = (async () => {
    while (!isDone) {
      for (const pid of await readdir("/proc")) {
        if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
        const read = (name: string) => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "");
        const [cmdline, environ] = [await read("cmdline"), await read("environ")];
        const command = cmdline.replaceAll("\0", " ").trim();
        if (command === "") continue;
        commands.add(command);
        for (const secret of secrets) {
          if (cmdline.includes(secret)) leaks.push(`arguments of ${command}`);
          if (environ.includes(secret) && !mayHold(command)) leaks.push(`environ of ${command}`);
        }
      }
    }
  })();
  try {
    await task();
  } finally {
    isDone = true;
    await watching;
  }
  return { commands, leaks };
}
