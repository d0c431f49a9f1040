import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "@jest/globals";
import { limiter, mapLimited } from "../../src/domain/limit.ts";

/** Runs tasks that count how many of them are under way. */
function gauge() {
  const seen = { now: 0, most: 0 };
  const task = async <T>(value: T): Promise<T> => {
    seen.now++;
    seen.most = Math.max(seen.most, seen.now);
    await setImmediate();
    seen.now--;
    return value;
  };
  return { seen, task };
}

describe("mapLimited", () => {
  test.each([
    [1, 10, 1],
    [3, 10, 3],
    [64, 10, 10],
  ])("at most %d of %d at once: %d", async (most, items, reached) => {
    const { seen, task } = gauge();
    const numbers = Array.from({ length: items }, (_, n) => n);
    expect(await mapLimited(numbers, most, task)).toEqual(numbers);
    expect(seen.most).toBe(reached);
  });

  test("of nothing is nothing", async () => {
    expect(await mapLimited([], 4, async (item) => item)).toEqual([]);
  });

  test("fails with the first failure", async () => {
    const task = async (n: number) => {
      if (n === 2) throw new Error("the third");
      return n;
    };
    await expect(mapLimited([0, 1, 2, 3], 1, task)).rejects.toThrow("the third");
  });
});

describe("a limiter", () => {
  test("never runs more than its limit, and runs them all", async () => {
    const { seen, task } = gauge();
    const limit = limiter(2);
    const done = await Promise.all([1, 2, 3, 4, 5].map((n) => limit(() => task(n))));
    expect(done).toEqual([1, 2, 3, 4, 5]);
    expect(seen.most).toBe(2);
  });

  test("hands the place of a failed task on", async () => {
    const limit = limiter(1);
    const failing = limit(async () => {
      throw new Error("no");
    });
    const next = limit(async () => "yes");
    await expect(failing).rejects.toThrow("no");
    expect(await next).toBe("yes");
  });
});
