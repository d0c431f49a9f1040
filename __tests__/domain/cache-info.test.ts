import { describe, expect, test } from "@jest/globals";
import { formatCacheInfo, parseCacheInfo, usableInfo } from "../../src/domain/cache.ts";
import { userError } from "../support/thrown.ts";

describe("nix-cache-info", () => {
  test.each([
    [
      "StoreDir: /nix/store",
      { storeDirs: ["/nix/store"], priority: undefined, wantMassQuery: false },
    ],
    [
      "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 41\n",
      { storeDirs: ["/nix/store"], priority: 41, wantMassQuery: true },
    ],
    [
      "StoreDir: /nix/store\r\nWantMassQuery: 0\r\nPriority:30\r\n\r\n",
      { storeDirs: ["/nix/store"], priority: 30, wantMassQuery: false },
    ],
    ["Future-Field: x: y\n", { storeDirs: [], priority: undefined, wantMassQuery: false }],
    ["", { storeDirs: [], priority: undefined, wantMassQuery: false }],
  ])("%j", (text, expected) => {
    expect(parseCacheInfo(text)).toEqual(expected);
  });

  test.each([
    ["a comment", "# mine\nStoreDir: /nix/store\nPriority: 30\n# end\n", 30],
    ["a name with _", "X_Server: y\nPriority: 30\n", 30],
    ["a priority below 0", "Priority: -1\n", -1],
    ["what follows a priority", "Priority: 40 # ours\n", 40],
    ["a point", "Priority: 40.5\n", 40],
    ["words", "Not Found", undefined],
  ])("%s is passed over, as by Nix", (_, text, priority) => {
    expect(parseCacheInfo(text)?.priority).toBe(priority);
  });

  test("each store that it names has to be ours", () => {
    const info = { storeDirs: ["/nix/store", "/gnu/store"], priority: 1, wantMassQuery: false };
    const error = userError(() => usableInfo("acme", info, "/nix/store"));
    expect(error).toMatchObject({ code: "NCP-304" });
    expect(error.message).toContain("acme is for the store /gnu/store");
    const silent = { ...info, storeDirs: [] };
    expect(usableInfo("acme", silent, "/nix/store")).toEqual({
      storeDir: "/nix/store",
      priority: 1,
    });
  });

  test.each(["", "first", "99999999999"])("a priority of %j is where Nix ends", (text) => {
    const info = parseCacheInfo(`Priority: ${text}\nPriority: 4\n`);
    if (!info) throw new Error("no info");
    const error = userError(() => usableInfo("acme", info, "/nix/store"));
    expect(error).toMatchObject({ code: "NCP-353" });
  });

  test.each(["<!DOCTYPE html>\n<html>", "\n  <html>"])("%j is a page", (text) => {
    expect(parseCacheInfo(text)).toBeUndefined();
  });

  test("is read back as written", () => {
    expect(parseCacheInfo(formatCacheInfo("/x/store", 30))).toEqual({
      storeDirs: ["/x/store"],
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
