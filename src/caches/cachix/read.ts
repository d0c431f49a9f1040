/** Reads a Cachix cache as Nix does, and tells its own answers from those of an upstream. */

import * as z from "zod/mini";
import type { Presence } from "../../domain/cache.ts";
import { asError } from "../../domain/errors.ts";
import { NARINFO_MAX_BYTES, type NarInfo } from "../../domain/narinfo.ts";
import type { PublicKey } from "../../domain/signature.ts";
import { hashPart, type StorePath } from "../../domain/store-path.ts";
import type { HttpRequest, HttpResponse } from "../../host/http-client.ts";
import { retry } from "../../host/retry.ts";
import { judgeNarInfo } from "../accept.ts";
import type { NarPlace } from "../stored-nar.ts";
import type { CachixApi } from "./api.ts";
import type { CachixCache } from "./describe.ts";

export interface CachixReader {
  readonly api: CachixApi;
  readonly cache: CachixCache;
  /** Keys that Nix trusts here beside the cache's own. */
  readonly trusted: readonly PublicKey[];
  readonly signatures: "require" | "accept any";
}

/** Milliseconds for one try. */
const DEADLINE = 15_000;

/** Basic, as Nix sends what stands in its netrc; to a public cache nothing at all. */
function headersOf({ cache }: CachixReader): Record<string, string> {
  // What a node of a delivery network remembers was true a while ago.
  const headers = { "cache-control": "no-cache" };
  if (cache.access === "public" || cache.token === undefined) return headers;
  const pair = Buffer.from(`:${cache.token}`).toString("base64");
  return { ...headers, authorization: `Basic ${pair}` };
}

function requestOf(reader: CachixReader, path: string, signal: AbortSignal): HttpRequest {
  const base = reader.cache.uri.href.replace(/\/*$/, "/");
  return {
    method: "GET",
    url: new URL(path, base),
    headers: headersOf(reader),
    signal,
    deadline: DEADLINE,
    maxBytes: NARINFO_MAX_BYTES,
  };
}

/** Own, passed on from an upstream, or not there; never throws but for the signal. */
export async function readNarInfo(
  reader: CachixReader,
  path: StorePath,
  signal: AbortSignal,
): Promise<Presence> {
  const { api } = reader;
  const request = requestOf(reader, `${hashPart(path)}.narinfo`, signal);
  try {
    const answer = await retry(() => api.http.request(request), signal, api.askPolicy);
    if (answer.status === 200) return await judge(reader, path, request.url.href, answer);
    if (answer.status === 404 || answer.status === 410) return { kind: "miss" };
    // To Nix's own client 403 is a miss: a bad credential would look like one.
    const isRefused = answer.status === 401 || answer.status === 403;
    const cause = isRefused
      ? api.refusal(answer)
      : api.failure("GET a narinfo", answer, api.askPolicy);
    return { kind: "unknown", cause };
  } catch (error) {
    signal.throwIfAborted();
    return { kind: "unknown", cause: asError(error) };
  }
}

/** The cache's own keys first: what none of them signed is only passed on. */
async function judge(
  { cache, trusted, signatures }: CachixReader,
  path: StorePath,
  where: string,
  { body }: HttpResponse,
): Promise<Presence> {
  const text = body.toString("utf8");
  const own = await judgeNarInfo(text, where, path, {
    kind: "by key",
    keys: cache.keys,
    contentAddressed: "signed too",
  });
  if (own.kind === "hit") return own;
  const anybody = await judgeNarInfo(
    text,
    where,
    path,
    signatures === "accept any"
      ? { kind: "by location" }
      : { kind: "by key", keys: [...cache.keys, ...trusted] },
  );
  return anybody.kind === "hit" ? { ...anybody, origin: "upstream" } : anybody;
}

/** A NAR of this cache; it may stand behind a redirect to signed storage. */
export function narPlace(reader: CachixReader, narInfo: NarInfo, signal: AbortSignal): NarPlace {
  const { api } = reader;
  return {
    http: api.http,
    request: requestOf(reader, narInfo.url, signal),
    policy: api.askPolicy,
    failure: (answer) => {
      const { status } = answer;
      if (status === 404 || status === 410) return undefined;
      if (status === 401 || status === 403) return api.refusal(answer);
      return api.failure("GET a NAR", answer, api.askPolicy);
    },
  };
}

/**
 * The protocol allows 32,768 hashes and 1 MB. As JSON a hash takes 35 bytes, so that 32,768 of them
 * are 1.15 MB, and refused: the bytes are the tighter bound.
 */
const HASHES_MOST = 29_900;

/**
 * Fewer are asked for one by one. Bulk and then a narinfo is two journeys where a narinfo alone is
 * one; it pays where many paths are missing, as before a push.
 */
export const FEW = 32;

export type BulkAnswer = "missing" | "ask";

/**
 * Collects what is asked for in one turn of the event loop. `missing`: neither this cache nor an
 * upstream has it. `ask` says nothing: "present" may mean the upstream, or nobody any more.
 */
export class BulkQuestion {
  private readonly api: CachixApi;
  private readonly few: number;
  private waiting = new Map<string, ((answer: BulkAnswer) => void)[]>();

  /** `few`: so many are not worth a question of their own. */
  constructor(api: CachixApi, few: number) {
    this.api = api;
    this.few = few;
  }

  ask(hash: string, signal: AbortSignal): Promise<BulkAnswer> {
    if (this.waiting.size === 0) setImmediate(() => void this.send(signal));
    return new Promise((resolve) => {
      const others = this.waiting.get(hash);
      if (others) others.push(resolve);
      else this.waiting.set(hash, [resolve]);
    });
  }

  private async send(signal: AbortSignal): Promise<void> {
    const { waiting } = this;
    this.waiting = new Map();
    const hashes = [...waiting.keys()];
    const answer = (of: readonly string[], missing: ReadonlySet<string>) => {
      for (const hash of of) {
        for (const resolve of waiting.get(hash) ?? []) {
          resolve(missing.has(hash) ? "missing" : "ask");
        }
      }
    };
    if (hashes.length <= this.few) return answer(hashes, new Set());
    for (let at = 0; at < hashes.length; at += HASHES_MOST) {
      const chunk = hashes.slice(at, at + HASHES_MOST);
      answer(chunk, await this.missing(chunk, signal));
    }
  }

  /** Never throws: where bulk fails, every narinfo is asked for, and says itself what is wrong. */
  private async missing(
    hashes: readonly string[],
    signal: AbortSignal,
  ): Promise<ReadonlySet<string>> {
    try {
      const call = { method: "POST", path: "/narinfo", body: hashes, signal } as const;
      const answer = await this.api.ask(call);
      if (answer.status !== 200) return new Set();
      return new Set(this.api.read(answer, z.array(z.string()), "POST /narinfo"));
    } catch {
      return new Set();
    }
  }
}
