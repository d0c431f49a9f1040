/** Owns the rows `verdicts` and `everyday`: what would be fetched and built, over one substituter and over three. */

import { inTurn } from "../measure.ts";
import { DELAY, pairResult, type Result, type Row } from "../row.ts";
import type { Bench } from "../site.ts";
import { step } from "../step.ts";

/** The folders of `n` substituters of which only the last has anything. */
export async function substituters(bench: Bench, n: number, full: string): Promise<string[]> {
  const folders: string[] = [];
  for (let substituter = 1; substituter < n; substituter++) {
    await bench.emptyCache(bench.machine.root, `empty-substituter-${substituter}`);
    folders.push(bench.folder(`empty-substituter-${substituter}`));
  }
  return [...folders, full];
}

export async function askVerdicts(
  bench: Bench,
  n: number,
  atLeast: number,
  derivations = 2_051,
): Promise<Result> {
  const cache = await bench.derivations(derivations);
  await bench.fresh(derivations);
  const folders = await substituters(bench, n, cache.directory);
  await using served = await bench.serve(folders.map((directory) => ({ directory, delay: DELAY })));
  const urls = served.origins;
  const { length } = cache.members;
  const target = `${cache.drvPath}^*`;
  const inputs = { mode: "check", cache: "none", targets: target, substituters: urls.join("\n") };
  const pairs = await inTurn(
    bench.rounds ?? 5,
    async () => {
      const { ms, outputs, log } = await step(bench, "main", inputs);
      const isWhole = outputs["hit"] === "true" && log.includes(`: ${length} of ${length} paths`);
      if (!isWhole) throw new Error(`ours says ${log}`);
      return ms;
    },
    async () => {
      const substituters = ["--option", "substituters", urls.join(" ")];
      const { ms } = await bench.nix(["build", "--dry-run", "--no-link", ...substituters, target]);
      return ms;
    },
  );
  const isEveryday = derivations === EVERYDAY;
  const { median } = pairs.ours;
  const note = `at most ${EVERYDAY_MOST} ms ${median <= EVERYDAY_MOST ? "✓" : "✗"}`;
  return pairResult(
    `${isEveryday ? "everyday" : "verdicts"}-${n}`,
    `verdicts on ${length} derivations, ${n === 1 ? "1 substituter" : `${n} substituters, the last has all`}: the whole step`,
    "nix build --dry-run",
    pairs,
    { kind: "times the peer", atLeast },
    isEveryday ? note : "",
  );
}

/** What most flakes are, and the milliseconds from the start of the step to its last line. */
const EVERYDAY = 200;
const EVERYDAY_MOST = 350;

export const everyday1: Row = {
  name: "everyday-1",
  length: "short",
  run: async (bench) => [await askVerdicts(bench, 1, 1.2, EVERYDAY)],
};

export const everyday3: Row = {
  name: "everyday-3",
  length: "short",
  run: async (bench) => [await askVerdicts(bench, 3, 3, EVERYDAY)],
};

export const verdicts1: Row = {
  name: "verdicts-1",
  length: "short",
  run: async (bench) => [await askVerdicts(bench, 1, 4)],
};

export const verdicts3: Row = {
  name: "verdicts-3",
  length: "short",
  run: async (bench) => [await askVerdicts(bench, 3, 10)],
};
