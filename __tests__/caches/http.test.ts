import { expect, test } from "@jest/globals";
import { type BinaryCache, can } from "../../src/domain/cache.ts";
import { UserError } from "../../src/domain/errors.ts";
import type { RealisationId } from "../../src/domain/realisation.ts";
import type { SigningKey } from "../../src/domain/signature.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { listen } from "../servers/http.ts";
import { putServer } from "../servers/put.ts";
import { newKey } from "../support/keys.ts";
import { openAt, SHORT } from "../support/open-cache.ts";
import { cacheContract } from "./contract.ts";
import { WIRES } from "./contract-faults.ts";
import { httpFaults } from "./http-faults.ts";
import { type MadeUp, madeUp, narsOf } from "./made-up.ts";

const signal = new AbortController().signal;
const quiet = () => undefined;

function open(text: string, http: HttpClient, signingKey: SigningKey | undefined): BinaryCache {
  return openAt(text, { http, signingKey, token: "secret-token" });
}

async function subject() {
  const server = await putServer();
  const http = new HttpClient({});
  const key = newKey();
  const cache = open(server.origin, http, key);
  const send = async (path: MadeUp) => {
    if (!can(cache, "push")) throw new Error("it cannot push");
    return cache.push([path.info], narsOf([path]), quiet, signal);
  };
  return {
    server,
    cache,
    send,
    reopen: async () => open(server.origin, http, key),
    async [Symbol.asyncDispose]() {
      http.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

const key = newKey();

cacheContract("http://", subject, {
  kind: "http",
  wires: WIRES,
  start: async (wire) => {
    const server = await putServer();
    return httpFaults(
      {
        origin: server.origin,
        withoutInfo: "not written yet",
        open: (origin, http) =>
          openAt(origin, { http, signingKey: key, token: "secret-token" }, SHORT),
        end: () => server[Symbol.asyncDispose](),
      },
      wire,
    );
  },
});

const LARGE = 3 * 1024 * 1024;

test("a NAR is sent with its length, whatever its size", async () => {
  await using at = await subject();
  const [small, large] = [madeUp("small"), madeUp("large", [], { bytes: LARGE })];
  await at.send(small);
  await at.send(large);
  const puts = at.server.requests.filter((line) => line.startsWith("PUT /nar/"));
  const length = expect.stringMatching(/^\d+$/);
  expect(puts.map((line) => line.split(" ")[2])).toEqual([length, length]);
  const presence = await at.cache.query(large.info.storePath, signal);
  if (presence.kind !== "hit") throw new Error(presence.kind);
  expect(await at.cache.narSize(presence.narInfo, signal)).toBe(presence.narInfo.fileSize);
});

test("a large NAR that is not what the store says is not sent at all", async () => {
  await using at = await subject();
  const path = madeUp("spoilt-large", [], { bytes: LARGE });
  const result = await at.send({ ...path, nar: Buffer.alloc(LARGE, "not what was promised") });
  const error = result.failed.get(path.info.storePath);
  expect((error as UserError).code).toBe("NCP-308");
  expect(at.server.requests.filter((line) => line.startsWith("PUT"))).toHaveLength(0);
  expect((await at.cache.query(path.info.storePath, signal)).kind).toBe("miss");
});

test.each([
  ["small", 4_000, 405, "NCP-305", "this server takes no uploads"],
  ["small", 4_000, 403, "NCP-303", "the token may not write there"],
  ["large", LARGE, 403, "NCP-303", "the token may not write there"],
] as const)(
  "a %s NAR of %i bytes that is answered with %i",
  async (_, bytes, status, code, hint) => {
    await using at = await subject();
    at.server.refuse = () => ({ status });
    const path = madeUp("refused", [], { bytes });
    const error = (await at.send(path)).failed.get(path.info.storePath);
    if (!(error instanceof UserError)) throw error;
    expect(error.code).toBe(code);
    expect(error.hint).toContain(hint);
    expect(error.message).not.toContain("secret-token");
  },
);

test("a server's passing fault is tried again, with the whole NAR", async () => {
  await using at = await subject();
  for (const bytes of [4_000, LARGE]) {
    let left = 1;
    at.server.refuse = (path) =>
      path.startsWith("/nar/") && left-- > 0 ? { status: 503 } : undefined;
    const path = madeUp(`again-${bytes}`, [], { bytes });
    expect([...(await at.send(path)).failed]).toEqual([]);
    expect((await at.cache.query(path.info.storePath, signal)).kind).toBe("hit");
  }
});

test("without a signing key it says so before anything is built", async () => {
  await using at = await subject();
  const http = new HttpClient({});
  const unsigned = open(at.server.origin, http, undefined);
  const { trouble, permission } = await unsigned.describe(signal);
  expect(permission).toBe("read");
  expect(trouble?.message).toContain("takes signed paths only");
  expect(can(unsigned, "push")).toBe(false);
  expect(can(open(`${at.server.origin}?trusted=1`, http, undefined), "push")).toBe(true);
  http.close();
});

test.each(["//", "///", "//HOST", "//HOST//"])(
  "an address with slashes one after another is asked as Nix asks it: %s",
  async (path) => {
    const asked: string[] = [];
    const elsewhere: string[] = [];
    const info = { status: 200, body: "StoreDir: /nix/store\n" };
    const into = (all: string[]) =>
      listen(async ({ url = "" }) => {
        all.push(url);
        return info;
      });
    await using server = await into(asked);
    await using other = await into(elsewhere);
    const http = new HttpClient({});
    const base = path.replace("HOST", new URL(other.origin).host);
    const cache = open(`${server.origin}${base}`, http, undefined);
    await cache.describe(signal);
    http.close();
    expect(asked[0]).toBe(`${base.replace(/\/?$/, "/")}nix-cache-info`);
    // A token would go to a host that nobody named.
    expect(elsewhere).toEqual([]);
  },
);

test("a realisation is asked for as Nix does, and what is no answer is no miss", async () => {
  const at = (digit: string) => `sha256:${digit.repeat(64)}!out` as RealisationId;
  const outPath = `${"0".repeat(32)}-tool`;
  const asked: string[] = [];
  await using server = await listen(async ({ url = "" }) => {
    asked.push(url);
    if (url.includes(at("1").slice(0, -4))) {
      return { status: 200, body: JSON.stringify({ id: at("1"), outPath, signatures: [] }) };
    }
    if (url.includes(at("2").slice(0, -4))) return { status: 200, body: "<html>" };
    return { status: url.includes(at("3").slice(0, -4)) ? 400 : 404 };
  });
  const http = new HttpClient({});
  const cache = open(server.origin, http, undefined);
  const answer = (digit: string) => cache.realisation?.(at(digit), signal);
  expect(await answer("1")).toEqual({
    kind: "hit",
    realisation: { path: `/nix/store/${outPath}`, dependents: [] },
  });
  expect(await answer("2")).toMatchObject({ kind: "unknown" });
  expect(await answer("3")).toMatchObject({ kind: "unknown" });
  expect(await answer("4")).toEqual({ kind: "miss" });
  http.close();
  expect(asked[0]).toBe(`/realisations/sha256:${"1".repeat(64)}%21out.doi`);
});
