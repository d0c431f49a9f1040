import { describe, expect, test } from "@jest/globals";
import { PushBreaker, pushInOrder } from "../../src/caches/nar-file.ts";
import { UserError } from "../../src/domain/errors.ts";
import { RETRY } from "../../src/host/retry.ts";
import { type MadeUp, madeUp } from "./made-up.ts";

const { signal } = new AbortController();
const full = () => new UserError("NCP-305", "PUT answers 507", { fault: "the server's" });
const large = () => new UserError("NCP-305", "PUT answers 413");

/** Sends `paths` one after the other; `fails` says which fail, and of what. */
async function pushed(
  paths: readonly MadeUp[],
  fails: (name: string) => Error | undefined,
  breaker = new PushBreaker(),
) {
  const tried: string[] = [];
  const result = await pushInOrder(
    paths.map(({ info }) => info),
    1,
    async ({ storePath }) => {
      const name = storePath.replace(/^.*-/, "");
      tried.push(name);
      const error = fails(name);
      if (error) throw error;
      return { bytes: 1, publish: async () => undefined, discard: async () => undefined };
    },
    () => undefined,
    signal,
    breaker,
  );
  return { ...result, tried };
}

const seven = ["a", "b", "c", "d", "e", "f", "g"].map((name) => madeUp(name));

describe("a server that fails whatever it is sent", () => {
  test("is sent three paths, and the others fail for the same cause", async () => {
    const { tried, failed, ended } = await pushed(seven, full);
    expect(tried).toEqual(["a", "b", "c"]);
    expect(failed.size).toBe(7);
    expect(new Set([...failed.values()].map(({ message }) => message))).toEqual(
      new Set(["PUT answers 507"]),
    );
    expect(ended?.message).toBe("PUT answers 507");
  });

  test("is sent nothing by a later push", async () => {
    const breaker = new PushBreaker();
    await pushed(seven, full, breaker);
    const later = await pushed([madeUp("late")], () => undefined, breaker);
    expect(later.tried).toEqual([]);
    expect(later.failed.size).toBe(1);
  });

  test("counts over several pushes, and tries for a shorter time behind a failure", async () => {
    const breaker = new PushBreaker();
    expect(breaker.policy(RETRY).total).toBe(RETRY.total);
    for (const name of ["a", "b"]) await pushed([madeUp(name)], full, breaker);
    expect(breaker.ended).toBeUndefined();
    expect(breaker.policy(RETRY).total).toBeLessThan(RETRY.total / 5);
    await pushed([madeUp("c")], full, breaker);
    expect(breaker.ended?.message).toBe("PUT answers 507");
    expect(breaker.policy(RETRY).giveUp?.aborted).toBe(true);
  });
});

test("one that takes a path between the failures goes on", async () => {
  const { tried, ended } = await pushed(seven, (name) => (name === "c" ? undefined : full()));
  expect(tried).toEqual(["a", "b", "c", "d", "e", "f"]);
  expect(ended).toBeDefined();
});

test("what the paths themselves are at fault for ends nothing", async () => {
  const { tried, ended } = await pushed(seven, large);
  expect(tried).toHaveLength(7);
  expect(ended).toBeUndefined();
});

test("a path that waits for a reference does not count", async () => {
  const leaf = madeUp("leaf");
  const above = ["a", "b", "c", "d"].map((name) => madeUp(name, [leaf]));
  const { ended, failed } = await pushed([leaf, ...above], (name) =>
    name === "leaf" ? full() : undefined,
  );
  expect(failed.size).toBe(5);
  expect(ended).toBeUndefined();
});
