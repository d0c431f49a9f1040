import { describe, expect, test } from "@jest/globals";
import type { WorkState } from "../../src/domain/ports.ts";
import { fraction, progressLine } from "../../src/report/text.ts";

const state: WorkState = {
  unit: "path",
  done: 50,
  inAll: 200,
  bytes: 1e9,
  bytesInAll: 2e9,
  now: [],
};

describe("progress", () => {
  test.each<[Partial<WorkState>, number | undefined]>([
    [{}, 0.5],
    [{ bytesInAll: undefined }, 0.25],
    [{ bytesInAll: 0 }, 0.25],
    [{ bytes: 3e9 }, 1],
    [{ inAll: undefined, bytesInAll: undefined }, undefined],
    [{ inAll: 0, bytesInAll: undefined }, undefined],
  ])("with %j is %d of it", (some, expected) => {
    expect(fraction({ ...state, ...some })).toBe(expected);
  });

  test.each<[Partial<WorkState>, number, string]>([
    [{}, 20, "Fetch, 20s: 50 of 200 paths, 1 GB of 2 GB, 20s left, 50 MB/s"],
    [{}, 1, "Fetch, 1.0s: 50 of 200 paths, 1 GB of 2 GB"],
    [{ bytes: 1e6 }, 20, "Fetch, 20s: 50 of 200 paths, 1 MB of 2 GB, 50 kB/s"],
    [
      { inAll: undefined, bytes: 0, bytesInAll: undefined, now: ["a", "b"] },
      20,
      "Fetch, 20s: 50 paths so far, a, b",
    ],
    [
      { now: ["\u001b[31m::error::x"] },
      1,
      "Fetch, 1.0s: 50 of 200 paths, 1 GB of 2 GB, : :error::x",
    ],
  ])("with %j after %d s reads %j", (some, seconds, expected) => {
    expect(progressLine("Fetch", { ...state, ...some }, seconds)).toBe(expected);
  });
});
