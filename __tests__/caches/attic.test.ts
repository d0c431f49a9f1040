import { expect, test } from "@jest/globals";
import { AtticApi } from "../../src/caches/attic/api.ts";
import { atticPush } from "../../src/caches/attic/push.ts";
import { type BinaryCache, can } from "../../src/domain/cache.ts";
import type { UserError } from "../../src/domain/errors.ts";
import { parseStorePath } from "../../src/domain/store-path.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { type AtticServer, atticServer } from "../servers/attic.ts";
import { openAt, SHORT } from "../support/open-cache.ts";
import { cacheContract } from "./contract.ts";
import { WIRES } from "./contract-faults.ts";
import { httpFaults } from "./http-faults.ts";
import { type MadeUp, madeUp, narsOf } from "./made-up.ts";

const signal = new AbortController().signal;
const plain = new HttpClient({});

function open(
  server: AtticServer,
  token: string | undefined,
  origin = server.origin,
  http = plain,
): BinaryCache {
  return openAt(`attic:${origin}/${server.cache}`, { http, token }, SHORT);
}

async function send(cache: BinaryCache, paths: readonly MadeUp[]) {
  if (!can(cache, "push")) throw new Error("it cannot push");
  const infos = paths.map(({ info }) => info);
  return cache.push(infos, narsOf(paths), () => undefined, signal);
}

for (const visibility of ["public", "private"] as const) {
  cacheContract(
    `attic: (${visibility})`,
    async () => {
      const server = await atticServer({ visibility });
      const token = server.token("team-*", ["r", "w"]);
      return {
        cache: open(server, token),
        reopen: async () => open(server, token),
        [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
      };
    },
    {
      kind: "attic",
      wires: WIRES,
      start: async (wire) => {
        const server = await atticServer({ visibility });
        const token = server.token("team-*", ["r", "w"]);
        return httpFaults(
          {
            origin: server.origin,
            open: (origin, http) => open(server, token, origin, http),
            withoutInfo: "known from elsewhere",
            end: () => server[Symbol.asyncDispose](),
          },
          wire,
        );
      },
    },
  );
}

cacheContract("attic: (Celler)", async () => {
  const server = await atticServer({ kind: "celler" });
  const token = server.token("team-*", ["r", "w"]);
  return {
    cache: open(server, token),
    reopen: async () => open(server, token),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
});

test.each([
  ["is garbage", () => "no-token-of-theirs", "NCP-303", "Unauthorized."],
  [
    "has expired",
    (server: AtticServer) => server.token("*", ["r", "w"], new Date("2026-01-02T03:04:05Z")),
    "NCP-303",
    "it was good until 2026-01-02T03:04:05.000Z, which is over",
  ],
  [
    "may only pull",
    (server: AtticServer) => server.token("*", ["r"]),
    "NCP-303",
    "this token may not push there",
  ],
  ["may push", (server: AtticServer) => server.token("*", ["r", "w"]), undefined, ""],
] as const)(
  "asked whether we may push, a public cache says of a token that %s",
  async (_, token, code, words) => {
    await using server = await atticServer();
    const cache = open(server, token(server));
    // To a public cache any token is as good as none: this answer shows nothing.
    expect((await cache.describe(signal)).trouble).toBeUndefined();
    const trouble = await cache.mayPush?.(signal);
    expect(trouble?.code).toBe(code);
    expect(trouble?.message ?? "").toContain(words);
    expect(trouble?.message ?? "").not.toContain(token(server));
    expect(server.requests.filter((line) => line.startsWith("PUT"))).toEqual([]);
    expect((await cache.query(madeUp("nobody-has-it").info.storePath, signal)).kind).toBe("miss");
  },
);

test.each(["pull", "nothing"])("a token for a private cache that may %s is told", async (right) => {
  await using server = await atticServer({ visibility: "private" });
  const cache = open(server, server.token(right === "pull" ? "*" : "other", ["r"]));
  if (right === "pull") expect((await cache.mayPush?.(signal))?.code).toBe("NCP-303");
  else await expect(cache.describe(signal)).rejects.toMatchObject({ code: "NCP-304" });
});

test("a server that does not answer the question is no server that says no", async () => {
  await using server = await atticServer();
  server.instead = (_, path) =>
    path.endsWith("get-missing-paths") ? { status: 418, body: "{}" } : undefined;
  expect(await open(server, server.token("*", ["r", "w"])).mayPush?.(signal)).toBeUndefined();
});

test.each([
  ["may push", ["r", "w"], "write", true],
  ["may only pull", ["r"], "read", false],
] as const)("a token that %s says so before anything is built", async (_, rights, said, pushes) => {
  await using server = await atticServer({ visibility: "private" });
  const cache = open(server, server.token("*", rights));
  expect((await cache.describe(signal)).permission).toBe(said);
  expect(can(cache, "push")).toBe(pushes);
});

test("a token that is refused by a public cache is told, and the cache is read", async () => {
  await using server = await atticServer();
  const expired = server.token("*", ["r", "w"], new Date("2026-01-02T03:04:05Z"));
  server.instead = (_, path) =>
    path.startsWith("/_api/") && server.requests.length === 1
      ? { status: 401, body: '{"code":401,"error":"Unauthorized","message":"Unauthorized."}' }
      : undefined;
  const cache = open(server, expired);
  const { permission, trouble } = await cache.describe(signal);
  expect(permission).toBe("read");
  expect(trouble?.code).toBe("NCP-303");
  expect(trouble?.message).toContain("Unauthorized.");
  expect(trouble?.message).toContain("good until 2026-01-02T03:04:05.000Z");
  expect(trouble?.message).not.toContain(expired);
  expect((await cache.query(madeUp("nobody-has-it").info.storePath, signal)).kind).toBe("miss");
});

test("many questions are one, and what is missing saves its narinfo", async () => {
  await using server = await atticServer();
  const cache = open(server, server.token("*", ["r", "w"]));
  const [there, ...rest] = Array.from({ length: 200 }, (_, index) => madeUp(`many-${index}`));
  if (!there) throw new Error("there are some");
  await send(cache, [there]);
  const before = server.requests.length;
  const kinds = await Promise.all(
    [there, ...rest].map(async ({ info }) => (await cache.query(info.storePath, signal)).kind),
  );
  expect(kinds).toEqual(["hit", ...rest.map(() => "miss")]);
  expect(server.requests.slice(before).map((line) => line.split(" ")[0])).toEqual(["POST", "GET"]);
});

test.each(["attic", "celler"] as const)(
  "a narinfo that is too long for a header of %s stands before the NAR",
  async (kind) => {
    await using server = await atticServer({ kind });
    const cache = open(server, server.token("*", ["r", "w"]));
    const references = Array.from({ length: 200 }, (_, index) => madeUp(`reference-${index}`));
    const path = madeUp("with-many-references", references, { bytes: 3_000_000 });
    expect([...(await send(cache, [...references, path])).failed]).toEqual([]);
    const presence = await cache.query(path.info.storePath, signal);
    if (presence.kind !== "hit") throw new Error(presence.kind);
    expect(presence.narInfo.references).toHaveLength(200);
  },
);

test("a server whose disk is full: its own words, and soon nothing more is sent to it", async () => {
  await using server = await atticServer();
  const token = server.token("*", ["r", "w"]);
  const { cache, origin } = server;
  const write = { first: 5, longest: 20, total: 200, patience: 400 };
  const options = {
    label: "attic:full",
    server: new URL(origin),
    cache,
    token,
    http: plain,
    write,
  };
  const paths = Array.from({ length: 200 }, (_, index) => madeUp(`no-space-${index}`));
  const infos = paths.map(({ info }) => info);
  server.disk = "full";
  const push = atticPush(new AtticApi(options));
  const { pushed, failed, ended } = await push(infos, narsOf(paths), () => undefined, signal);
  expect([pushed.length, failed.size]).toEqual([0, 200]);
  expect(ended).toMatchObject({
    code: "NCP-305",
    fault: "the server's",
    hint: expect.stringContaining("the server's own log"),
  });
  expect(ended?.message).toContain(
    "PUT upload-path answers HTTP 500: The server encountered an internal error",
  );
  const causes = [...failed.values()].map(({ message }) => message);
  expect(new Set(causes).size).toBe(1);
  server.disk = "free";
  const again = await send(open(server, token), paths);
  expect([again.pushed.length, again.failed.size]).toEqual([200, 0]);
});

test("a large NAR that is not what the store says is not kept by the server", async () => {
  await using server = await atticServer();
  const cache = open(server, server.token("*", ["r", "w"]));
  const path = madeUp("spoilt-large", [], { bytes: 3_000_000 });
  const result = await send(cache, [{ ...path, nar: Buffer.alloc(path.nar.length, "other") }]);
  const error = result.failed.get(path.info.storePath);
  expect((error as UserError).code).toBe("NCP-308");
  expect(server.narInfos.size).toBe(0);
});

test("a private cache is read by Nix with the token as its password", async () => {
  await using server = await atticServer({ visibility: "private" });
  const token = server.token("*", ["r"]);
  const cache = open(server, token);
  await cache.describe(signal);
  const credentials = cache.substituter.credentials?.();
  expect(credentials).toEqual({ machine: "127.0.0.1", login: "", password: token });
  const basic = Buffer.from(`:${token}`).toString("base64");
  const url = `${cache.substituter.url}/nix-cache-info`;
  const [open_, closed] = await Promise.all([
    fetch(url, { headers: { authorization: `Basic ${basic}` } }),
    fetch(url),
  ]);
  expect([open_.status, closed.status]).toEqual([200, 401]);
});

test("another store's cache is named and not used", async () => {
  await using server = await atticServer();
  const name = `attic:${server.origin}/${server.cache}`;
  const cache = openAt(name, { http: plain, storeDir: "/other/store" });
  await expect(cache.describe(signal)).rejects.toMatchObject({ code: "NCP-304" });
  const path = parseStorePath(`/other/store/${"0".repeat(32)}-x`, "/other/store");
  if (!path) throw new Error("it is one");
  expect((await cache.query(path, signal)).kind).toBe("unknown");
});
