import { describe, expect, test } from "@jest/globals";
import { isHeavy, parseHeavy } from "../../src/domain/heavy.ts";
import { userError } from "../support/thrown.ts";

describe("heavy rules", () => {
  test.each([
    ["", []],
    [">1GB", [{ kind: "size", bytes: 1e9 }]],
    [">10m", [{ kind: "duration", seconds: 600 }]],
    [">10M", [{ kind: "size", bytes: 10e6 }]],
    [">1.5h", [{ kind: "duration", seconds: 5400 }]],
    [
      "bws, linux-*\n>500MB",
      [
        { kind: "name", pattern: "bws" },
        { kind: "name", pattern: "linux-*" },
        { kind: "size", bytes: 500e6 },
      ],
    ],
  ])("%j", (text, rules) => {
    expect(parseHeavy(text)).toEqual(rules);
  });

  test.each([
    [">", 'heavy: "" cannot be used'],
    [">5", 'heavy: "5" cannot be used: it has no unit'],
    [">10 m", 'heavy: "10" cannot be used: it has no unit'],
    ["<1GB", 'heavy: "<1GB" is not a name, a size or a duration'],
    ["1GB", 'heavy: "1GB" would be the name of a derivation'],
    ["10m", 'heavy: "10m" would be the name of a derivation'],
    ["b/c", 'heavy: "b/c" is not a name'],
    ["$(id)", 'heavy: "$(id)" is not a name'],
  ])("%j is refused", (text, message) => {
    const error = userError(() => parseHeavy(text));
    expect(error.code).toBe("NCP-104");
    expect(error.message).toContain(message);
    expect(error.hint).toBeTruthy();
  });

  const unknown = { bytes: undefined, seconds: undefined };
  test.each([
    ["bws", "bws-1.0.0", unknown, true],
    ["bws", "bws", unknown, true],
    ["bws-1.0.0", "bws-1.0.0", unknown, true],
    ["bws", "bws-docs-1.0.0", unknown, false],
    ["bws", "bws-1.0.0-source", unknown, true],
    ["bws-*", "bws-docs-1.0.0", unknown, true],
    ["*", "anything", unknown, true],
    ["*-source", "bws-source", unknown, true],
    ["bitwarden", "bws-1.0.0", unknown, false],
    [">1GB", "bws-1.0.0", unknown, false],
    [">1GB", "bws-1.0.0", { bytes: 1e9, seconds: undefined }, false],
    [">1GB", "bws-1.0.0", { bytes: 1e9 + 1, seconds: undefined }, true],
    [">10m", "bws-1.0.0", { bytes: 1e12, seconds: undefined }, false],
    [">10m", "bws-1.0.0", { bytes: undefined, seconds: 601 }, true],
    ["", "bws-1.0.0", { bytes: 1e12, seconds: 1e6 }, false],
  ])("by %j, %s of %j is heavy: %s", (rules, name, figures, heavy) => {
    expect(isHeavy(parseHeavy(rules), name, figures)).toBe(heavy);
  });
});
