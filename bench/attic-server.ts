/** Owns the Attic server of the bench: the tests' stand-in in a process of its own, with a delay. */

import { createInterface } from "node:readline";
import { atticServer } from "../__tests__/servers/attic.ts";

const { storeDir, delay } = JSON.parse(process.argv[2] ?? "{}") as {
  storeDir: string;
  delay: number;
};

await using server = await atticServer({ storeDir, delay });
const cache = `attic:${server.origin}/${server.cache}`;
console.log(JSON.stringify({ cache, token: server.token("*", ["r", "w"]) }));
// One line in, one out: how many paths it holds. The end of the input ends it.
for await (const _ of createInterface(process.stdin)) console.log(server.narInfos.size);
