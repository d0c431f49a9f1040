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
) {
  const asked: StorePath[] = [];
  const cache = {
    name,
    query: async (path: StorePath): Promise<Presence> => {
      asked.push(path);
      if (!has(path)) return { kind: "miss" };
      const narInfo = { storePath: path, references: [], signatures: [] } as unknown as NarInfo;
      return { kind: "hit", narInfo, origin: "own" };
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
