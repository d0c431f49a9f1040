/** Owns the Cachix server of the bench: the tests' stand-in in a process of its own, with a delay. */

import { createInterface } from "node:readline";
import { startCachix } from "../__tests__/servers/cachix.ts";

const { storeDir, delay } = JSON.parse(process.argv[2] ?? "{}") as {
  storeDir: string;
  delay: number;
};

await using server = await startCachix({
  storeDir,
  tokens: { bench: "Write" },
  // The peer's server unpacks nothing either.
  checkNar: false,
});
server.faults.delay = { when: "always", milliseconds: delay };
console.log(
  JSON.stringify({ cache: `cachix:${server.name}?host=${server.origin}`, token: "bench" }),
);
// One line in, one out: how many paths it holds. The end of the input ends it.
for await (const _ of createInterface(process.stdin)) console.log(server.state.own.size);
