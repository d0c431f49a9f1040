import { describe, expect, test } from "@jest/globals";
import { didYouMean, editDistance, nearest } from "../../src/domain/suggest.ts";

describe("the edit distance", () => {
  test.each([
    ["", "", 0],
    ["a", "", 1],
    ["", "abc", 3],
    ["warm", "warm", 0],
    ["wram", "warm", 1],
    ["wam", "warm", 1],
    ["warrm", "warm", 1],
    ["worm", "warm", 1],
    ["kitten", "sitting", 3],
    ["ca", "abc", 3],
  ])("from %j to %j is %d", (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
    expect(editDistance(b, a)).toBe(distance);
  });
});

describe("the nearest names", () => {
  const MODES = ["check", "prefetch", "warm", "audit"];

  test.each([
    ["prefech", ["prefetch"]],
    ["WARM", ["warm"]],
    ["adit", ["audit"]],
    ["zzzzzz", []],
    ["fetch", ["prefetch"]],
  ])("to %j are %j", (wanted, expected) => {
    expect(nearest(wanted, MODES)).toEqual(expected);
  });

  test("best first, then by name, and no more than asked for", () => {
    const names = ["bws-cli", "bwt", "bws", "aws", "bitwarden-cli"];
    expect(nearest("bws", names, 3)).toEqual(["bws", "aws", "bwt"]);
  });

  test("are found among 20,000 names, some of them long", () => {
    const names = Array.from({ length: 20_000 }, (_, n) => `package-number-${n}`);
    const long = "x".repeat(1_000_000);
    expect(nearest("package-numbr-4711", [...names, long], 1)).toEqual(["package-number-4711"]);
    expect(nearest(long, ["warm"])).toEqual([]);
  });

  test.each([
    ["wram", ' Did you mean "warm"?'],
    ["zzzzzz", ""],
  ])("%j gives %j", (wanted, sentence) => {
    expect(didYouMean(wanted, MODES)).toBe(sentence);
  });
});

test("a word is no slip of itself", () => {
  expect(didYouMean("cachix:", ["cachix:", "attic:"])).toBe("");
  expect(didYouMean("cachx:", ["cachix:", "attic:"])).toBe(' Did you mean "cachix:"?');
});
