/** Owns the log where there is no terminal: every line as it comes, and long work at a steady pace. */

import type { Log } from "../domain/ports.ts";
import { steadyWatch } from "../host/steady.ts";
import { plainLine } from "../report/plain.ts";
import { progressLine } from "../report/progress.ts";

export function plainLog(print: (line: string) => void): Log {
  return {
    group: (title) => print(plainLine(title)),
    endGroup: () => undefined,
    info: (text) => {
      for (const line of text.split("\n")) print(`  ${plainLine(line)}`);
    },
    debug: () => undefined,
    watch: steadyWatch((line) => print(`  ${line}`), progressLine),
  };
}
