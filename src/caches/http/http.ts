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
import { NARINFO_MAX_BYTES, type NarInfo, narPlace } from "../../domain/narinfo.ts";
import { hashPart, type StorePath } from "../../domain/store-path.ts";
import type { Http, HttpRequest, HttpResponse } from "../../host/http-client.ts";
import { ASK, isPassing, retry, retryStream } from "../../host/retry.ts";
import { judgeNarInfo, type SignaturePolicy } from "../accept.ts";
import {
  narInfoPage,
  parseCompression,
  parsePriority,
  parseUrl,
  signedPathsOnly,
  signingOf,
  withoutSlash,
} from "../address.ts";
import type { CacheKind } from "../kind.ts";
import { httpPush } from "./push.ts";

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
}

/** Milliseconds for one try of a small request. */
const DEADLINE = 15_000;
/** Milliseconds a NAR may take between two chunks. */
const STALL = 60_000;

/** Bytes up to which a NAR comes in one piece, within the time of one pause of a large one. */
const SMALL = 128 * 1024;

/** Absent, in the words of Nix's own client: 403 is what S3 says of a missing key. */
const ABSENT = new Set([404, 410]);

export function httpCache(options: HttpCacheOptions): CacheClient {
  const { name, base, http, headers, policy, storeDir } = options;
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
      if (status !== 200) {
        const code = isPassing(status) ? "NCP-302" : "NCP-304";
        throw new UserError(code, `${name}: ${url.url.href} answers ${status}`, {
          hint: "this is not the address of a binary cache: nix-cache-info stands at its root",
        });
      }
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
        if (status === 200) {
          return await judgeNarInfo(body.toString("utf8"), ask.url.href, path, policy);
        }
        const trouble = troubleOf(options, answer);
        if (trouble) return { kind: "unknown", cause: trouble };
        if (ABSENT.has(status)) return { kind: "miss" };
        return { kind: "unknown", cause: new Error(`${ask.url.href} answers ${status}`) };
      } catch (error) {
        signal.throwIfAborted();
        return { kind: "unknown", cause: asError(error) };
      }
    },
    async narSize(narInfo: NarInfo, signal) {
      const ask: HttpRequest = { ...narRequest(narInfo, signal), method: "HEAD" };
      const { status, headers: answer } = await retry(() => http.request(ask), signal, ASK);
      if (ABSENT.has(status)) return undefined;
      if (status !== 200) throw new Error(`HEAD ${ask.url.href} answers ${status}`);
      const length = Number(answer["content-length"]);
      // Without a length it is there all the same.
      return Number.isSafeInteger(length) ? length : "not told";
    },
    async *readNar(narInfo: NarInfo, signal) {
      const ask: HttpRequest = { ...narRequest(narInfo, signal), deadline: STALL };
      const { fileSize } = narInfo;
      if (fileSize !== undefined && fileSize <= SMALL) {
        const whole = { ...ask, maxBytes: SMALL };
        const { status, body } = await retry(() => http.request(whole), signal, ASK);
        if (status !== 200) throw new Error(`${ask.url.href} answers ${status}`);
        yield body;
        return;
      }
      const stream = await retryStream(http, ask, ASK);
      if (stream.status !== 200) {
        stream.discard();
        throw new Error(`${ask.url.href} answers ${stream.status}`);
      }
      yield* stream.body;
    },
    async *readNarRange(narInfo: NarInfo, { from, to }, signal) {
      const ask = { ...narRequest(narInfo, signal), deadline: STALL };
      const range = `bytes=${from}-${to - 1}`;
      const stream = await retryStream(http, { ...ask, headers: { ...headers, range } }, ASK);
      if (stream.status !== 206) {
        stream.discard();
        throw new Error(`${ask.url.href} answers ${stream.status} to a range`);
      }
      yield* stream.body;
    },
  };
}

function troubleOf(
  { name, explain }: HttpCacheOptions,
  answer: HttpResponse,
): UserError | undefined {
  const { status } = answer;
  if (status === 200) return undefined;
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
  form: "https://HOST",
  begins: ["https://", "http://"],
  parse: parseUrl,
  place: ({ origin, pathname }) => withoutSlash(`${origin}${pathname}`),
  name: ({ hostname }) => hostname,
  page: (_address, path, url) => narInfoPage(url, path),
  open(url, request) {
    const { name, role, token, http, storeDir } = request;
    const { policy, publicKeys, signingKey, canWrite, readAt } = signingOf(url, request);
    const options: HttpCacheOptions = {
      name,
      base: new URL(url.pathname, url.origin),
      substituter: { url: readAt, publicKeys, priority: parsePriority(url) },
      policy,
      storeDir,
      http,
      headers: authorization(role === "own" ? token : undefined, request.netrc?.get(url.hostname)),
    };
    const cache = httpCache(options);
    if (role === "substituter") return cache;
    if (!canWrite) {
      return token ? { ...cache, describe: (signal) => unsigned(cache, signal) } : cache;
    }
    const compression = parseCompression(url);
    const at = (path: string) => below(options.base, path);
    return {
      ...cache,
      push: httpPush({ name, at, http, headers: options.headers, compression, signingKey }),
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
