/** Pushes to a plain HTTP cache: NAR, then narinfo, each by PUT, as Nix's own client does. */

import type { CacheClient, NarSource } from "../../domain/cache.ts";
import { UserError } from "../../domain/errors.ts";
import { formatSha256 } from "../../domain/hash.ts";
import { ByteBudget } from "../../domain/limit.ts";
import { formatNarInfo, type PathInfo } from "../../domain/narinfo.ts";
import type { SigningKey } from "../../domain/signature.ts";
import { hashPart } from "../../domain/store-path.ts";
import { type Compression, EXTENSIONS } from "../../host/compress.ts";
import { keepGarbageSmall } from "../../host/environment.ts";
import type { Http, HttpRequest, HttpResponse } from "../../host/http-client.ts";
import { type RetryPolicy, retry } from "../../host/retry.ts";
import { isSmall, narFile, narInfoFor, pushInOrder, type Uploaded } from "../nar-file.ts";

export interface HttpPushOptions {
  readonly name: string;
  readonly at: (path: string) => URL;
  readonly http: Http;
  readonly headers: Readonly<Record<string, string>>;
  readonly compression: Compression;
  readonly signingKey: SigningKey | undefined;
  readonly policy?: RetryPolicy;
  /** What this server means by a refusal; undefined: what HTTP says. */
  readonly explain?: (answer: HttpResponse) => UserError | undefined;
  /** How a NAR goes up that is too large to be held; default: as one stream. */
  readonly putLarge?: typeof putStream;
}

/** Two requests a path at 20 ms: 128 side by side bring some 3,000 small paths a second. */
const PATHS_AT_ONCE = 64;
/** Bytes of NARs held whole and of compressors, together; the rest of the 256 MB is Node's. */
const MEMORY = 64 * 1024 * 1024;
/** What a large NAR holds while it goes through: pieces, the compressor's window, the socket. */
const STREAM = 16 * 1024 * 1024;
/** Milliseconds for a small body, and for each piece of a large one. */
const DEADLINE = 60_000;

export function httpPush(options: HttpPushOptions): NonNullable<CacheClient["push"]> {
  const budget = new ByteBudget(MEMORY);
  // Before anything is asked: the space that looking for 10,000 paths grew is not given back.
  keepGarbageSmall();
  return (paths, nar, progress, signal) => {
    const upload = async (info: PathInfo) => {
      const memory = isSmall(info) ? 3 * info.narSize : STREAM;
      await budget.take(memory);
      try {
        signal.throwIfAborted();
        const put = isSmall(info) ? putWhole : (options.putLarge ?? putStream);
        return await put(options, info, nar, signal);
      } finally {
        budget.give(memory);
      }
    };
    return pushInOrder(paths, PATHS_AT_ONCE, upload, progress, signal);
  };
}

/** Compressed in memory first: its name is its hash, as in Nix's own caches. */
async function putWhole(
  options: HttpPushOptions,
  info: PathInfo,
  nar: NarSource,
  signal: AbortSignal,
): Promise<Uploaded> {
  const file = narFile(info, nar, options.compression, signal);
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.content) chunks.push(chunk);
  const sealed = file.seal();
  const narInfo = narInfoFor(info, sealed, options.compression, options.signingKey);
  const request = { ...put(options, narInfo.url, signal), body: chunks };
  accepted(
    options,
    request,
    await retry(() => options.http.request(request), signal, options.policy),
  );
  return uploaded(options, info, narInfo, signal);
}

/**
 * Sent while it is compressed, so that neither memory nor disk holds it; its hash is not known yet,
 * and its name is the path's own: another compressor's bytes of an equal NAR would not fit its
 * narinfo.
 */
async function putStream(
  options: HttpPushOptions,
  info: PathInfo,
  nar: NarSource,
  signal: AbortSignal,
): Promise<Uploaded> {
  const { compression, http, policy } = options;
  const hash = formatSha256(info.narHash).slice("sha256:".length);
  const url = `nar/${hashPart(info.storePath)}-${hash}${EXTENSIONS[compression]}`;
  // A NAR that cannot be read does not get better by trying again.
  const unreadable = new AbortController();
  const either = AbortSignal.any([signal, unreadable.signal]);
  let file = narFile(info, nar, compression, either);
  const content = async function* () {
    try {
      yield* file.content;
    } catch (error) {
      unreadable.abort(error);
      throw error;
    }
  };
  const attempt = () => {
    file = narFile(info, nar, compression, either);
    return http.request({ ...put(options, url, either), body: content() });
  };
  const answer = await retry(attempt, either, policy);
  accepted(options, put(options, url, signal), answer);
  const narInfo = narInfoFor(info, file.seal(), compression, options.signingKey);
  return uploaded(options, info, { ...narInfo, url }, signal);
}

export function uploaded(
  options: HttpPushOptions,
  info: PathInfo,
  narInfo: ReturnType<typeof narInfoFor>,
  signal: AbortSignal,
): Uploaded {
  return {
    bytes: narInfo.fileSize ?? 0,
    publish: async () => {
      const request: HttpRequest = {
        ...put(options, `${hashPart(info.storePath)}.narinfo`, signal),
        body: formatNarInfo(narInfo),
      };
      const answer = await retry(() => options.http.request(request), signal, options.policy);
      accepted(options, request, answer);
    },
    // Plain HTTP knows no way back; without its narinfo nobody is served the NAR.
    discard: async () => undefined,
  };
}

function put({ at, headers }: HttpPushOptions, path: string, signal: AbortSignal): HttpRequest {
  const type = path.endsWith(".narinfo") ? "text/x-nix-narinfo" : "application/x-nix-nar";
  return {
    method: "PUT",
    url: at(path),
    headers: { ...headers, "content-type": type },
    signal,
    deadline: DEADLINE,
  };
}

/** Throws a UserError for anything but 2xx. */
export function accepted(
  { name, explain }: HttpPushOptions,
  { method, url }: HttpRequest,
  answer: HttpResponse,
): void {
  const { status } = answer;
  if (status >= 200 && status < 300) return;
  const told = explain?.(answer);
  if (told) throw told;
  const what = `${name}: ${method} ${url.origin}${url.pathname} answers ${status}`;
  if (status === 401 || status === 403) {
    throw new UserError("NCP-303", what, {
      hint: "the token may not write there; give one that may",
    });
  }
  throw new UserError("NCP-305", what, {
    hint:
      status === 405 || status === 501
        ? "this server takes no uploads; nginx does with dav_methods PUT and create_full_put_path on"
        : "see the server's own log",
  });
}
