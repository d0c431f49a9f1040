import { expect, test } from "@jest/globals";
import { register } from "../../../src/caches/register.ts";
import type { BinaryCache, Presence } from "../../../src/domain/cache.ts";
import type { NarInfo } from "../../../src/domain/narinfo.ts";
import type { Nix, Stageable, Staging, World } from "../../../src/domain/ports.ts";
import { namePart, type StorePath } from "../../../src/domain/store-path.ts";
import { fetchPaths } from "../../../src/engine/apply/fetch.ts";
import { Lookup } from "../../../src/engine/survey/lookup.ts";
import { type MadeUp, madeUp } from "../../caches/made-up.ts";

const signal = new AbortController().signal;
const kB = 1_000;

interface Served {
  readonly path: MadeUp;
  readonly signed?: "signed" | "unsigned";
  readonly bytes?: number;
}

function cacheOf(url: string, all: readonly Served[]): BinaryCache {
  const byPath = new Map(all.map((one) => [one.path.info.storePath, one]));
  return {
    name: url,
    substituter: { url, publicKeys: [], priority: undefined },
    staging: register.kindOf(url)?.staging,
    query: async (path: StorePath): Promise<Presence> => {
      const found = byPath.get(path);
      if (!found) return { kind: "miss" };
      const narInfo: NarInfo = {
        ...found.path.info,
        deriver: undefined,
        url: "nar/x.nar",
        compression: "none",
        fileHash: undefined,
        fileSize: found.bytes ?? 100,
        signatures: found.signed === "unsigned" ? [] : ["key-1:AAAA"],
        contentAddress: undefined,
      };
      return { kind: "hit", narInfo, origin: "own" };
    },
  } as Partial<BinaryCache> as BinaryCache;
}

/** A world that notes what is imported and what is left to Nix. */
function worldOf(caches: readonly BinaryCache[], trouble?: string, bytes = 20 * kB) {
  const imported: string[][] = [];
  const substituted: string[] = [];
  const freed: number[] = [];
  const valid = new Set<StorePath>();
  const nix = {
    importFrom: async (_: string, paths: readonly StorePath[]) => {
      imported.push(paths.map(namePart));
      if (trouble) return trouble;
      for (const path of paths) valid.add(path);
      return undefined;
    },
    substitute: async (paths: readonly StorePath[]) => {
      substituted.push(...paths.map(namePart));
      return new Map<StorePath, string>();
    },
    valid: async () => valid,
  } as Partial<Nix> as Nix;
  const staging: Staging = {
    directory: "/tmp",
    bytes,
    stage: async (members: readonly Stageable[]) => ({
      url: "file:///staged",
      paths: members.map(({ narInfo }) => narInfo.storePath),
      [Symbol.asyncDispose]: async () => void freed.push(members.length),
    }),
  };
  const log = { group() {}, endGroup() {}, info() {}, debug() {} };
  const world = { staging, log } as Partial<World> as World;
  const lookup = new Lookup(
    caches.map((cache) => ({ cache, role: "upstream" as const })),
    signal,
  );
  return { world, nix, lookup, imported, substituted, freed };
}

const leaf = madeUp("leaf");
const stem = madeUp("stem", [leaf]);
const root = madeUp("root", [stem]);
const paths = [root, stem, leaf].map(({ info }) => info.storePath);
const far = "https://far.example";

test("everything is staged and taken in, references first, and Nix is asked for nothing more", async () => {
  const at = worldOf([cacheOf(far, [{ path: root }, { path: stem }, { path: leaf }])]);
  expect((await fetchPaths(at.world, at.nix, at.lookup, paths, signal)).size).toBe(0);
  expect(at.imported).toEqual([["leaf", "stem", "root"]]);
  expect(at.substituted).toEqual([]);
  expect(at.freed).toEqual([3]);
});

test("a batch holds half of what may lie on the disk, and references come in earlier ones", async () => {
  const bytes = 9 * kB;
  const all = [root, stem, leaf].map((path) => ({ path, bytes }));
  const at = worldOf([cacheOf(far, all)]);
  await fetchPaths(at.world, at.nix, at.lookup, paths, signal);
  expect(at.imported).toEqual([["leaf"], ["stem"], ["root"]]);
  expect(at.freed).toEqual([1, 1, 1]);
});

test.each([
  ["unsigned", [{ path: stem, signed: "unsigned" as const }]],
  ["too large", [{ path: stem, bytes: 11 * kB }]],
])("what is %s, and what refers to it, is left to Nix, which is given the tops", async (_, odd) => {
  const at = worldOf([cacheOf(far, [{ path: root }, ...odd, { path: leaf }])]);
  await fetchPaths(at.world, at.nix, at.lookup, paths, signal);
  expect(at.imported).toEqual([["leaf"]]);
  expect(at.substituted).toEqual(["root"]);
});

test("where paths are large on average, Nix fetches them all itself", async () => {
  const all = [root, stem, leaf].map((path) => ({ path, bytes: 2_000 * kB }));
  const at = worldOf([cacheOf(far, all)], undefined, 1_000_000 * kB);
  await fetchPaths(at.world, at.nix, at.lookup, paths, signal);
  expect(at.imported).toEqual([]);
  expect(at.substituted).toEqual(["root"]);
});

test("a cache on this disk is not staged", async () => {
  const all = [root, stem, leaf].map((path) => ({ path }));
  const at = worldOf([cacheOf("file:///near?trusted=1", all)]);
  await fetchPaths(at.world, at.nix, at.lookup, paths, signal);
  expect(at.imported).toEqual([]);
  expect(at.substituted).toEqual(["root"]);
});

test("where Nix does not take a batch, the rest comes the plain way and the disk is freed", async () => {
  const all = [root, stem, leaf].map((path) => ({ path, bytes: 9 * kB }));
  const at = worldOf([cacheOf(far, all)], "it lacks a signature by a trusted key");
  await fetchPaths(at.world, at.nix, at.lookup, paths, signal);
  expect(at.imported).toEqual([["leaf"]]);
  expect(at.substituted).toEqual(["root"]);
  expect(at.freed).toEqual([1, 1]);
});
