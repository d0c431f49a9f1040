/** Owns a loopback server of GitHub's cache service, version 2, strict, with faults to inject. */

import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { type BlobStore, blobStore } from "./github-blobs.ts";
import { HttpError, json, type LoopbackServer, listen, type Outcome, readJson } from "./http.ts";

const SERVICE = "/twirp/github.actions.results.api.v1.CacheService/";
const LONGEST_KEY = 512;
const MOST_KEYS = 10;

export type Method = "CreateCacheEntry" | "FinalizeCacheEntryUpload" | "GetCacheEntryDownloadURL";

export interface Entry {
  readonly id: number;
  readonly scope: string;
  readonly key: string;
  readonly version: string;
  /** Undefined until the upload is finalized: nobody is given an entry that is not. */
  size: number | undefined;
}

/** A job's token: GitHub lets a branch read its own entries and the default branch's. */
export interface Grant {
  readonly reads: readonly string[];
  /** Undefined: a read-only token, as untrusted events get. */
  readonly writes: string | undefined;
}

export interface GithubCacheServer extends AsyncDisposable {
  /** What the runner gives a step, for the token of a job on `branch`, or of `grant`. */
  variables(grant?: Grant): Readonly<Record<string, string>>;
  readonly entries: readonly Entry[];
  /** Entries that can be restored, in the order they were made. */
  keys(): string[];
  /** `METHOD KEY`, and `PUT` and `GET` of blobs, since the last time it was asked. */
  requests(): string[];
  /** From now on `method` is answered so; undefined ends it. */
  fail(method: Method | "blob", how: Outcome | undefined): void;
  /** What an archive holds is damaged from its middle on. */
  damage(key: string): void;
  /** GitHub deletes what was not used, or what is over the quota. */
  evict(key: string): void;
}

export const MAIN: Grant = { reads: ["refs/heads/main"], writes: "refs/heads/main" };
export const READ_ONLY: Grant = { ...MAIN, writes: undefined };
export const PULL_REQUEST: Grant = {
  reads: ["refs/pull/1/merge", "refs/heads/main"],
  writes: "refs/pull/1/merge",
};

/** `blobs` is where the archives go; default: a store of its own. */
export async function startGithubCache(blobs: BlobStore = blobStore()): Promise<GithubCacheServer> {
  const grants = new Map<string, Grant>();
  const entries: Entry[] = [];
  const faults = new Map<string, Outcome>();
  let seen: string[] = [];

  const answer = async (request: IncomingMessage): Promise<Outcome> => {
    const url = new URL(request.url ?? "/", server.origin);
    if (url.pathname.startsWith("/blob/")) {
      seen.push(`${request.method} blob`);
      return faults.get("blob") ?? blobs.answer(request, url);
    }
    const method = url.pathname.slice(SERVICE.length);
    if (!url.pathname.startsWith(SERVICE)) throw twirp(404, "bad_route", "no such service");
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
    const grant = grants.get(token ?? "");
    if (request.method !== "POST") throw twirp(404, "bad_route", "POST is the only method");
    const body = (await readJson(request, { limit: 100_000 })) as Record<string, unknown>;
    seen.push(`${method} ${String(body["key"])}`);
    const fault = faults.get(method);
    if (fault) return fault;
    if (!grant) throw twirp(401, "unauthenticated", "the token is not a job's");
    const key = checkedKey(body["key"]);
    const version = text(body, "version");
    if (!/^[0-9a-f]{64}$/.test(version)) throw twirp(400, "invalid_argument", "version");
    switch (method) {
      case "CreateCacheEntry":
        return create(grant, key, version);
      case "FinalizeCacheEntryUpload":
        return finalize(grant, key, version, Number(text(body, "size_bytes")));
      case "GetCacheEntryDownloadURL":
        return find(grant, [key, ...list(body, "restore_keys").map(checkedKey)], version);
      default:
        throw twirp(404, "bad_route", `no method ${method}`);
    }
  };

  const create = (grant: Grant, key: string, version: string) => {
    if (grant.writes === undefined) {
      return json(200, { ok: false, message: "cache write denied: the token is read-only" });
    }
    const scope = grant.writes;
    if (entries.some((one) => one.scope === scope && one.key === key && one.version === version)) {
      throw twirp(
        409,
        "already_exists",
        "cache entry with the same key, version, and scope already exists",
      );
    }
    const entry: Entry = { id: entries.length + 1, scope, key, version, size: undefined };
    entries.push(entry);
    return json(200, { ok: true, signed_upload_url: blobs.url(server.origin, entry.id, "write") });
  };

  const finalize = async (grant: Grant, key: string, version: string, size: number) => {
    const entry = entries.find(
      (one) => one.scope === grant.writes && one.key === key && one.version === version,
    );
    if (!entry || entry.size !== undefined) throw twirp(404, "not_found", "nothing to finalize");
    if ((await blobs.size(entry.id)) !== size) throw twirp(400, "invalid_argument", "size_bytes");
    entry.size = size;
    return json(200, { ok: true, entry_id: String(entry.id) });
  };

  /** By branch, then by key: the first one whole, the others as prefixes, the newest first. */
  const find = (grant: Grant, keys: readonly string[], version: string) => {
    if (keys.length > MOST_KEYS) throw twirp(400, "invalid_argument", "too many keys");
    for (const scope of grant.reads) {
      const there = entries.filter(
        (one) => one.scope === scope && one.version === version && one.size !== undefined,
      );
      for (const [index, key] of keys.entries()) {
        const fits = (one: Entry) => (index === 0 ? one.key === key : one.key.startsWith(key));
        const entry = there.findLast(fits);
        if (entry) {
          const url = blobs.url(server.origin, entry.id, "read");
          return json(200, { ok: true, signed_download_url: url, matched_key: entry.key });
        }
      }
    }
    return json(200, { ok: false });
  };

  const idsOf = (key: string) => entries.filter((one) => one.key === key).map(({ id }) => id);
  const server: LoopbackServer = await listen(answer);
  return {
    entries,
    variables(grant = MAIN) {
      const token = randomBytes(12).toString("hex");
      grants.set(token, grant);
      return {
        ACTIONS_CACHE_SERVICE_V2: "True",
        ACTIONS_RESULTS_URL: `${server.origin}/`,
        ACTIONS_RUNTIME_TOKEN: token,
      };
    },
    keys: () => entries.filter(({ size }) => size !== undefined).map(({ key }) => key),
    requests() {
      const before = seen;
      seen = [];
      return before;
    },
    fail(method, how) {
      if (how === undefined) faults.delete(method);
      else faults.set(method, how);
    },
    damage: (key) => {
      for (const id of idsOf(key)) blobs.damage(id);
    },
    evict: (key) => {
      for (const entry of entries) if (entry.key === key) entry.size = undefined;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function checkedKey(value: unknown): string {
  if (typeof value !== "string" || value === "") throw twirp(400, "invalid_argument", "key");
  if (value.length > LONGEST_KEY || value.includes(",")) {
    throw twirp(400, "invalid_argument", `key ${value}`);
  }
  return value;
}

function text(body: Record<string, unknown>, name: string): string {
  const value = body[name];
  if (typeof value === "string") return value;
  throw twirp(400, "invalid_argument", name);
}

function list(body: Record<string, unknown>, name: string): unknown[] {
  const value = body[name] ?? [];
  if (Array.isArray(value)) return value;
  throw twirp(400, "invalid_argument", name);
}

/** An error as Twirp writes it: https://twitchtv.github.io/twirp/docs/errors.html */
export function twirp(status: number, code: string, msg: string): HttpError {
  return new HttpError(json(status, { code, msg }));
}
