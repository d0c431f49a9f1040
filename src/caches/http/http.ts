/** Plain HTTP binary caches: nix-serve, cache.nixos.org, a bucket behind a web server. */

import {
  type CacheClient,
  type CacheDescription,
  type Credentials,
  type Presence,
  parseCacheInfo,
  type Substituter,
  usableInfo,
} from "../../domain/cache.ts";
import { asError, UserError } from "../../domain/errors.ts";
import { NARINFO_MAX_BYTES, type NarInfo } from "../../domain/narinfo.ts";
import {
  parseRealisation,
  REALISATION_MAX_BYTES,
  realisationFile,
} from "../../domain/realisation.ts";
import { hashPart, type StorePath } from "../../domain/store-path.ts";
import { packingTrouble } from "../../host/compress.ts";
import type { Http, HttpRequest, HttpResponse } from "../../host/http-client.ts";
import { ASK, isPassing, isSuccess, retry } from "../../host/retry.ts";
import { judgeNarInfo, narPlace, type SignaturePolicy } from "../accept.ts";
import {
  hasIndex,
  narInfoPage,
  parsePacking,
  parsePriority,
  parseUrl,
  signedPathsOnly,
  signingOf,
  withoutSlash,
} from "../address.ts";
import { HTTP_OPTIONS } from "../address-options.ts";
import type { MemberIndex } from "../index-file.ts";
import type { CacheKind } from "../kind.ts";
import {
  longer,
  type NarPlace,
  readStored,
  readStoredRange,
  storedMost,
  storedSize,
} from "../stored-nar.ts";
import { type HttpPushOptions, httpPush, httpRealise } from "./push.ts";
import { SwappedIndex } from "./swapped.ts";

export interface HttpCacheOptions {
  readonly name: string;
  /** Its root; a path below it is kept. */
  readonly base: URL;
  readonly substituter: Substituter;
  readonly policy: SignaturePolicy;
  readonly storeDir: string;
  readonly http: Http;
  /** `Authorization` and the like; sent to `base`'s host only. */
  readonly headers: Readonly<Record<string, string>>;
  /** What this server means by an answer that is no success; undefined: what HTTP says. */
  readonly explain?: (answer: HttpResponse) => UserError | undefined;
  /** What a root without nix-cache-info is; default: no cache. */
  readonly withoutInfo?: "no cache" | "not written yet";
  readonly index?: MemberIndex | undefined;
}

/** Milliseconds for one try of a small request. */
const DEADLINE = 15_000;

/** Bytes up to which a NAR comes in one piece, within the time of one pause of a large one. */
const SMALL = 128 * 1024;

const ABSENT = new Set([404, 410]);

export function httpCache(options: HttpCacheOptions): CacheClient {
  const { name, base, http, headers, policy, storeDir, index } = options;
  const at = (path: string) => below(base, path);
  const request = (path: string, signal: AbortSignal): HttpRequest => ({
    method: "GET",
    url: at(path),
    headers,
    signal,
    deadline: DEADLINE,
    maxBytes: NARINFO_MAX_BYTES,
  });
  const narRequest = ({ url }: NarInfo, signal: AbortSignal): HttpRequest => ({
    ...request("", signal),
    url: narPlace(url, at("."), policy.reading),
  });
  // A cache that let us in once means the path with a 403: a bucket that may be read and not listed says
  // it of what is not there. To Nix every 403 of a path is a miss.
  let letIn = false;
  const isAbsent = (answer: HttpResponse): boolean => {
    const { status } = answer;
    if (ABSENT.has(status)) return true;
    const trouble = status === 403 && letIn ? troubleOf(options, answer) : undefined;
    return trouble?.code === "NCP-303";
  };
  const nar = (narInfo: NarInfo, signal: AbortSignal): NarPlace => {
    const ask = narRequest(narInfo, signal);
    return {
      http,
      request: ask,
      policy: ASK,
      failure: (answer) =>
        isAbsent(answer)
          ? undefined
          : (troubleOf(options, answer) ?? new Error(`${ask.url.href} answers ${answer.status}`)),
    };
  };
  return {
    name,
    substituter: options.substituter,
    async describe(signal) {
      const url = request("nix-cache-info", signal);
      const answer = await retry(() => http.request(url), signal, ASK);
      const { status, body } = answer;
      const trouble = troubleOf(options, answer);
      if (trouble) throw trouble;
      if (status === 404 && options.withoutInfo === "not written yet") {
        return { storeDir: undefined, priority: undefined, publicKeys: [], permission: undefined };
      }
      if (!isSuccess(status)) {
        const code = isPassing(status) ? "NCP-302" : "NCP-304";
        throw new UserError(code, `${name}: ${url.url.href} answers ${status}`, {
          hint: "this is not the address of a binary cache: nix-cache-info stands at its root",
        });
      }
      letIn = true;
      const info = parseCacheInfo(body.toString("utf8"));
      if (!info) {
        throw new UserError("NCP-302", `${name}: ${url.url.href} is not a nix-cache-info`, {
          hint: "something else answers there: a login page, a proxy",
        });
      }
      return {
        ...usableInfo(name, info, storeDir),
        publicKeys: [],
        permission: undefined,
      };
    },
    async query(path: StorePath, signal): Promise<Presence> {
      const ask = request(`${hashPart(path)}.narinfo`, signal);
      try {
        const answer = await retry(() => http.request(ask), signal, ASK);
        const { status, body } = answer;
        if (isSuccess(status)) {
          letIn = true;
          return await judgeNarInfo(body.toString("utf8"), ask.url.href, path, policy);
        }
        if (isAbsent(answer)) return { kind: "miss" };
        const trouble = troubleOf(options, answer);
        if (trouble) return { kind: "unknown", cause: trouble };
        return { kind: "unknown", cause: new Error(`${ask.url.href} answers ${status}`) };
      } catch (error) {
        signal.throwIfAborted();
        return { kind: "unknown", cause: asError(error) };
      }
    },
    ...(index ? { mayHave: (path, signal) => index.has(path, signal) } : {}),
    async realisation(id, signal) {
      // Escaped, as 2.34 asks for it: a bucket's signature needs one way of writing it.
      const ask = {
        ...request(realisationFile(id).replace("!", "%21"), signal),
        maxBytes: REALISATION_MAX_BYTES,
      };
      try {
        const answer = await retry(() => http.request(ask), signal, ASK);
        if (isSuccess(answer.status)) {
          const realisation = parseRealisation(answer.body.toString("utf8"), id, storeDir);
          return { kind: "hit", realisation };
        }
        if (isAbsent(answer)) return { kind: "miss" };
        const cause =
          troubleOf(options, answer) ?? new Error(`${ask.url.href} answers ${answer.status}`);
        return { kind: "unknown", cause };
      } catch (error) {
        signal.throwIfAborted();
        return { kind: "unknown", cause: asError(error) };
      }
    },
    narSize: (narInfo, signal) => storedSize(nar(narInfo, signal), signal),
    async *readNar(narInfo, signal) {
      const { fileSize } = narInfo;
      const place = nar(narInfo, signal);
      if (fileSize === undefined || fileSize > SMALL) {
        yield* readStored(place, storedMost(narInfo), signal);
        return;
      }
      const whole = { ...place.request, maxBytes: SMALL };
      const { status, body } = await retry(() => http.request(whole), signal, ASK);
      if (!isSuccess(status)) throw new Error(`${whole.url.href} answers ${status}`);
      if (body.length > fileSize) throw longer(whole.url, fileSize);
      yield body;
    },
    readNarRange: (narInfo, range, signal) => readStoredRange(nar(narInfo, signal), range, signal),
  };
}

function troubleOf(
  { name, explain }: HttpCacheOptions,
  answer: HttpResponse,
): UserError | undefined {
  const { status } = answer;
  if (isSuccess(status)) return undefined;
  const told = explain?.(answer);
  if (told || (status !== 401 && status !== 403)) return told;
  return new UserError("NCP-303", `${name} refuses our credentials (HTTP ${status})`, {
    hint: "a private cache needs a token, or an entry in the netrc file that Nix reads",
  });
}

export const httpKind: CacheKind<URL> = {
  facts: {
    kind: "http",
    token: "needed to write",
    readers: "everybody",
    keeper: "itself",
    staging: "where it pays",
  },
  options: HTTP_OPTIONS,
  form: "https://HOST",
  begins: ["https://", "http://"],
  parse: parseUrl,
  place: ({ origin, pathname }) => withoutSlash(`${origin}${pathname}`),
  name: ({ hostname }) => hostname,
  hosts: (url) => [url],
  page: (_address, path, url) => narInfoPage(url, path),
  open(url, request) {
    const { name, role, token, http, storeDir } = request;
    const { policy, publicKeys, signingKey, canWrite, readAt } = signingOf(url, request);
    // Not resolved against the origin: a path that begins with two slashes would be another host.
    const base = new URL(url.origin);
    base.pathname = url.pathname;
    const headers = authorization(
      role === "own" ? token : undefined,
      request.netrc?.get(url.hostname),
    );
    const at = (path: string) => below(base, path);
    const index = hasIndex(url) ? new SwappedIndex({ name, at, http, headers }) : undefined;
    const options: HttpCacheOptions = {
      name,
      base,
      substituter: { url: readAt, publicKeys, priority: parsePriority(url) },
      policy,
      storeDir,
      http,
      headers,
      index,
      // Who writes first to a folder behind PUT makes the cache, as `nix copy` does.
      withoutInfo: role === "own" && canWrite ? "not written yet" : "no cache",
    };
    const cache = httpCache(options);
    if (role === "substituter") return cache;
    if (!canWrite) {
      return token ? { ...cache, describe: (signal) => unsigned(cache, signal) } : cache;
    }
    const packing = parsePacking(url);
    const pushing: HttpPushOptions = {
      name,
      at,
      http,
      headers,
      ...(index ? { index } : {}),
      ...packing,
      signingKey,
      folder: request.folder,
      isNew: async (signal) => (await cache.describe(signal)).storeDir === undefined,
      storeDir,
    };
    return {
      ...cache,
      // Whether it takes a PUT, only one that writes would show.
      mayPush: async () => packingTrouble(name, packing),
      push: httpPush(pushing),
      realise: httpRealise(pushing),
    };
  },
};

function authorization(
  token: string | undefined,
  netrc: Credentials | undefined,
): Readonly<Record<string, string>> {
  if (token) return { authorization: `Bearer ${token}` };
  if (!netrc) return {};
  const pair = Buffer.from(`${netrc.login}:${netrc.password}`).toString("base64");
  return { authorization: `Basic ${pair}` };
}

export function below(base: URL, path: string): URL {
  return new URL(path, base.href.endsWith("/") ? base : `${base.href}/`);
}

async function unsigned(cache: CacheClient, signal: AbortSignal): Promise<CacheDescription> {
  const info = await cache.describe(signal);
  return { ...info, permission: "read", trouble: signedPathsOnly(cache.name) };
}
