/** The cache key: what a shell step would compute from the same lock files. */

import { createHash } from "node:crypto";

export interface KeyFile {
  /** Its path in the workspace; of a line without a file, the line. */
  readonly name: string;
  /** First 16 hex digits of its SHA-256, as `sha256sum FILE | head -c 16`; undefined if missing. */
  readonly hash: string | undefined;
  /** Why there is no hash, where that is more than that there is no file. */
  readonly why?: string;
  /** Where a pattern matched it: that, and the whole sum. */
  readonly from?: { readonly pattern: string; readonly sha256: string };
}

export interface CacheKey {
  readonly key: string;
  /** Prefixes of the key at its joints, longest first. */
  readonly restoreKeys: readonly string[];
}

/** What GitHub's cache takes: characters of a key, and keys to a question, the key itself among them. */
const LONGEST = 512;
const MOST_KEYS = 10;

export function cacheKey(
  prefix: string,
  files: readonly KeyFile[],
  suffix: readonly string[],
): CacheKey {
  const whole = parts(prefix, files.map(partOf), suffix);
  const isShort = whole.length <= MOST_KEYS && whole.join("-").length <= LONGEST;
  const chosen = fitting(isShort ? whole : parts(prefix, folded(files), suffix));
  const restoreKeys: string[] = [];
  for (let n = chosen.length - 1; n >= 1; n--) restoreKeys.push(chosen.slice(0, n).join("-"));
  return { key: chosen.join("-"), restoreKeys: fewest(restoreKeys) };
}

/** Of what is too long still, the last parts are one: 16 digits of the sum of them all. */
function fitting(all: readonly string[]): readonly string[] {
  if (all.join("-").length <= LONGEST) return all;
  const kept = [...all];
  let rest: string[] = [];
  while (kept.length > 1 && `${kept.join("-")}-${digits("")}`.length > LONGEST) {
    rest = [...kept.splice(-1), ...rest];
  }
  return [...kept, digits(rest.join("-"))];
}

function digits(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

function parts(prefix: string, hashes: readonly string[], suffix: readonly string[]): string[] {
  return [`${prefix}-deps`, ...hashes, ...suffix];
}

function partOf({ hash }: KeyFile): string {
  return hash ?? "none";
}

/** The files of a pattern as one part: 16 digits of what `hashFiles` gives for it. */
function folded(files: readonly KeyFile[]): string[] {
  const byPattern = new Map<string, { readonly first: number; readonly sums: string[] }>();
  const found: string[] = [];
  for (const file of files) {
    if (!file.from) {
      found.push(partOf(file));
      continue;
    }
    const { pattern, sha256 } = file.from;
    const group = byPattern.get(pattern);
    if (group) group.sums.push(sha256);
    else byPattern.set(pattern, { first: found.push("") - 1, sums: [sha256] });
  }
  for (const { first, sums } of byPattern.values()) {
    const hash = createHash("sha256");
    for (const sum of sums) hash.update(Buffer.from(sum, "hex"));
    found[first] = hash.digest("hex").slice(0, 16);
  }
  return found;
}

/** The longest, and the shortest one: whatever there is, is better than nothing. */
function fewest(restoreKeys: readonly string[]): readonly string[] {
  if (restoreKeys.length < MOST_KEYS) return restoreKeys;
  return [...restoreKeys.slice(0, MOST_KEYS - 2), ...restoreKeys.slice(-1)];
}
