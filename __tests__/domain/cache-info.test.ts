import { describe, expect, test } from "@jest/globals";
import { formatCacheInfo, parseCacheInfo } from "../../src/domain/cache.ts";

describe("nix-cache-info", () => {
  test.each([
    ["StoreDir: /nix/store", { storeDir: "/nix/store", priority: undefined, wantMassQuery: false }],
    [
      "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 41\n",
      { storeDir: "/nix/store", priority: 41, wantMassQuery: true },
    ],
    [
      "StoreDir: /nix/store\r\nWantMassQuery: 0\r\nPriority:30\r\n\r\n",
      { storeDir: "/nix/store", priority: 30, wantMassQuery: false },
    ],
    ["Future-Field: x: y\n", { storeDir: undefined, priority: undefined, wantMassQuery: false }],
    ["", { storeDir: undefined, priority: undefined, wantMassQuery: false }],
  ])("%j", (text, expected) => {
    expect(parseCacheInfo(text)).toEqual(expected);
  });

  test.each([
    "<!DOCTYPE html>\n<html>",
    '{"error": "not found"}',
    "Not Found",
    "Priority: first",
    "Priority: -1",
    "Priority: 1e3",
    ": no name",
    "StoreDir : /nix/store",
  ])("%j is something else", (text) => {
    expect(parseCacheInfo(text)).toBeUndefined();
  });

  test("is read back as written", () => {
    expect(parseCacheInfo(formatCacheInfo("/x/store", 30))).toEqual({
      storeDir: "/x/store",
      priority: 30,
      wantMassQuery: true,
    });
  });

  test.each([
    ["blanks", `StoreDir:${" ".repeat(65_000)}\u2028x`],
    ["blanks and carriage returns", `StoreDir:${" \r".repeat(32_000)}x`],
    ["tabs without end", `StoreDir:${"\t".repeat(10_000_000)}`],
    ["lines", "a:\n".repeat(1_000_000)],
  ])("%s are read at once", (_, text) => {
    expect(parseCacheInfo(text)?.priority).toBeUndefined();
  });
});
