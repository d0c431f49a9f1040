/** A process of its own that pushes made-up paths to a cache: `node index-writer.ts ADDRESS PREFIX COUNT [killed]`. */

import { can } from "../../src/domain/cache.ts";
import { parseSigningKey } from "../../src/domain/signature.ts";
import { processEnvironment } from "../../src/host/environment.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { openAt } from "../support/open-cache.ts";
import { madeUp, narsOf } from "./made-up.ts";

const [address = "", prefix = "", count = "0", how = "whole"] = process.argv.slice(2);
const environment = processEnvironment();
const http = new HttpClient(environment);
const key = environment["WRITER_KEY"];
const cache = openAt(address, {
  http,
  environment,
  signingKey: key === undefined ? undefined : parseSigningKey(key),
});
if (!can(cache, "push")) throw new Error(`${address} cannot be pushed to`);
// One push a path, as a job pushes one target after the other.
for (let n = 0; n < Number(count); n++) {
  const path = madeUp(`${prefix}-${n}`);
  const nar = narsOf([path]);
  const { failed } = await cache.push(
    [path.info],
    async function* (one, signal) {
      // Named in the index, and on its way.
      if (how === "killed") process.kill(process.pid, "SIGKILL");
      yield* nar(one, signal);
    },
    () => undefined,
    new AbortController().signal,
  );
  for (const error of failed.values()) throw error;
}
http.close();
