import { describe, expect, test } from "@jest/globals";
import {
  type BuildFigures,
  busy,
  figuresName,
  figuresOf,
  formatFigures,
  laterFigures,
  parseFigures,
} from "../../src/domain/build-figures.ts";

function figures(name: string, more: Partial<BuildFigures> = {}): BuildFigures {
  return { name, buildBytes: 5, outputBytes: 3, seconds: 1.5, takenAt: 7, ...more };
}

describe("the name a figure is kept under", () => {
  test.each([
    ["bws-1.0.0", "bws"],
    ["bws-1.1.0-rc1", "bws-rc1"],
    ["bws", "bws"],
    ["foo-1.0-vendor", "foo-vendor"],
    ["python3.11-foo-2.0", "python3.11-foo"],
    ["nixos-system-host-25.05.20250101.abcdef", "nixos-system-host"],
    ["foo-unstable-2025-01-01", "foo-unstable"],
    ["7zip-24.0", "7zip"],
    ["1.0-2.0", "1.0"],
    ["", ""],
  ])("of %j is %j", (name, kept) => {
    expect(figuresName(name)).toBe(kept);
  });

  test("finds the last version's", () => {
    const bws = figures("bws");
    const kept = new Map([["bws", bws]]);
    expect(figuresOf(kept, "bws-2.0.0")).toBe(bws);
    expect(figuresOf(kept, "bws-docs-2.0.0")).toBeUndefined();
  });
});

describe("figures as they are kept", () => {
  test("come back as they were", () => {
    const all = [figures("a"), figures("b", { buildInodes: 9, end: "full disk", takenAt: 6 })];
    expect([...parseFigures(formatFigures(all)).values()]).toEqual(all);
  });

  test("are no more than so many, and the oldest go first", () => {
    const many = Array.from({ length: 5_001 }, (_, n) => figures(`p${n}`, { takenAt: n }));
    const kept = parseFigures(formatFigures(many));
    expect(kept.size).toBe(5_000);
    expect(kept.has("p0")).toBe(false);
  });

  test.each([
    ["", "JSON"],
    ["null", "version undefined"],
    ["[]", "version undefined"],
    ['{"version":2,"figures":[]}', "version 2"],
    ['{"version":1}', "a list is missing"],
    ['{"version":1,"figures":[null]}', "no object"],
    ['{"version":1,"figures":[{}]}', "no name"],
    ['{"version":1,"figures":[{"name":"a\\nb"}]}', "no name"],
    ['{"version":1,"figures":[{"name":"a"}]}', "a has no buildBytes"],
  ])("%s is refused: %s", (text, why) => {
    expect(() => parseFigures(text)).toThrow(why);
  });

  test.each([-1, 1e300, "5", null])("an amount of %j is refused", (buildBytes) => {
    const text = JSON.stringify({ version: 1, figures: [{ ...figures("a"), buildBytes }] });
    expect(() => parseFigures(text)).toThrow("a has no buildBytes");
  });
});

describe("of two figures of one name", () => {
  const whole = figures("a", { buildBytes: 100 });

  test("the later one stays, larger or smaller", () => {
    const later = figures("a", { buildBytes: 10 });
    expect(laterFigures(whole, later)).toBe(later);
    expect(laterFigures(undefined, later)).toBe(later);
  });

  test("a build that died of a full disk says only that it takes more than that", () => {
    const died = figures("a", { buildBytes: 50, end: "full disk" });
    expect(laterFigures(whole, died)).toBe(whole);
    const diedLater = figures("a", { buildBytes: 500, end: "full disk" });
    expect(laterFigures(whole, diedLater)).toBe(diedLater);
  });
});

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
