/** What the pins take in our cache: each pin's bytes, the largest paths, who holds them and by which way. Pure but for the questions. */

import { mapLimited } from "../../domain/limit.ts";
import { dependencies } from "../../domain/narinfo.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Lookup } from "../survey/lookup.ts";
import type { HeavyPath, PinSizes } from "./check.ts";

const PARALLEL = 64;
/** Paths that are named: the largest. */
const NAMED = 10;

interface PinnedPath {
  readonly name: string;
  readonly storePath: StorePath;
}

type References = ReadonlyMap<StorePath, readonly StorePath[]>;

/** Only what our own cache holds counts: what an upstream passes on takes none of our disk space. */
export async function measurePins(lookup: Lookup, pins: readonly PinnedPath[]): Promise<PinSizes> {
  const sizes = new Map<StorePath, number>();
  const references = new Map<StorePath, readonly StorePath[]>();
  let complete: PinSizes["complete"] = "complete";
  for (let wave = pins.map(({ storePath }) => storePath); wave.length > 0; ) {
    const fresh = [...new Set(wave)].filter((path) => !references.has(path));
    const next: StorePath[] = [];
    await mapLimited(fresh, PARALLEL, async (path) => {
      const { own, served, unknown } = await lookup.ask(path);
      if (!served && unknown) complete = "at least";
      const below = served ? dependencies(served.narInfo) : [];
      references.set(path, below);
      if (own) sizes.set(path, own.narInfo.fileSize ?? own.narInfo.narSize);
      next.push(...below);
    });
    wave = next;
  }
  const holders = new Map<StorePath, number>();
  const measured = pins.map(({ name, storePath }) => {
    const paths = closureOf(storePath, references);
    const held = [...paths].filter((path) => sizes.has(path));
    for (const path of held) holders.set(path, (holders.get(path) ?? 0) + 1);
    return { name, held, bytes: sum(held.map((path) => sizes.get(path) ?? 0)) };
  });
  return {
    pins: measured
      .map(({ name, held, bytes }) => ({
        name,
        bytes,
        paths: held.length,
        alone: sum(held.map((path) => (holders.get(path) === 1 ? (sizes.get(path) ?? 0) : 0))),
      }))
      .sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1)),
    largest: largest(pins, sizes, references),
    bytes: sum(sizes.values()),
    complete,
  };
}

function closureOf(root: StorePath, references: References): Set<StorePath> {
  const seen = new Set([root]);
  const stack = [root];
  for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
    for (const one of references.get(path) ?? []) {
      if (seen.has(one)) continue;
      seen.add(one);
      stack.push(one);
    }
  }
  return seen;
}

function largest(
  pins: readonly PinnedPath[],
  sizes: ReadonlyMap<StorePath, number>,
  references: References,
): HeavyPath[] {
  const heavy = [...sizes].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).slice(0, NAMED);
  return heavy.map(([path, bytes]) => {
    const ways = pins.flatMap(({ name, storePath }) => {
      const way = wayTo(storePath, path, references);
      return way ? [{ name, way }] : [];
    });
    const [shortest] = [...ways].sort((a, b) => a.way.length - b.way.length);
    return { path, bytes, pins: ways.map(({ name }) => name), way: shortest?.way ?? [] };
  });
}

/** The shortest way down: each path refers to the next. */
function wayTo(
  root: StorePath,
  path: StorePath,
  references: References,
): readonly StorePath[] | undefined {
  const from = new Map<StorePath, StorePath | undefined>([[root, undefined]]);
  // A Map goes on over what is added while it is read: that is the queue.
  for (const at of from.keys()) {
    if (at === path) {
      const way: StorePath[] = [];
      for (let one: StorePath | undefined = at; one !== undefined; one = from.get(one)) {
        way.unshift(one);
      }
      return way;
    }
    for (const one of references.get(at) ?? []) if (!from.has(one)) from.set(one, at);
  }
  return undefined;
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
