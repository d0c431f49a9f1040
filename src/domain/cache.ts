/** What a binary cache is to the rest of the program: the questions and the verbs. */

import { UserError } from "./errors.ts";
import type { RecordStore } from "./evaluation-record.ts";
import type { KindFacts } from "./location.ts";
import type { NarInfo, PathInfo } from "./narinfo.ts";
import type { MadeRealisation, RealisationAnswer, RealisationId } from "./realisation.ts";
import type { PublicKey } from "./signature.ts";
import { count, formatSeconds } from "./size.ts";
import type { StorePath } from "./store-path.ts";

/** A cache as Nix's configuration names it. */
export interface Substituter {
  /** As `substituters` takes it, `?trusted=1` included where that is our right to say. */
  readonly url: string;
  readonly publicKeys: readonly PublicKey[];
  /** Lower is asked first; undefined: what nix-cache-info says. */
  readonly priority: number | undefined;
  /** A private cache's, for Nix's netrc file. A function, so that nothing prints it by accident. */
  readonly credentials?: () => Credentials;
  /** What Nix's own client reads a private one with, from its environment (AWS_…). */
  readonly environment?: () => Promise<Readonly<Record<string, string>>>;
}

/** Whether Nix reads it only with what we would have to tell it: a netrc entry, or variables. */
export function needsCredentials({ substituter }: Pick<BinaryCache, "substituter">): boolean {
  return substituter.credentials !== undefined || substituter.environment !== undefined;
}

/** What a netrc file says, by host. */
export interface Netrc {
  get(host: string): Credentials | undefined;
}

/** What a netrc file says of one host. */
export interface Credentials {
  readonly machine: string;
  readonly login: string;
  readonly password: string;
}

/**
 * What a cache answered about one path. A failed question is not a miss.
 * - `origin`: `upstream` where the cache only passes on what another one holds (Cachix).
 * - `miss`, `by` its index where it was not itself asked.
 * - `gone`: it serves the narinfo, and the NAR behind it is not there.
 * - `refused`: it answered, and the answer must not be believed (signature, store, format); `corrupt`
 *   where it is no narinfo at all: Nix passes over the others, and stops at that.
 * - `unknown`: it did not answer; `this path` where it did, with what we do not follow: that says
 *   nothing against the cache.
 */
export type Presence =
  | { readonly kind: "hit"; readonly narInfo: NarInfo; readonly origin: "own" | "upstream" }
  | { readonly kind: "miss"; readonly by?: "index" }
  | { readonly kind: "gone"; readonly narInfo: NarInfo }
  | { readonly kind: "refused"; readonly why: string; readonly form?: "corrupt" }
  | { readonly kind: "unknown"; readonly cause: Error; readonly of?: "this path" };

export interface CacheDescription {
  /** Undefined where nothing was written yet: a `file://` cache that does not exist. */
  readonly storeDir: string | undefined;
  readonly priority: number | undefined;
  /** Keys the cache publishes as its own, where it publishes any. */
  readonly publicKeys: readonly PublicKey[];
  /** What this run's credentials allow, where the cache says it. */
  readonly permission: "read" | "write" | undefined;
  /** Why less than was asked for can be done with it: told before any build. */
  readonly trouble?: UserError;
}

export interface PushProgress {
  readonly path: StorePath;
  readonly bytes: number;
}

export interface PushResult {
  readonly pushed: readonly PushProgress[];
  /** Paths that failed, or that were not tried because a reference of theirs failed. */
  readonly failed: ReadonlyMap<StorePath, Error>;
  /** Why the others were not even tried: the server fails whatever it is given. */
  readonly ended?: Error;
}

/** A path that would have gone well but for its reference, which has a word of its own. */
export class ReferenceNotPushed extends UserError {}

/** The bytes of a valid path as a NAR stream; throws when the path is gone. */
export type NarSource = (path: StorePath, signal: AbortSignal) => AsyncIterable<Uint8Array>;

export type PinKeep =
  | { readonly kind: "forever" }
  | { readonly kind: "days"; readonly days: number }
  | { readonly kind: "revisions"; readonly revisions: number };

export interface Pin {
  readonly name: string;
  readonly storePath: StorePath;
  readonly keep: PinKeep;
}

export interface StoredPin {
  readonly name: string;
  readonly storePath: StorePath;
  readonly revision: number;
  readonly createdOn: string;
  /** How long it is kept, where the cache says so. */
  readonly keep?: PinKeep;
}

/**
 * What a kind of cache makes of one address: the questions and the verbs. A missing verb is the
 * capability flag: a cache without `pin` has no pins.
 */
export interface CacheClient {
  /** How the user named it; in every report. */
  readonly name: string;
  readonly substituter: Substituter;
  /** Questions at once, the others wait their turn; undefined: what one server is asked at a time. */
  readonly questionsAtOnce?: number;
  /** NARs read at once; undefined: as many as the reader likes. */
  readonly narsAtOnce?: number;
  /** The first question: is it there, for our store, and what may we do. Throws a UserError. */
  describe(signal: AbortSignal): Promise<CacheDescription>;
  /** Why our own cache would take nothing from a run that would push; asked before any build. Writes nothing. */
  mayPush?(signal: AbortSignal): Promise<UserError | undefined>;
  /** Never throws but for the signal; asks the cache itself, past any local lookup cache. */
  query(path: StorePath, signal: AbortSignal): Promise<Presence>;
  /** By its index alone, where it has one; an error where that says nothing: why. Throws for the signal alone. */
  mayHave?(path: StorePath, signal: AbortSignal): Promise<"perhaps" | "absent" | UserError>;
  /** What it says of a content-addressed derivation's output; throws for the signal alone. Missing: it is not asked. */
  realisation?(id: RealisationId, signal: AbortSignal): Promise<RealisationAnswer>;
  /** Bytes the NAR has there, as stored; `not told` where only reading it shows that; undefined: it is gone. */
  narSize(narInfo: NarInfo, signal: AbortSignal): Promise<number | "not told" | undefined>;
  /** The NAR as stored, compressed. */
  readNar(narInfo: NarInfo, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** The bytes from `from` to before `to`, as stored; throws where the cache gives no ranges. */
  readNarRange?(
    narInfo: NarInfo,
    range: { readonly from: number; readonly to: number },
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  /** Uploads; a path is served only after its references. One failure does not stop the others. */
  push?(
    paths: readonly PathInfo[],
    nar: NarSource,
    progress: (done: PushProgress) => void,
    signal: AbortSignal,
  ): Promise<PushResult>;
  /** Writes what became of a content-addressed output, whose path is served. Missing: it keeps no such thing. */
  realise?(made: MadeRealisation, signal: AbortSignal): Promise<void>;
  /** Why nothing more is pushed there in this run; undefined while all is well. */
  pushEnded?(): Error | undefined;
  pin?(pin: Pin, signal: AbortSignal): Promise<void>;
  /** Undefined where this cache does not list its pins to us. */
  pins?(signal: AbortSignal): Promise<readonly StoredPin[] | undefined>;
  /** What its answers have cost so far; a cache on this disk has none. */
  answerTrouble?(): AnswerTrouble;
  /** A place for evaluation records beside the paths. */
  readonly records?: RecordStore;
}

/** A cache, and what its kind knows of it. */
export interface BinaryCache extends CacheClient {
  readonly staging: KindFacts["staging"];
  /** Of where Nix reads it, which some caches tell only when they are described: equal ones are one cache. */
  place(): string;
  /** Where a person can look at `path`; undefined where there is no such page. */
  page(path: StorePath): string | undefined;
}

export type Can<Verb extends "push" | "pin" | "pins"> = BinaryCache &
  Required<Pick<BinaryCache, Verb>>;

export function can<Verb extends "push" | "pin" | "pins">(
  cache: BinaryCache | undefined,
  verb: Verb,
): cache is Can<Verb> {
  return cache?.[verb] !== undefined;
}

export interface CacheInfo {
  /** Every one that it names. */
  readonly storeDirs: readonly string[];
  /** Lower is asked first; cache.nixos.org says 40, Cachix 41. */
  readonly priority: number | "no number" | undefined;
  readonly wantMassQuery: boolean;
}

/** As Nix reads it; undefined for a page of HTML, which Nix takes for a cache that says nothing of itself. */
export function parseCacheInfo(text: string): CacheInfo | undefined {
  const head = text.slice(0, 65_536);
  if (head.trimStart().startsWith("<")) return undefined;
  const storeDirs: string[] = [];
  let priority: CacheInfo["priority"];
  let wantMassQuery = false;
  for (const line of head.split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    // Not one expression for the whole line: over a long run of blanks it would take for ever.
    const value = line.slice(colon + 1).trim();
    const name = line.slice(0, colon);
    if (name === "StoreDir") storeDirs.push(value);
    else if (name === "WantMassQuery") wantMassQuery = value === "1";
    else if (name === "Priority") priority = parsePriority(value);
    if (priority === "no number") return { storeDirs, priority, wantMassQuery };
  }
  return { storeDirs, priority, wantMassQuery };
}

/** As C++ has it (`std::stoi`): what follows the digits is not looked at. */
function parsePriority(text: string): number | "no number" {
  const value = Number(/^[+-]?\d{1,12}/.exec(text)?.[0] ?? Number.NaN);
  return value >= -(2 ** 31) && value < 2 ** 31 ? value : "no number";
}

/** A cache's own word on itself, as far as this machine can use it; throws a UserError where it cannot. */
export function usableInfo(
  name: string,
  { storeDirs, priority }: CacheInfo,
  storeDir: string,
): Pick<CacheDescription, "storeDir" | "priority"> {
  const other = storeDirs.find((named) => named !== storeDir);
  if (other !== undefined) {
    throw new UserError(
      "NCP-304",
      `${name} is for the store ${other}, and this machine's is ${storeDir}`,
      { hint: "leave it out here, or use a cache of your own for this store" },
    );
  }
  if (priority === "no number") {
    throw new UserError("NCP-353", `${name}: the Priority in its nix-cache-info is no number`, {
      hint: "Nix ends as soon as it is to ask this cache: correct the file there",
    });
  }
  return { storeDir, priority };
}

export function formatCacheInfo(storeDir: string, priority: number): string {
  return `StoreDir: ${storeDir}\nWantMassQuery: 1\nPriority: ${priority}\n`;
}

export interface AnswerTrouble {
  /** Requests that failed and were worth another try, by what was wrong: `HTTP 429`, `closed`. */
  readonly troubles: ReadonlyMap<string, number>;
  /** Answers of a few kilobytes that took longer than `SLOW`. */
  readonly slow: number;
  /** Milliseconds of the slowest of these. */
  readonly slowest: number;
}

/** Milliseconds from which on a small answer is late: a hundred times a journey around the world. */
export const SLOW = 3_000;

/** `12 requests were turned away (9 HTTP 429, 3 connection closed); …`; undefined where all was well. */
export function answerTroubleWords({ troubles, slow, slowest }: AnswerTrouble): string | undefined {
  const parts: string[] = [];
  const all = [...troubles.values()].reduce((sum, n) => sum + n, 0);
  if (all > 0) {
    const kinds = [...troubles].sort((a, b) => b[1] - a[1]).map(([what, n]) => `${n} × ${what}`);
    parts.push(`${count(all, "request")} had to be tried again (${kinds.join(", ")})`);
  }
  if (slow > 0) {
    parts.push(
      `${count(slow, "answer")} took longer than ${formatSeconds(SLOW / 1000)}, the slowest ${formatSeconds(slowest / 1000)}`,
    );
  }
  return parts.length > 0 ? parts.join("; ") : undefined;
}

/** What a store says of one valid path; its NAR is served as it is, uncompressed. */
export type RemotePath = NarInfo;

export interface RemoteStore {
  /**
   * Whether its database is of our store folder and answers. Throws a UserError that tells an
   * unknown host, a wrong key, a host without Nix and a silent one apart.
   * `trust`: whether it takes paths from us without a signature, where it says so (Nix 2.20 on).
   */
  describe(signal: AbortSignal): Promise<{ readonly trust: "trusted" | "not trusted" | undefined }>;
  /** Those of `paths` that are valid there. Few processes for any number of paths. */
  query(
    paths: readonly StorePath[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<StorePath, RemotePath>>;
  /** The NAR of a valid path; throws where it is gone or breaks off. */
  nar(path: StorePath, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Copies `paths`, references first, from the `file://` cache at `from`; throws what Nix says. */
  receive(from: string, paths: readonly StorePath[], signal: AbortSignal): Promise<void>;
}

/** The store at `url`; `name` begins every error. */
export type OpenRemoteStore = (url: string, name: string) => RemoteStore;

/** Our own cache while it is a folder in the runner's temporary folder: what is pushed takes space there. */
export interface CacheFolder {
  readonly directory: string;
  /** Bytes in it already, that go into an archive at the end of the job. */
  readonly archived: number;
}
