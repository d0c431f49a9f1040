/** Owns the proof on a real web server: caches that nginx serves, and one it takes uploads for. */

import { randomFillSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { can } from "../../src/domain/cache.ts";
import type { UserError } from "../../src/domain/errors.ts";
import { verify } from "../../src/engine/apply/verify.ts";
import { Lookup } from "../../src/engine/survey/lookup.ts";
import { clock } from "../../src/host/clock.ts";
import { decompress } from "../../src/host/compress.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { type Nginx, startNginx } from "../servers/nginx.ts";
import { newKey } from "../support/keys.ts";
import { openAt } from "../support/open-cache.ts";
import { cacheContract } from "./contract.ts";
import { madeUp, narsOf } from "./made-up.ts";

const http = new HttpClient({});
const signal = new AbortController().signal;

async function takingPuts(): Promise<Nginx> {
  const nginx = await startNginx("takes PUT");
  await writeFile(join(nginx.directory, "nix-cache-info"), "StoreDir: /nix/store\n");
  return nginx;
}

cacheContract("http:// (nginx, WebDAV)", async () => {
  const nginx = await takingPuts();
  const signingKey = newKey();
  return {
    cache: openAt(nginx.origin, { http, signingKey }),
    reopen: async () => openAt(nginx.origin, { http, signingKey }),
    [Symbol.asyncDispose]: () => nginx[Symbol.asyncDispose](),
  };
});

test("a large NAR goes up as a stream, and what nginx keeps is the whole of it", async () => {
  await using nginx = await takingPuts();
  const cache = openAt(nginx.origin, { http, signingKey: newKey() });
  if (!can(cache, "push")) throw new Error("it cannot push");
  const path = madeUp("large", [], { bytes: 8 * 1024 * 1024, random: randomFillSync });
  const result = await cache.push([path.info], narsOf([path]), () => undefined, signal);
  expect([...result.failed]).toEqual([]);
  const { storePath } = path.info;
  const { outcome } = await verify(
    {
      cache,
      lookup: new Lookup([{ cache, role: "own" }], signal),
      clock,
      decompress,
      good: new Set(),
    },
    {
      roots: [storePath],
      closure: new Map([[storePath, path.info]]),
      level: "full",
      pushed: new Set(),
      deadline: 0,
    },
    signal,
  );
  expect(outcome).toBe("verified");
});

test("a file:// cache that nginx serves is read through it, in ranges too, and never written", async () => {
  await using nginx = await startNginx("read only");
  const signingKey = newKey();
  const near = openAt(`file://${nginx.directory}`, { http, signingKey });
  if (!can(near, "push")) throw new Error("it cannot push");
  const path = madeUp("served", [], { bytes: 2_000_000, random: randomFillSync });
  await near.push([path.info], narsOf([path]), () => undefined, signal);
  const far = openAt(nginx.origin, {
    http,
    role: "substituter",
    publicKeys: [signingKey.publicKey],
  });
  const presence = await far.query(path.info.storePath, signal);
  if (presence.kind !== "hit" || !far.readNarRange) throw new Error(presence.kind);
  const { narInfo } = presence;
  expect(await far.narSize(narInfo, signal)).toBe(narInfo.fileSize);
  const whole: Uint8Array[] = [];
  for await (const chunk of far.readNar(narInfo, signal)) whole.push(chunk);
  const part: Uint8Array[] = [];
  const range = { from: 1_000, to: 1_900 };
  for await (const chunk of far.readNarRange(narInfo, range, signal)) part.push(chunk);
  expect(Buffer.concat(part).equals(Buffer.concat(whole).subarray(1_000, 1_900))).toBe(true);

  const writer = openAt(nginx.origin, { http, signingKey });
  if (!can(writer, "push")) throw new Error("it cannot push");
  const other = madeUp("not-taken");
  const result = await writer.push([other.info], narsOf([other]), () => undefined, signal);
  const error = result.failed.get(other.info.storePath) as UserError;
  expect(error.code).toBe("NCP-305");
  expect(error.hint).toContain("dav_methods PUT");
});

test("what nginx forbids is no miss", async () => {
  await using nginx = await startNginx("read only");
  const cache = openAt(`${nginx.origin}/private`, { http, role: "substituter" });
  const presence = await cache.query(madeUp("forbidden").info.storePath, signal);
  if (presence.kind !== "unknown") throw new Error(presence.kind);
  expect((presence.cause as UserError).code).toBe("NCP-303");
});
