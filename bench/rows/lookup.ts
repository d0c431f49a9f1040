/** Owns the row `lookup`: who serves each path of a closure. */

import { writeFile } from "node:fs/promises";
import { hashPart } from "../../src/domain/store-path.ts";
import { inTurn, spread } from "../measure.ts";
import { DELAY, pairResult, type Row } from "../row.ts";
import type { Bench, Cache } from "../site.ts";

export const PATHS = 5_001;

export function askOurs(bench: Bench, cache: Cache, url: string) {
  const { storeDir } = bench.machine;
  const publicKey = bench.key.publicKey.text;
  return bench.ours("lookup", { url, publicKey, storeDir, root: cache.root });
}

export const lookup: Row = {
  name: "lookup",
  length: "short",
  async run(bench) {
    const cache = await bench.closure(PATHS, "NARs too");
    await using served = await bench.serve([{ directory: cache.directory, delay: DELAY }]);
    const [url = ""] = served.origins;
    const names = bench.folder("lookup-names");
    const all = cache.members.map(({ path }) => `${hashPart(path)}.narinfo`);
    await writeFile(names, all.join("\n"));
    const processors: number[] = [];
    for (let round = 0; round < (bench.rounds ?? 3); round++) {
      const { stdout, processor } = await bench.ours("client", { url, names });
      if (stdout.trim() !== `${PATHS}`) throw new Error(`ours says ${stdout}`);
      processors.push(processor);
    }
    const pairs = await inTurn(
      // Nix takes a minute or two.
      bench.rounds ?? 1,
      async () => {
        const { ms, stdout } = await askOurs(bench, cache, url);
        if (stdout.trim() !== `whole ${PATHS}`) throw new Error(`ours says ${stdout}`);
        return ms;
      },
      async () => {
        const { ms, stdout } = await bench.nix(["path-info", "-r", "--store", url, cache.root]);
        const found = stdout.trim().split("\n").length;
        if (found !== PATHS) throw new Error(`Nix names ${found} paths`);
        return ms;
      },
    );
    return [
      pairResult(
        "lookup",
        `closure of ${PATHS} paths, ${DELAY} ms a request`,
        "nix path-info -r --store",
        pairs,
        { kind: "times the peer", atLeast: 60 },
      ),
      {
        row: "lookup-processor",
        what: `${PATHS} narinfos, asked by the client of HTTP alone: processor time`,
        peerIs: "",
        unit: "ms",
        ours: spread(processors),
        peer: undefined,
        ratio: undefined,
        rounds: processors.length,
        goal: { kind: "milliseconds", atMost: 500 },
        note: "",
      },
    ];
  },
};
