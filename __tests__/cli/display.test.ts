import { describe, expect, test } from "@jest/globals";
import { barLine, cut, rowsOf, signsFor, steadyLine } from "../../src/cli/display.ts";
import type { WorkState } from "../../src/domain/ports.ts";

const state: WorkState = {
  unit: "path",
  done: 412,
  inAll: 2051,
  bytes: 1.2e9,
  bytesInAll: 4.8e9,
  now: ["bws-1.0.0"],
};

describe("a line in a terminal", () => {
  test.each([
    ["short", 10, "short"],
    ["exactly ten", 11, "exactly ten"],
    ["longer than that", 10, "longer th…"],
    ["日本語日本語", 7, "日本語…"],
    ["🔨🔨🔨🔨", 5, "🔨🔨…"],
  ])("%j in %d columns is cut to %j", (line, width, expected) => {
    expect(cut(line, width)).toBe(expected);
  });

  test.each([
    ["", 10, 1],
    ["1234567890", 10, 1],
    ["12345678901", 10, 2],
    ["日本語日本語", 10, 2],
  ])("%j takes, in %d columns, %d rows", (line, columns, rows) => {
    expect(rowsOf(line, columns)).toBe(rows);
  });

  test.each([
    [{ LANG: "C.UTF-8" }, "━"],
    [{ LANG: "de_DE.utf8" }, "━"],
    [{ LANG: "C" }, "#"],
    [{}, "#"],
    [{ LC_ALL: "C", LANG: "C.UTF-8" }, "#"],
  ])("in the locale %j has bars of %s", (environment, sign) => {
    expect(signsFor(environment).full).toBe(sign);
  });
});

describe("a bar", () => {
  const signs = signsFor({ LANG: "C.UTF-8" });

  test.each([
    [31, "412 of 2,051 paths 30s"],
    [69, `412 of 2,051 paths ${"━".repeat(6)}${" ".repeat(17)} 30s, 1.2 GB of 4.8 GB`],
    [
      120,
      `412 of 2,051 paths ${"━".repeat(8)}${" ".repeat(22)} 30s, 1.2 GB of 4.8 GB, 1m 30s left, 40 MB/s, bws-1.0.0`,
    ],
  ])("in %d columns", (width, expected) => {
    expect(barLine(state, 30, width, signs)).toBe(expected);
  });

  test("is left out where nobody knows the end", () => {
    const open = { ...state, inAll: undefined, bytes: 0, bytesInAll: undefined, now: [] };
    expect(barLine(open, 30, 80, signs)).toBe("412 paths so far 30s");
  });
});

test("where nothing can be drawn anew, long work says what it is at", () => {
  expect(steadyLine("Build", state, 840)).toBe("  Building bws-1.0.0, 14m so far");
  expect(steadyLine("Push to cachix:acme", { ...state, now: [] }, 300)).toBe(
    "   Pushing 412 of 2,051 paths, 5m so far",
  );
});
