/** Owns the proof of the three answers: own, upstream only, missing; never two of them mixed up. */

import { randomFillSync } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { PART_BYTES } from "../../src/caches/parts.ts";
import type { Presence } from "../../src/domain/cache.ts";
import { startCachix } from "../servers/cachix.ts";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { Client, type ClientOptions, TOKEN } from "./cachix-client.ts";
import { asked, transact } from "./cachix-transaction.ts";
import { type MadeUp, madeUp } from "./made-up.ts";

const signal = new AbortController().signal;
const tokens = { [TOKEN]: "Write" } as const;
const seedOf = ({ info, nar }: MadeUp) => ({ storePath: info.storePath, nar });

function words(presence: Presence): string {
  return presence.kind === "hit" ? presence.origin : presence.kind;
}

describe("three answers", () => {
  const [own, upstream, missing] = [madeUp("is-own"), madeUp("is-upstream"), madeUp("is-missing")];

  test.each<[string, ClientOptions, Parameters<typeof startCachix>[0], string[]]>([
    ["with a token", {}, {}, ["own", "upstream", "miss"]],
    ["without one", { token: undefined }, {}, ["own", "upstream", "miss"]],
    [
      "as one more substituter",
      { token: undefined, role: "substituter" },
      {},
      ["own", "upstream", "miss"],
    ],
    ["a private cache", {}, { isPrivate: true }, ["own", "upstream", "miss"]],
    ["upstreams not passed on", {}, { passThrough: false }, ["own", "miss", "miss"]],
    // What Nix would not take is no answer: it would be built, so it counts as not there.
    ["the upstream's key not trusted", { publicKeys: [] }, {}, ["own", "refused", "miss"]],
    [
      "Nix told to trust anybody",
      { publicKeys: [], signatures: "accept any" },
      {},
      ["own", "upstream", "miss"],
    ],
  ])("%s", async (_what, options, settings, expected) => {
    await using server = await startCachix({ tokens, ...settings });
    await server.addOwn(seedOf(own));
    await server.addUpstream(seedOf(upstream));
    using client = new Client(server, options);
    const answers = await Promise.all(
      [own, upstream, missing].map(({ info }) => client.cache.query(info.storePath, signal)),
    );
    expect(answers.map(words)).toEqual(expected);
  });

  test("what is both is own", async () => {
    await using server = await startCachix({ tokens });
    await server.addOwn(seedOf(own));
    await server.addUpstream(seedOf(own));
    using client = new Client(server);
    expect(words(await client.cache.query(own.info.storePath, signal))).toBe("own");
  });
});

describe("bulk", () => {
  test("paths asked in one turn are one question, and what it calls missing is asked no more", async () => {
    await using server = await startCachix({ tokens });
    const paths = Array.from({ length: 200 }, (_, n) => madeUp(`in-one-turn-${n}`));
    for (const path of paths.slice(0, 5)) await server.addOwn(seedOf(path));
    await server.addUpstream(seedOf(paths[5] as MadeUp));
    using client = new Client(server);
    const answers = await Promise.all(
      paths.map(({ info }) => client.cache.query(info.storePath, signal)),
    );
    expect(answers.map(words).filter((word) => word === "own")).toHaveLength(5);
    expect(answers.map(words).filter((word) => word === "upstream")).toHaveLength(1);
    expect(asked(server, "bulk")).toBe(1);
    expect(asked(server, "narinfo")).toBe(6);
  });

  test("32,768 paths are two questions, since one would be over 1 MB", async () => {
    await using server = await startCachix({ tokens });
    const { storePath } = madeUp("one-of-many").info;
    const paths = Array.from({ length: 32_768 }, (_, n) => {
      const digits = n.toString().padStart(32, "0");
      return storePath.replace(/[0-9a-z]{32}/, digits) as typeof storePath;
    });
    using client = new Client(server);
    const answers = await Promise.all(paths.map((path) => client.cache.query(path, signal)));
    expect(answers.every(({ kind }) => kind === "miss")).toBe(true);
    expect(server.requests.filter(({ endpoint }) => endpoint === "bulk")).toMatchObject([
      { status: 200 },
      { status: 200 },
    ]);
    expect(asked(server, "narinfo")).toBe(0);
  });

  test("where it is refused, every narinfo is asked for", async () => {
    await using server = await startCachix({ tokens });
    server.faults.refused = {
      when: "always",
      status: 404,
      matching: ({ endpoint }) => endpoint === "bulk",
    };
    const paths = Array.from({ length: 40 }, (_, n) => madeUp(`no-bulk-${n}`));
    await server.addOwn(seedOf(paths[0] as MadeUp));
    using client = new Client(server);
    const answers = await Promise.all(
      paths.map(({ info }) => client.cache.query(info.storePath, signal)),
    );
    expect(answers.filter(({ kind }) => kind === "hit")).toHaveLength(1);
    expect(asked(server, "narinfo")).toBe(40);
  });
});

describe("an upstream-only target", () => {
  const target = madeUp("bitwarden-cli-2025.9.0");

  test("is told, with who signed it; it is not pushed, not pinned, and fails nothing", async () => {
    await using server = await startCachix({ tokens });
    await server.addUpstream(seedOf(target));
    const told = await transact(server, [target]);
    expect(told).toEqual({
      outcome: "upstream only",
      detail: expect.stringMatching(
        /served by upstream\.example\.org-1, passed on by cachix:mycache$/,
      ),
      pin: undefined,
      findings: [],
      pushed: [],
    });
    expect(server.writes()).toEqual([]);
  });

  test("with force it is uploaded all the same, verified and pinned", async () => {
    await using server = await startCachix({ tokens });
    await server.addUpstream(seedOf(target));
    const told = await transact(server, [target], { job: { force: "force" } });
    expect(told).toMatchObject({
      outcome: "verified",
      pin: "confirmed",
      findings: [],
      pushed: ["bitwarden-cli-2025.9.0"],
    });
  });
});

describe("what is uploaded", () => {
  test("is signed by the client where the cache's key is the client's", async () => {
    const secret = generateSecretKey("mycache.cachix.org-1");
    await using server = await startCachix({ tokens, selfSignedBy: secret });
    const path = madeUp("signed-by-us");
    const unsigned = await transact(server, [path]);
    expect(unsigned.findings).toEqual([
      expect.stringMatching(/answers 400 \(cSig: this cache is signed by its clients\)/),
    ]);
    const signed = await transact(server, [path], { signingKey: secret });
    expect(signed).toMatchObject({ outcome: "verified", pin: "confirmed", findings: [] });
  });

  test("is sent in parts, the last of which is never empty", async () => {
    await using server = await startCachix({ tokens });
    const big = madeUp("in-parts", [], {
      bytes: PART_BYTES * 2 + 5_000_000,
      random: randomFillSync,
    });
    const told = await transact(server, [big]);
    expect(told).toMatchObject({ outcome: "verified", pin: "confirmed", findings: [] });
    expect(asked(server, "put-part")).toBe(3);
  });
});
