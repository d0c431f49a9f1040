/** Owns what the Cachix stand-in does when all is well, and the incident it was written for. */

import { randomBytes } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import { fingerprint, parseNarInfo } from "../../src/domain/narinfo.ts";
import {
  findGoodSignature,
  parsePublicKey,
  parseSigningKey,
  signatureKeyName,
} from "../../src/domain/signature.ts";
import { type CachixServer, type Seed, startCachix } from "./cachix.ts";
import {
  bulk,
  call,
  complete,
  declare,
  hashOf,
  type ListedPart,
  madeUp,
  openUpload,
  pin,
  push,
  sendPart,
  TOKEN,
} from "./cachix-by-hand.ts";
import { hashNar, sha256 } from "./cachix-nar.ts";
import { generateSecretKey } from "./cachix-state.ts";

const tokens = { [TOKEN]: "Write", reader: "Read", owner: "Admin" } as const;

async function narInfoOf(server: CachixServer, seed: Seed) {
  const url = `${server.uri}/${hashOf(seed)}.narinfo`;
  const response = await fetch(url);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/x-nix-narinfo");
  return parseNarInfo(await response.text(), url, "/nix/store");
}

function isSignedBy(narInfo: Awaited<ReturnType<typeof narInfoOf>>, key: string | undefined) {
  const parsed = parsePublicKey(key ?? "");
  if (!parsed) throw new Error("no key");
  return findGoodSignature(fingerprint(narInfo), narInfo.signatures, [parsed]) !== undefined;
}

describe("push, read back, pin", () => {
  test.each(["direct", "redirect"] as const)("with NARs delivered %s", async (narDelivery) => {
    await using server = await startCachix({ tokens, narDelivery });
    const leaf = madeUp("leaf");
    const root = madeUp("root", [leaf.storePath]);
    expect(await bulk(server, [leaf, root])).toEqual([hashOf(leaf), hashOf(root)]);
    expect((await push(server, leaf)).status).toBe(200);
    expect((await push(server, root)).status).toBe(200);
    expect(await bulk(server, [leaf, root])).toEqual([]);

    const narInfo = await narInfoOf(server, root);
    expect(narInfo).toMatchObject({ storePath: root.storePath, references: root.references });
    expect(narInfo.deriver).toBe(root.deriver);
    expect(isSignedBy(narInfo, server.publicKeys[0])).toBe(true);
    const nar = Buffer.from(await (await fetch(`${server.uri}/${narInfo.url}`)).arrayBuffer());
    expect(sha256(nar)).toBe(narInfo.fileHash);
    expect(await hashNar(nar, "zst")).toEqual({
      narHash: narInfo.narHash,
      narSize: narInfo.narSize,
    });

    expect((await pin(server, root)).status).toBe(200);
    expect(await (await call(server, "GET", "/pin")).json()).toMatchObject([
      { name: "release", lastRevision: { storePath: root.storePath, revision: 1, artifacts: [] } },
    ]);
    expect(server.gc()).toEqual([]);
  });

  test("in several parts, out of order, the last one empty", async () => {
    await using server = await startCachix({ tokens, minPartBytes: 1000 });
    const seed = { ...madeUp("big"), nar: randomBytes(4000) };
    const file = zstdCompressSync(seed.nar);
    const upload = await openUpload(server);
    const slices = [file.subarray(0, 2000), file.subarray(2000), Buffer.alloc(0)];
    const parts = await Promise.all(
      slices.map((bytes, index) => sendPart(server, upload, index + 1, bytes)).reverse(),
    );
    parts.reverse();
    expect((await complete(server, upload, parts, declare(seed, file))).status).toBe(200);
    expect(server.state.own.has(hashOf(seed))).toBe(true);
  });

  test("a path that is there is not overridden", async () => {
    await using server = await startCachix({ tokens });
    const seed = madeUp("twice");
    await push(server, seed);
    const before = await narInfoOf(server, seed);
    const other = { ...seed, nar: Buffer.from("not reproducible") };
    expect((await push(server, other)).status).toBe(200);
    expect(await narInfoOf(server, seed)).toEqual(before);
  });

  test("a cache its clients sign asks for their signature and no other", async () => {
    const secret = generateSecretKey("ours-1");
    await using server = await startCachix({ tokens, selfSignedBy: secret });
    const seed = madeUp("signed");
    expect((await push(server, seed)).status).toBe(400);

    const file = zstdCompressSync(seed.nar);
    const key = parseSigningKey(secret);
    // The same path, so the same fingerprint, wherever it is.
    const text = fingerprint(await server.addUpstream(seed));
    const cSig = key.sign(text).slice("ours-1:".length);
    const foreign = parseSigningKey(generateSecretKey("ours-1")).sign(text).slice("ours-1:".length);
    for (const [given, status] of [
      [foreign, 400],
      [`ours-1:${cSig}`, 400],
      [cSig, 200],
    ] as const) {
      const upload = await openUpload(server);
      const part = await sendPart(server, upload, 1, file);
      const declared = { ...declare(seed, file), cSig: given };
      expect((await complete(server, upload, [part], declared)).status).toBe(status);
    }
    expect(isSignedBy(await narInfoOf(server, seed), server.publicKeys[0])).toBe(true);
  });

  test("discarded bytes are still hashed, in whatever order the parts come", async () => {
    await using server = await startCachix({ tokens, minPartBytes: 1, discardBytes: true });
    const seed = { ...madeUp("huge"), nar: randomBytes(5000) };
    const file = zstdCompressSync(seed.nar);
    const upload = await openUpload(server);
    const slices = [0, 1, 2, 3, 4].map((n) =>
      file.subarray(n * 1000, n === 4 ? undefined : n * 1000 + 1000),
    );
    const parts: ListedPart[] = [];
    for (const n of [2, 0, 1, 1, 4, 3]) {
      const part = await sendPart(server, upload, n + 1, slices[n] ?? file);
      if (!parts.some((known) => known.partNumber === n + 1)) parts.push(part);
    }
    parts.sort((a, b) => a.partNumber - b.partNumber);
    const wrong = { ...declare(seed, file), cFileHash: "0".repeat(64) };
    expect((await complete(server, upload, parts, wrong)).status).toBe(400);
    expect((await complete(server, upload, parts, declare(seed, file))).status).toBe(200);
    const { url } = await narInfoOf(server, seed);
    expect((await fetch(`${server.uri}/${url}`)).status).toBe(410);
    const range = await fetch(`${server.uri}/${url}`, { headers: { range: "bytes=0-0" } });
    expect(range.headers.get("content-range")).toBe(`bytes 0-0/${file.length}`);
  });
});

describe("own, upstream, missing", () => {
  test("the incident: bulk says nothing is missing, the pin says it is not there", async () => {
    await using server = await startCachix({ tokens });
    const bws = madeUp("bws-1.0.0");
    await server.addUpstream(bws);
    expect(await bulk(server, [bws])).toEqual([]);
    const refused = await pin(server, bws);
    expect(refused.status).toBe(400);
    expect(await refused.json()).toEqual({ error: `${bws.storePath} not in binary cache` });

    // The narinfo tells why: it is served, and not signed by this cache.
    const narInfo = await narInfoOf(server, bws);
    expect(isSignedBy(narInfo, server.publicKeys[0])).toBe(false);
    expect(isSignedBy(narInfo, server.upstreamPublicKey)).toBe(true);
    expect(signatureKeyName(narInfo.signatures[0] ?? "")).toBe("upstream.example.org-1");

    // The way out: upload it all the same.
    expect((await push(server, bws)).status).toBe(200);
    expect(isSignedBy(await narInfoOf(server, bws), server.publicKeys[0])).toBe(true);
    expect((await pin(server, bws)).status).toBe(200);
  });

  test("without pass-through an upstream path is neither served nor missing", async () => {
    await using server = await startCachix({ tokens, passThrough: false });
    const seed = madeUp("elsewhere");
    await server.addUpstream(seed);
    expect(await bulk(server, [seed])).toEqual([]);
    expect((await fetch(`${server.uri}/${hashOf(seed)}.narinfo`)).status).toBe(404);
  });

  test("garbage collection keeps what pins hold, for as long as they hold it", async () => {
    await using server = await startCachix({ tokens });
    const leaf = madeUp("leaf");
    const root = madeUp("root", [leaf.storePath]);
    const loose = madeUp("loose");
    for (const seed of [leaf, root, loose]) await server.addOwn(seed);
    const keep = { tag: "Days", contents: 3 };
    const body = { name: "r", storePath: root.storePath, artifacts: [], keep };
    expect((await call(server, "POST", "/pin", { body })).status).toBe(200);
    expect(server.gc()).toEqual([loose.storePath]);
    expect(server.gc({ advanceDays: 3 })).toEqual([]);
    expect(server.gc({ advanceDays: 1 })).toEqual([leaf.storePath, root.storePath]);
    expect(server.state.nars.size).toBe(0);
  });

  test("Revisions keeps the last ones only", async () => {
    await using server = await startCachix({ tokens });
    const seeds = ["one", "two", "three"].map((name) => madeUp(name));
    for (const seed of seeds) {
      await server.addOwn(seed);
      const keep = { tag: "Revisions", contents: 2 };
      const body = { name: "r", storePath: seed.storePath, artifacts: [], keep };
      expect((await call(server, "POST", "/pin", { body })).status).toBe(200);
    }
    expect(server.gc()).toEqual([seeds[0]?.storePath]);
    expect(server.state.pins.byName.get("r")?.revisions.map((r) => r.revision)).toEqual([2, 3]);
  });

  test("10,000 paths in one question", async () => {
    await using server = await startCachix({ tokens });
    const seeds = Array.from({ length: 10_000 }, (_, n) => madeUp(`path-${n}`));
    const [known] = seeds;
    if (known) await server.addOwn(known);
    expect(await bulk(server, seeds)).toHaveLength(9_999);
  });
});

test("every request is on record, and a question is no write", async () => {
  await using server = await startCachix({ tokens });
  const seed = madeUp("seen");
  await server.addOwn(seed);
  await bulk(server, [seed]);
  await narInfoOf(server, seed);
  expect(server.writes()).toEqual([]);
  expect(server.requests).toMatchObject([
    { endpoint: "bulk", method: "POST", status: 200, isAuthorized: true },
    { endpoint: "narinfo", method: "GET", status: 200, isAuthorized: false },
  ]);
  expect(JSON.stringify(server.requests)).not.toContain(TOKEN);
  await push(server, madeUp("new"));
  expect(server.writes().map((request) => [request.side, request.endpoint])).toEqual([
    ["api", "create-upload"],
    ["api", "sign-part"],
    ["storage", "put-part"],
    ["api", "complete"],
  ]);
});
