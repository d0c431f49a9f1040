import { randomFillSync } from "node:crypto";
import { expect, test } from "@jest/globals";
import { signatureHeaders } from "../../src/caches/s3/client.ts";
import type { BinaryCache } from "../../src/domain/cache.ts";
import { can } from "../../src/domain/cache.ts";
import type { UserError } from "../../src/domain/errors.ts";
import type { SigningKey } from "../../src/domain/signature.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import type { Wire } from "../servers/http.ts";
import { type S3Server, s3Server } from "../servers/moto.ts";
import { putServer } from "../servers/put.ts";
import { newKey } from "../support/keys.ts";
import { openAt, SHORT } from "../support/open-cache.ts";
import { cacheContract } from "./contract.ts";
import { WIRES } from "./contract-faults.ts";
import { httpFaults } from "./http-faults.ts";
import { type MadeUp, madeUp, narsOf } from "./made-up.ts";

const signal = new AbortController().signal;
const http = new HttpClient({});

function open(at: S3Server, signingKey: SigningKey | undefined, secret = at.secret): BinaryCache {
  const environment = { AWS_ACCESS_KEY_ID: at.keyId, AWS_SECRET_ACCESS_KEY: secret };
  return openAt(at.url, { http, signingKey, environment });
}

async function send(cache: BinaryCache, path: MadeUp) {
  if (!can(cache, "push")) throw new Error("it cannot push");
  return cache.push([path.info], narsOf([path]), () => undefined, signal);
}

cacheContract(
  "s3://",
  async () => {
    const at = await s3Server();
    const key = newKey();
    return {
      cache: open(at, key),
      reopen: async () => open(at, key),
      [Symbol.asyncDispose]: () => at[Symbol.asyncDispose](),
    };
  },
  { start: faulty, wires: WIRES },
);

/** What S3 says to a signature that is fifteen minutes old. */
const SKEWED = {
  status: 403,
  headers: { "content-type": "application/xml", date: "Thu, 01 Jan 2004 00:00:00 GMT" },
  body: "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>",
};

async function faulty(wire: Wire) {
  const at = await s3Server();
  const signingKey = newKey();
  const environment = { AWS_ACCESS_KEY_ID: at.keyId, AWS_SECRET_ACCESS_KEY: at.secret };
  return httpFaults(
    {
      origin: at.origin,
      withoutInfo: "not written yet",
      clockMatters: "yes",
      proxy: { skewed: SKEWED },
      open: (origin, client) =>
        openAt(at.urlThrough(origin), { http: client, signingKey, environment }, SHORT),
      end: () => at[Symbol.asyncDispose](),
    },
    wire,
  );
}

/** The examples of AWS's S3 API reference, "Signature Calculations for the Authorization Header". */
test.each([
  ["?lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"],
  ["?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"],
])("the signature of GET %s is AWS's own", (query, signature) => {
  const headers = signatureHeaders(
    {
      method: "GET",
      url: new URL(`https://examplebucket.s3.amazonaws.com/${query}`),
      body: undefined,
    },
    {
      keyId: "AKIAIOSFODNN7EXAMPLE",
      secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
      sessionToken: undefined,
    },
    "us-east-1",
    new Date("2013-05-24T00:00:00Z"),
  );
  expect(headers["authorization"]).toContain(`Signature=${signature}`);
});

test("a NAR of more than a part goes up in parts, and comes back whole", async () => {
  await using at = await s3Server();
  const cache = open(at, newKey());
  const path = madeUp("large", [], { bytes: 33 * 1024 * 1024, random: randomFillSync });
  expect([...(await send(cache, path)).failed]).toEqual([]);
  const presence = await cache.query(path.info.storePath, signal);
  if (presence.kind !== "hit") throw new Error(presence.kind);
  expect(await cache.narSize(presence.narInfo, signal)).toBe(presence.narInfo.fileSize);
});

test("a large NAR that is not what the store says is never completed", async () => {
  await using at = await s3Server();
  const cache = open(at, newKey());
  const path = madeUp("spoilt", [], { bytes: 33 * 1024 * 1024, random: randomFillSync });
  const other = Buffer.from(path.nar);
  other.fill(0, 1_000, 2_000);
  const error = (await send(cache, { ...path, nar: other })).failed.get(path.info.storePath);
  expect((error as UserError).code).toBe("NCP-308");
  expect((await cache.query(path.info.storePath, signal)).kind).toBe("miss");
});

test("a bucket that nobody wrote to is empty; one that is not there is an error", async () => {
  await using at = await s3Server();
  const cache = open(at, newKey());
  expect(await cache.describe(signal)).toMatchObject({ storeDir: undefined });
  const environment = { AWS_ACCESS_KEY_ID: at.keyId, AWS_SECRET_ACCESS_KEY: at.secret };
  const other = openAt(at.url.replace("nix-cache", "not-there"), { http, environment });
  await expect(other.describe(signal)).rejects.toMatchObject({ code: "NCP-304" });
});

test("a wrong secret is no miss, and no error holds it", async () => {
  await using at = await s3Server();
  const cache = open(at, newKey(), "a-wrong-secret");
  const presence = await cache.query(madeUp("any").info.storePath, signal);
  if (presence.kind !== "unknown") throw new Error(presence.kind);
  expect((presence.cause as UserError).code).toBe("NCP-303");
  expect(presence.cause.message).not.toContain("a-wrong-secret");
  const path = madeUp("refused");
  const error = await send(cache, path).catch((thrown: unknown) => thrown);
  expect((error as UserError).code).toBe("NCP-303");
});

test.each([
  ["no credentials", {}, "NCP-303"],
  ["no signing key", { AWS_ACCESS_KEY_ID: "A", AWS_SECRET_ACCESS_KEY: "B" }, "NCP-105"],
])("with %s, it says so before anything is built", async (what, environment, code) => {
  // A bucket that everybody may read.
  await using at = await putServer();
  const signingKey = what === "no signing key" ? undefined : newKey();
  const cache = openAt(`s3://nix-cache?scheme=http&endpoint=127.0.0.1:${at.port}`, {
    http,
    signingKey,
    environment,
  });
  const { permission, trouble } = await cache.describe(signal);
  expect(permission).toBe("read");
  expect(trouble?.code).toBe(code);
});
