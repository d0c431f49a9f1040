import { expect, test } from "@jest/globals";
import { guarded } from "../../src/caches/guard.ts";
import type { BinaryCache, Presence } from "../../src/domain/cache.ts";
import { storePath } from "../support/paths.ts";

const signal = new AbortController().signal;
const PATIENCE = { describe: 5_000, query: 5_000, parallel: 64 };

/** A cache that answers what `answer` says, and notes what it is asked. */
function guardedCache(answer: (name: string) => Promise<Presence>) {
  const asked: string[] = [];
  const cache = {
    name: "cache",
    query: (path: string) => {
      const name = path.slice(path.indexOf("-") + 1);
      asked.push(name);
      return answer(name);
    },
  } as unknown as BinaryCache;
  const { query } = guarded(cache, undefined, PATIENCE);
  return { asked, ask: (name: string) => query(storePath(name), signal) };
}

const miss: Presence = { kind: "miss" };
const unknown: Presence = { kind: "unknown", cause: new Error("no answer") };

test("a cache that answers nothing is asked once, and everything else is unknown", async () => {
  const { ask, asked } = guardedCache(async () => unknown);
  await ask("a");
  expect([await ask("b"), await ask("c")]).toEqual([unknown, unknown]);
  expect(asked).toEqual(["a"]);
});

test("one that stopped answering is asked nothing more", async () => {
  const { ask, asked } = guardedCache(async (name) => (name === "a" ? miss : unknown));
  await ask("a");
  await ask("b");
  await ask("c");
  expect(asked).toEqual(["a", "b"]);
});

test("a path without an answer takes no others along, where these were answered meanwhile", async () => {
  const stuck = Promise.withResolvers<Presence>();
  const { ask, asked } = guardedCache(async (name) => (name === "stuck" ? stuck.promise : miss));
  const waiting = ask("stuck");
  expect((await ask("a")).kind).toBe("miss");
  stuck.resolve(unknown);
  expect(await waiting).toEqual(unknown);
  expect((await ask("b")).kind).toBe("miss");
  expect(asked).toEqual(["stuck", "a", "b"]);
});

test("sixteen of them do", async () => {
  const stuck = Array.from({ length: 16 }, () => Promise.withResolvers<Presence>());
  const { ask, asked } = guardedCache(async (name) => stuck[Number(name)]?.promise ?? miss);
  const waiting = stuck.map((_, index) => ask(`${index}`));
  await ask("a");
  for (const { resolve } of stuck) resolve(unknown);
  await Promise.all(waiting);
  expect(await ask("b")).toEqual(unknown);
  expect(asked).toHaveLength(17);
});

test("a failure that is thrown is unknown, too", async () => {
  const { ask } = guardedCache(async () => {
    throw new Error("broken");
  });
  const answer = await ask("a");
  expect(answer).toEqual({ kind: "unknown", cause: new Error("broken") });
});
