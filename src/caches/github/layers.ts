/** How our cache is cut into entries of GitHub's cache: one for each layer of the key. Pure. */

import { createHash } from "node:crypto";
import { cacheKey, type KeyFile } from "../../domain/cache-key.ts";
import type { Job } from "../../domain/job.ts";

/**
 * `shared`: saved once for its key, by the first job that has something for it (the dependencies of
 * these lock files). `own`: this set of targets' own, saved anew whenever it changed.
 */
export interface Layer {
  readonly kind: "shared" | "own";
  /** The folder that is archived: with its name, the version of an entry changes. */
  readonly folder: string;
  /** A shared entry's whole key; what an own entry's begins with. */
  readonly key: string;
  /** Prefixes, the nearest first. */
  readonly restoreKeys: readonly string[];
}

/** GitHub takes 512 characters; the last part of an own entry's key comes behind. */
const LONGEST = 440;
/** GitHub takes ten keys to a question, the first among them. */
const MOST_KEYS = 9;
/** Dependencies, job, container; a question and an entry each. */
const MOST_LAYERS = 3;

export interface LayerRequest {
  readonly job: Pick<Job, "keyPrefix" | "keySuffix" | "targets">;
  readonly keyFiles: readonly KeyFile[];
  /** Entries of another system or store are of no use here. */
  readonly platform: string;
  readonly arch: string;
  readonly storeDir: string;
}

export function layersOf({ job, keyFiles, platform, arch, storeDir }: LayerRequest): Layer[] {
  const { keyPrefix, keySuffix, targets } = job;
  const machine = `${platform}-${arch}-${sum(storeDir)}`;
  const sharedParts = Math.min(Math.max(keySuffix.length - 1, 0), MOST_LAYERS - 2);
  const shared = Array.from({ length: sharedParts + 1 }, (_, parts): Layer => {
    const { key, restoreKeys } = cacheKey(keyPrefix, keyFiles, keySuffix.slice(0, parts));
    return {
      kind: "shared",
      folder: `layer-${parts}-${machine}`,
      key: fitting(key),
      restoreKeys: prefixes(restoreKeys),
    };
  });
  const { key, restoreKeys } = cacheKey(keyPrefix, keyFiles, keySuffix);
  // Jobs with one key and different targets would otherwise throw out each other's paths.
  const mine = `${fitting(key)}-${sum(targets.map(({ line }) => line).join("\n"))}-`;
  return [
    ...shared,
    {
      kind: "own",
      folder: `own-${machine}`,
      key: mine,
      restoreKeys: [mine, ...prefixes([key, ...restoreKeys])].slice(0, MOST_KEYS),
    },
  ];
}

/** Whether an entry of this key is the layer itself, and not only something like it. */
export function isLayer(layer: Layer, key: string | undefined): boolean {
  return layer.kind === "shared" ? key === layer.key : key?.startsWith(layer.key) === true;
}

/** A key that no entry has: one can never be changed. */
export function newKey(
  layer: Pick<Layer, "kind" | "key">,
  run: string,
  content: Iterable<string>,
): string {
  return layer.kind === "shared" ? layer.key : `${layer.key}${run}-${sum([...content].join("\n"))}`;
}

/** Whole parts only: `p-deps-01` is no prefix of `p-deps-0123`'s entries. */
function prefixes(keys: readonly string[]): string[] {
  return keys
    .map((key) => `${key}-`)
    .filter(({ length }) => length <= LONGEST)
    .slice(0, MOST_KEYS);
}

function fitting(key: string): string {
  return key.length <= LONGEST ? key : `${key.slice(0, LONGEST - 9)}-${sum(key)}`;
}

function sum(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}
