import { expect, test } from "@jest/globals";
import { Deadlines } from "../../src/host/clock.ts";

const never = () => new Promise<never>(() => undefined);
const signal = () => new AbortController().signal;

test("a task that ends in time gives what it gave", async () => {
  const deadlines = new Deadlines(60_000, () => new Error("late"));
  expect(await deadlines.run(signal(), async () => 7)).toBe(7);
  await expect(
    deadlines.run(signal(), async () => Promise.reject(new Error("its own"))),
  ).rejects.toThrow("its own");
});

test("a task that does not mind its signal is left when time is up, and its signal says why", async () => {
  const deadlines = new Deadlines(30, () => new Error("late"));
  let seen: AbortSignal | undefined;
  const task = deadlines.run(signal(), (inner) => {
    seen = inner;
    return never();
  });
  await expect(task).rejects.toThrow("late");
  expect(seen?.aborted).toBe(true);
});

test("the caller's signal ends every task that is under way", async () => {
  const deadlines = new Deadlines(60_000, () => new Error("late"));
  const controller = new AbortController();
  const tasks = [1, 2, 3].map(() => deadlines.run(controller.signal, never));
  controller.abort(new Error("enough"));
  const ends = await Promise.allSettled(tasks);
  expect(ends.map((end) => end.status === "rejected" && String(end.reason))).toEqual([
    "Error: enough",
    "Error: enough",
    "Error: enough",
  ]);
  await expect(deadlines.run(controller.signal, async () => 1)).rejects.toThrow("enough");
});

test("tasks that begin together share a signal, and one that follows a late one has its own", async () => {
  const deadlines = new Deadlines(50, () => new Error("late"));
  const of = signal();
  const seen: AbortSignal[] = [];
  const note = (inner: AbortSignal) => {
    seen.push(inner);
    return never();
  };
  await Promise.allSettled([deadlines.run(of, note), deadlines.run(of, note)]);
  expect(seen[0]).toBe(seen[1]);
  expect(await deadlines.run(of, async (inner) => inner.aborted)).toBe(false);
});
