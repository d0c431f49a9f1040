/** Owns the rows `prefetch-ways`: the figures of docs/adr/0006, ways to fetch small and large closures. */

import type { StorePath } from "../../src/domain/store-path.ts";
import { inTurn } from "../measure.ts";
import { DELAY, pairResult, type Result, type Row } from "../row.ts";
import type { Bench } from "../site.ts";
import { step } from "../step.ts";

interface Closure {
  readonly what: string;
  readonly directory: string;
  readonly root: StorePath;
}

const TUNED = [
  ["16 jobs, 25 connections (Nix's own)", []],
  ["64 jobs, 128 connections", ["64", "128"]],
  ["256 jobs, 256 connections", ["256", "256"]],
] as const;

async function ways(bench: Bench, { what, directory, root }: Closure): Promise<Result[]> {
  await using served = await bench.serve([{ directory, delay: DELAY }]);
  const [url = ""] = served.origins;
  const staged = async () => {
    await bench.machine.forget();
    const inputs = { mode: "prefetch", cache: "none", targets: root, substituters: url };
    return (await step(bench, "main", inputs)).ms;
  };
  const results: Result[] = [];
  for (const [name, [jobs, connections]] of TUNED) {
    const tuning = jobs
      ? ["--option", "max-substitution-jobs", jobs, "--option", "http-connections", connections]
      : [];
    const pairs = await inTurn(bench.rounds ?? 3, staged, async () => {
      await bench.machine.forget();
      const args = ["--realise", root, "--option", "substituters", url, ...tuning];
      return (await bench.nix(args, "nix-store")).ms;
    });
    const peer = `nix-store --realise, ${name}`;
    results.push(
      pairResult(
        `prefetch-ways-${what}-${jobs ?? "own"}`,
        `${what}: the whole step, staged`,
        peer,
        pairs,
        {
          kind: "none",
        },
      ),
    );
  }
  return results;
}

export const prefetchWays: Row = {
  name: "prefetch-ways",
  length: "long",
  async run(bench) {
    const small = await bench.closure(2_051, "NARs too");
    const large = await bench.closure(24, "NARs too", 16_000_000);
    return [
      ...(await ways(bench, { what: "2051 small paths", ...small })),
      ...(await ways(bench, { what: "24 paths of 16 MB", ...large })),
    ];
  },
};
