/** Owns the row `scaling`: what a path costs in a closure of 1,000, of 10,000 and of 100,000. */

import { spread } from "../measure.ts";
import { DELAY, type Result, type Row } from "../row.ts";
import { askOurs } from "./lookup.ts";

export const scaling: Row = {
  name: "scaling",
  length: "long",
  async run(bench) {
    const results: Result[] = [];
    for (const n of [1_000, 10_000, 100_000]) {
      const cache = await bench.closure(n, "narinfos only");
      await using served = await bench.serve([{ directory: cache.directory, delay: DELAY }]);
      const [url = ""] = served.origins;
      const rounds = bench.rounds ?? 3;
      const times: number[] = [];
      const peaks: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const { ms, peak, stdout } = await askOurs(bench, cache, url);
        if (stdout.trim() !== `whole ${n}`) throw new Error(`ours says ${stdout}`);
        times.push(ms);
        peaks.push(peak);
      }
      const perPath = (spread(times).median * 1000) / n;
      const memory = spread(peaks).median;
      results.push({
        row: `scaling-${n}`,
        what: `lookup of ${n} paths, ${DELAY} ms a request`,
        peerIs: "",
        unit: "ms",
        ours: spread(times),
        peer: undefined,
        ratio: undefined,
        rounds,
        goal: { kind: "none" },
        note: `${perPath.toFixed(0)} µs a path; peak ${(memory / 1024 / 1024).toFixed(0)} MB, ${(memory / 1024 / n).toFixed(1)} kB a path`,
      });
    }
    return results;
  },
};
