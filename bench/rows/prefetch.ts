/** Owns the rows `prefetch`: a whole step of the action against `nix build`, on a store without outputs. */

import { inTurn } from "../measure.ts";
import { DELAY, pairResult, type Result, type Row } from "../row.ts";
import type { Bench } from "../site.ts";
import { step } from "../step.ts";
import { substituters } from "./verdicts.ts";

async function prefetch(bench: Bench, n: number, atLeast: number): Promise<Result> {
  const cache = await bench.derivations();
  const folders = await substituters(bench, n, cache.directory);
  await using served = await bench.serve(folders.map((directory) => ({ directory, delay: DELAY })));
  const urls = served.origins;
  const target = `${cache.drvPath}^*`;
  const check = async () => {
    const { machine, root } = { machine: bench.machine, root: cache.root };
    const closure = await machine.nix("nix-store", ["--query", "--requisites", root]);
    if (closure.trim().split("\n").length !== cache.members.length)
      throw new Error("not all is here");
  };
  const pairs = await inTurn(
    bench.rounds ?? 5,
    async () => {
      await bench.fresh();
      const substituters = urls.join("\n");
      const { ms } = await step(bench, "main", {
        mode: "prefetch",
        cache: "none",
        targets: target,
        substituters,
      });
      await check();
      return ms;
    },
    async () => {
      await bench.fresh();
      const substituters = ["--option", "substituters", urls.join(" ")];
      const { ms } = await bench.nix(["build", "--no-link", ...substituters, target]);
      await check();
      return ms;
    },
  );
  return pairResult(
    `prefetch-${n}`,
    `prefetch of ${cache.members.length} small paths, ${n === 1 ? "1 substituter" : `${n} substituters`}: the whole step`,
    "nix build",
    pairs,
    { kind: "times the peer", atLeast },
  );
}

export const prefetch1: Row = {
  name: "prefetch-1",
  length: "short",
  run: async (bench) => [await prefetch(bench, 1, 2.5)],
};

export const prefetch3: Row = {
  name: "prefetch-3",
  length: "short",
  run: async (bench) => [await prefetch(bench, 3, 4)],
};
