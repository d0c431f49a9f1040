/** Owns the row `post`: the end of a job that built nothing, in a store of 5,000 paths. */

import { spread } from "../measure.ts";
import type { Row } from "../row.ts";
import { step } from "../step.ts";
import { PATHS } from "./lookup.ts";

export const post: Row = {
  name: "post",
  length: "short",
  async run(bench) {
    const cache = await bench.closure(PATHS, "NARs too");
    await bench.machine.forget();
    await bench.machine.nix("nix", ["copy", "--from", `file://${cache.directory}`, cache.root]);
    const inputs = {
      mode: "prefetch",
      cache: `file://${bench.folder("post-cache")}`,
      targets: cache.root,
    };
    const times: number[] = [];
    const rounds = bench.rounds ?? 9;
    for (let round = 0; round < rounds; round++) {
      // Post takes away what main left for it.
      const { state } = await step(bench, "main", inputs);
      const { ms, log } = await step(bench, "post", inputs, state);
      if (!log.includes("nothing new to push")) throw new Error(log);
      times.push(ms);
    }
    return [
      {
        row: "post",
        what: `post step, nothing new built, ${PATHS - 1} paths in the store`,
        peerIs: "",
        unit: "ms",
        ours: spread(times),
        peer: undefined,
        ratio: undefined,
        rounds,
        goal: { kind: "milliseconds", atMost: 300 },
        note: "",
      },
    ];
  },
};
