import { describe, expect, test } from "@jest/globals";
import { steadyWatch } from "../../src/host/clock.ts";

const state = { unit: "path", done: 1, inAll: 2, bytes: 0, bytesInAll: undefined, now: [] };

describe("telling at a steady pace", () => {
  test("asks for the state anew each time, and ends with what it watches", async () => {
    const lines: string[] = [];
    let done = 0;
    const second = Promise.withResolvers<void>();
    const watch = steadyWatch<string>(
      (line) => {
        lines.push(line);
        if (lines.length === 2) second.resolve();
      },
      (what, now, seconds) => `${what} ${now.done} ${seconds > 0 ? "later" : "at once"}`,
      1,
    );
    // The timer alone keeps no process alive, and so no test either.
    const alive = setInterval(() => undefined, 1_000);
    {
      using _watched = watch("Fetch", () => ({ ...state, done: ++done }));
      await second.promise;
    }
    const told = lines.length;
    await new Promise((resolve) => setTimeout(resolve, 20));
    clearInterval(alive);
    expect(lines.slice(0, 2)).toEqual(["Fetch 1 later", "Fetch 2 later"]);
    expect(lines).toHaveLength(told);
  });
});
