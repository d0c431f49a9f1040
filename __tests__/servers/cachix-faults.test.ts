/** Owns the proof that each fault of the Cachix stand-in can be turned on, and what it looks like. */

import { describe, expect, test } from "@jest/globals";
import { fingerprint, parseNarInfo } from "../../src/domain/narinfo.ts";
import { findGoodSignature, parsePublicKey } from "../../src/domain/signature.ts";
import { type CachixServer, type FaultName, type Faults, startCachix } from "./cachix.ts";
import { bulk, call, hashOf, madeUp, openUpload, pin, push, TOKEN } from "./cachix-by-hand.ts";
import { sha256 } from "./cachix-nar.ts";

const seed = madeUp("subject", [madeUp("dependency").storePath]);
const hash = hashOf(seed);

const narInfoStatus = async (server: CachixServer) =>
  (await fetch(`${server.uri}/${hash}.narinfo`)).status;

const readNarInfo = async (server: CachixServer) =>
  parseNarInfo(await (await fetch(`${server.uri}/${hash}.narinfo`)).text(), "it", "/nix/store");

const readNar = async (server: CachixServer) => {
  const { url, fileHash, fileSize } = await readNarInfo(server);
  const response = await fetch(`${server.uri}/${url}`);
  if (response.status !== 200) return response.status;
  const bytes = Buffer.from(await response.arrayBuffer());
  return { isWhole: bytes.length === fileSize, isRight: sha256(bytes) === fileHash };
};

const isSignatureGood = async (server: CachixServer) => {
  const narInfo = await readNarInfo(server);
  const keys = server.publicKeys.flatMap((text) => parsePublicKey(text) ?? []);
  return findGoodSignature(fingerprint(narInfo), narInfo.signatures, keys) !== undefined;
};

const lookUp = async (server: CachixServer) => (await call(server, "GET", "")).status;
const pushing = async (server: CachixServer) => (await push(server, seed)).status;
const cutOff = (what: Promise<unknown>) => what.catch(() => "cut off");

interface Row {
  readonly faults: Faults;
  /** Put the subject there before; default: it is. */
  readonly isAbsent?: boolean;
  readonly act: (server: CachixServer) => Promise<unknown>;
  /** What `act` comes to with the fault on, time after time. */
  readonly shows: readonly unknown[];
}

const once = { when: "once" } as const;

const completion = Promise.withResolvers<void>();

const table: Readonly<Record<FaultName, Row>> = {
  upstreamOnly: {
    faults: { upstreamOnly: once },
    isAbsent: true,
    act: async (server) => [
      await pushing(server),
      await bulk(server, [seed]),
      await isSignatureGood(server),
      (await pin(server, seed)).status,
    ],
    shows: [
      [200, [], false, 400],
      [200, [], true, 200],
    ],
  },
  staleAlreadyThere: {
    faults: { staleAlreadyThere: once },
    isAbsent: true,
    act: (server) => bulk(server, [seed]),
    shows: [[], [hash]],
  },
  gcBeforePin: {
    faults: { gcBeforePin: once },
    act: async (server) => {
      const answer = await pin(server, seed);
      return [answer.status, await answer.text(), await bulk(server, [seed])];
    },
    shows: [[400, JSON.stringify({ error: `${seed.storePath} not in binary cache` }), [hash]]],
  },
  narGone: {
    faults: { narGone: { when: "once", matching: (target) => target.hash === hash } },
    act: readNar,
    shows: [404, { isWhole: true, isRight: true }],
  },
  slowNarInfo: {
    faults: { slowNarInfo: { when: { times: 2 } } },
    act: narInfoStatus,
    shows: [404, 404, 200],
  },
  rootHidden: {
    faults: { rootHidden: { when: "always" } },
    act: async (server) => {
      const before = await narInfoStatus(server);
      await server.addUpstream(madeUp("dependency"));
      return [before, await narInfoStatus(server)];
    },
    shows: [
      [404, 200],
      [200, 200],
    ],
  },
  rateLimited: {
    faults: { rateLimited: { when: "once", retryAfter: "seconds", seconds: 7 } },
    act: async (server) => {
      const response = await call(server, "GET", "");
      return [response.status, response.headers.get("retry-after")];
    },
    shows: [
      [429, "7"],
      [200, null],
    ],
  },
  badGateway: {
    faults: { badGateway: once },
    act: async (server) => {
      const response = await call(server, "GET", "");
      return [response.status, (await response.text()).startsWith("<html>")];
    },
    shows: [
      [502, true],
      [200, false],
    ],
  },
  errorAfterCommit: {
    faults: { errorAfterCommit: { when: "once", matching: (at) => at.endpoint === "complete" } },
    isAbsent: true,
    act: async (server) => [await pushing(server), await bulk(server, [seed])],
    shows: [
      [500, []],
      [200, []],
    ],
  },
  dropMidPart: {
    faults: { dropMidPart: once },
    isAbsent: true,
    act: (server) => cutOff(pushing(server)),
    shows: ["cut off", 200],
  },
  dropConnection: {
    faults: { dropConnection: once },
    act: (server) => cutOff(lookUp(server)),
    shows: ["cut off", 200],
  },
  expiredPartUrl: {
    faults: { expiredPartUrl: once },
    isAbsent: true,
    act: (server) => pushing(server).catch((thrown: Error) => thrown.message),
    shows: ["part: 403", 200],
  },
  missingETag: {
    faults: { missingETag: once },
    isAbsent: true,
    // The client by hand completes with null where an ETag was withheld, as it must.
    act: pushing,
    shows: [200],
  },
  truncatedNar: {
    faults: { truncatedNar: { when: "once", how: "short" } },
    act: readNar,
    shows: [
      { isWhole: false, isRight: false },
      { isWhole: true, isRight: true },
    ],
  },
  flippedNar: {
    faults: { flippedNar: once },
    act: readNar,
    shows: [
      { isWhole: true, isRight: false },
      { isWhole: true, isRight: true },
    ],
  },
  wrongFileHash: {
    faults: { wrongFileHash: once },
    act: async (server) => [await isSignatureGood(server), await readNar(server)],
    shows: [[true, { isWhole: true, isRight: true }]],
  },
  wrongNarHash: {
    faults: { wrongNarHash: { when: { times: 2 } } },
    act: async (server) => [
      await isSignatureGood(server),
      (await readNarInfo(server)).narHash === sha256(seed.nar),
    ],
    shows: [
      [true, false],
      [true, true],
    ],
  },
  wrongSig: { faults: { wrongSig: once }, act: isSignatureGood, shows: [false, true] },
  wrongKeyName: {
    faults: { wrongKeyName: once },
    act: async (server) => (await readNarInfo(server)).signatures[0]?.replace(/:.*/, ""),
    shows: ["stranger.example-1", "mycache.cachix.org-1"],
  },
  noContent: { faults: { noContent: once }, act: lookUp, shows: [204, 200] },
  refused: { faults: { refused: { when: "once", status: 403 } }, act: lookUp, shows: [403, 200] },
  slowPin: {
    faults: { slowPin: { when: { times: 2 } } },
    act: async (server) => {
      if (server.state.pins.byName.size === 0) await pin(server, seed);
      return ((await (await call(server, "GET", "/pin")).json()) as unknown[]).length;
    },
    shows: [0, 0, 1],
  },
  pinRefused: {
    faults: { pinRefused: once },
    act: async (server) => {
      const answer = await pin(server, seed);
      return [answer.status, await answer.text(), await bulk(server, [seed])];
    },
    shows: [
      [400, JSON.stringify({ error: `${seed.storePath} not in binary cache` }), []],
      [200, "", []],
    ],
  },
  hang: {
    faults: { hang: { when: "once", matching: (target) => target.endpoint === "unknown" } },
    act: async (server) => {
      const gaveUp = new AbortController();
      const answer = fetch(server.origin, { signal: gaveUp.signal }).then(() => "answered");
      answer.catch(() => {});
      // Others are answered while it waits.
      const arrived = () => server.requests.find(({ endpoint }) => endpoint === "unknown");
      while (!arrived()) await lookUp(server);
      const isWaiting = arrived()?.status === 0;
      gaveUp.abort();
      return [isWaiting, await cutOff(answer)];
    },
    shows: [[true, "cut off"]],
  },
  delay: {
    faults: { delay: { when: "once", milliseconds: 5 } },
    act: lookUp,
    shows: [200, 200],
  },
  slowComplete: {
    isAbsent: true,
    faults: { slowComplete: { when: "once", until: completion.promise } },
    act: async (server) => {
      const pushing = push(server, seed);
      while (server.fired("slowComplete") === 0) await narInfoStatus(server);
      const before = await narInfoStatus(server);
      completion.resolve();
      await pushing;
      return [before, await narInfoStatus(server)];
    },
    shows: [[404, 200]],
  },
};

test.each(Object.entries(table))("%s", async (name, row) => {
  await using server = await startCachix({ tokens: { [TOKEN]: "Write" } });
  if (!row.isAbsent) await server.addOwn(seed);
  Object.assign(server.faults, row.faults);
  for (const shown of row.shows) expect(await row.act(server)).toEqual(shown);
  expect(server.fired(name as FaultName)).toBeGreaterThan(0);
});

describe("in other ways", () => {
  test("429 says when as a date, or in its body", async () => {
    await using server = await startCachix();
    server.faults.rateLimited = { when: "once", retryAfter: "date", seconds: 60 };
    const dated = await call(server, "GET", "", { token: "" });
    expect(dated.headers.get("retry-after")).toMatch(/^\w{3}, \d\d \w{3} \d{4} .* GMT$/);
    server.faults.rateLimited = { when: "once", retryAfter: "json", seconds: 2 };
    const inBody = await call(server, "GET", "", { token: "" });
    expect(inBody.headers.get("retry-after")).toBeNull();
    expect(await inBody.json()).toMatchObject({ retry_after: 2 });
  });

  test("a NAR cut off in the middle of what was promised", async () => {
    await using server = await startCachix();
    await server.addOwn(seed);
    server.faults.truncatedNar = { when: "once", how: "cut" };
    expect(await cutOff(readNar(server))).toBe("cut off");
  });

  test("a narinfo whose NAR was lost for good", async () => {
    await using server = await startCachix({ tokens: { [TOKEN]: "Write" } });
    await push(server, seed);
    server.dropNar(hash);
    expect([await narInfoStatus(server), await readNar(server)]).toEqual([200, 404]);
    // As pushing never overrides, it repairs nothing.
    await push(server, seed);
    expect(await readNar(server)).toBe(404);
  });

  test("a fault waits for the request it is meant for, and can be set again and unset", async () => {
    await using server = await startCachix({ tokens: { [TOKEN]: "Write" } });
    const matching = (target: { endpoint: string }) => target.endpoint === "create-upload";
    server.faults.refused = { when: "once", status: 401, matching };
    expect(await lookUp(server)).toBe(200);
    await expect(openUpload(server)).rejects.toThrow("create: 401");
    await openUpload(server);
    server.faults.refused = { when: "always", status: 404, matching };
    await expect(openUpload(server)).rejects.toThrow("create: 404");
    server.faults.refused = undefined;
    await openUpload(server);
    expect(server.fired("refused")).toBe(2);
  });
});
