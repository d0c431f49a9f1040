/** Owns the row `push-cachix`: the closure of small paths into a Cachix cache, against Nix's own push. */

import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { StorePath } from "../../src/domain/store-path.ts";
import { inTurn } from "../measure.ts";
import { DELAY, pairResult, type Row } from "../row.ts";
import type { Bench } from "../site.ts";
import { pushNix } from "./push.ts";

interface Cachix extends AsyncDisposable {
  readonly cache: string;
  held(): Promise<number>;
}

async function cachix(bench: Bench): Promise<Cachix> {
  const request = JSON.stringify({ storeDir: bench.machine.storeDir, delay: DELAY });
  const child = spawn(process.execPath, [resolve("bench/cachix-server.ts"), request], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const line = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("the Cachix server ended");
    return String(value);
  };
  const { cache } = JSON.parse(await line()) as { cache: string };
  return {
    cache,
    held: async () => {
      child.stdin.write("held\n");
      return Number(await line());
    },
    async [Symbol.asyncDispose]() {
      const ended = new Promise((done) => child.once("exit", done));
      child.stdin.end();
      await ended;
    },
  };
}

async function pushOurs(bench: Bench, root: StorePath, paths: number): Promise<number> {
  await using server = await cachix(bench);
  const inputs = { mode: "warm", cache: server.cache, targets: root, token: "bench" };
  const { ms } = await bench.ours("push", { inputs, roots: [root] });
  const held = await server.held();
  if (held !== paths) throw new Error(`ours pushed ${held} of ${paths} paths`);
  return ms;
}

export const pushCachix: Row = {
  name: "push-cachix",
  length: "short",
  async run(bench) {
    const { directory, root, members } = await bench.derivations();
    await bench.fresh();
    await bench.machine.nix("nix", ["copy", "--from", `file://${directory}`, root]);
    const parent = bench.folder("pushed-beside-cachix");
    await mkdir(parent, { recursive: true });
    await using served = await bench.serve([{ directory: parent, delay: DELAY }]);
    const [origin = ""] = served.origins;
    const pairs = await inTurn(
      bench.rounds ?? 3,
      () => pushOurs(bench, root, members.length),
      async (n) => {
        await bench.emptyCache(parent, `nix-${n}`);
        const { ms } = await pushNix(bench, `${origin}/nix-${n}`, root);
        await bench.remove(join(parent, `nix-${n}`));
        return ms;
      },
    );
    const what = `push of ${members.length} small paths to Cachix, ${DELAY} ms a request`;
    const peer = "nix copy --to 'http://…?compression=zstd'";
    return [pairResult("push-cachix", what, peer, pairs, { kind: "times the peer", atLeast: 15 })];
  },
};
