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
});
