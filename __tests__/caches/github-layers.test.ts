import { describe, expect, test } from "@jest/globals";
import { isLayer, layersOf, newKey } from "../../src/caches/github/layers.ts";
import { parseTargets } from "../../src/domain/target.ts";

const FLAKE = { name: "flake.lock", hash: "0123456789abcdef" };

function layers({
  targets = "nixpkgs#bws",
  suffix = [],
  prefix = "p",
  arch = "x64",
  storeDir = "/nix/store",
}: {
  targets?: string;
  suffix?: readonly string[];
  prefix?: string;
  arch?: string;
  storeDir?: string;
} = {}) {
  return layersOf({
    job: { keyPrefix: prefix, keySuffix: suffix, ...parseTargets(targets) },
    keyFiles: [FLAKE],
    platform: "linux",
    arch,
    storeDir,
  });
}

describe("the layers of our cache in GitHub's", () => {
  test("are the dependencies' and the targets' own", () => {
    const [shared, own, ...more] = layers();
    expect(more).toEqual([]);
    expect(shared).toMatchObject({ kind: "shared", key: "p-deps-0123456789abcdef" });
    expect(shared?.restoreKeys).toEqual(["p-deps-"]);
    expect(own?.kind).toBe("own");
    expect(own?.key).toMatch(/^p-deps-0123456789abcdef-[0-9a-f]{8}-$/);
    expect(own?.restoreKeys).toEqual([own?.key, "p-deps-0123456789abcdef-", "p-deps-"]);
  });

  test("are one for each part of the key, up to three", () => {
    const keys = (suffix: readonly string[]) =>
      layers({ suffix }).map(({ key }) => key.replace(/-[0-9a-f]{8}-$/, "-OWN-"));
    const deps = "p-deps-0123456789abcdef";
    expect(keys(["job"])).toEqual([deps, `${deps}-job-OWN-`]);
    expect(keys(["job", "container"])).toEqual([deps, `${deps}-job`, `${deps}-job-container-OWN-`]);
    expect(keys(["a", "b", "c"])).toEqual([deps, `${deps}-a`, `${deps}-a-b-c-OWN-`]);
  });

  test("of two sets of targets share the dependencies and nothing else", () => {
    const [one, mine] = layers();
    const [two, theirs] = layers({ targets: "nixpkgs#hello" });
    expect(one).toEqual(two);
    expect(mine?.key).not.toBe(theirs?.key);
    expect(mine?.folder).toBe(theirs?.folder);
  });

  test.each([{ arch: "arm64" }, { storeDir: "/home/me/store" }])(
    "of %j have the same keys, and entries of another version",
    (other) => {
      for (const [index, layer] of layers(other).entries()) {
        expect(layer.key).toBe(layers()[index]?.key);
        expect(layer.folder).not.toBe(layers()[index]?.folder);
      }
    },
  );

  test("keep to GitHub's limits: ten keys, 512 characters", () => {
    const long = layers({ suffix: Array.from({ length: 12 }, (_, n) => `${n}`.repeat(60)) });
    for (const layer of long) {
      const keys = [newKey(layer, "12345678901.1", ["a"]), layer.key, ...layer.restoreKeys];
      expect(Math.max(...keys.map(({ length }) => length))).toBeLessThanOrEqual(512);
      expect(layer.restoreKeys.length).toBeLessThanOrEqual(9);
    }
    const [other] = layers({
      suffix: Array.from({ length: 12 }, (_, n) => `${n}`.repeat(59)),
    }).slice(-1);
    expect(long.at(-1)?.key).not.toBe(other?.key);
  });

  test("an entry is the layer, or only something like it", () => {
    const [shared, own] = layers();
    if (!shared || !own) throw new Error("there are two");
    expect(isLayer(shared, "p-deps-0123456789abcdef")).toBe(true);
    expect(isLayer(shared, "p-deps-fedcba9876543210")).toBe(false);
    expect(isLayer(shared, undefined)).toBe(false);
    expect(isLayer(own, newKey(own, "7.1", ["a"]))).toBe(true);
    expect(isLayer(own, "p-deps-0123456789abcdef-00000000-7.1-0")).toBe(false);
  });

  test("a shared entry has one key, an own one a new key for each run", () => {
    const [shared, own] = layers();
    if (!shared || !own) throw new Error("there are two");
    expect(newKey(shared, "7.1", ["a"])).toBe(shared.key);
    expect(newKey(own, "7.1", ["a"])).not.toBe(newKey(own, "8.1", ["a"]));
    expect(newKey(own, "7.1", ["a"])).not.toBe(newKey(own, "7.1", ["b"]));
  });
});
