/** Owns the row `unchanged`: the second run of a step for which nothing changed. */

import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { quickstart } from "../../scripts/machine.ts";
import { inTurn } from "../measure.ts";
import { pairResult, type Row } from "../row.ts";
import { step } from "../step.ts";

const run = promisify(execFile);

export const unchanged: Row = {
  name: "unchanged",
  length: "short",
  async run(bench) {
    await bench.machine.forget();
    const workspace = await quickstart(bench.machine, resolve("examples/quickstart"));
    for (const args of [
      ["init", "-q"],
      ["add", "."],
      ["commit", "-qm", "home"],
    ]) {
      const who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
      await run("git", [...who, ...args], { cwd: workspace });
    }
    const cache = bench.folder("unchanged-cache");
    const inputs = {
      cache: `file://${cache}`,
      targets: ".#packages.SYSTEM.*\nnixpkgs#bws",
      mode: "prefetch",
    };
    const records = join(cache, "memos");
    const once = async () => (await step(bench, "main", inputs, {}, workspace)).ms;
    await step(bench, "main", { ...inputs, mode: "warm" }, {}, workspace);
    await once();
    if ((await readdir(records)).length === 0) throw new Error("no evaluation record was left");
    const pairs = await inTurn(bench.rounds ?? 7, once, async () => {
      await bench.remove(records);
      return once();
    });
    return [
      pairResult(
        "unchanged",
        "nothing changed since the last verified run: the whole step",
        "the same step without its evaluation record",
        pairs,
        { kind: "milliseconds", atMost: 1_000 },
        "a flake of a few packages, which evaluates in no time; a system takes seconds",
      ),
    ];
  },
};
