import { describe, expect, test } from "@jest/globals";
import type { Derivation } from "../../../src/domain/derivation.ts";
import { UserError } from "../../../src/domain/errors.ts";
import { type Depth, FactFinder } from "../../../src/engine/survey/facts.ts";
import { Lookup } from "../../../src/engine/survey/lookup.ts";
import { type DerivationOptions, derivation, out } from "../../support/graph.ts";
import { storePath } from "../../support/paths.ts";
import { hold, memoryCache, SIGNAL } from "../../support/world.ts";

/** leaf needs stem, stem needs root: `root` is at the bottom. */
function chain(leaf: DerivationOptions = {}, stem: DerivationOptions = {}) {
  const root = derivation("root");
  const middle = derivation("stem", { ...stem, inputs: [root] });
  const top = derivation("leaf", { ...leaf, inputs: [middle] });
  return { root, stem: middle, leaf: top, all: [root, middle, top] };
}

function finder(derivations: readonly Derivation[], caches = [memoryCache("own")]) {
  const read: string[] = [];
  const substituters = caches.map((cache, index) => ({
    cache,
    role: index === 0 ? ("own" as const) : ("upstream" as const),
  }));
  const facts = new FactFinder(new Lookup(substituters, SIGNAL), async (path) => {
    read.push(path);
    const found = derivations.find((one) => one.path === path);
    if (!found) throw new UserError("NCP-203", `${path}: not here`);
    return found;
  });
  const explore = (of: Derivation, depth: Depth = "until cached") =>
    facts.explore({ drvPath: of.path, outputNames: ["out"] }, depth);
  return { facts, read, explore };
}

describe("gathering", () => {
  test("asks for nothing below an output that is cached", async () => {
    const own = memoryCache("own");
    const { root, stem, leaf, all } = chain();
    hold(own, out(stem));
    const { read, explore } = finder(all, [own]);
    await explore(leaf);
    expect(own.asked).toEqual([out(leaf), out(stem)]);
    expect(read).toEqual([leaf.path, stem.path]);
    expect(read).not.toContain(root.path);
  });

  test("asks nothing twice, however many want it", async () => {
    const own = memoryCache("own");
    const root = derivation("root");
    const users = Array.from({ length: 50 }, (_, n) => derivation(`user-${n}`, { inputs: [root] }));
    const { read, explore } = finder([root, ...users], [own]);
    await Promise.all(users.map((user) => explore(user)));
    await Promise.all(users.map((user) => explore(user)));
    expect(own.asked).toHaveLength(51);
    expect(new Set(own.asked).size).toBe(51);
    expect(read).toHaveLength(51);
  });

  test("asks for the closure of what is served, each member once", async () => {
    const own = memoryCache("own");
    const leaf = derivation("leaf");
    const [a, b] = [storePath("a"), storePath("b")];
    hold(own, out(leaf), [a, b]);
    hold(own, a, [b, a]);
    hold(own, b);
    const { facts, explore } = finder([leaf], [own]);
    await explore(leaf);
    expect([...own.asked].sort()).toEqual([out(leaf), a, b].sort());
    expect(facts.availability.get(out(leaf))).toBe("whole");
  });

  test("goes below what may not be substituted, without asking for it", async () => {
    const own = memoryCache("own");
    const { stem, leaf, all } = chain({ kind: "never substituted" });
    hold(own, out(leaf));
    hold(own, out(stem));
    const { explore } = finder(all, [own]);
    await explore(leaf);
    expect(own.asked).toEqual([out(stem)]);
  });

  test("goes below what cannot be asked for", async () => {
    const own = memoryCache("own");
    const { stem, leaf, all } = chain({ kind: "floating" });
    const { explore } = finder(all, [own]);
    await explore(leaf);
    expect(own.asked[0]).toBe(out(stem));
  });

  test("stops where a cache did not answer: below it would be guessing", async () => {
    const own = memoryCache("own");
    const { stem, leaf, all } = chain();
    own.content.set(out(leaf), { kind: "unknown", cause: new Error("no answer") });
    const { facts, explore } = finder(all, [own]);
    await explore(leaf);
    expect(facts.availability.get(out(leaf))).toBe("unknown");
    expect(facts.answers.has(out(stem))).toBe(false);
  });

  test("goes on below several outputs of which one is broken and one unknown", async () => {
    const own = memoryCache("own");
    const root = derivation("root");
    const two = derivation("two", { inputs: [root], outputs: ["out", "dev"] });
    hold(own, out(two), [storePath("in-no-cache")]);
    own.content.set(out(two, "dev"), { kind: "unknown", cause: new Error("no answer") });
    const { facts } = finder([root, two], [own]);
    await facts.explore({ drvPath: two.path, outputNames: ["out", "dev"] }, "until cached");
    expect(own.asked).toContain(out(root));
  });

  test("until upstream looks below what is our own", async () => {
    const [own, upstream] = [memoryCache("own"), memoryCache("upstream")];
    const { root, stem, leaf, all } = chain();
    hold(own, out(leaf));
    hold(upstream, out(stem));
    const { explore } = finder(all, [own, upstream]);
    await explore(leaf, "until upstream");
    expect(upstream.asked).toEqual([out(leaf), out(stem)]);
    expect(own.asked).not.toContain(out(root));
  });

  test("fails with what cannot be read", async () => {
    const { leaf } = chain();
    const { explore } = finder([leaf]);
    await expect(explore(leaf)).rejects.toThrow("not here");
  });
});

describe("whether a path is whole", () => {
  const [a, b, c] = [storePath("a"), storePath("b"), storePath("c")];
  const unknown = { kind: "unknown", cause: new Error("no answer") } as const;

  test.each([
    ["all there", { [a]: [b], [b]: [c], [c]: [] }, [], "whole"],
    ["it is in no cache", {}, [], "absent"],
    ["a reference is in no cache", { [a]: [b] }, [], "broken"],
    ["a reference of a reference is", { [a]: [b], [b]: [c] }, [], "broken"],
    ["nobody answered for it", {}, [a], "unknown"],
    ["nobody answered for a reference", { [a]: [b], [b]: [c] }, [c], "unknown"],
    ["one is missing and one unknown", { [a]: [b, c] }, [c], "broken"],
    ["it refers to itself", { [a]: [a] }, [], "whole"],
    ["two refer to each other", { [a]: [b], [b]: [a] }, [], "whole"],
    ["three go round", { [a]: [b], [b]: [c], [c]: [a] }, [], "whole"],
    ["a circle lacks something", { [a]: [b], [b]: [a, c] }, [], "broken"],
    ["a circle is unsure of something", { [a]: [b], [b]: [a, c] }, [c], "unknown"],
  ])("%s", async (_, references, unsure, availability) => {
    const own = memoryCache("own");
    for (const [path, to] of Object.entries(references)) hold(own, path as typeof a, to);
    for (const path of unsure) own.content.set(path, unknown);
    const { facts } = finder([], [own]);
    expect(await facts.path(a)).toBe(availability);
    expect(facts.availability.get(a)).toBe(availability);
  });

  test("a chain of 20,000 is no deeper than the stack", async () => {
    const own = memoryCache("own");
    const paths = Array.from({ length: 20_000 }, (_, n) => storePath(`p-${n}`));
    paths.forEach((path, n) => {
      const next = paths[n + 1];
      hold(own, path, next ? [next] : []);
    });
    const { facts } = finder([], [own]);
    expect(await facts.path(paths[0] ?? a)).toBe("whole");
  });

  test("an interrupted question interrupts those that wait for it", async () => {
    const own = memoryCache("own");
    hold(own, a, [b]);
    const query = own.query;
    const failing = {
      ...own,
      query: async (path: typeof a) => {
        if (path === b) throw new Error("interrupted");
        return query(path, SIGNAL);
      },
    };
    const { facts } = finder([], [failing]);
    await expect(facts.path(a)).rejects.toThrow("interrupted");
  });
});

describe("the answer of several caches", () => {
  const path = storePath("a");

  async function answerOf(presences: readonly Parameters<typeof hold>[0]["content"][]) {
    const caches = presences.map((_, n) => memoryCache(`cache-${n}`));
    caches.forEach((cache, n) => {
      for (const [key, value] of presences[n] ?? []) cache.content.set(key, value);
    });
    const substituters = caches.map((cache, n) => ({
      cache,
      role: n === 0 ? ("own" as const) : ("upstream" as const),
    }));
    const lookup = new Lookup(substituters, SIGNAL);
    const answer = await lookup.ask(path);
    return { answer, lookup, caches };
  }

  const hit = (origin: "own" | "upstream") => {
    const cache = memoryCache("x");
    hold(cache, path);
    const presence = cache.content.get(path);
    if (presence?.kind !== "hit") throw new Error("no hit");
    return new Map([[path, { ...presence, origin }]]);
  };

  test("the first upstream that has it is the one named", async () => {
    const { answer } = await answerOf([new Map(), hit("own"), hit("own")]);
    expect([answer.own, answer.upstream?.cache]).toEqual([undefined, "cache-1"]);
  });

  test("what our cache only passes on is upstream", async () => {
    const { answer } = await answerOf([hit("upstream")]);
    expect(answer.own).toBeUndefined();
    expect(answer.served).toMatchObject({ cache: "an unsigned upstream", via: "cache-0" });
  });

  test("what is passed on goes by the keys that signed it, and its cache is found again", async () => {
    const content = hit("upstream");
    const presence = content.get(path);
    if (!presence) throw new Error("no hit");
    const signatures = ["cache.nixos.org-1:QQ==", "other-1:QQ==", "other-1:Qg=="];
    const narInfo = { ...presence.narInfo, signatures };
    const { answer, lookup, caches } = await answerOf([
      new Map([[path, { ...presence, narInfo }]]),
    ]);
    expect(answer.upstream).toMatchObject({ cache: "cache.nixos.org-1, other-1", via: "cache-0" });
    expect(answer.upstream && lookup.cacheOf(answer.upstream)).toBe(caches[0]);
  });

  test("a failed question is not a miss, and not a reason to forget a hit", async () => {
    const cause = new Error("no answer");
    const { answer } = await answerOf([new Map([[path, { kind: "unknown", cause }]]), hit("own")]);
    expect([answer.unknown, answer.upstream?.cache]).toEqual([cause, "cache-1"]);
  });

  test("refused and gone are counted by cache, and are no hits", async () => {
    const presence = hit("own").get(path);
    if (!presence) throw new Error("no hit");
    const { answer, lookup } = await answerOf([
      new Map([[path, { kind: "gone", narInfo: presence.narInfo }]]),
      new Map([[path, { kind: "refused", why: "it is not signed" }]]),
    ]);
    expect([answer.own, answer.upstream, answer.gone?.cache]).toEqual([
      undefined,
      undefined,
      "cache-0",
    ]);
    expect(lookup.counts.get("cache-0")?.refused[0]).toContain("its NAR is gone");
    expect(lookup.counts.get("cache-1")).toMatchObject({
      asked: 1,
      hits: 0,
      refused: ["it is not signed"],
    });
  });

  test("is kept until it is forgotten", async () => {
    const { lookup, caches } = await answerOf([new Map()]);
    const [own] = caches;
    if (!own) throw new Error("no cache");
    await lookup.ask(path);
    expect(own.asked).toHaveLength(1);
    hold(own, path);
    lookup.forget([path]);
    expect((await lookup.ask(path)).own?.cache).toBe("cache-0");
    expect(own.asked).toHaveLength(2);
  });
});
