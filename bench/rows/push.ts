/** Owns the rows `push`: a closure of small paths, and one large NAR, over HTTP PUT; both sign. */

import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { StorePath } from "../../src/domain/store-path.ts";
import { inTurn } from "../measure.ts";
import { DELAY, pairResult, type Row } from "../row.ts";
import type { Bench } from "../site.ts";
import { step } from "../step.ts";
import { largePath } from "./large.ts";

export async function pushOurs(bench: Bench, url: string, root: StorePath) {
  const inputs = { mode: "warm", cache: url, targets: root, token: "bench" };
  return bench.ours("push", { inputs, roots: [root], keyFile: bench.folder("secret.key") });
}

export async function pushNix(bench: Bench, url: string, root: StorePath) {
  return bench.nix([
    "copy",
    "--to",
    `${url}?compression=zstd&secret-key=${bench.folder("secret.key")}`,
    root,
  ]);
}

async function narinfos(directory: string): Promise<number> {
  return (await readdir(directory)).filter((name) => name.endsWith(".narinfo")).length;
}

async function compare(bench: Bench, root: StorePath, paths: number, rounds: number) {
  const parent = bench.folder("pushed");
  await mkdir(parent, { recursive: true });
  await using served = await bench.serve([{ directory: parent, delay: DELAY }]);
  const [origin = ""] = served.origins;
  const one =
    (who: string, push: (url: string) => Promise<{ ms: number }>) => async (n: number) => {
      const name = `${who}-${n}`;
      await bench.emptyCache(parent, name);
      const { ms } = await push(`${origin}/${name}`);
      const found = await narinfos(join(parent, name));
      if (found !== paths) throw new Error(`${who} pushed ${found} of ${paths} paths`);
      await bench.remove(join(parent, name));
      return ms;
    };
  return await inTurn(
    rounds,
    one("ours", (url) => pushOurs(bench, url, root)),
    one("nix", (url) => pushNix(bench, url, root)),
  );
}

export const pushSmall: Row = {
  name: "push",
  length: "short",
  async run(bench) {
    const cache = await bench.derivations();
    await bench.fresh();
    await bench.machine.nix("nix", ["copy", "--from", `file://${cache.directory}`, cache.root]);
    const pairs = await compare(bench, cache.root, cache.members.length, bench.rounds ?? 1);
    const what = `push of ${cache.members.length} small paths, ${DELAY} ms a request`;
    const peer = "nix copy --to 'http://…?compression=zstd'";
    return [pairResult("push", what, peer, pairs, { kind: "times the peer", atLeast: 15 })];
  },
};

export const fetchLarge: Row = {
  name: "fetch-1gb",
  length: "long",
  async run(bench) {
    const root = await largePath(bench, 1_000_000_000);
    const directory = bench.folder("large-cache");
    const to = `file://${directory}?compression=zstd&secret-key=${bench.folder("secret.key")}`;
    await bench.machine.nix("nix", ["copy", "--to", to, root]);
    await using served = await bench.serve([{ directory, delay: DELAY }]);
    const substituters = served.origins.join(" ");
    const pairs = await inTurn(
      bench.rounds ?? 3,
      async () => {
        await bench.machine.forget();
        const inputs = { mode: "prefetch", cache: "none", targets: root, substituters };
        return (await step(bench, "main", inputs)).ms;
      },
      async () => {
        await bench.machine.forget();
        const options = ["--option", "substituters", substituters];
        return (await bench.nix(["build", "--no-link", ...options, root])).ms;
      },
    );
    const goal = { kind: "times the peer", atLeast: 1.2 } as const;
    return [pairResult("fetch-1gb", "prefetch of one NAR of 1 GB", "nix build", pairs, goal)];
  },
};

export const pushLarge: Row = {
  name: "push-1gb",
  length: "long",
  async run(bench) {
    const root = await largePath(bench, 1_000_000_000);
    const pairs = await compare(bench, root, 1, bench.rounds ?? 3);
    const peer = "nix copy --to 'http://…?compression=zstd'";
    return [
      pairResult("push-1gb", "push of one NAR of 1 GB", peer, pairs, {
        kind: "times the peer",
        atLeast: 1.2,
      }),
    ];
  },
};
