import { execFileSync } from "node:child_process";
import {
  brotliCompressSync,
  deflateRawSync,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import { httpPush } from "../../src/caches/http/push.ts";
import { can } from "../../src/domain/cache.ts";
import { UserError } from "../../src/domain/errors.ts";
import type { NarInfo } from "../../src/domain/narinfo.ts";
import { hashPart } from "../../src/domain/store-path.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { listen, type Outcome, readBody, text } from "../servers/http.ts";
import { type PutServer, putServer } from "../servers/put.ts";
import { temporaryFolder } from "../support/folder.ts";
import { newKey } from "../support/keys.ts";
import { openAt, SHORT } from "../support/open-cache.ts";
import { madeUp, narsOf } from "./made-up.ts";

const { signal } = new AbortController();
const INFO = "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 40\n";

function open(server: Pick<PutServer, "origin">) {
  const http = new HttpClient({});
  const cache = openAt(server.origin, { http, token: "secret-token", signingKey: newKey() }, SHORT);
  return { cache, [Symbol.dispose]: () => http.close() };
}

async function send(server: PutServer, name: string) {
  using opened = open(server);
  if (!can(opened.cache, "push")) throw new Error("it cannot push");
  const path = madeUp(name);
  const result = await opened.cache.push([path.info], narsOf([path]), () => undefined, signal);
  return { result, kind: (await opened.cache.query(path.info.storePath, signal)).kind };
}

describe("a cache that was never written to", () => {
  test("gets its nix-cache-info with the first push, as nix copy writes it", async () => {
    await using server = await putServer();
    server.files.delete("/nix-cache-info");
    expect((await send(server, "first")).kind).toBe("hit");
    expect(server.files.get("/nix-cache-info")?.toString()).toMatch(/^StoreDir: \/nix\/store\n/);
    await send(server, "second");
    const written = server.requests.filter((line) => line.startsWith("PUT /nix-cache-info"));
    expect(written).toHaveLength(1);
  });
});

describe("a push", () => {
  test.each([200, 201, 202, 204])("that is answered with %d has succeeded", async (status) => {
    await using server = await putServer();
    server.spoil = (method, path) => {
      if (method !== "PUT") return undefined;
      server.files.set(path, Buffer.from(""));
      return { status };
    };
    const { result } = await send(server, "success");
    expect([...result.failed]).toEqual([]);
  });

  test.each(["drop", 504] as const)(
    "of a narinfo that is kept and answered with %s is looked into before it is called failed",
    async (lost) => {
      const kept = new Map<string, Buffer>();
      await using server = await listen(async (request) => {
        const { method, url = "" } = request;
        if (method !== "PUT") {
          const body = kept.get(url);
          return body ? { status: 200, body } : { status: 404 };
        }
        kept.set(url, await readBody(request, { limit: 1_000_000 }));
        if (!url.endsWith(".narinfo")) return { status: 201 };
        return lost === "drop" ? "drop" : { status: lost };
      });
      const http = new HttpClient({});
      await using folder = await temporaryFolder();
      const push = httpPush({
        name: "lossy",
        at: (path) => new URL(path, `${server.origin}/`),
        http,
        headers: {},
        compression: "zstd",
        signingKey: newKey(),
        policy: { first: 1, longest: 1, total: 1, patience: 1 },
        folder: folder.path,
        storeDir: "/nix/store",
        isNew: async () => false,
      });
      const path = madeUp("lost");
      const result = await push([path.info], narsOf([path]), () => undefined, signal);
      http.close();
      expect([...result.failed]).toEqual([]);
      expect(result.pushed).toHaveLength(1);
    },
  );

  test.each([
    [507, "the quota of this bucket is used up"],
    [413, "larger than this server takes"],
  ])("that is refused with %d says so in the server's own words", async (status, words) => {
    await using server = await putServer();
    server.refuse = () => text(status, words);
    const { result } = await send(server, "refused");
    const [error] = result.failed.values();
    expect(error?.message).toContain(`answers ${status} (${words})`);
    expect(error?.message).not.toContain("secret-token");
    expect(server.requests.filter((line) => line.startsWith("PUT"))).toHaveLength(1);
  });
});

describe("403 of a path", () => {
  test("is a miss where the cache let us in, and a refusal where it did not", async () => {
    await using server = await putServer();
    server.spoil = (_, path) => (path === "/nix-cache-info" ? undefined : { status: 403 });
    const path = madeUp("absent").info.storePath;
    using fresh = open(server);
    expect((await fresh.cache.query(path, signal)).kind).toBe("unknown");
    using known = open(server);
    await known.cache.describe(signal);
    expect((await known.cache.query(path, signal)).kind).toBe("miss");
    server.spoil = () => ({ status: 401 });
    expect((await known.cache.query(path, signal)).kind).toBe("unknown");
  });
});

/** Serves `routes`, and keeps what it was asked. */
async function serving(routes: Readonly<Record<string, Outcome>>) {
  const seen: string[] = [];
  const server = await listen(async ({ method, url = "", headers }) => {
    seen.push(`${method} ${url} ${headers.range ?? ""}`.trim());
    return routes[url] ?? { status: 404 };
  });
  return { ...server, seen };
}

const NAR = Buffer.alloc(200_000, "of a NAR that packs well ");

function narInfo(change: Partial<NarInfo> = {}): NarInfo {
  const { info } = madeUp("bounded");
  return {
    ...info,
    deriver: undefined,
    url: "nar/x.nar",
    compression: "none",
    fileHash: undefined,
    fileSize: undefined,
    narSize: NAR.length,
    signatures: [],
    contentAddress: undefined,
    ...change,
  } as NarInfo;
}

describe("a NAR", () => {
  const packed = (encoding: string, body: Uint8Array): Outcome => ({
    status: 200,
    headers: { "content-encoding": encoding },
    body,
  });
  const read = async (outcome: Outcome, change: Partial<NarInfo> = {}) => {
    await using server = await serving({
      "/nix-cache-info": text(200, INFO),
      "/nar/x.nar": outcome,
    });
    using opened = open(server);
    const chunks: Uint8Array[] = [];
    for await (const chunk of opened.cache.readNar(narInfo(change), signal)) chunks.push(chunk);
    return Buffer.concat(chunks);
  };

  test.each([
    ["gzip", gzipSync(NAR)],
    ["br", brotliCompressSync(NAR)],
    ["zstd", zstdCompressSync(NAR)],
    ["deflate", deflateSync(NAR)],
    // Without zlib's frame, as some servers have it.
    ["deflate", deflateRawSync(NAR)],
    ["xz", execFileSync("xz", ["--stdout"], { input: NAR, maxBuffer: 10_000_000 })],
    ["gzip, br", brotliCompressSync(gzipSync(NAR))],
  ])("that is packed as %s on its way is what it was", async (encoding, body) => {
    expect((await read(packed(encoding, body))).equals(NAR)).toBe(true);
    // One that is held whole, as small ones are.
    const small = NAR.subarray(0, 1_000);
    const whole = encoding === "gzip" ? gzipSync(small) : undefined;
    if (whole) {
      const found = await read(packed(encoding, whole), { fileSize: 1_000 });
      expect(found.equals(small)).toBe(true);
    }
  });

  test.each<[string, Outcome, Partial<NarInfo>]>([
    ["than its FileSize", { status: 200, body: NAR }, { fileSize: 150_000 }],
    ["than its small FileSize", { status: 200, body: NAR.subarray(0, 1_001) }, { fileSize: 1_000 }],
    ["than its NarSize, without a FileSize", { status: 200, body: NAR }, { narSize: 199_999 }],
    ["once it is unpacked", packed("gzip", gzipSync(Buffer.alloc(50_000_000))), {}],
  ])("that is longer %s is broken off, and named", async (_, outcome, change) => {
    const error = await read(outcome, change).catch((thrown: unknown) => thrown);
    if (!(error instanceof UserError)) throw error;
    expect(error.code).toBe("NCP-335");
    expect(error.message).toContain("/nar/x.nar");
  });

  test("that is packed in a way nobody knows is an error that names it", async () => {
    await expect(read(packed("snappy", NAR))).rejects.toThrow('Content-Encoding "snappy"');
  });

  test("is proved by its first byte and GET; one that is packed tells no size", async () => {
    const routes = { "/nar/x.nar": { status: 200, body: NAR } };
    await using server = await serving(routes);
    using opened = open(server);
    expect(await opened.cache.narSize(narInfo(), signal)).toBe(NAR.length);
    expect(await opened.cache.narSize(narInfo({ url: "nar/gone.nar" }), signal)).toBeUndefined();
    expect(server.seen).toEqual(["GET /nar/x.nar bytes=0-0", "GET /nar/gone.nar bytes=0-0"]);
    await using other = await serving({ "/nar/x.nar": packed("gzip", gzipSync(NAR)) });
    using packing = open(other);
    expect(await packing.cache.narSize(narInfo(), signal)).toBe("not told");
  });
});

test("a narinfo that is a bomb comes to nothing", async () => {
  const { info } = madeUp("bomb");
  const path = `/${hashPart(info.storePath)}.narinfo`;
  const body = gzipSync(Buffer.alloc(100_000_000));
  await using server = await serving({
    "/nix-cache-info": text(200, INFO),
    [path]: { status: 200, headers: { "content-encoding": "gzip" }, body },
  });
  using opened = open(server);
  const presence = await opened.cache.query(info.storePath, signal);
  if (presence.kind !== "unknown") throw new Error(presence.kind);
  expect(presence.cause.message).toContain("more than");
});
