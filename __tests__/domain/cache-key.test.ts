import { createHash } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { cacheKey } from "../../src/domain/cache-key.ts";

describe("the cache key", () => {
  const flake = { name: "flake.lock", hash: "0123456789abcdef" };
  const cargo = { name: "Cargo.lock", hash: "fedcba9876543210" };

  test.each([
    [[flake], [], "p-deps-0123456789abcdef", ["p-deps"]],
    [
      [flake, cargo],
      [],
      "p-deps-0123456789abcdef-fedcba9876543210",
      ["p-deps-0123456789abcdef", "p-deps"],
    ],
    [
      [flake, { name: "Cargo.lock", hash: undefined }],
      ["Linux", "container-ollama-amd64"],
      "p-deps-0123456789abcdef-none-Linux-container-ollama-amd64",
      [
        "p-deps-0123456789abcdef-none-Linux",
        "p-deps-0123456789abcdef-none",
        "p-deps-0123456789abcdef",
        "p-deps",
      ],
    ],
    [[], [], "p-deps", []],
    [[], ["Linux"], "p-deps-Linux", ["p-deps"]],
  ])("of %j and %j is %s", (files, suffix, key, restoreKeys) => {
    expect(cacheKey("p", files, suffix)).toEqual({ key, restoreKeys });
  });

  test("begins with each of its restore keys, longest first", () => {
    const { key, restoreKeys } = cacheKey("preflight-v1", [flake, cargo], ["a", "b-c"]);
    for (const restoreKey of restoreKeys) expect(key.startsWith(`${restoreKey}-`)).toBe(true);
    const lengths = restoreKeys.map(({ length }) => length);
    expect(lengths).toEqual([...lengths].sort((a, b) => b - a));
  });

  const crates = (count: number) =>
    Array.from({ length: count }, (_, n) => {
      const sha256 = createHash("sha256").update(`v${n}`).digest("hex");
      const from = { pattern: "**/Cargo.lock", sha256 };
      return { name: `crates/c${n}/Cargo.lock`, hash: sha256.slice(0, 16), from };
    });

  test("of a few files by a pattern has each of them", () => {
    const files = crates(3);
    const { key } = cacheKey("p", [flake, ...files], ["Linux"]);
    expect(key).toBe(`p-deps-${flake.hash}-${files.map(({ hash }) => hash).join("-")}-Linux`);
  });

  test("of many files by a pattern has one sum of them in their place, which hashFiles gives", () => {
    const files = crates(60);
    const hash = createHash("sha256");
    for (const { from } of files) hash.update(Buffer.from(from.sha256, "hex"));
    const sum = hash.digest("hex").slice(0, 16);
    const { key, restoreKeys } = cacheKey("p", [flake, ...files, cargo], ["Linux"]);
    expect(key).toBe(`p-deps-${flake.hash}-${sum}-${cargo.hash}-Linux`);
    expect(restoreKeys.at(-1)).toBe("p-deps");
    const changed = cacheKey("p", [flake, ...crates(59), cargo], ["Linux"]);
    expect(changed.key).not.toBe(key);
  });

  test.each([
    [
      "many files, each named",
      Array.from({ length: 40 }, (_, n) => ({ ...flake, name: `f${n}` })),
      [],
    ],
    ["a long suffix", [flake], Array.from({ length: 9 }, (_, n) => `${n}`.repeat(128))],
    ["a pattern and a long suffix", crates(60), Array.from({ length: 12 }, (_, n) => `s${n}`)],
  ])("of %s keeps to GitHub's limits", (_, files, suffix) => {
    const { key, restoreKeys } = cacheKey("p", files, suffix);
    expect(key.length).toBeLessThanOrEqual(512);
    expect(restoreKeys.length).toBeLessThanOrEqual(9);
    for (const one of restoreKeys) expect(key.startsWith(`${one}-`)).toBe(true);
    expect(restoreKeys.at(-1)).toBe("p-deps");
    const other = cacheKey("p", files, [...suffix.slice(0, -1), "other"]);
    expect(other.key).not.toBe(key);
  });
});
