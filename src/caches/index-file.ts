/** A cache's membership index: the form of its files, and how a reader keeps one (docs/adr/0025). */

import { createHash, randomBytes } from "node:crypto";
import { describeError, UserError } from "../domain/errors.ts";
import { decodeNix32 } from "../domain/hash.ts";
import type { PathInfo } from "../domain/narinfo.ts";
import { hashPart, type StorePath } from "../domain/store-path.ts";

/** In the root of the cache. Nix asks for `nix-cache-info`, narinfos, and what is below `nar`, `log` and `realisations`. */
export const INDEX_FOLDER = "nix-cache-index";

/** What a cache's client does with its index, if it has one. */
export interface MemberIndex {
  /**
   * `absent` only where the index is whole and does not name it; an error where somebody should look at it.
   * Never throws but for the signal.
   */
  has(path: StorePath, signal: AbortSignal): Promise<"perhaps" | "absent" | UserError>;
  /** Names paths that are about to be served. Throws where that cannot be done, and then none of them may be. */
  add(paths: readonly Named[], signal: AbortSignal): Promise<void>;
}

export type Named = Pick<PathInfo, "storePath">;

export interface IndexFile {
  /** Of one file, or of all that follow each other in one place: whatever was begun anew has another. */
  readonly id: string;
  /** `whole`: all that is in the cache stands in it or in another file of the index. */
  readonly state: "whole" | "part";
  /** Sorted, each once: the first 32 bits of a path's hash. One that is not there is there for 1 in 4 billion. */
  readonly prefixes: Uint32Array;
}

/** Four bytes a path: 4 million paths, of all files of an index together. */
export const INDEX_MOST = 16 * 1024 * 1024;
/** Of the line in front of them. */
export const HEAD_MOST = 200;
const HEAD = /^nix-cache-preflight-index 1 (whole|part) ([0-9a-f]{32}) (\d{1,8}) ([0-9a-f]{64})\n/;

/** By the 32 characters that name its narinfo. */
export function prefixOf(hash: string): number | undefined {
  const bytes = decodeNix32(hash, 20);
  return bytes && new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

export function prefixesOf(hashes: Iterable<string>): Uint32Array {
  const numbers = [...hashes].flatMap((hash) => prefixOf(hash) ?? []);
  return union([Uint32Array.from(numbers)]);
}

/** Sorted, each once. */
export function union(lists: readonly Uint32Array[]): Uint32Array {
  const all = new Uint32Array(lists.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  all.sort();
  return all.filter((value, place) => place === 0 || all[place - 1] !== value);
}

export function holds(sorted: Uint32Array, prefix: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) < prefix) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === prefix;
}

export function indexFile(state: IndexFile["state"], prefixes: Uint32Array): IndexFile {
  return { id: randomBytes(16).toString("hex"), state, prefixes };
}

export function formatIndex({ id, state, prefixes }: IndexFile): Buffer {
  const body = Buffer.alloc(4 * prefixes.length);
  prefixes.forEach((prefix, place) => {
    body.writeUInt32BE(prefix, 4 * place);
  });
  const sum = checksum(state, id, body);
  const head = `nix-cache-preflight-index 1 ${state} ${id} ${prefixes.length} ${sum}\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

/** Undefined for what is cut off, damaged, too large, or of another version: then nothing is known. */
export function parseIndex(file: Uint8Array): IndexFile | undefined {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const [head, state, id = "", count, sum] =
    HEAD.exec(bytes.toString("latin1", 0, HEAD_MOST)) ?? [];
  if (head === undefined || (state !== "whole" && state !== "part")) return undefined;
  const body = bytes.subarray(head.length);
  const length = Number(count);
  if (body.length !== 4 * length || body.length > INDEX_MOST) return undefined;
  if (checksum(state, id, body) !== sum) return undefined;
  const prefixes = Uint32Array.from({ length }, (_, place) => body.readUInt32BE(4 * place));
  const isSorted = prefixes.every(
    (value, place) => place === 0 || (prefixes[place - 1] ?? 0) < value,
  );
  return isSorted ? { id, state, prefixes } : undefined;
}

function checksum(state: IndexFile["state"], id: string, body: Uint8Array): string {
  return createHash("sha256").update(`${state} ${id}\n`).update(body).digest("hex");
}

/** Milliseconds for which what was read holds: what others have pushed since is not known. */
const FRESH = 60_000;
/** Milliseconds until a reader goes on without one. */
const PATIENCE = 10_000;

/** Of an index that is there and says nothing: without a word, who asked for one would wonder why all is slow. */
export function unusable(cache: string, why: string, hint: string): UserError {
  return new UserError(
    "NCP-318",
    `${cache}: its index is not used, and every path is asked for: ${why}`,
    { hint },
  );
}

/** What an index that is read by `load` says of a path. A reader that cannot read it knows nothing. */
export class IndexReader {
  private readonly name: string;
  private readonly load: (signal: AbortSignal) => Promise<Uint32Array | undefined>;
  private readonly now: () => number;
  private loaded:
    | { readonly at: number; readonly prefixes: Promise<Uint32Array | UserError | undefined> }
    | undefined;
  /** What this process pushes, whatever the index that was read says. */
  private readonly own = new Set<number>();

  /**
   * `name`: the cache's. `load`: all that is in it, and perhaps more; undefined where that is not known yet.
   * Throws where the index cannot be read, or is not one.
   */
  constructor(
    name: string,
    load: (signal: AbortSignal) => Promise<Uint32Array | undefined>,
    now: () => number = () => performance.now(),
  ) {
    this.name = name;
    this.load = load;
    this.now = now;
  }

  async has(path: StorePath, signal: AbortSignal): Promise<"perhaps" | "absent" | UserError> {
    const prefix = prefixOf(hashPart(path));
    if (prefix === undefined || this.own.has(prefix)) return "perhaps";
    const prefixes = await this.current(signal);
    signal.throwIfAborted();
    if (prefixes instanceof UserError) return prefixes;
    // It may have been added while the index was read.
    if (!prefixes || this.own.has(prefix)) return "perhaps";
    return holds(prefixes, prefix) ? "perhaps" : "absent";
  }

  /** All that this process pushed, these included. */
  adding(paths: readonly Named[]): Uint32Array {
    const hashes = paths.map(({ storePath }) => hashPart(storePath));
    for (const prefix of prefixesOf(hashes)) this.own.add(prefix);
    return Uint32Array.from(this.own).sort();
  }

  private current(signal: AbortSignal): Promise<Uint32Array | UserError | undefined> {
    const now = this.now();
    if (!this.loaded || now - this.loaded.at > FRESH) {
      const patience = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]);
      const prefixes = this.load(patience).catch((error) =>
        error instanceof UserError && error.code === "NCP-318"
          ? error
          : unusable(
              this.name,
              `it cannot be read: ${describeError(error)}`,
              `${INDEX_FOLDER}/ has to be readable, and kept by nothing on the way; or leave ?index=yes away`,
            ),
      );
      this.loaded = { at: now, prefixes };
    }
    return this.loaded.prefixes;
  }
}
