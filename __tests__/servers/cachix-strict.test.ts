/** Owns what the Cachix stand-in refuses: bad credentials, bodies, parts and declarations. */

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import { startCachix } from "./cachix.ts";
import {
  call,
  complete,
  declare,
  hashOf,
  madeUp,
  md5,
  openUpload,
  pin,
  push,
  put,
  sendPart,
  signPart,
  TOKEN,
} from "./cachix-by-hand.ts";
import { compress } from "./cachix-nar.ts";

const tokens = { [TOKEN]: "Write", reader: "Read", owner: "Admin" } as const;

describe("credentials", () => {
  test.each([
    ["", "GET", "", 200],
    ["no-such-token", "GET", "", 401],
    ["", "POST", "/multipart-nar?compression=zst", 401],
    ["reader", "POST", "/multipart-nar?compression=zst", 403],
    ["", "GET", "/pin", 401],
    ["reader", "GET", "/pin", 200],
    [TOKEN, "DELETE", "/pin/release", 401],
    ["owner", "DELETE", "/pin/release", 204],
    ["owner", "DELETE", "/pin/other", 404],
    [TOKEN, "PATCH", "/pin", 405],
    [TOKEN, "GET", "/everything", 404],
  ])("%j %s %s answers %d", async (token, method, path, status) => {
    await using server = await startCachix({ tokens });
    const seed = madeUp("pinned");
    await server.addOwn(seed);
    await pin(server, seed);
    expect((await call(server, method, path, { token })).status).toBe(status);
  });

  test("the description tells the permission, the keys and where to substitute from", async () => {
    await using server = await startCachix({ tokens, preferredCompression: "xz" });
    const described = async (token: string) => (await call(server, "GET", "", { token })).json();
    expect(await described("")).toEqual({
      name: server.name,
      uri: server.uri,
      isPublic: true,
      publicSigningKeys: server.publicKeys,
      githubUsername: "",
      permission: "Read",
      preferredCompressionMethod: "XZ",
    });
    expect(await described(TOKEN)).toMatchObject({ permission: "Write" });
  });

  test("another name is 404, and a token revoked in mid-run is 401", async () => {
    await using server = await startCachix({ tokens });
    expect((await fetch(`${server.origin}/api/v1/cache/other`)).status).toBe(404);
    const upload = await openUpload(server);
    server.tokens.delete(TOKEN);
    await expect(sendPart(server, upload, 1, Buffer.from("x"))).rejects.toThrow("sign: 401");
  });

  test("a private cache answers with a token, in a header or from a netrc", async () => {
    await using server = await startCachix({ tokens, isPrivate: true });
    const url = `${server.uri}/nix-cache-info`;
    expect((await fetch(url)).status).toBe(401);
    const basic = `Basic ${Buffer.from(":reader").toString("base64")}`;
    for (const authorization of ["Bearer reader", basic]) {
      expect((await fetch(url, { headers: { authorization } })).status).toBe(200);
    }
  });
});

describe("bulk", () => {
  test.each([
    ["too many hashes", Array.from({ length: 32_769 }, () => "0".repeat(30)), 413],
    ["too many short ones", Array.from({ length: 32_769 }, () => ""), 400],
    ["something else than a hash", ["/nix/store/x"], 400],
    ["no list", { hashes: [] }, 400],
  ])("%s", async (_, body, status) => {
    await using server = await startCachix({ tokens });
    expect((await call(server, "POST", "/narinfo", { body })).status).toBe(status);
  });

  test("JSON has to say that it is JSON", async () => {
    await using server = await startCachix({ tokens });
    const url = `${server.origin}/api/v1/cache/mycache/narinfo`;
    expect((await fetch(url, { method: "POST", body: "[]" })).status).toBe(415);
  });
});

describe("parts", () => {
  const bytes = randomBytes(64);
  test.each([
    ["other bytes than signed", {}, randomBytes(64), 400],
    ["another MD5 than signed", { "content-md5": "AAAAAAAAAAAAAAAAAAAAAA==" }, bytes, 403],
    ["another content type", { "content-type": "text/plain" }, bytes, 403],
    ["a token for the storage", { authorization: `Bearer ${TOKEN}` }, bytes, 400],
    ["what was signed", {}, bytes, 200],
  ])("%s", async (_, headers, sent, status) => {
    await using server = await startCachix({ tokens });
    const url = await signPart(server, await openUpload(server), 1, bytes);
    const signed = { "content-md5": new Headers(headers).get("content-md5") ?? md5(bytes) };
    expect((await put(url, sent, { ...signed, ...headers })).status).toBe(status);
  });

  test("a body of unknown length is 411", async () => {
    await using server = await startCachix({ tokens });
    const url = await signPart(server, await openUpload(server), 1, bytes);
    const body = new Blob([bytes]).stream();
    expect((await fetch(url, { method: "PUT", body, duplex: "half" })).status).toBe(411);
  });

  test("an aborted upload is over, for parts and for its end", async () => {
    await using server = await startCachix({ tokens });
    const upload = await openUpload(server);
    const part = await sendPart(server, upload, 1, bytes);
    const abort = `/multipart-nar/${upload.narId}/abort?uploadId=${upload.uploadId}`;
    expect((await call(server, "POST", abort)).status).toBe(200);
    expect((await call(server, "POST", abort)).status).toBe(404);
    await expect(sendPart(server, upload, 2, bytes)).rejects.toThrow("404");
    const declared = declare(madeUp("late"), bytes);
    expect((await complete(server, upload, [part], declared)).status).toBe(404);
    expect(server.uploads("aborted")).toHaveLength(1);
  });
});

describe("completion", () => {
  const seed = madeUp("strict", [madeUp("b").storePath, madeUp("a").storePath]);
  const file = zstdCompressSync(seed.nar);
  const right = declare(seed, file);
  const references = right.cReferences;

  test.each<[string, Record<string, unknown>]>([
    ["a hash too short", { cStoreHash: "abc" }],
    ["no suffix", { cStoreSuffix: "" }],
    ["NarHash in hex", { cNarHash: `sha256:${"0".repeat(64)}` }],
    ["NarHash of other bytes", { cNarHash: `sha256:${"0".repeat(52)}` }],
    ["NarSize 0", { cNarSize: 0 }],
    ["NarSize of other bytes", { cNarSize: seed.nar.length + 1 }],
    ["FileHash with its type", { cFileHash: `sha256:${right.cFileHash}` }],
    ["FileHash of other bytes", { cFileHash: "0".repeat(64) }],
    ["FileSize of other bytes", { cFileSize: file.length - 1 }],
    ["references out of order", { cReferences: references.toReversed() }],
    ["a reference twice", { cReferences: [...references, references[1]] }],
    ["a reference that is a whole path", { cReferences: [seed.storePath] }],
    ["a deriver that is none", { cDeriver: references[0] }],
    ["no deriver", { cDeriver: null }],
    ["a signature where the server signs", { cSig: "A".repeat(86) }],
    ["an unknown field", { cCompression: "zst" }],
    ["a field missing", { cSig: undefined }],
  ])("%s is 400", async (_, change) => {
    await using server = await startCachix({ tokens });
    const upload = await openUpload(server);
    const part = await sendPart(server, upload, 1, file);
    const refused = await complete(server, upload, [part], { ...right, ...change });
    expect(refused.status).toBe(400);
    expect(server.state.own.size).toBe(0);
    // The upload is still open: what was wrong can be put right.
    expect((await complete(server, upload, [part], right)).status).toBe(200);
  });

  test("the parts have to be all there, in order, under their ETags", async () => {
    await using server = await startCachix({ tokens });
    server.settings.minPartBytes = 1;
    const upload = await openUpload(server);
    const one = await sendPart(server, upload, 1, file.subarray(0, 50));
    const two = await sendPart(server, upload, 2, file.subarray(50));
    const wrong = [null, [], [one], [two, one], [one, { ...two, eTag: one.eTag }]];
    for (const parts of wrong) {
      expect((await complete(server, upload, parts, right)).status).toBe(400);
    }
    server.settings.minPartBytes = 5 * 1024 * 1024;
    expect((await complete(server, upload, [one, two], right)).status).toBe(400);
    server.settings.minPartBytes = 1;
    expect((await complete(server, upload, [one, two], right)).status).toBe(200);
    expect((await complete(server, upload, [one, two], right)).status).toBe(200);
    const other = { ...right, cDeriver: "unknown-deriver" };
    expect((await complete(server, upload, [one, two], other)).status).toBe(400);
  });

  test("what is not of the compression that was declared is 400, unless nobody looks", async () => {
    await using server = await startCachix({ tokens });
    const garbage = randomBytes(100);
    const upload = await openUpload(server);
    const part = await sendPart(server, upload, 1, garbage);
    const declared = declare(seed, garbage);
    expect((await complete(server, upload, [part], declared)).status).toBe(400);
    server.settings.checkNar = false;
    expect((await complete(server, upload, [part], declared)).status).toBe(200);
  });

  test("zstd in several frames is one NAR; what follows the last frame is not", async () => {
    await using server = await startCachix({ tokens });
    const nar = randomBytes(3_000_000);
    const frames = [nar.subarray(0, 1_700_000), nar.subarray(1_700_000)].map((frame) =>
      zstdCompressSync(frame),
    );
    for (const [name, bytes, status] of [
      ["frames", Buffer.concat(frames), 200],
      ["rest", Buffer.concat([...frames, Buffer.from("rest")]), 400],
      ["short", Buffer.concat(frames).subarray(0, -1), 400],
    ] as const) {
      const upload = await openUpload(server);
      const part = await sendPart(server, upload, 1, bytes);
      const declared = declare({ ...madeUp(name), nar }, bytes);
      expect((await complete(server, upload, [part], declared)).status).toBe(status);
    }
  });

  // Windows runners have no xz, and no Nix to need it.
  const withXz = spawnSync("xz", ["--version"]).status === 0 ? test : test.skip;
  withXz("xz is checked as zstd is", async () => {
    await using server = await startCachix({ tokens });
    const packed = await compress(seed.nar, "xz");
    for (const [bytes, status] of [
      [packed.subarray(0, -3), 400],
      [packed, 200],
    ] as const) {
      const upload = await openUpload(server, "xz");
      const part = await sendPart(server, upload, 1, bytes);
      expect((await complete(server, upload, [part], declare(seed, bytes))).status).toBe(status);
    }
    expect(server.state.own.get(hashOf(seed))?.url).toMatch(/\.nar\.xz$/);
  });
});

test.each<[string, Record<string, unknown>]>([
  ["an empty name", { name: "" }],
  ["no store path", { storePath: "bws" }],
  ["artifacts missing", { artifacts: undefined }],
  ["keep missing", { keep: undefined }],
  ["keep for no days", { keep: { tag: "Days", contents: 0 } }],
  ["an unknown keep", { keep: { tag: "Weeks", contents: 1 } }],
  ["Forever with contents", { keep: { tag: "Forever", contents: 1 } }],
])("a pin with %s is 400", async (_, change) => {
  await using server = await startCachix({ tokens });
  const seed = madeUp("pinned");
  await push(server, seed);
  const right = { name: "r", storePath: seed.storePath, artifacts: [], keep: { tag: "Forever" } };
  const post = (body: unknown) => call(server, "POST", "/pin", { body });
  expect((await post({ ...right, ...change })).status).toBe(400);
  expect((await post(right)).status).toBe(200);
});
