/** Pushes to a plain HTTP cache: NAR, then narinfo, each by PUT, as Nix's own client does. */

import { createReadStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type CacheClient, formatCacheInfo, type NarSource } from "../../domain/cache.ts";
import { UserError } from "../../domain/errors.ts";
import { formatSha256 } from "../../domain/hash.ts";
import { ByteBudget } from "../../domain/limit.ts";
import { formatNarInfo, type PathInfo } from "../../domain/narinfo.ts";
import { realisationFile } from "../../domain/realisation.ts";
import type { SigningKey } from "../../domain/signature.ts";
import { hashPart } from "../../domain/store-path.ts";
import { makeFolder } from "../../host/atomic.ts";
import { EXTENSIONS, type Packing } from "../../host/compress.ts";
import { disk } from "../../host/disk.ts";
import { keepGarbageSmall } from "../../host/environment.ts";
import { serverWords } from "../../host/http-body.ts";
import type { Http, HttpRequest, HttpResponse } from "../../host/http-client.ts";
import { isSuccess, RETRY, type RetryPolicy, retry } from "../../host/retry.ts";
import type { MemberIndex } from "../index-file.ts";
import {
  isSmall,
  narFile,
  narInfoFor,
  PushBreaker,
  pushInOrder,
  type Uploaded,
} from "../nar-file.ts";
import type { SwappedIndex } from "./swapped.ts";

export interface HttpPushOptions extends Packing {
  readonly name: string;
  readonly at: (path: string) => URL;
  readonly http: Http;
  readonly headers: Readonly<Record<string, string>>;
  readonly signingKey: SigningKey | undefined;
  readonly policy?: RetryPolicy;
  /** What this server means by a refusal; undefined: what HTTP says. */
  readonly explain?: (answer: HttpResponse) => UserError | undefined;
  /** How a NAR goes up that is too large to be held; default: by way of a file, which has a length. */
  readonly putLarge?: typeof putFile;
  /** A folder for what is on its way. */
  readonly folder: string;
  readonly storeDir: string;
  /** Whether the cache has no nix-cache-info yet: whoever pushes first writes it. */
  readonly isNew: (signal: AbortSignal) => Promise<boolean>;
  readonly index?: MemberIndex & Partial<Pick<SwappedIndex, "begin">>;
}

/** Two requests a path at 20 ms: 128 side by side bring some 3,000 small paths a second. */
const PATHS_AT_ONCE = 64;
/** Bytes of NARs held whole and of compressors, together; the rest of the 256 MB is Node's. */
const MEMORY = 64 * 1024 * 1024;
/** What a large NAR holds while it goes through: pieces, the compressor's window, the socket. */
const STREAM = 16 * 1024 * 1024;
/** Bytes of NARs that lie on the disk on their way, together; one that is larger lies there alone. */
const FILES = 1024 ** 3;
/** Milliseconds for a small body, and for each piece of a large one. */
const DEADLINE = 60_000;

export function httpPush(given: HttpPushOptions): NonNullable<CacheClient["push"]> {
  const breaker = new PushBreaker();
  const options: HttpPushOptions = {
    ...given,
    get policy() {
      return breaker.policy(given.policy ?? RETRY);
    },
  };
  const budget = new ByteBudget(MEMORY);
  const files = new ByteBudget(FILES);
  // Before anything is asked: the space that looking for 10,000 paths grew is not given back.
  keepGarbageSmall();
  let begun: Promise<void> | undefined;
  return async (paths, nar, progress, signal) => {
    begun ??= writeInfo(options, signal);
    // Whoever comes next may have more luck.
    await begun.catch((error) => {
      begun = undefined;
      throw error;
    });
    await options.index?.add(paths, signal);
    const upload = async (info: PathInfo) => {
      const memory = isSmall(info) ? 3 * info.narSize : STREAM;
      await budget.take(memory);
      try {
        signal.throwIfAborted();
        if (isSmall(info)) return await putWhole(options, info, nar, signal);
        return await (options.putLarge ?? putFile)(options, info, nar, signal, files);
      } finally {
        budget.give(memory);
      }
    };
    return pushInOrder(paths, PATHS_AT_ONCE, upload, progress, signal, breaker);
  };
}

/** As Nix's own client writes it, where it is looked for. */
export function httpRealise(options: HttpPushOptions): NonNullable<CacheClient["realise"]> {
  return async ({ id, text }, signal) => {
    const at = realisationFile(id).replace("!", "%21");
    const request = { ...put(options, at, "application/json", signal), body: text };
    const answer = await retry(
      () => options.http.request(request),
      signal,
      options.policy ?? RETRY,
    );
    accepted(options, request, answer);
  };
}

/** Nix's own for a cache it writes. */
const PRIORITY = 50;

async function writeInfo(options: HttpPushOptions, signal: AbortSignal): Promise<void> {
  if (!(await options.isNew(signal))) return;
  await options.index?.begin?.(() => options.isNew(signal), signal);
  const request = {
    ...put(options, "nix-cache-info", "text/x-nix-cache-info", signal),
    body: formatCacheInfo(options.storeDir, PRIORITY),
  };
  const attempt = () => options.http.request(request);
  accepted(options, request, await retry(attempt, signal, options.policy));
}

/** Compressed in memory first: its name is its hash, as in Nix's own caches. */
async function putWhole(
  options: HttpPushOptions,
  info: PathInfo,
  nar: NarSource,
  signal: AbortSignal,
): Promise<Uploaded> {
  const file = narFile(info, nar, options, signal);
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.content) chunks.push(chunk);
  const sealed = file.seal();
  const narInfo = narInfoFor(info, sealed, options.compression, options.signingKey);
  const request = { ...put(options, narInfo.url, NAR, signal), body: chunks };
  const attempt = () => options.http.request(request);
  accepted(options, request, await retry(attempt, signal, options.policy));
  return uploaded(options, info, narInfo, signal);
}

/**
 * By way of a file: its length is known before it is sent, which many servers ask for (411), its name
 * is its hash, and another try does not compress it again.
 */
async function putFile(
  options: HttpPushOptions,
  info: PathInfo,
  nar: NarSource,
  signal: AbortSignal,
  files: ByteBudget,
): Promise<Uploaded> {
  const { compression, http, policy, folder } = options;
  const most = info.narSize + Math.ceil(info.narSize / 64);
  await makeFolder(folder);
  // A disk that builds have filled has no space to prepare a push in.
  if ((disk.freeNow(folder)?.freeBytes ?? most) < most)
    return putStream(options, info, nar, signal);
  await files.take(most);
  const directory = await mkdtemp(join(folder, "upload-"));
  try {
    const path = join(directory, "nar");
    const file = narFile(info, nar, options, signal);
    await writeFile(path, file.content, { signal });
    const sealed = file.seal();
    const narInfo = narInfoFor(info, sealed, compression, options.signingKey);
    const request = { ...put(options, narInfo.url, NAR, signal), bodyBytes: sealed.fileSize };
    const attempt = () => http.request({ ...request, body: createReadStream(path) });
    accepted(options, request, await retry(attempt, signal, policy));
    return uploaded(options, info, narInfo, signal);
  } finally {
    files.give(most);
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
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
  let file = narFile(info, nar, options, either);
  const content = async function* () {
    try {
      yield* file.content;
    } catch (error) {
      unreadable.abort(error);
      throw error;
    }
  };
  const request = put(options, url, NAR, either);
  const attempt = () => {
    file = narFile(info, nar, options, either);
    return http.request({ ...request, body: content() });
  };
  accepted(options, request, await retry(attempt, either, policy));
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
      const text = formatNarInfo(narInfo);
      const path = `${hashPart(info.storePath)}.narinfo`;
      const request = { ...put(options, path, "text/x-nix-narinfo", signal), body: text };
      const attempt = () => options.http.request(request);
      try {
        accepted(options, request, await retry(attempt, signal, options.policy));
      } catch (error) {
        signal.throwIfAborted();
        // An answer may get lost behind a write that was done.
        const isLost = error instanceof UserError && error.fault === "the server's";
        if (!isLost || !(await isServed(options, request, text))) throw error;
      }
    },
    // Plain HTTP knows no way back; without its narinfo nobody is served the NAR.
    discard: async () => undefined,
  };
}

async function isServed(
  { http, headers }: HttpPushOptions,
  { url, signal, deadline }: HttpRequest,
  text: string,
): Promise<boolean> {
  const found = await http
    .request({ method: "GET", url, headers, signal, deadline })
    .catch(() => undefined);
  return found !== undefined && isSuccess(found.status) && found.body.toString("utf8") === text;
}

const NAR = "application/x-nix-nar";

function put(
  { at, headers }: HttpPushOptions,
  path: string,
  type: string,
  signal: AbortSignal,
): HttpRequest {
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
  { name, explain, headers }: HttpPushOptions,
  { method, url }: HttpRequest,
  answer: HttpResponse,
): void {
  const { status } = answer;
  if (isSuccess(status)) return;
  const told = explain?.(answer);
  if (told) throw told;
  const { authorization } = headers;
  const words = serverWords(answer, authorization?.replace(/^\S+ /, ""));
  const what = `${name}: ${method} ${url.origin}${url.pathname} answers ${status} (${words})`;
  if (status === 401 || status === 403) {
    throw new UserError("NCP-303", what, {
      hint: "the token may not write there; give one that may",
    });
  }
  throw new UserError("NCP-305", what, {
    ...(status >= 500 ? { fault: "the server's" as const } : {}),
    hint:
      status === 405 || status === 501
        ? "this server takes no uploads; nginx does with dav_methods PUT and create_full_put_path on"
        : "see the server's own log",
  });
}
