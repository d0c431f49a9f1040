/** A membership index in many files, one for each writer: for caches whose files can be listed (docs/adr/0025). */

import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { describeError, UserError } from "../domain/errors.ts";
import { limiter, mapLimited } from "../domain/limit.ts";
import type { StorePath } from "../domain/store-path.ts";
import { makeFolder, sweep, writeWhole } from "../host/atomic.ts";
import { isMissing } from "../host/disk.ts";
import {
  formatIndex,
  HEAD_MOST,
  INDEX_FOLDER,
  INDEX_MOST,
  type IndexFile,
  IndexReader,
  indexFile,
  type MemberIndex,
  type Named,
  parseIndex,
  prefixesOf,
  union,
  unusable,
} from "./index-file.ts";

/** Where a cache keeps the files of its index. */
export interface SegmentStore {
  names(signal: AbortSignal): Promise<readonly string[]>;
  /** Undefined: it is not there. */
  read(name: string, signal: AbortSignal): Promise<Uint8Array | undefined>;
  write(name: string, content: Uint8Array, signal: AbortSignal): Promise<void>;
  remove(name: string, signal: AbortSignal): Promise<void>;
  /** The hashes of all narinfos that are in the cache; undefined where they are too many to be listed. */
  members(signal: AbortSignal): Promise<readonly string[] | undefined>;
}

const NAME = /^([0-9a-f]{32})\.1$/;
/** On its way to its name, or left by a writer that was killed. */
const TEMPORARY = /\.tmp-[0-9a-f]{12}$/;
/** A reader asks for each of them. */
const SEGMENTS_MOST = 256;
/** From so many on a writer makes one of them. */
const MANY = 16;
const AT_ONCE = 16;
/** While a writer puts one in the place of many, a reader may find the names of what is gone. */
const TRIES = 3;

/**
 * No file of it is ever changed: a writer that has more to name writes a new one and removes its own old one, so
 * that whoever makes one file of several removes nothing that it has not read.
 */
export class SegmentedIndex implements MemberIndex {
  private readonly name: string;
  private readonly store: SegmentStore;
  private readonly reader: IndexReader;
  private readonly known = new Map<string, IndexFile>();
  private own: string | undefined;
  /** One after the other. */
  private readonly inTurn = limiter(1);

  /** `name`: the cache's, for errors. */
  constructor(name: string, store: SegmentStore) {
    this.name = name;
    this.store = store;
    this.reader = new IndexReader(name, async (signal) => {
      const segments = await this.segments(signal);
      if (!segments?.some(({ state }) => state === "whole")) return undefined;
      return union(segments.map(({ prefixes }) => prefixes));
    });
  }

  has(path: StorePath, signal: AbortSignal): Promise<"perhaps" | "absent" | UserError> {
    return this.reader.has(path, signal);
  }

  add(paths: readonly Named[], signal: AbortSignal): Promise<void> {
    if (paths.length === 0) return Promise.resolve();
    return this.inTurn(() => this.addNow(paths, signal));
  }

  private async addNow(paths: readonly Named[], signal: AbortSignal): Promise<void> {
    const before = this.own;
    try {
      this.own = await this.write(indexFile("part", this.reader.adding(paths)), signal);
    } catch (error) {
      signal.throwIfAborted();
      throw new UserError(
        "NCP-315",
        `${this.name}: its index cannot be written, so nothing is pushed: ${describeError(error)}`,
        {
          cause: error,
          hint: `who writes there needs to write ${INDEX_FOLDER}/ as well; or leave ?index=yes away, and delete that folder`,
        },
      );
    }
    // Whatever fails from here on leaves an index that names too much, or none.
    try {
      if (before === undefined) await this.tidy(signal);
      else await this.store.remove(before, signal);
    } catch {
      signal.throwIfAborted();
    }
  }

  /** The first writer names what is there already; later ones keep the files few. */
  private async tidy(signal: AbortSignal): Promise<void> {
    const segments = await this.segments(signal);
    if (!segments) return;
    if (!segments.some(({ state }) => state === "whole")) {
      const hashes = await this.store.members(signal);
      if (hashes) await this.write(indexFile("whole", prefixesOf(hashes)), signal);
    } else if (segments.length >= MANY) {
      const others = segments.filter(({ id }) => `${id}.1` !== this.own);
      const all = union(others.map(({ prefixes }) => prefixes));
      if (4 * all.length > INDEX_MOST || !others.some(({ state }) => state === "whole")) return;
      await this.write(indexFile("whole", all), signal);
      await mapLimited(others, AT_ONCE, ({ id }) => this.store.remove(`${id}.1`, signal));
    }
  }

  private async write(file: IndexFile, signal: AbortSignal): Promise<string> {
    const name = `${file.id}.1`;
    await this.store.write(name, formatIndex(file), signal);
    return name;
  }

  /**
   * All of them; undefined while others put new ones in their place. Throws where one cannot be read, is foreign, or
   * is of another version: it may name what no other does.
   */
  private async segments(signal: AbortSignal): Promise<readonly IndexFile[] | undefined> {
    for (let tries = 0; tries < TRIES; tries++) {
      const names = (await this.store.names(signal)).filter((name) => !TEMPORARY.test(name));
      const foreign = names.find((name) => !NAME.test(name));
      if (foreign !== undefined) throw this.unusable("is none of its files", foreign);
      if (names.length > SEGMENTS_MOST) throw this.unusable(`has ${names.length} files`);
      const found = new Map<string, IndexFile>();
      let lost = 0;
      let bytes = 0;
      let bad: string | undefined;
      await mapLimited(names, AT_ONCE, async (name) => {
        const known = this.known.get(name);
        const content =
          known || bytes > INDEX_MOST ? undefined : await this.store.read(name, signal);
        const file = known ?? (content && parseIndex(content));
        if (file && `${file.id}.1` === name) {
          bytes += 4 * file.prefixes.length;
          found.set(name, file);
        } else if (content) bad = name;
        else lost++;
      });
      if (bad) throw this.unusable("is damaged, or of another version", bad);
      if (bytes > INDEX_MOST) throw this.unusable("is larger than 16 MB");
      if (lost > 0) continue;
      this.known.clear();
      for (const [name, file] of found) this.known.set(name, file);
      return [...found.values()];
    }
    return undefined;
  }

  private unusable(why: string, file?: string): UserError {
    const what = `${INDEX_FOLDER}/${file?.slice(0, 80) ?? ""}`;
    const mend = "and the next push begins the index anew";
    return unusable(
      this.name,
      `${what} ${why}`,
      `while nothing pushes delete ${INDEX_FOLDER}/ there, ${mend}; or leave ?index=yes away`,
    );
  }
}

/** A temporary file this old, in milliseconds, is nobody's any more. */
const STALE = 6 * 3_600_000;

/** The index of the `file://` cache in `directory`, beside its narinfos. */
export function folderIndex(name: string, directory: string): SegmentedIndex {
  return new SegmentedIndex(name, folderSegments(directory));
}

function folderSegments(directory: string): SegmentStore {
  const folder = join(directory, INDEX_FOLDER);
  return {
    names: () => namesIn(folder),
    read: (name) =>
      ifThere(undefined, async () => {
        const file = join(folder, name);
        // One that is too large is none, and is not read to learn that.
        return (await stat(file)).size > HEAD_MOST + INDEX_MOST ? NOTHING : readFile(file);
      }),
    async write(name, content) {
      await makeFolder(folder);
      await sweep(folder, STALE);
      await writeWhole(join(folder, name), content);
    },
    remove: (name) => rm(join(folder, name), { force: true }),
    members: async () =>
      (await namesIn(directory)).flatMap(
        (name) => /^([0-9a-z]{32})\.narinfo$/.exec(name)?.[1] ?? [],
      ),
  };
}

const NOTHING = new Uint8Array();

function namesIn(folder: string): Promise<readonly string[]> {
  return ifThere<readonly string[]>([], () => readdir(folder));
}

async function ifThere<T>(otherwise: T, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (isMissing(error)) return otherwise;
    throw error;
  }
}
