/** Owns the row `start`: from nothing to the first line of a step, against a bare node. */

import { resolve } from "node:path";
import { inTurn, type Pairs, timeProcess } from "../measure.ts";
import { pairResult, type Row } from "../row.ts";
import type { Bench } from "../site.ts";

async function firstLine(bench: Bench, args: readonly string[], inputs = {}): Promise<number> {
  const environment = {
    ...bench.machine.environment,
    GITHUB_EVENT_NAME: "push",
    GITHUB_REPOSITORY: "owner/repository",
    RUNNER_TEMP: bench.folder("runner-temp"),
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

export const start: Row = {
  name: "start",
  length: "short",
  async run(bench) {
    const main = resolve("dist/main.js");
    const bare = ["-e", "process.stdout.write('here\\n')"];
    const pairs: Pairs = await inTurn(
      bench.rounds ?? 21,
      () => firstLine(bench, [main]),
      () => firstLine(bench, bare),
    );
    return [
      pairResult(
        "start",
        "start of a step, to its first line",
        "node alone, to its first line",
        pairs,
        {
          kind: "milliseconds",
          atMost: 65,
        },
      ),
    ];
  },
};
