/** The caches `file://`: a directory in the layout of Nix's own binary caches, and pins beside it. */

import { constants, createReadStream } from "node:fs";
import { access, readdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  type CacheClient,
  formatCacheInfo,
  type Presence,
  parseCacheInfo,
  usableInfo,
} from "../../domain/cache.ts";
import { asError, UserError } from "../../domain/errors.ts";
import type { RecordStore } from "../../domain/evaluation-record.ts";
import { fileUrl } from "../../domain/location.ts";
import { formatNarInfo, type NarInfo, type PathInfo } from "../../domain/narinfo.ts";
import { parseRealisation, realisationFile } from "../../domain/realisation.ts";
import type { SigningKey } from "../../domain/signature.ts";
import { hashPart } from "../../domain/store-path.ts";
import { makeFolder, stage, sweep, writeWhole } from "../../host/atomic.ts";
import { EXTENSIONS, type Packing, packingTrouble } from "../../host/compress.ts";
import { isMissing, readIfThere } from "../../host/disk.ts";
import { judgeNarInfo, type SignaturePolicy } from "../accept.ts";
import {
  hasIndex,
  parsePacking,
  parsePriority,
  parseUrl,
  signingOf,
  withoutSlash,
} from "../address.ts";
import { BINARY_CACHE_OPTIONS } from "../address-options.ts";
import type { MemberIndex } from "../index-file.ts";
import { folderIndex } from "../index-segments.ts";
import type { BadAddress, CacheKind } from "../kind.ts";
import { narFile, narInfoFor, pushInOrder, type Uploaded } from "../nar-file.ts";
import { readPins, writePin } from "./pins.ts";

export interface FileCacheOptions extends Packing {
  readonly name: string;
  readonly directory: string;
  readonly storeDir: string;
  readonly policy: SignaturePolicy;
  /** As its address says it. */
  readonly priority?: number | undefined;
  /** Behind its address, for Nix. */
  readonly query?: URLSearchParams;
  readonly signingKey: SigningKey | undefined;
  readonly index?: MemberIndex | undefined;
}

const PRIORITY = 30;
const PARALLEL = 8;
/** A temporary file this old is nobody's any more. */
const STALE = 6 * 3_600_000;

/** A cache that can be read; `writableFileCache` adds the verbs. */
function fileCache(options: FileCacheOptions): CacheClient {
  const { name, directory, storeDir, policy, signingKey, index } = options;
  const query = new URLSearchParams(options.query);
  if (policy.kind === "by location") query.set("trusted", "1");
  return {
    name,
    substituter: {
      url: `${fileUrl(directory)}${query.size === 0 ? "" : `?${query}`}`,
      publicKeys: signingKey ? [signingKey.publicKey] : policy.kind === "by key" ? policy.keys : [],
      priority: options.priority,
    },
    async describe() {
      const text = await readIfThere(join(directory, "nix-cache-info"));
      const info = text === undefined ? undefined : parseCacheInfo(text);
      if (text !== undefined && !info) {
        throw new UserError("NCP-302", `${directory}/nix-cache-info cannot be read`, {
          hint: "delete the file; it is written anew",
        });
      }
      return {
        // Nix writes no priority into a cache that it makes, and what it means by that is said elsewhere.
        ...(info ? usableInfo(name, info, storeDir) : { storeDir: undefined, priority: PRIORITY }),
        publicKeys: signingKey ? [signingKey.publicKey] : [],
        permission: undefined,
      };
    },
    async query(path) {
      const file = join(directory, `${hashPart(path)}.narinfo`);
      try {
        const text = await readIfThere(file);
        if (text === undefined) return { kind: "miss" };
        return await withNar(await judgeNarInfo(text, file, path, policy), directory);
      } catch (error) {
        return { kind: "unknown", cause: asError(error) };
      }
    },
    ...(index ? { mayHave: (path, signal) => index.has(path, signal) } : {}),
    async realisation(id) {
      try {
        const text = await readIfThere(join(directory, realisationFile(id)));
        if (text === undefined) return { kind: "miss" };
        return { kind: "hit", realisation: parseRealisation(text, id, storeDir) };
      } catch (error) {
        return { kind: "unknown", cause: asError(error) };
      }
    },
    narSize: async (narInfo) => sizeOf(narPath(directory, narInfo)),
    readNar: (narInfo, signal) => createReadStream(narPath(directory, narInfo), { signal }),
  };
}

/** Here a look at the NAR costs next to nothing, so a hit is a hit only when it is there. */
async function withNar(presence: Presence, directory: string): Promise<Presence> {
  if (presence.kind !== "hit") return presence;
  const { narInfo } = presence;
  const size = await sizeOf(narPath(directory, narInfo));
  const whole = size !== undefined && (narInfo.fileSize ?? size) === size;
  return whole ? presence : { kind: "gone", narInfo };
}

/** As Nix has it: a file's name is no URL, and nothing in it is decoded. */
function narPath(directory: string, { url }: NarInfo): string {
  const file = join(directory, url);
  if (!file.startsWith(`${directory}/`)) throw new Error(`${url} leads out of ${directory}`);
  return file;
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export function writableFileCache(options: FileCacheOptions): CacheClient {
  const { directory, storeDir, compression, signingKey } = options;
  const upload = async (
    info: PathInfo,
    nar: Parameters<NonNullable<CacheClient["push"]>>[1],
    signal: AbortSignal,
  ): Promise<Uploaded> => {
    const file = narFile(info, nar, options, signal);
    const staged = await stage(
      join(directory, "nar", `${hashPart(info.storePath)}${EXTENSIONS[compression]}`),
      file.content,
    );
    try {
      const sealed = file.seal();
      const narInfo = narInfoFor(info, sealed, compression, signingKey);
      await staged.commit(join(directory, narInfo.url));
      return {
        bytes: sealed.fileSize,
        publish: () =>
          writeWhole(
            join(directory, `${hashPart(info.storePath)}.narinfo`),
            formatNarInfo(narInfo),
          ),
        // The NAR may be another path's, too: equal bytes have one name. It stays.
        discard: async () => undefined,
      };
    } catch (error) {
      await staged.discard();
      throw error;
    }
  };
  return {
    ...fileCache(options),
    async mayPush() {
      const folder = await nearestFolder(directory);
      const error = await access(folder, constants.W_OK | constants.X_OK).catch(asError);
      if (!error) return packingTrouble(options.name, options);
      return new UserError("NCP-303", `${options.name}: this user may not write to ${folder}`, {
        cause: error,
        hint: "give the folder to the user that the job runs as",
      });
    },
    async push(paths, nar, progress, signal) {
      await sweep(directory, STALE);
      await sweep(join(directory, "nar"), STALE);
      // Nix makes these folders when it reads a cache without them: then reading would be writing.
      for (const name of ["nar", "log", "realisations"]) {
        await makeFolder(join(directory, name));
      }
      const infoFile = join(directory, "nix-cache-info");
      if ((await readIfThere(infoFile)) === undefined) {
        await writeWhole(infoFile, formatCacheInfo(storeDir, PRIORITY));
      }
      await options.index?.add(paths, signal);
      return pushInOrder(paths, PARALLEL, (info) => upload(info, nar, signal), progress, signal);
    },
    realise: (made) => writeWhole(join(directory, realisationFile(made.id)), made.text),
    records: fileRecords(directory),
    pin: (pin) => writePin(directory, pin),
    pins: () => readPins(directory, storeDir),
  };
}

/** The folder itself, or the one that it would be made in. */
async function nearestFolder(directory: string): Promise<string> {
  for (let at = directory; ; at = dirname(at)) {
    const found = await stat(at).catch(() => undefined);
    if (found || at === dirname(at)) return at;
  }
}

interface FileAddress {
  readonly url: URL;
  readonly directory: string;
}

function parseAddress(text: string, bad: BadAddress): FileAddress {
  const url = parseUrl(text, bad);
  if (url.host !== "" || url.pathname === "/") {
    throw bad("a file cache needs an absolute directory");
  }
  try {
    const directory = withoutSlash(decodeURIComponent(url.pathname));
    if (!directory.includes("\0")) return { url, directory };
  } catch {
    // A percent sign that encodes nothing: said below.
  }
  throw bad("its directory is not percent-encoded text");
}

export const fileKind: CacheKind<FileAddress> = {
  facts: {
    kind: "file",
    token: "not needed",
    readers: "this job or machine",
    keeper: "itself",
    // It is near already; and it may be trusted for where it is, which staging is not.
    staging: "never",
  },
  options: BINARY_CACHE_OPTIONS,
  form: "file:///DIRECTORY",
  begins: ["file://"],
  parse: parseAddress,
  place: ({ directory }) => fileUrl(directory),
  name: () => undefined,
  page: () => undefined,
  open({ url, directory }, request) {
    const { policy, signingKey, readAt } = signingOf(url, request);
    const isOwn = request.role === "own";
    const options: FileCacheOptions = {
      name: request.name,
      directory,
      storeDir: request.storeDir,
      // Ours, on this disk, is trusted for where it is, unless it signs.
      policy: isOwn && !signingKey ? { kind: "by location", reading: policy.reading } : policy,
      priority: parsePriority(url),
      query: new URL(readAt).searchParams,
      ...parsePacking(url),
      signingKey,
      index: hasIndex(url) ? folderIndex(request.name, directory) : undefined,
    };
    return request.role === "own" ? writableFileCache(options) : fileCache(options);
  },
};

/** A branch or two, a few sets of targets each: an evaluation record, and its ledger. */
const KEPT = 40;
/** Of the default branch's ledgers, one for each set of targets. */
const LEDGERS_KEPT = 20;

/** An evaluation record's key is a hash; a record with a name of its own is rewritten in place and stays. */
function isRecord(name: string): boolean {
  return !name.endsWith(".json");
}

/** `ledger`, `evaluation`, or the records of what caches hold: each kind has its own number of places. */
function kindOf(name: string): string {
  return name.split("-", 2).length > 1 ? (name.split("-", 1)[0] ?? "") : "";
}

export function fileRecords(directory: string): RecordStore {
  const folder = join(directory, "memos");
  return {
    async read(key) {
      try {
        return await readFile(join(folder, key));
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    async write(key, content) {
      await writeWhole(join(folder, key), content);
      const files = await Promise.all(
        (await readdir(folder))
          .filter((name) => isRecord(name) && kindOf(name) === kindOf(key))
          .map(async (name) => {
            const { mtimeMs } = await stat(join(folder, name));
            return { name, mtimeMs };
          }),
      );
      files.sort((a, b) => b.mtimeMs - a.mtimeMs);
      const kept = kindOf(key) === "ledger" ? LEDGERS_KEPT : KEPT;
      for (const { name } of files.slice(kept)) await rm(join(folder, name), { force: true });
    },
  };
}
