import { describe, expect, test } from "@jest/globals";
import { guarded } from "../../src/caches/guard.ts";
import type { BinaryCache, CacheClient, Presence } from "../../src/domain/cache.ts";
import { UserError } from "../../src/domain/errors.ts";
import type { StorePath } from "../../src/domain/store-path.ts";
import { storePath } from "../support/paths.ts";
import { memoryCache, SIGNAL, served } from "../support/world.ts";

const PATIENCE = { describe: 40, query: 40, parallel: 8 };
const paths = Array.from({ length: 100 }, (_, index) => storePath(`path-${index}`));
const never = () => new Promise<never>(() => undefined);

/** A cache whose answers `answer` gives, and what it was asked. */
function subject(answer: (path: StorePath) => Promise<Presence>, patience = PATIENCE) {
  const asked: StorePath[] = [];
  const base: BinaryCache = {
    ...memoryCache("lan"),
    query: (path) => {
      asked.push(path);
      return answer(path);
    },
  };
  return { cache: guarded(base, patience), asked };
}

describe("a cache that stops answering", () => {
  test("is asked nothing more once its deadline is over, and every answer is unknown", async () => {
    const { cache, asked } = subject(never);
    const answers = await Promise.all(paths.map((path) => cache.query(path, SIGNAL)));
    expect(new Set(answers.map(({ kind }) => kind))).toEqual(new Set(["unknown"]));
    expect(asked).toHaveLength(PATIENCE.parallel);
    expect((await cache.query(storePath("later"), SIGNAL)).kind).toBe("unknown");
    expect(asked).toHaveLength(PATIENCE.parallel);
  });

  test("does not keep those waiting that were asked a moment before its end", async () => {
    // With an hour for each question: only the end of the cache can end them.
    const { cache, asked } = subject(
      (path) =>
        path === paths[7] ? Promise.resolve({ kind: "unknown", cause: new Error("502") }) : never(),
      { ...PATIENCE, query: 3_600_000 },
    );
    const answers = await Promise.all(paths.map((path) => cache.query(path, SIGNAL)));
    expect(answers.map(({ kind }) => kind)).toEqual(paths.map(() => "unknown"));
    expect(asked).toHaveLength(PATIENCE.parallel);
  });

  test("keeps what it had answered before", async () => {
    const { cache } = subject((path) =>
      path === paths[0] ? Promise.resolve({ kind: "miss" }) : never(),
    );
    expect((await cache.query(storePath("path-0"), SIGNAL)).kind).toBe("miss");
    expect((await cache.query(storePath("path-1"), SIGNAL)).kind).toBe("unknown");
  });

  test("calls nothing absent by its index, and is not waited for over that", async () => {
    let reads = 0;
    const base: CacheClient = {
      ...memoryCache("lan"),
      query: async () => ({ kind: "unknown", cause: new Error("502") }),
      mayHave: (path, signal) => {
        reads++;
        if (path === paths[0]) return Promise.resolve("absent");
        return new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason)),
        );
      },
    };
    const cache = guarded(base, PATIENCE);
    const [first, second, third] = paths as [StorePath, StorePath, StorePath];
    expect(await cache.mayHave?.(first, SIGNAL)).toBe("absent");
    const waiting = cache.mayHave?.(second, SIGNAL);
    expect((await cache.query(third, SIGNAL)).kind).toBe("unknown");
    expect(await waiting).toBe("perhaps");
    expect(await cache.mayHave?.(first, SIGNAL)).toBe("perhaps");
    expect(reads).toBe(2);
  });

  test("is not there any more for whoever wants to hand it to Nix", async () => {
    const { cache } = subject(never);
    expect((await cache.describe(SIGNAL)).storeDir).toBe("/nix/store");
    await cache.query(storePath("path-1"), SIGNAL);
    await expect(cache.describe(SIGNAL)).rejects.toThrow("lan did not answer within 0.04 s");
  });
});

test("an interruption is no word on the cache", async () => {
  const { cache } = subject(never, { ...PATIENCE, query: 3_600_000 });
  const controller = new AbortController();
  const asking = cache.query(storePath("path-1"), controller.signal);
  controller.abort(new Error("interrupted"));
  await expect(asking).rejects.toThrow("interrupted");
  expect((await cache.describe(SIGNAL)).storeDir).toBe("/nix/store");
});

/** A cache that answers what `answer` says to a name, and notes what it is asked. */
function answering(answer: (name: string) => Promise<Presence>) {
  const names: string[] = [];
  const { cache } = subject(
    (path) => {
      const name = path.slice(path.indexOf("-") + 1);
      names.push(name);
      return answer(name);
    },
    { describe: 5_000, query: 5_000, parallel: 64 },
  );
  return { asked: names, ask: (name: string) => cache.query(storePath(name), SIGNAL) };
}

const miss: Presence = { kind: "miss" };
const unknown: Presence = { kind: "unknown", cause: new Error("no answer") };

test("a cache that answers nothing is asked once, and everything else is unknown", async () => {
  const { ask, asked } = answering(async () => unknown);
  await ask("a");
  expect([await ask("b"), await ask("c")]).toEqual([unknown, unknown]);
  expect(asked).toEqual(["a"]);
});

test("one that stopped answering is asked nothing more", async () => {
  const { ask, asked } = answering(async (name) => (name === "a" ? miss : unknown));
  await ask("a");
  await ask("b");
  await ask("c");
  expect(asked).toEqual(["a", "b"]);
});

test("a path without an answer takes no others along, where these were answered meanwhile", async () => {
  const stuck = Promise.withResolvers<Presence>();
  const { ask, asked } = answering(async (name) => (name === "stuck" ? stuck.promise : miss));
  const waiting = ask("stuck");
  expect((await ask("a")).kind).toBe("miss");
  stuck.resolve(unknown);
  expect(await waiting).toEqual(unknown);
  expect((await ask("b")).kind).toBe("miss");
  expect(asked).toEqual(["stuck", "a", "b"]);
});

test("sixteen of them do", async () => {
  const stuck = Array.from({ length: 16 }, () => Promise.withResolvers<Presence>());
  const { ask, asked } = answering(async (name) => stuck[Number(name)]?.promise ?? miss);
  const waiting = stuck.map((_, index) => ask(`${index}`));
  await ask("a");
  for (const { resolve } of stuck) resolve(unknown);
  await Promise.all(waiting);
  expect(await ask("b")).toEqual(unknown);
  expect(asked).toHaveLength(17);
});

test("a failure that is thrown is unknown, too", async () => {
  const { ask } = answering(async () => {
    throw new Error("broken");
  });
  const answer = await ask("a");
  expect(answer).toEqual({ kind: "unknown", cause: new Error("broken") });
});

describe("a NAR that stops in the middle", () => {
  const late = () => new UserError("NCP-501", "GET: no answer within 60 s");
  const { narInfo } = served(storePath("path-0")) as Extract<Presence, { kind: "hit" }>;
  const read = async (cache: CacheClient) => {
    for await (const chunk of cache.readNar(narInfo, SIGNAL)) expect(chunk).toBeDefined();
  };

  test("ends the cache where nothing else came from it meanwhile", async () => {
    const base: CacheClient = {
      ...memoryCache("lan"),
      async *readNar() {
        yield Buffer.from("half");
        throw late();
      },
    };
    const cache = guarded(base, PATIENCE);
    await cache.describe(SIGNAL);
    await expect(read(cache)).rejects.toThrow("no answer within 60 s");
    await expect(cache.describe(SIGNAL)).rejects.toThrow("no answer within 60 s");
    expect((await cache.query(storePath("path-1"), SIGNAL)).kind).toBe("unknown");
  });

  test("is its own affair where others go on", async () => {
    const other = Promise.withResolvers<void>();
    let reads = 0;
    const base: CacheClient = {
      ...memoryCache("lan"),
      async *readNar() {
        const isFirst = reads++ === 0;
        yield Buffer.from("half");
        if (isFirst) {
          await other.promise;
          throw late();
        }
        yield Buffer.from("more");
      },
    };
    const cache = guarded(base, PATIENCE);
    const first = read(cache);
    // Not in the same instant: what came in it may have come before.
    await new Promise((resolve) => setTimeout(resolve, 5));
    await read(cache);
    other.resolve();
    await expect(first).rejects.toThrow("no answer");
    expect((await cache.describe(SIGNAL)).storeDir).toBe("/nix/store");
  });
});
