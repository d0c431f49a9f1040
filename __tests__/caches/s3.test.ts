import { randomFillSync } from "node:crypto";
import { expect, test } from "@jest/globals";
import { parseBucket, signatureHeaders, signedHttp } from "../../src/caches/s3/client.ts";
import type { BinaryCache } from "../../src/domain/cache.ts";
import { can } from "../../src/domain/cache.ts";
import type { UserError } from "../../src/domain/errors.ts";
import type { SigningKey } from "../../src/domain/signature.ts";
import { type Http, HttpClient, type HttpRequest } from "../../src/host/http-client.ts";
import { listen, type Reply, type Wire } from "../servers/http.ts";
import { type S3Server, s3Server } from "../servers/moto.ts";
import { putServer } from "../servers/put.ts";
import { versitygw, versitygwProgram } from "../servers/versitygw.ts";
import { newKey } from "../support/keys.ts";
import { openAt, SHORT } from "../support/open-cache.ts";
import { cacheContract } from "./contract.ts";
import { WIRES } from "./contract-faults.ts";
import { httpFaults } from "./http-faults.ts";
import { type MadeUp, madeUp, narsOf } from "./made-up.ts";

const signal = new AbortController().signal;
const http = new HttpClient({});

type Server = Omit<S3Server, "makePublic">;

function open(at: Server, signingKey: SigningKey | undefined, secret = at.secret): BinaryCache {
  const environment = { AWS_ACCESS_KEY_ID: at.keyId, AWS_SECRET_ACCESS_KEY: secret };
  return openAt(at.url, { http, signingKey, environment });
}

async function send(cache: BinaryCache, path: MadeUp) {
  if (!can(cache, "push")) throw new Error("it cannot push");
  return cache.push([path.info], narsOf([path]), () => undefined, signal);
}

cacheContract(
  "s3:// (moto)",
  async () => {
    const at = await s3Server();
    const key = newKey();
    return {
      exclamationMarks: "not signed rightly",
      cache: open(at, key),
      reopen: async () => open(at, key),
      [Symbol.asyncDispose]: () => at[Symbol.asyncDispose](),
    };
  },
  { kind: "s3", start: (wire) => faulty(s3Server, wire), wires: WIRES },
);

const gateway = await versitygwProgram();
if (gateway === undefined) {
  test.skip("s3:// (versitygw): there is no versitygw here; ./scripts/setup-servers installs it where Go is", () =>
    undefined);
} else {
  cacheContract(
    "s3:// (versitygw)",
    async () => {
      const at = await versitygw(gateway);
      const key = newKey();
      return {
        cache: open(at, key),
        reopen: async () => open(at, key),
        [Symbol.asyncDispose]: () => at[Symbol.asyncDispose](),
      };
    },
    { kind: "s3", start: (wire) => faulty(() => versitygw(gateway), wire) },
  );

  test("versitygw takes a NAR in parts, with a storage class, and asked whether we may write, writes nothing", async () => {
    await using at = await versitygw(gateway);
    const environment = { AWS_ACCESS_KEY_ID: at.keyId, AWS_SECRET_ACCESS_KEY: at.secret };
    const cache = openAt(`${at.url}&storage-class=STANDARD`, {
      http,
      signingKey: newKey(),
      environment,
    });
    expect(await cache.mayPush?.(signal)).toBeUndefined();
    expect(await cache.describe(signal)).toMatchObject({ storeDir: undefined });
    const path = madeUp("large", [], { bytes: 33 * 1024 * 1024, random: randomFillSync });
    expect([...(await send(cache, path)).failed]).toEqual([]);
    const presence = await cache.query(path.info.storePath, signal);
    if (presence.kind !== "hit") throw new Error(presence.kind);
    expect(await cache.narSize(presence.narInfo, signal)).toBe(presence.narInfo.fileSize);
  });
}

/** What S3 says to a signature that is fifteen minutes old. */
const SKEWED = {
  status: 403,
  headers: { "content-type": "application/xml", date: "Thu, 01 Jan 2004 00:00:00 GMT" },
  body: "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>",
};

async function faulty(start: () => Promise<Server>, wire: Wire) {
  const at = await start();
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

/** The client, with something of its own before and behind the completion of an upload. */
function completing({
  before = () => {},
  behind = () => {},
}: {
  readonly before?: (request: HttpRequest) => void;
  readonly behind?: () => void;
}): Http {
  return {
    stream: (request) => http.stream(request),
    request: async (request) => {
      const completes = request.method === "POST" && request.url.searchParams.has("uploadId");
      if (completes) before(request);
      const answer = await http.request(request);
      if (completes) behind();
      return answer;
    },
  };
}

async function sendLarge(at: Server, client: Http) {
  const environment = { AWS_ACCESS_KEY_ID: at.keyId, AWS_SECRET_ACCESS_KEY: at.secret };
  const cache = openAt(at.url, { http: client, signingKey: newKey(), environment }, SHORT);
  const path = madeUp("large", [], { bytes: 33 * 1024 * 1024, random: randomFillSync });
  const { failed } = await send(cache, path);
  return {
    failed: [...failed.values()],
    kind: (await cache.query(path.info.storePath, signal)).kind,
  };
}

test("a completion that was done, and whose answer is lost, is no failure", async () => {
  await using at = await s3Server();
  let times = 0;
  const behind = () => {
    if (times++ > 0) return;
    const cause = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
    throw new Error("the connection was closed", { cause });
  };
  const client = completing({ behind });
  expect(await sendLarge(at, client)).toEqual({ failed: [], kind: "hit" });
  expect(times).toBeGreaterThan(0);
});

test("a completion may take ten minutes", async () => {
  await using at = await s3Server();
  // A clock of its own: so long it takes, and who waits less has gone by then.
  const takes = 595_000;
  const before = ({ deadline }: HttpRequest) => {
    if (deadline < takes) throw new Error(`no answer within ${deadline / 1000} s`);
  };
  const client = completing({ before });
  expect(await sendLarge(at, client)).toEqual({ failed: [], kind: "hit" });
});

test("what is written has the storage class that was asked for, in one piece and in parts", async () => {
  await using at = await s3Server();
  const environment = { AWS_ACCESS_KEY_ID: at.keyId, AWS_SECRET_ACCESS_KEY: at.secret };
  const url = `${at.url}&storage-class=STANDARD_IA`;
  const cache = openAt(url, { http, signingKey: newKey(), environment });
  for (const bytes of [1_000, 33 * 1024 * 1024]) {
    const path = madeUp(`cold-${bytes}`, [], { bytes, random: randomFillSync });
    expect([...(await send(cache, path)).failed]).toEqual([]);
    const presence = await cache.query(path.info.storePath, signal);
    if (presence.kind !== "hit") throw new Error(presence.kind);
    const keys = { keyId: at.keyId, secret: at.secret, sessionToken: undefined };
    const object = await signedHttp(http, "us-east-1", async () => keys).request({
      method: "HEAD",
      url: new URL(`${at.origin}/nix-cache/${presence.narInfo.url}`),
      signal,
      deadline: 10_000,
    });
    expect(object.headers["x-amz-storage-class"]).toBe("STANDARD_IA");
  }
});

test.each([
  ["", "https://bucket.s3.us-east-1.amazonaws.com/"],
  ["?region=eu-west-1", "https://bucket.s3.eu-west-1.amazonaws.com/"],
  ["?addressing-style=path", "https://s3.us-east-1.amazonaws.com/bucket/"],
  ["?endpoint=minio:9000&scheme=http", "http://minio:9000/bucket/"],
  ["?endpoint=https://r2.example.org/", "https://r2.example.org/bucket/"],
  ["?endpoint=r2.example.org&addressing-style=virtual", "https://bucket.r2.example.org/"],
])("s3://bucket%s is at %s", (options, base) => {
  expect(parseBucket(new URL(`s3://bucket${options}`), "it").base.href).toBe(base);
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

/** As AWS words it, with what stands behind the status. */
function s3Error(status: number, code: string, more = ""): Reply {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>words</Message>${more}</Error>`;
  return { status, body, headers: { "content-type": "application/xml" } };
}

const KEYS = { AWS_ACCESS_KEY_ID: "A", AWS_SECRET_ACCESS_KEY: "B", AWS_SESSION_TOKEN: "C" };

test.each([
  [400, "ExpiredToken", "the session of our credentials is over"],
  [400, "InvalidToken", "refuses our credentials"],
  [400, "TokenRefreshRequired", "the session of our credentials is over"],
  [403, "InvalidAccessKeyId", "refuses our credentials"],
])("%i %s is credentials that are refused, in S3's word", async (status, code, words) => {
  await using server = await listen(async () => s3Error(status, code));
  const url = `s3://bucket?scheme=http&endpoint=127.0.0.1:${server.port}`;
  const cache = openAt(url, { http, signingKey: newKey(), environment: KEYS });
  const error = await cache.describe(signal).catch((thrown: unknown) => thrown as UserError);
  expect(error).toMatchObject({ code: "NCP-303" });
  expect((error as UserError).message).toContain(words);
  expect((error as UserError).message).toContain(`HTTP ${status}, ${code}`);
  const presence = await cache.query(madeUp("any").info.storePath, signal);
  expect(presence.kind).toBe("unknown");
});

test.each([
  [301, "PermanentRedirect", { "x-amz-bucket-region": "eu-west-1" }, ""],
  [400, "AuthorizationHeaderMalformed", {}, "<Region>eu-west-1</Region>"],
  [403, "AuthorizationHeaderMalformed", {}, "<Region>eu-west-1</Region>"],
])(
  "a wrong region (%i %s) is taken from the answer, for Nix too",
  async (status, code, headers, more) => {
    const asked: string[] = [];
    await using server = await listen(async ({ headers: { authorization = "" } }) => {
      const region = /\/([a-z0-9-]+)\/s3\/aws4_request/.exec(authorization)?.[1] ?? "none";
      asked.push(region);
      if (region === "eu-west-1") return { status: 200, body: "StoreDir: /nix/store\n" };
      const { headers: given, ...reply } = s3Error(status, code, more);
      return { ...reply, headers: { ...given, ...headers } };
    });
    const url = `s3://bucket?scheme=http&endpoint=127.0.0.1:${server.port}`;
    const cache = openAt(url, { http, signingKey: newKey(), environment: KEYS });
    expect((await cache.describe(signal)).storeDir).toBe("/nix/store");
    await cache.query(madeUp("any").info.storePath, signal);
    expect(asked).toEqual(["us-east-1", "eu-west-1", "eu-west-1"]);
    expect(new URL(cache.substituter.url).searchParams.get("region")).toBe("eu-west-1");
  },
);

test("whether we may write is asked with what writes nothing", async () => {
  const asked: string[] = [];
  await using server = await listen(async ({ method = "", url = "" }) => {
    asked.push(`${method} ${url}`);
    return method === "GET"
      ? { status: 200, body: "StoreDir: /nix/store\n" }
      : s3Error(403, "AccessDenied");
  });
  const url = `s3://bucket?scheme=http&endpoint=127.0.0.1:${server.port}`;
  const cache = openAt(url, { http, signingKey: newKey(), environment: KEYS });
  expect((await cache.describe(signal)).trouble).toBeUndefined();
  const trouble = await cache.mayPush?.(signal);
  expect(trouble?.code).toBe("NCP-303");
  expect(trouble?.message).toContain("takes nothing from us");
  expect(trouble?.hint).toContain("s3:PutObject");
  expect(asked.slice(1)).toEqual([
    "PUT /bucket/nix-cache-info?partNumber=1&uploadId=nix-cache-preflight-asks",
  ]);
});

test("and it writes nothing where it is let in", async () => {
  await using at = await s3Server();
  const cache = open(at, newKey());
  expect(await cache.mayPush?.(signal)).toBeUndefined();
  expect(await cache.describe(signal)).toMatchObject({ storeDir: undefined });
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
