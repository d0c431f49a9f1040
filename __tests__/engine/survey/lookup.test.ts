import { describe, expect, test } from "@jest/globals";
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

/** One cache's answer to everything. */
function answering(
  name: string,
  role: RankedSubstituter["role"],
  answer: (path: StorePath) => Presence,
): RankedSubstituter {
  const cache = { name, query: async (path: StorePath) => answer(path) };
  return { cache: cache as unknown as BinaryCache, role };
}

const infoOf = (storePath: StorePath) =>
  ({ storePath, references: [], signatures: [] }) as unknown as NarInfo;

test("what both have is taken from our own cache", async () => {
  const own = substituter("own", "own", () => true);
  const other = substituter("other", "upstream", () => true);
  const [answer] = await askAll([other, own]);
  expect(answer).toMatchObject({ served: { cache: "own" }, upstream: { cache: "other" } });
});

describe("of what nobody has, that counts which anybody said", () => {
  const last = paths.at(-1)?.storePath as StorePath;
  const unsure: Presence = { kind: "unknown", cause: new Error("silent") };
  const gone: Presence = { kind: "gone", narInfo: infoOf(last) };
  const refused: Presence = { kind: "refused", why: "is not signed" };
  const hit = (path: StorePath): Presence => ({
    kind: "hit",
    narInfo: infoOf(path),
    origin: "own",
  });
  const miss: Presence = { kind: "miss" };

  /** Of the last path; the upstream `cold` has had nothing by then, and is asked last. */
  async function answersOf(full: Presence, cold: Presence) {
    const answers = await askAll([
      answering("own", "own", (path) => (path === last ? full : hit(path))),
      answering("cold", "upstream", (path) => (path === last ? cold : miss)),
    ]);
    return answers.at(-1);
  }

  test("that one did not answer", async () => {
    expect((await answersOf(unsure, miss))?.unknown?.message).toBe("silent");
    expect((await answersOf(miss, unsure))?.unknown?.message).toBe("silent");
    expect((await answersOf(miss, miss))?.unknown).toBeUndefined();
  });

  test("that its NAR is gone", async () => {
    expect((await answersOf(gone, miss))?.gone).toMatchObject({ cache: "own" });
    expect((await answersOf(miss, gone))?.gone).toMatchObject({ cache: "cold" });
  });

  test("why our own cache is not believed; what is no narinfo is nobody's word, and an upstream's is not ours", async () => {
    expect((await answersOf(refused, miss))?.refused).toBe("is not signed");
    expect((await answersOf({ ...refused, form: "corrupt" }, miss))?.refused).toBeUndefined();
    expect((await answersOf(miss, refused))?.refused).toBeUndefined();
  });
});

test("nobody is cold whom others have had little to show against, or who did not answer", async () => {
  const rare = substituter("rare", "upstream", () => false);
  const few = new Set(paths.slice(100, 110).map(({ storePath }) => storePath));
  const little = substituter("little", "upstream", (path) => few.has(path));
  await askAll([rare, little]);
  expect(rare.asked).toHaveLength(200);

  const [first] = paths;
  const had = substituter("had", "upstream", (path) => path === first?.storePath);
  await askAll([had, substituter("full", "upstream", () => true)]);
  expect(had.asked).toHaveLength(200);

  let asked = 0;
  const silent = answering("silent", "upstream", () => {
    asked++;
    return { kind: "unknown", cause: new Error("silent"), of: "this path" };
  });
  await askAll([silent, substituter("full", "upstream", () => true)]);
  expect(asked).toBe(200);

  let refusals = 0;
  const refusing = answering("refusing", "upstream", () => {
    refusals++;
    return { kind: "refused", why: "is not signed" };
  });
  await askAll([refusing, substituter("full", "upstream", () => true)]);
  expect(refusals).toBe(200);
});

test("what this run tried in vain to have is nobody's, whoever says it is there", async () => {
  const full = substituter("full", "own", () => true);
  const [first, second] = paths;
  if (!first || !second) throw new Error("no paths");
  const lookup = new Lookup([full], signal, new Set([first.storePath]));
  expect(await lookup.ask(first.storePath)).toMatchObject({
    own: undefined,
    upstream: undefined,
    served: undefined,
    gone: { cache: "full" },
  });
  expect(await lookup.ask(second.storePath)).toMatchObject({ served: { cache: "full" } });
});
