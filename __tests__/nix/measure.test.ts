import { expect, test } from "@jest/globals";
import { busy } from "../../src/nix/measure.ts";

test.each([
  ["none", [], 0],
  [
    "one after the other",
    [
      [0, 10],
      [12, 20],
    ],
    18,
  ],
  [
    "side by side",
    [
      [0, 10],
      [5, 20],
    ],
    20,
  ],
  [
    "one within another, out of order",
    [
      [5, 8],
      [0, 10],
      [10, 11],
    ],
    11,
  ],
  [
    "one that ended before it began, by a clock that was set back",
    [
      [10, 4],
      [0, 2],
    ],
    2,
  ],
])("of builds %s the time counts in which one ran", (_, spans, milliseconds) => {
  const given = spans.map(([start = 0, end = 0]) => ({ start, end }));
  expect(busy(given)).toBe(milliseconds);
});
