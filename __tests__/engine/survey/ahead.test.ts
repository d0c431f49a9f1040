import { expect, test } from "@jest/globals";
import type { Derivation } from "../../../src/domain/derivation.ts";
import { UserError } from "../../../src/domain/errors.ts";
import type { StorePath } from "../../../src/domain/store-path.ts";
import { FactFinder } from "../../../src/engine/survey/facts.ts";
import { Lookup } from "../../../src/engine/survey/lookup.ts";
import { derivation, out } from "../../support/graph.ts";
import { hold, type MemoryCache, memoryCache, SIGNAL } from "../../support/world.ts";

/** Each needs the next, and its output refers to the next one's. */
function chain(length: number, kind?: "fixed"): Derivation[] {
  const all: Derivation[] = [];
  for (let n = length - 1; n >= 0; n--) {
    const below = all[0];
    const options = { inputs: below ? [below] : [], ...(n > 0 && kind ? { kind } : {}) };
    all.unshift(derivation(`d${n}`, options));
  }
  return all;
}

function holdAll(cache: MemoryCache, all: readonly Derivation[], refers = all.length): void {
  all.forEach((one, n) => {
    const next = all[n + 1];
    hold(cache, out(one), next && n < refers ? [out(next)] : []);
  });
}

/** Explores the first; `rounds`: how often everything that was asked got its answer at once. */
async function explore(all: readonly Derivation[], caches: readonly MemoryCache[], read = all) {
  let rounds = 0;
  let open: (() => void)[] = [];
  const lookup = new Lookup(
    caches.map((cache) => ({
      cache: {
        ...cache,
        query: async (path: StorePath) => {
          await new Promise<void>((resolve) => open.push(resolve));
          return cache.query(path, SIGNAL);
        },
      },
      role: "upstream" as const,
    })),
    SIGNAL,
  );
  const facts = new FactFinder(lookup, async (path) => {
    const found = read.find((one) => one.path === path);
    if (!found) throw new UserError("NCP-203", `${path}: not here`);
    return found;
  });
  const [first] = all;
  if (!first) throw new Error("no derivation");
  let isDone = false;
  const exploring = facts
    .explore({ drvPath: first.path, outputNames: ["out"] }, "until cached")
    .finally(() => {
      isDone = true;
    });
  exploring.catch(() => undefined);
  while (!isDone) {
    // Reading is done in microtasks here: after it, all is asked that can be.
    await new Promise((resolve) => setImmediate(resolve));
    const answered = open;
    open = [];
    if (answered.length > 0) rounds++;
    for (const answer of answered) answer();
  }
  await exploring;
  return { rounds, facts, lookup };
}

test("a closure as deep as its derivations does not take an answer for each level", async () => {
  const cache = memoryCache("a");
  const all = chain(60);
  holdAll(cache, all);
  const { rounds, facts } = await explore(all, [cache]);
  expect(rounds).toBeLessThan(8);
  expect(cache.asked).toHaveLength(60);
  expect(facts.answers.size).toBe(60);
});

test("what nobody names is not counted, is no fact, and is at most 32 questions and as many as were right", async () => {
  const cache = memoryCache("a");
  const all = chain(200);
  holdAll(cache, all, 2);
  const { facts, lookup } = await explore(all, [cache]);
  expect([...facts.answers.keys()]).toEqual(all.slice(0, 3).map((one) => out(one)));
  expect(facts.derivations.size).toBe(1);
  expect(lookup.counts.get("a")).toMatchObject({ asked: 3, hits: 3 });
  expect(cache.asked.length).toBeGreaterThan(3);
  // The two below the first were guessed before anybody named them.
  expect(cache.asked.length).toBeLessThanOrEqual(3 + 32 + 2);
});

test("below what refers to nothing nothing is guessed but what it is made of, and no source is", async () => {
  const alone = memoryCache("a");
  const all = chain(20);
  holdAll(alone, all, 0);
  await explore(all, [alone]);
  expect(alone.asked).toEqual(all.slice(0, 2).map((one) => out(one)));
  const cache = memoryCache("b");
  const sources = chain(20, "fixed");
  holdAll(cache, sources, 2);
  await explore(sources, [cache]);
  expect(cache.asked).toEqual(sources.slice(0, 3).map((one) => out(one)));
});

test("a guess that fails, and a derivation that is not there, harm nobody", async () => {
  const cache = memoryCache("a");
  const all = chain(20);
  holdAll(cache, all, 2);
  for (const one of all.slice(5)) {
    cache.content.set(out(one), { kind: "unknown", cause: new Error("no answer") });
  }
  const { facts, lookup } = await explore(all, [cache], all.slice(0, 10));
  expect(facts.availability.get(out(all[0] as Derivation))).toBe("whole");
  expect(lookup.counts.get("a")).toMatchObject({ unknown: 0, failure: undefined });
});

test("what was guessed counts once it is named, and a miss of it is a miss", async () => {
  const cache = memoryCache("a");
  const all = chain(10);
  holdAll(cache, all);
  cache.content.delete(out(all[6] as Derivation));
  const { facts, lookup } = await explore(all, [cache]);
  expect(facts.availability.get(out(all[0] as Derivation))).toBe("broken");
  expect(lookup.counts.get("a")).toMatchObject({ asked: 10, hits: 9 });
});

test("after a push it is asked again, guessed or not", async () => {
  const cache = memoryCache("a");
  const path = out(derivation("x"));
  const lookup = new Lookup([{ cache, role: "own" }], SIGNAL);
  lookup.expect(path);
  lookup.forget([path]);
  hold(cache, path);
  expect((await lookup.ask(path)).own?.cache).toBe("a");
});

test("what a target is made of is asked for with it, not behind its answer", async () => {
  const cache = memoryCache("a");
  const inputs = Array.from({ length: 40 }, (_, n) => derivation(`i${n}`));
  const target = derivation("target", { inputs });
  for (const input of inputs) hold(cache, out(input));
  hold(
    cache,
    out(target),
    inputs.slice(0, 20).map((one) => out(one)),
  );
  const { rounds, facts } = await explore([target, ...inputs], [cache]);
  expect(rounds).toBe(1);
  expect(cache.asked).toHaveLength(1 + 32);
  expect(facts.answers.size).toBe(1 + 20);
});
