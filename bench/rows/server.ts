/** Owns the row `server`: what the bench's own server can do, asked by bare sockets. */

import { connect } from "node:net";
import { hashPart } from "../../src/domain/store-path.ts";
import { spread } from "../measure.ts";
import { DELAY, type Result, type Row } from "../row.ts";
import { PATHS } from "./lookup.ts";

/** Asks for all `urls` over `connections` sockets, one request at a time on each; milliseconds. */
async function bare(port: number, urls: readonly string[], connections: number): Promise<number> {
  const begun = performance.now();
  let next = 0;
  const one = () =>
    new Promise<void>((resolve, reject) => {
      const socket = connect(port, "127.0.0.1").setNoDelay(true);
      let held = "";
      const ask = () => {
        const url = urls[next++];
        if (url === undefined) {
          socket.destroy();
          resolve();
        } else socket.write(`GET ${url} HTTP/1.1\r\nHost: bench\r\n\r\n`);
      };
      socket.on("connect", ask).on("error", reject);
      socket.on("data", (chunk) => {
        held += chunk.toString("latin1");
        const end = held.indexOf("\r\n\r\n");
        const length = Number(/content-length: (\d+)/i.exec(held)?.[1] ?? -1);
        if (end < 0 || held.length < end + 4 + length) return;
        held = "";
        ask();
      });
    });
  await Promise.all(Array.from({ length: connections }, one));
  return performance.now() - begun;
}

export const server: Row = {
  name: "server",
  length: "short",
  async run(bench) {
    const cache = await bench.closure(PATHS, "NARs too");
    const { directory, members } = cache;
    await using served = await bench.serve([
      { directory, delay: 0 },
      { directory, delay: DELAY },
    ]);
    const urls = members.map(({ path }) => `/${hashPart(path)}.narinfo`);
    const results: Result[] = [];
    for (const [index, delay] of [0, DELAY].entries()) {
      const port = Number(new URL(served.origins[index] ?? "").port);
      const times: number[] = [];
      const rounds = bench.rounds ?? 5;
      await bare(port, urls, 128);
      for (let round = 0; round < rounds; round++) times.push(await bare(port, urls, 128));
      results.push({
        row: `server-${delay}`,
        what: `the bench's own server: ${PATHS} narinfos to 128 bare sockets, ${delay} ms a request`,
        peerIs: "",
        unit: "ms",
        ours: spread(times),
        peer: undefined,
        ratio: undefined,
        rounds,
        goal: { kind: "none" },
        note: `${Math.round((PATHS * 1000) / spread(times).median)} requests a second`,
      });
    }
    return results;
  },
};
