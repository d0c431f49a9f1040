import { describe, expect, test } from "@jest/globals";
import {
  baseName,
  derivationName,
  hashPart,
  isDerivationPath,
  namePart,
  parseStorePath,
  storeDirOf,
  storePathWithin,
} from "../../src/domain/store-path.ts";

const HASH = "0c4dcmsd1s2zla7mfpzhpk3s9cbijwqm";
const STORE = "/nix/store";

describe("a store path", () => {
  test.each([
    [`/nix/store/${HASH}-plain-1.0`, STORE],
    [`/nix/store/${HASH}-plain-1.0.drv`, STORE],
    [`/nix/store/${HASH}-a`, STORE],
    [`/nix/store/${HASH}-${"n".repeat(211)}`, STORE],
    [`/nix/store/${HASH}-with+all-.of_these?=1`, STORE],
    [`/tmp/x/store/${HASH}-a`, "/tmp/x/store"],
  ])("%s is one of %s", (text, store) => {
    expect(parseStorePath(text, store)).toBe(text);
  });

  test.each([
    ["another store", `/gnu/store/${HASH}-a`],
    ["no name", `/nix/store/${HASH}-`],
    ["no dash", `/nix/store/${HASH}`],
    ["a name too long", `/nix/store/${HASH}-${"n".repeat(212)}`],
    ["a hash too short", `/nix/store/${HASH.slice(1)}-a`],
    ["a character that base 32 lacks", `/nix/store/e${HASH.slice(1)}-a`],
    ["something below it", `/nix/store/${HASH}-a/bin`],
    ["the folder above", `/nix/store/../store/${HASH}-a`],
    ["a space", `/nix/store/${HASH}-a b`],
    ["a newline behind it", `/nix/store/${HASH}-a\n`],
    ["an escape sequence", `/nix/store/${HASH}-a\u001b[31m`],
    ["shell words", `/nix/store/${HASH}-$(id)`],
    ["nothing", ""],
  ])("with %s is none", (_, text) => {
    expect(parseStorePath(text, STORE)).toBeUndefined();
  });

  test("has parts", () => {
    const path = parseStorePath(`/nix/store/${HASH}-bws-1.0.0.drv`, STORE);
    if (!path) throw new Error("not parsed");
    expect([baseName(path), hashPart(path), namePart(path), storeDirOf(path)]).toEqual([
      `${HASH}-bws-1.0.0.drv`,
      HASH,
      "bws-1.0.0.drv",
      STORE,
    ]);
    expect([isDerivationPath(path), derivationName(path)]).toEqual([true, "bws-1.0.0"]);
  });

  test("is found in what lies in it", () => {
    expect(storePathWithin(`/nix/store/${HASH}-a/bin/x`, STORE)).toBe(`/nix/store/${HASH}-a`);
    expect(storePathWithin("/usr/bin/x", STORE)).toBeUndefined();
  });
});
