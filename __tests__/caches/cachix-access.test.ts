/** Owns the proof that each way of not being let in is told apart, before anything is built. */

import { describe, expect, test } from "@jest/globals";
import { parseInputs, readInputs } from "../../src/action/inputs.ts";
import { UserError } from "../../src/domain/errors.ts";
import { parseSigningKey } from "../../src/domain/signature.ts";
import { narOf } from "../../src/nix/nar.ts";
import { startCachix } from "../servers/cachix.ts";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { listen } from "../servers/http.ts";
import { locationOf } from "../support/open-cache.ts";
import { Client, type ClientOptions, TOKEN } from "./cachix-client.ts";
import { asked, transact } from "./cachix-transaction.ts";
import { madeUp } from "./made-up.ts";

const signal = new AbortController().signal;
const tokens = { [TOKEN]: "Write", reader: "Read" } as const;

async function refusal(options: ClientOptions, server: Parameters<typeof startCachix>[0] = {}) {
  await using running = await startCachix({ tokens, ...server });
  using client = new Client(running, options);
  try {
    return { info: await client.cache.describe(signal), writes: running.writes() };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { code: error.code, message: error.message, hint: error.hint ?? "" };
  }
}

describe("a cache that cannot even be read", () => {
  test.each([
    [
      "a name that does not exist",
      { name: "mycach" },
      {},
      ["NCP-304", /there is no cache "mycach" on 127\.0\.0\.1/, /look how it is written/],
    ],
    [
      "a private cache and no token",
      { token: undefined },
      { isPrivate: true },
      ["NCP-303", /"mycache" is private, or does not exist \(HTTP 401\)/, /give a token/],
    ],
    [
      "a private cache and a wrong token",
      { token: "revoked" },
      { isPrivate: true },
      ["NCP-303", /private, and this token does not open it \(HTTP 401\)/, /not revoked/],
    ],
    [
      "another store's cache",
      {},
      { storeDir: "/gnu/store" },
      ["NCP-304", /for the store \/gnu\/store, and this machine's is \/nix\/store/, /your own/],
    ],
  ] as const)("%s", async (_what, options, server, [code, message, hint]) => {
    expect(await refusal(options, server)).toEqual({
      code,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    });
  });
});

describe("a cache that can be read and not written to", () => {
  test.each([
    ["a token that may only read", { token: "reader" }, ["NCP-303", /may read, and not write/]],
    ["a token that is refused", { token: "revoked" }, ["NCP-303", /the token is refused/]],
    [
      "a signing key of another cache",
      { signingKey: generateSecretKey("mycache.cachix.org-1") },
      ["NCP-105", /signing-key: its public half, mycache\.cachix\.org-1:\S+, is no key of/],
    ],
  ] as const)("%s", async (_what, options, [code, message]) => {
    const { info, writes } = await refusal(options);
    expect(info?.permission).toBe("read");
    expect(info?.trouble?.code).toBe(code);
    expect(info?.trouble?.message).toMatch(message);
    expect(info?.trouble?.hint).not.toBeUndefined();
    expect(info?.publicKeys.map(({ name }) => name)).toEqual(["mycache.cachix.org-1"]);
    expect(writes).toEqual([]);
  });

  test("no token at all is no trouble: it reads, with narinfos alone and no write", async () => {
    await using server = await startCachix({ tokens });
    const paths = Array.from({ length: 50 }, (_, n) => madeUp(`read-${n}`));
    for (const { info, nar } of paths.slice(0, 25)) {
      await server.addOwn({ storePath: info.storePath, nar });
    }
    using client = new Client(server, { token: undefined });
    const info = await client.cache.describe(signal);
    expect(info).toMatchObject({ permission: "read" });
    expect(info.trouble).toBeUndefined();
    const kinds = await Promise.all(
      paths.map(async (path) => (await client.cache.query(path.info.storePath, signal)).kind),
    );
    expect(kinds.filter((kind) => kind === "hit")).toHaveLength(25);
    expect(kinds.filter((kind) => kind === "miss")).toHaveLength(25);
    expect(asked(server, "bulk")).toBe(0);
    expect(server.requests.some(({ isAuthorized }) => isAuthorized)).toBe(false);
    await expect(
      client.own.push(
        [],
        async function* () {},
        () => undefined,
        signal,
      ),
    ).resolves.toEqual({ pushed: [], failed: new Map() });
    expect(server.writes()).toEqual([]);
  });
});

/** Spoils what the server says of the cache, and asks what we make of it. */
async function describedAs(
  change: (text: string) => string,
  options: Parameters<typeof startCachix>[0] = {},
) {
  const server = await startCachix({ tokens, ...options });
  const proxy = await listen(async (request) => {
    const answer = await fetch(new URL(request.url ?? "/", server.origin), {
      headers: { authorization: request.headers.authorization ?? "" },
    });
    const text = (await answer.text()).replaceAll(server.origin, proxy.origin);
    const isCache = request.url === `/api/v1/cache/${server.name}`;
    // What other servers of the protocol do not have: nix-cache-info stands where Nix reads it alone.
    if (request.url?.endsWith(`${server.name}/nix-cache-info`) && request.url.includes("/api/")) {
      return { status: 404 };
    }
    return { status: answer.status, body: isCache ? change(text) : text };
  });
  try {
    using client = new Client({ ...server, origin: proxy.origin });
    return await client.cache.describe(signal);
  } finally {
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  }
}

describe("a server of the same protocol that is not Cachix", () => {
  test.each([
    ["says nothing of our rights", "unsaid", undefined],
    ["says null of them", null, undefined],
    ["has another word for them", "Owner", undefined],
    ["writes them small", "write", "write"],
  ])("%s: we try, and say nothing that is not so", async (_, saysPermission, permission) => {
    const info = await describedAs((text) => text, { saysPermission });
    expect(info.permission).toBe(permission);
    expect(info.trouble).toBeUndefined();
    expect(info.priority).toBe(41);
    expect(info.storeDir).toBe("/nix/store");
  });

  test("has a public key that is none: called that, and not a key that is missing", async () => {
    const described = describedAs((text) => text.replace(/:[A-Za-z0-9+/]{43}=/, ":c2hvcnQ="));
    await expect(described).rejects.toMatchObject({
      code: "NCP-302",
      message: expect.stringMatching(/its public key cannot be read: "mycache\S+:c2hvcnQ="/),
    });
  });

  test("is down, and what it serves is read on, by the key that is trusted already", async () => {
    await using server = await startCachix({ tokens });
    const path = madeUp("served");
    await server.addOwn({ storePath: path.info.storePath, nar: path.nar });
    server.faults.badGateway = { when: "always", matching: ({ endpoint }) => endpoint === "cache" };
    using client = new Client(server, { publicKeys: server.publicKeys });
    const info = await client.cache.describe(signal);
    expect(info.permission).toBe("read");
    expect(info.trouble?.message).toContain("its API is down, the cache itself answers");
    expect(await client.cache.query(path.info.storePath, signal)).toMatchObject({
      kind: "hit",
      origin: "own",
    });
    expect(server.writes()).toEqual([]);
  });

  test("is down: its own log is named, and not Cachix's page", async () => {
    await using server = await startCachix({ tokens });
    server.faults.badGateway = { when: "always" };
    using client = new Client(server);
    const error = await client.cache
      .describe(signal)
      .catch((thrown: unknown) => thrown as UserError);
    expect((error as UserError).hint).toContain("the server's own log");
    expect((error as UserError).hint).not.toContain("status.cachix.org");
  });
});

describe("while it is at work", () => {
  test("a token revoked in mid-run ends the push with one word, and no storm", async () => {
    await using server = await startCachix({ tokens });
    const leaves = Array.from({ length: 80 }, (_, n) => madeUp(`revoked-${n}`));
    const root = madeUp("revoked", leaves);
    let dumped = 0;
    const told = await transact(server, [...leaves, root], {
      nar: async function* (path) {
        if (++dumped === 70) server.tokens.delete(TOKEN);
        const made = [...leaves, root].find(({ info }) => info.storePath === path);
        if (made) yield made.nar;
      },
    });
    expect(told.pin).toBeUndefined();
    expect(told.outcome).toBeUndefined();
    const refused = told.findings.filter((finding) =>
      /the token is refused \(HTTP 401/.test(finding),
    );
    expect(refused).toHaveLength(1);
    expect(told.findings.join()).not.toContain(TOKEN);
    // Those under way when it was revoked, and not one for each path.
    expect(server.requests.filter(({ status }) => status === 401).length).toBeLessThan(140);

    server.tokens.set(TOKEN, "Write");
    const before = asked(server, "complete");
    const again = await transact(server, [...leaves, root]);
    expect(again).toMatchObject({ outcome: "verified", pin: "confirmed", findings: [] });
    // Only what was still missing.
    expect(again.pushed.length).toBe(81 - told.pushed.length);
    expect(asked(server, "complete") - before).toBe(again.pushed.length);
  });

  test("a path that vanishes fails alone, and is named", async () => {
    await using server = await startCachix({ tokens });
    const [gone, stays] = [madeUp("vanishes"), madeUp("stays")];
    using client = new Client(server);
    const result = await client.own.push(
      [gone.info, stays.info],
      (path, inner) =>
        path === gone.info.storePath
          ? narOf("/nonexistent/vanishes", inner)
          : (async function* () {
              yield stays.nar;
            })(),
      () => undefined,
      signal,
    );
    expect(result.pushed.map(({ path }) => path)).toEqual([stays.info.storePath]);
    const error = result.failed.get(gone.info.storePath);
    expect(error).toMatchObject({ code: "NCP-308" });
    expect(error?.message).toMatch(/is not in the store any more/);
    expect(asked(server, "create-upload")).toBe(1);
  });

  test("a NAR that is not what the store says is never uploaded", async () => {
    await using server = await startCachix({ tokens });
    const path = madeUp("damaged");
    const told = await transact(server, [path], {
      nar: async function* () {
        yield Buffer.alloc(path.nar.length, "bad disk ");
      },
    });
    expect(told.findings).toEqual([expect.stringMatching(/is not what the store's database says/)]);
    expect(server.writes()).toEqual([]);
  });
});

describe("bad input", () => {
  test.each([
    ["cachix:my/cache", /"my\/cache" is not the name of a Cachix cache/],
    ["cachix:my cache", /"my cache" is not the name of a Cachix cache/],
    ["cachix:", /"cachix:" cannot be used: its name is missing/],
    ["cachix:mycache?hots=http://127.0.0.1", /"hots" is not an option/],
    ["cachix:mycache?host=cachix.example", /"cachix\.example" is not an http\(s\) URL/],
    ["cachix:mycache?host=https://user:secret@cachix.example", /it holds a password/],
  ])("cache: %s", (text, message) => {
    expect(() => locationOf(text)).toThrow(message);
    expect(() => locationOf(text)).not.toThrow("secret");
  });

  test("a token with a line break is refused, and not shown", () => {
    const inputs = readInputs({ INPUT_CACHE: "cachix:mycache", INPUT_TOKEN: "eyJ0\neXAi" });
    expect(() => parseInputs(inputs)).toThrow(/token: it holds white space/);
    expect(() => parseInputs(inputs)).not.toThrow("eyJ0");
  });

  test("an empty token is none", () => {
    const inputs = readInputs({ INPUT_CACHE: "cachix:mycache", INPUT_TOKEN: "  " });
    expect(parseInputs(inputs).secrets.token).toBeUndefined();
  });

  const whole = generateSecretKey("mycache.cachix.org-1");
  const bytes = Buffer.from(whole.slice(whole.indexOf(":") + 1), "base64");
  test.each([
    [
      "too short",
      `mycache.cachix.org-1:${bytes.subarray(0, 32).toString("base64")}`,
      /it has 32 bytes, not 64/,
    ],
    [
      "too long",
      `mycache.cachix.org-1:${Buffer.concat([bytes, bytes]).toString("base64")}`,
      /it has 128 bytes, not 64/,
    ],
    [
      "without its name, as CACHIX_SIGNING_KEY has it",
      bytes.toString("base64"),
      /it is not NAME:BASE64/,
    ],
  ])("a signing key %s", (_what, text, message) => {
    expect(() => parseSigningKey(text)).toThrow(message);
    expect(() => parseSigningKey(text)).not.toThrow(text.slice(-20));
  });

  test.each([
    ["as CACHIX_SIGNING_KEY has it", bytes.toString("base64")],
    ["without its padding", bytes.toString("base64").replace(/=+$/, "")],
  ])("a bare signing key, %s, is called as Cachix calls it", (_, bare) => {
    const inputs = { INPUT_CACHE: "cachix:mycache", "INPUT_SIGNING-KEY": bare };
    const { job, secrets } = parseInputs(readInputs(inputs));
    const key = parseSigningKey(secrets.signingKey ?? "", job.cache?.keyName);
    expect(key.publicKey.text).toBe(parseSigningKey(whole).publicKey.text);
    const other = readInputs({ ...inputs, INPUT_CACHE: "https://host" });
    expect(() => parseInputs(other)).toThrow(/it is not NAME:BASE64/);
  });

  test("a bare signing key is told what to put before it", () => {
    try {
      parseSigningKey(bytes.toString("base64"));
      throw new Error("it was taken");
    } catch (error) {
      expect((error as UserError).hint).toContain("NAME.cachix.org-1:");
    }
  });
});
