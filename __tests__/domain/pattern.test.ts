import { describe, expect, test } from "@jest/globals";
import { matchesGlob, parseRegExp } from "../../src/domain/pattern.ts";
import { userError } from "../support/thrown.ts";

describe("a name with stars", () => {
  test.each([
    ["bws", "bws", true],
    ["bws", "bws-1", false],
    ["bws", "", false],
    ["", "", true],
    ["", "a", false],
    ["*", "", true],
    ["*", "anything", true],
    ["**", "anything", true],
    ["bws-*", "bws-1.0", true],
    ["bws-*", "bws", false],
    ["*-source", "bws-source", true],
    ["*-source", "bws-source-1", false],
    ["a*b*c", "a12b34c", true],
    ["a*b*c", "a12c34b", false],
    ["a*a", "a", false],
    ["*ab", "aab", true],
    // Nothing but the star has a meaning.
    ["b?s", "bws", false],
    ["b.s", "bws", false],
    ["[b]ws", "bws", false],
    ["b.s+", "b.s+", true],
  ])("%j and %j: %s", (pattern, name, matches) => {
    expect(matchesGlob(pattern, name)).toBe(matches);
  });

  test("never takes more than the product of both lengths", () => {
    // A backtracking matcher would need more steps here than there are atoms.
    const pattern = `${"*a".repeat(100)}*b`;
    expect(matchesGlob(pattern, "a".repeat(20_000))).toBe(false);
  });
});

describe("a regular expression", () => {
  test("is the user's", () => {
    const pattern = parseRegExp("-source$|^nixos-", "push-filter");
    expect([pattern.test("a-source"), pattern.test("nixos-x"), pattern.test("a")]).toEqual([
      true,
      true,
      false,
    ]);
  });

  test.each(["(", "[z-a]", "*", "a{2,1}", "\\"])("%s is none", (text) => {
    const error = userError(() => parseRegExp(text, "push-filter"));
    expect(error.code).toBe("NCP-104");
    expect(error.message).toBe(`push-filter: "${text}" is not a regular expression`);
    expect(error.hint).toContain("-source$|^nixos-");
  });
});
