import { createHash, randomBytes } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import {
  decodeNix32,
  encodeNix32,
  formatSha256,
  nix32Length,
  parseSha256,
  sha256FromBytes,
} from "../../src/domain/hash.ts";

// nix-hash --type sha256 --to-base32 HEX
const VECTORS: readonly (readonly [string, string])[] = [
  [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
  ],
  [
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
  ],
  ["00".repeat(32), "0".repeat(52)],
  ["ff".repeat(32), `1${"z".repeat(51)}`],
  ["800d59cfcd3c05e900cb4e214be48f6b886a08df", "vw46m23bizj4n8afrc0fj19wrp7mj3c0"],
];

describe("Nix base 32", () => {
  test.each(VECTORS)("%s is %s", (hex, text) => {
    const bytes = Buffer.from(hex, "hex");
    expect(encodeNix32(bytes)).toBe(text);
    expect(Buffer.from(decodeNix32(text, bytes.length) ?? []).toString("hex")).toBe(hex);
  });

  test("goes there and back for every length to 64 bytes", () => {
    for (let length = 0; length <= 64; length++) {
      const bytes = randomBytes(length);
      const text = encodeNix32(bytes);
      expect(text).toHaveLength(nix32Length(length));
      expect(Buffer.from(decodeNix32(text, length) ?? [255])).toEqual(bytes);
    }
  });

  test.each([
    ["a character it does not have", `e${"0".repeat(51)}`, 32],
    ["too short", "0".repeat(51), 32],
    ["too long", "0".repeat(53), 32],
    ["bits beyond the last byte", `2${"z".repeat(51)}`, 32],
    ["capital letters", "A".repeat(52), 32],
  ])("refuses %s", (_, text, length) => {
    expect(decodeNix32(text, length)).toBeUndefined();
  });
});

describe("SHA-256 sums", () => {
  const bytes = createHash("sha256").update("").digest();
  const hex = bytes.toString("hex");
  const nix32 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
  const base64 = bytes.toString("base64");

  test.each([
    `sha256:${hex}`,
    `sha256:${hex.toUpperCase()}`,
    `sha256:${nix32}`,
    `sha256:${base64}`,
    `sha256-${base64}`,
    hex,
    nix32,
    base64,
  ])("%s is one and the same", (text) => {
    expect(parseSha256(text)).toBe(hex);
  });

  test.each([
    "",
    "sha256:",
    `sha1:${hex}`,
    `sha512-${base64}`,
    `sha256:${hex}0`,
    `sha256:${hex.slice(1)}`,
    `sha256:${nix32.replace("m", "e")}`,
    `sha256-${base64.replace("=", "")}`,
    ` ${hex}`,
    `${hex}\n`,
  ])("%j is none", (text) => {
    expect(parseSha256(text)).toBeUndefined();
  });

  test("are written as narinfos have them, and read back", () => {
    const sum = sha256FromBytes(bytes);
    expect(formatSha256(sum)).toBe(`sha256:${nix32}`);
    expect(parseSha256(formatSha256(sum))).toBe(sum);
  });

  test("have 32 bytes", () => {
    expect(() => sha256FromBytes(bytes.subarray(1))).toThrow("32 bytes, not 31");
  });
});
