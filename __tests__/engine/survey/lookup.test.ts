import { expect, test } from "@jest/globals";
import type { BinaryCache, Presence } from "../../../src/domain/cache.ts";
import type { NarInfo } from "../../../src/domain/narinfo.ts";
import type { StorePath } from "../../../src/domain/store-path.ts";
import { Lookup, type Tier } from "../../../src/engine/survey/lookup.ts";
import { madeUp } from "../../caches/made-up.ts";

const signal = new AbortController().signal;
const paths = Array.from({ length: 200 }, (_, index) => madeUp(`path-${index}`).info);

/** A tier that has what `has` says, and notes what it is asked. */
function tier(name: string, role: Tier["role"], has: (path: StorePath) => boolean) {
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

async function askAll(tiers: readonly Tier[]) {
  const lookup = new Lookup(tiers, signal);
  const answers = [];
  for (const { storePath } of paths) answers.push(await lookup.ask(storePath));
  return answers;
}

test("a tier that has nothing of what others have is not asked for everything", async () => {
  const empty = tier("empty", "upstream", () => false);
  const full = tier("full", "upstream", () => true);
  const answers = await askAll([empty, full]);
  expect(answers.every(({ upstream }) => upstream?.tier === "full")).toBe(true);
  expect(full.asked).toHaveLength(200);
  expect(empty.asked.length).toBeLessThan(100);
});

test("what the others have not is asked of a cold tier, and believed", async () => {
  const last = paths.at(-1)?.storePath;
  const rare = tier("rare", "upstream", (path) => path === last);
  const full = tier("full", "upstream", (path) => path !== last);
  const answers = await askAll([rare, full]);
  expect(answers.at(-1)?.upstream?.tier).toBe("rare");
});

test("our own cache never goes cold, and nothing goes cold where nobody has anything", async () => {
  const own = tier("own", "own", () => false);
  const full = tier("full", "upstream", () => true);
  await askAll([own, full]);
  expect(own.asked).toHaveLength(200);
  const nobody = [tier("a", "upstream", () => false), tier("b", "upstream", () => false)];
  const answers = await askAll(nobody);
  expect(nobody.map(({ asked }) => asked.length)).toEqual([200, 200]);
  expect(answers.every(({ own: mine, upstream }) => !mine && !upstream)).toBe(true);
});
