/** Owns the row `start`: from nothing to the first line of a step, of its end and of the command, against a bare node. */

import { resolve } from "node:path";
import { inTurn, timeProcess } from "../measure.ts";
import { pairResult, type Result, type Row } from "../row.ts";
import type { Bench } from "../site.ts";

async function firstLine(bench: Bench, args: readonly string[], inputs = {}): Promise<number> {
  const environment = {
    ...bench.machine.environment,
    GITHUB_EVENT_NAME: "push",
    GITHUB_REPOSITORY: "owner/repository",
    RUNNER_TEMP: bench.runnerTemp("of a new job"),
    // The runner has one neither; a shell of a developer might.
    NODE_DISABLE_COMPILE_CACHE: "1",
    INPUT_MODE: "check",
    INPUT_CACHE: "none",
    "INPUT_KEY-FILES": "",
    ...inputs,
  };
  const request = { command: process.execPath, args, environment, cwd: bench.machine.root };
  return (await timeProcess({ ...request, until: "first line" })).ms;
}

/** A post without anything from main is at its first line where it would begin to work. */
const PROGRAMS = [
  ["start", "start of a step", "main.js"],
  ["start-post", "start of a step's end", "post.js"],
  ["start-command", "start of the command, --version", "cli.js", "--version"],
] as const;

export const start: Row = {
  name: "start",
  length: "short",
  async run(bench) {
    const bare = ["-e", "process.stdout.write('here\\n')"];
    const results: Result[] = [];
    for (const [row, what, file, ...args] of PROGRAMS) {
      const pairs = await inTurn(
        bench.rounds ?? 21,
        () => firstLine(bench, [resolve("dist", file), ...args]),
        () => firstLine(bench, bare),
      );
      results.push(
        pairResult(row, `${what}, to its first line`, "node alone, to its first line", pairs, {
          kind: "milliseconds",
          atMost: 65,
        }),
      );
    }
    return results;
  },
};
