/** Owns the rows `push-cachix` and `push-attic`: the closure of small paths into such a cache, against Nix's own push. */

import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { StorePath } from "../../src/domain/store-path.ts";
import { inTurn } from "../measure.ts";
import { DELAY, pairResult, type Row } from "../row.ts";
import type { Bench } from "../site.ts";
import { pushNix } from "./push.ts";

interface Server extends AsyncDisposable {
  readonly cache: string;
  readonly token: string;
  held(): Promise<number>;
}

/** `program` is a server of the bench in a process of its own. */
async function start(bench: Bench, program: string): Promise<Server> {
  const request = JSON.stringify({ storeDir: bench.machine.storeDir, delay: DELAY });
  const child = spawn(process.execPath, [resolve(program), request], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const line = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${program} ended`);
    return String(value);
  };
  const { cache, token } = JSON.parse(await line()) as Pick<Server, "cache" | "token">;
  return {
    cache,
    token,
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

async function pushOurs(
  bench: Bench,
  program: string,
  root: StorePath,
  paths: number,
): Promise<number> {
  await using server = await start(bench, program);
  const { cache, token } = server;
  const inputs = { mode: "warm", cache, targets: root, token };
  const { ms } = await bench.ours("push", { inputs, roots: [root] });
  const held = await server.held();
  if (held !== paths) throw new Error(`ours pushed ${held} of ${paths} paths`);
  return ms;
}

function pushTo(name: string, kind: string, program: string): Row {
  return {
    name,
    length: "short",
    async run(bench) {
      const { directory, root, members } = await bench.derivations();
      await bench.fresh();
      await bench.machine.nix("nix", ["copy", "--from", `file://${directory}`, root]);
      const parent = bench.folder(`pushed-beside-${name}`);
      await mkdir(parent, { recursive: true });
      await using served = await bench.serve([{ directory: parent, delay: DELAY }]);
      const [origin = ""] = served.origins;
      const pairs = await inTurn(
        // Nix takes more than a minute.
        bench.rounds ?? 1,
        () => pushOurs(bench, program, root, members.length),
        async (n) => {
          await bench.emptyCache(parent, `nix-${n}`);
          const { ms } = await pushNix(bench, `${origin}/nix-${n}`, root);
          await bench.remove(join(parent, `nix-${n}`));
          return ms;
        },
      );
      const what = `push of ${members.length} small paths to ${kind}, ${DELAY} ms a request`;
      const peer = "nix copy --to 'http://…?compression=zstd'";
      return [pairResult(name, what, peer, pairs, { kind: "times the peer", atLeast: 15 })];
    },
  };
}

export const pushCachix = pushTo("push-cachix", "Cachix", "bench/cachix-server.ts");
/** One request a path, which the server compresses and signs. */
export const pushAttic = pushTo("push-attic", "Attic", "bench/attic-server.ts");
