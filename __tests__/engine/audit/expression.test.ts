import { describe, expect, test } from "@jest/globals";
import { evaluate, isTrue, type Lookup, template } from "../../../src/engine/audit/expression.ts";
import { ANYTHING, known, named, unknown } from "../../../src/engine/audit/value.ts";

const NAMES: Readonly<Record<string, ReturnType<typeof known>>> = {
  yes: known(true),
  no: known(false),
  text: known("Main"),
  one: known("a", "b"),
  ours: named("our repository"),
  his: named("stranger's repository", { stranger: "repository" }),
  chosen: unknown("his branch", { free: true }),
  open: unknown("vars.X"),
  token: named("secrets.T", { secrets: ["T"] }),
  pull: { ...ANYTHING, truth: "yes", prefix: "refs/pull/" },
};
const lookup: Lookup = ([name = ""]) => NAMES[name] ?? unknown(name);

describe("an expression", () => {
  test.each([
    ["true && !false", "yes"],
    ["1 < 2 && 2 >= 2 && 1 != 1.5", "yes"],
    ["'It''s' == 'it''s'", "yes"],
    ["null == '' && 0 == false", "yes"],
    ["!(yes && no) || open", "yes"],
    ["no && open", "no"],
    ["open && no", "no"],
    ["open || yes", "yes"],
    ["yes && open", "unknown"],
    ["text == 'main'", "yes"],
    ["one == 'c'", "no"],
    ["one == 'a'", "unknown"],
    [
      "contains('abc', 'B') && startsWith('refs/heads/x', 'refs/heads/') && endsWith('x.nix', '.nix')",
      "yes",
    ],
    [`contains(fromJSON('["x", "a", "b"]'), one)`, "unknown"],
    [`contains(fromJSON('["c"]'), one)`, "no"],
    ["startsWith(pull, 'refs/heads/')", "no"],
    ["pull == 'refs/heads/main'", "no"],
    ["startsWith(pull, 'refs/pull/12')", "unknown"],
    ["his == ours", "no"],
    ["his != ours", "yes"],
    ["ours == ours", "yes"],
    ["his == 'acme/app'", "no"],
    ["his == open", "unknown"],
    // What a stranger decides comes out as he wants it, whichever way.
    ["chosen == 'release'", "yes"],
    ["!(chosen == 'release')", "yes"],
    ["chosen == 'release' && open", "unknown"],
    ["chosen == 'release' && no", "no"],
    ["success()", "yes"],
    ["always() && failure()", "unknown"],
    ["(", "unknown"],
    ["a b", "unknown"],
    ["x[", "unknown"],
    ["fromJSON(open).x == 'y'", "unknown"],
    [`${"(".repeat(200)}true${")".repeat(200)}`, "unknown"],
    [`true${" && true".repeat(1500)}`, "unknown"],
  ] as const)("%j is %s", (text, is) => {
    expect(isTrue(text, lookup).is).toBe(is);
    if (!text.includes("(".repeat(9))) expect(isTrue(`\${{ ${text} }}`, lookup).is).toBe(is);
  });

  test("says what it would have to know", () => {
    expect(isTrue("open && missing.name", lookup).why).toEqual(["vars.X", "missing"]);
  });

  test.each([
    ["no && token || ''", "no", []],
    ["yes && token || ''", "yes", ["T"]],
    ["open && token || ''", "unknown", ["T"]],
    ["token", "yes", ["T"]],
  ])("%s is empty or not, and holds its secrets", (text, truth, secrets) => {
    const value = evaluate(text, lookup);
    expect([value.truth, value.secrets]).toEqual([truth, secrets]);
  });

  test("in a text is put there", () => {
    expect(template(`a-\${{ text }}-\${{ one }}`, lookup).literals).toEqual([
      "a-Main-a",
      "a-Main-b",
    ]);
    expect(template(`refs/pull/\${{ open }}/merge`, lookup)).toMatchObject({
      prefix: "refs/pull/",
      truth: "yes",
    });
    expect(template("${{ never closed", lookup).literals).toEqual(["${{ never closed"]);
  });
});
