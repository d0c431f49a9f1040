import { describe, expect, test } from "@jest/globals";
import { boundedPattern } from "../../src/host/bounded-pattern.ts";
import { userError } from "../support/thrown.ts";

describe("a user's regular expression", () => {
  test("gives the names that match it", () => {
    const pattern = boundedPattern(/-source$|^nixos-/, "push-filter");
    expect([...pattern.matching(["a-source", "b", "nixos-x", "source-a"])]).toEqual([
      "a-source",
      "nixos-x",
    ]);
    expect(pattern.matching([])).toEqual(new Set());
    expect(pattern.source).toBe("-source$|^nixos-");
  });

  test.each([
    ["constructor", "__proto__", "toString"],
    ["names", "pattern", "filter"],
    ['");process.exit();//', "[names]", "\u2028"],
  ])("takes names for names: %s", (...names) => {
    expect([...boundedPattern(/./s, "push-filter").matching(names)]).toEqual(names);
  });

  // Each takes longer than the age of the earth for one of these names.
  test.each([
    ["^(a+)+$", `${"a".repeat(200)}!`],
    ["^(a|a)*$", `${"a".repeat(200)}!`],
    ["^(.*a){30}$", "a".repeat(200)],
    ["(x+x+)+y", "x".repeat(211)],
    ["^(([a-z])+.)+[A-Z]([a-z])+$", "a".repeat(211)],
  ])("%s is ended and named", (source, name) => {
    const pattern = boundedPattern(new RegExp(source), "push-filter", 50);
    const error = userError(() => pattern.matching(["bws-1.0", name]));
    expect(error.code).toBe("NCP-451");
    expect(error.message).toContain(
      `push-filter: "${source}" did not come to an end within 0.05 s`,
    );
  });

  test("a sound one is through 100,000 names", () => {
    const names = Array.from({ length: 100_000 }, (_, n) => `name-${n}-source`);
    expect(boundedPattern(/-source$/, "push-filter").matching(names).size).toBe(100_000);
  });
});
