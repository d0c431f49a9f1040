/** NARs as caches store them: proved by their first byte, and read within what was announced. */

import { UserError } from "../domain/errors.ts";
import type { NarInfo } from "../domain/narinfo.ts";
import type { Http, HttpRequest, HttpResponse, HttpStream } from "../host/http-client.ts";
import { isSuccess, type RetryPolicy, retry } from "../host/retry.ts";

export interface NarPlace {
  readonly http: Http;
  readonly request: HttpRequest;
  readonly policy: RetryPolicy;
  /** What an answer that is no success means; undefined: it is not there. */
  failure(answer: HttpResponse): Error | undefined;
}

/** Milliseconds a NAR may take between two chunks. */
const STALL = 60_000;
/** What stands in an answer that is no NAR: a page, an error in XML. */
const WORDS_MOST = 65_536;

/**
 * Bytes as stored that a NAR may have: what FileSize says, which nothing signs; else NarSize, which is
 * signed, and what a compressor adds to what it cannot compress.
 */
export function storedMost({ fileSize, narSize, compression }: NarInfo): number {
  if (fileSize !== undefined) return fileSize;
  if (compression === "none" || compression === "") return narSize;
  return narSize + Math.ceil(narSize / 64) + 65_536;
}

/**
 * The size of the NAR as stored. Asked for with its first byte and a GET, as Nix asks: many servers and
 * signed addresses do not answer HEAD.
 */
export async function storedSize(
  place: NarPlace,
  signal: AbortSignal,
): Promise<number | "not told" | undefined> {
  const { http, policy } = place;
  const headers = { ...place.request.headers, range: "bytes=0-0" };
  const request = { ...place.request, headers, maxBytes: WORDS_MOST };
  const answer = await retry(() => wordsOf(http, request), signal, policy);
  const { status, headers: told } = answer;
  // No server refuses the first byte of a file but for want of it.
  if (status === 416) return 0;
  if (!isSuccess(status)) {
    const failure = place.failure(answer);
    if (failure) throw failure;
    return undefined;
  }
  // What is packed on its way has another size than what is stored.
  if (told["content-encoding"] !== undefined) return "not told";
  const total =
    status === 206
      ? /\/(\d{1,15})$/.exec(told["content-range"] ?? "")?.[1]
      : told["content-length"];
  const size = Number(total);
  return total !== undefined && Number.isSafeInteger(size) ? size : "not told";
}

/** With its body where that is a byte or an error's words; a server without ranges would send all of the NAR. */
async function wordsOf(http: Http, request: HttpRequest): Promise<HttpResponse> {
  const stream = await http.stream(request);
  const { status, headers } = stream;
  const { url } = request;
  if (isSuccess(status) || Number(headers["content-length"] ?? "0") > WORDS_MOST) {
    stream.discard();
    return { status, headers, url, body: Buffer.alloc(0) };
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream.body) chunks.push(chunk);
  return { status, headers, url, body: Buffer.concat(chunks) };
}

/** The NAR as stored. A passing fault before its first byte is tried again; behind it, it is an error. */
export async function* readStored(
  place: NarPlace,
  most: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const request = { ...place.request, deadline: STALL };
  const stream = await opened({ ...place, request }, signal);
  yield* bounded(request.url, stream.body, most);
}

/** From `from` to before `to`; an error where the server gives no ranges. */
export async function* readStoredRange(
  place: NarPlace,
  { from, to }: { readonly from: number; readonly to: number },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const range = `bytes=${from}-${to - 1}`;
  const headers = { ...place.request.headers, range };
  const request = { ...place.request, headers, deadline: STALL };
  const stream = await opened({ ...place, request }, signal);
  if (stream.status !== 206 || stream.headers["content-encoding"] !== undefined) {
    stream.discard();
    throw new Error(`${request.url.href} answers ${stream.status} to a range`);
  }
  yield* bounded(request.url, stream.body, to - from);
}

async function opened(
  { http, request, policy, failure }: NarPlace,
  signal: AbortSignal,
): Promise<HttpStream> {
  const { maxBytes: _, ...unbounded } = request;
  let stream: HttpStream | undefined;
  const answer = await retry(
    async () => {
      stream = await http.stream(unbounded);
      const { status, headers } = stream;
      if (!isSuccess(status)) stream.discard();
      return { status, headers, body: Buffer.alloc(0), url: request.url };
    },
    signal,
    policy,
  );
  if (stream && isSuccess(answer.status)) return stream;
  throw failure(answer) ?? new Error(`${request.url.href} answers ${answer.status}`);
}

async function* bounded(
  url: URL,
  content: AsyncIterable<Uint8Array>,
  most: number,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    if (bytes > most) throw longer(url, most);
    yield chunk;
  }
}

export function longer({ origin, pathname }: URL, most: number): UserError {
  return new UserError(
    "NCP-335",
    `${origin}${pathname} goes on behind the ${most} bytes that its narinfo announces`,
    { hint: "it is broken off, and not believed; whoever serves it sends something else" },
  );
}
