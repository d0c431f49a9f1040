/** Owns the rows `memory`: the highest resident memory for many paths, and for one large NAR. */

import { mkdir } from "node:fs/promises";
import { type Measured, spread } from "../measure.ts";
import { DELAY, type Result, type Row } from "../row.ts";
import { largePath } from "./large.ts";
import { askOurs } from "./lookup.ts";
import { pushNix, pushOurs } from "./push.ts";

function peakResult(
  row: string,
  what: string,
  ours: Measured,
  peer: Measured | undefined,
  peerIs: string,
): Result {
  return {
    row,
    what,
    peerIs,
    unit: "bytes",
    ours: spread([ours.peak]),
    peer: peer && spread([peer.peak]),
    ratio: peer && spread([peer.peak / ours.peak]),
    rounds: 1,
    goal: { kind: "bytes", atMost: 256 * 1024 * 1024 },
    note: `took ${(ours.ms / 1000).toFixed(1)} s${peer ? `, the peer ${(peer.ms / 1000).toFixed(1)} s` : ""}`,
  };
}

export const memoryPaths: Row = {
  name: "memory-10k",
  length: "short",
  async run(bench) {
    const n = 10_000;
    const cache = await bench.closure(n, "narinfos only");
    await using served = await bench.serve([{ directory: cache.directory, delay: DELAY }]);
    const ours = await askOurs(bench, cache, served.origins[0] ?? "");
    return [peakResult("memory-10k", `memory: lookup of ${n} paths`, ours, undefined, "")];
  },
};

export const memoryPush: Row = {
  name: "memory-push-10k",
  length: "long",
  async run(bench) {
    const n = 10_000;
    const cache = await bench.closure(n, "NARs too");
    await bench.machine.forget();
    await bench.machine.nix("nix", ["copy", "--from", `file://${cache.directory}`, cache.root]);
    const parent = bench.folder("memory-push");
    await mkdir(parent);
    await bench.emptyCache(parent, "ours");
    await using served = await bench.serve([{ directory: parent, delay: DELAY }]);
    const ours = await pushOurs(bench, `${served.origins[0]}/ours`, cache.root);
    return [peakResult("memory-push-10k", `memory: push of ${n} small paths`, ours, undefined, "")];
  },
};

export const memoryLarge: Row = {
  name: "memory-4gb",
  length: "long",
  async run(bench) {
    const root = await largePath(bench, 4_000_000_000);
    const parent = bench.folder("memory-large");
    await mkdir(parent);
    await bench.emptyCache(parent, "ours");
    await bench.emptyCache(parent, "nix");
    await using served = await bench.serve([{ directory: parent, delay: DELAY }]);
    const [origin = ""] = served.origins;
    const ours = await pushOurs(bench, `${origin}/ours`, root);
    await bench.remove(`${parent}/ours`);
    const peer = await pushNix(bench, `${origin}/nix`, root);
    return [
      peakResult("memory-4gb", "memory: push of one NAR of 4 GB", ours, peer, "nix copy --to"),
    ];
  },
};
