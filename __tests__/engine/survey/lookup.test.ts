import { expect, test } from "@jest/globals";
import type { BinaryCache, Presence } from "../../../src/domain/cache.ts";
import type { NarInfo } from "../../../src/domain/narinfo.ts";
import type { StorePath } from "../../../src/domain/store-path.ts";
import { Lookup, type RankedSubstituter } from "../../../src/engine/survey/lookup.ts";
import { madeUp } from "../../caches/made-up.ts";

const signal = new AbortController().signal;
const paths = Array.from({ length: 200 }, (_, index) => madeUp(`path-${index}`).info);

/** A substituter that has what `has` says, and notes what it is asked. */
function substituter(
  name: string,
  role: RankedSubstituter["role"],
  has: (path: StorePath) => boolean,
  origin: "own" | "upstream" = "own",
) {
  const asked: StorePath[] = [];
  const cache = {
    name,
    query: async (path: StorePath): Promise<Presence> => {
      asked.push(path);
      if (!has(path)) return { kind: "miss" };
      const narInfo = { storePath: path, references: [], signatures: [] } as unknown as NarInfo;
      return { kind: "hit", narInfo, origin };
    },
  } as unknown as BinaryCache;
  return { cache, role, asked };
}

async function askAll(substituters: readonly RankedSubstituter[]) {
  const lookup = new Lookup(substituters, signal);
  const answers = [];
  for (const { storePath } of paths) answers.push(await lookup.ask(storePath));
  return answers;
}

test("a substituter that has nothing of what others have is not asked for everything", async () => {
  const empty = substituter("empty", "upstream", () => false);
  const full = substituter("full", "upstream", () => true);
  const answers = await askAll([empty, full]);
  expect(answers.every(({ upstream }) => upstream?.cache === "full")).toBe(true);
  expect(full.asked).toHaveLength(200);
  expect(empty.asked.length).toBeLessThan(100);
});

test("what the others have not is asked of a cold substituter, and believed", async () => {
  const last = paths.at(-1)?.storePath;
  const rare = substituter("rare", "upstream", (path) => path === last);
  const full = substituter("full", "upstream", (path) => path !== last);
  const answers = await askAll([rare, full]);
  expect(answers.at(-1)?.upstream?.cache).toBe("rare");
});

test("our own cache never goes cold, and nothing goes cold where nobody has anything", async () => {
  const own = substituter("own", "own", () => false);
  const full = substituter("full", "upstream", () => true);
  await askAll([own, full]);
  expect(own.asked).toHaveLength(200);
  const nobody = [
    substituter("a", "upstream", () => false),
    substituter("b", "upstream", () => false),
  ];
  const answers = await askAll(nobody);
  expect(nobody.map(({ asked }) => asked.length)).toEqual([200, 200]);
  expect(answers.every(({ own: mine, upstream }) => !mine && !upstream)).toBe(true);
});

test("what our cache only passes on is upstream, and of two who have it the one that serves it itself", async () => {
  const passing = substituter("own", "own", () => true, "upstream");
  const [alone] = await askAll([passing]);
  expect(alone).toMatchObject({ own: undefined, upstream: { via: "own" } });
  const beside = substituter("other", "upstream", () => true);
  const [both] = await askAll([passing, beside]);
  expect(both).toMatchObject({ own: undefined, upstream: { cache: "other" } });
  expect(both?.upstream?.via).toBeUndefined();
});

test("what one cache leaves open of one path says nothing against the cache", async () => {
  const cache = {
    name: "odd",
    query: async (path: StorePath): Promise<Presence> => {
      const cause = new Error("it leads to another host");
      return path === paths[0]?.storePath
        ? { kind: "unknown", cause, of: "this path" }
        : { kind: "miss" };
    },
  } as unknown as BinaryCache;
  const lookup = new Lookup([{ cache, role: "upstream" }], signal);
  const [first, second] = paths;
  if (!first || !second) throw new Error("no paths");
  expect((await lookup.ask(first.storePath)).unknown?.message).toContain("another host");
  expect((await lookup.ask(second.storePath)).unknown).toBeUndefined();
  expect(lookup.counts.get("odd")).toMatchObject({ unknown: 1, failure: undefined });
});
