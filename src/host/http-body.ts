/** What a request sends and an answer holds: bodies sent without a copy or as a stream, read whole and bounded, and unpacked. */

import type { IncomingHttpHeaders } from "node:http";
import type { Readable, Writable } from "node:stream";
import { UserError } from "../domain/errors.ts";
import { decompress } from "./compress.ts";

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "PATCH" | "DELETE";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * A list is sent as it stands, one piece after the other, without a copy. A stream is sent as it
   * comes, in chunks where `bodyBytes` does not say its length, and the deadline then holds for each wait.
   */
  readonly body?: Uint8Array | string | readonly Uint8Array[] | AsyncIterable<Uint8Array>;
  readonly bodyBytes?: number;
  readonly signal: AbortSignal;
  /** Milliseconds for one try, connection to last byte; a turn that is waited for does not count. */
  readonly deadline: number;
  /** A longer body, once it is unpacked, is refused. */
  readonly maxBytes?: number;
}

export type Body =
  | { readonly kind: "pieces"; readonly pieces: readonly Uint8Array[]; readonly bytes: number }
  | {
      readonly kind: "stream";
      readonly chunks: AsyncIterable<Uint8Array>;
      readonly bytes: number | undefined;
    };

/** Undefined where there is none to send. */
export function bodyOf({
  body,
  bodyBytes,
}: Pick<HttpRequest, "body" | "bodyBytes">): Body | undefined {
  if (body === undefined) return undefined;
  if (typeof body === "object" && Symbol.asyncIterator in body) {
    return { kind: "stream", chunks: body, bytes: bodyBytes };
  }
  const pieces =
    typeof body === "string" ? [Buffer.from(body)] : body instanceof Uint8Array ? [body] : body;
  return { kind: "pieces", pieces, bytes: pieces.reduce((sum, { length }) => sum + length, 0) };
}

/**
 * Sends a body to its end. Rejects where the body itself fails; the connection's faults are the request's.
 * A server that answers in the middle has heard enough: `response` is the event of an answer.
 */
export async function sendBody(
  sent: Writable,
  body: Body,
  timed: Pick<Timed, "restart">,
): Promise<void> {
  if (body.kind === "pieces") {
    for (const piece of body.pieces) sent.write(piece);
    sent.end();
    return;
  }
  let answered = false;
  sent.once("response", () => {
    answered = true;
  });
  for await (const chunk of body.chunks) {
    if (answered || sent.destroyed) return;
    timed.restart();
    if (!sent.write(chunk)) await drained(sent);
  }
  timed.restart();
  sent.end();
}

function drained(sent: Writable): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      for (const event of EVENTS) sent.off(event, go);
      resolve();
    };
    for (const event of EVENTS) sent.once(event, go);
  });
}

const EVENTS = ["drain", "close", "response"] as const;

/** The answer's body as it came, no more than `most` bytes; an error where it breaks off. */
export function wholeBody(body: Readable, most: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    let isWhole = false;
    body.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > most) body.destroy(tooLong(most));
    });
    body.on("end", () => {
      isWhole = true;
      resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks));
    });
    body.on("error", reject);
    // Without an end the other side hung up in the middle.
    body.on("close", () => {
      if (!isWhole) reject(new Error("the connection was closed in the middle"));
    });
  });
}

function tooLong(most: number): UserError {
  return new UserError("NCP-335", `it answered with more than ${most} bytes`);
}

/** Encodings that curl, and so Nix, unpacks without a word, and one that an HTTP cache of Nix's may have. */
const ENCODINGS: Readonly<Record<string, string>> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "deflate",
  br: "br",
  zstd: "zstd",
  xz: "xz",
};
/** One encoding is usual, two are odd; more are a way to keep us busy. */
const ENCODINGS_MOST = 3;

/** What the body is packed in, the outermost last. Throws for what nobody here can unpack. */
export function encodingsOf(headers: IncomingHttpHeaders): readonly string[] {
  const field = headers["content-encoding"];
  if (field === undefined) return NONE;
  const names = field.split(",").map((name) => name.trim().toLowerCase());
  const packed = names.filter((name) => name !== "" && name !== "identity");
  if (packed.length > ENCODINGS_MOST) throw new Error("it is packed more than three times over");
  return packed.map((name) => {
    const known = ENCODINGS[name];
    if (known === undefined) {
      throw new Error(`its Content-Encoding "${name.slice(0, 40)}" is not known here`);
    }
    return known;
  });
}

const NONE: readonly string[] = [];

/** What a server said, in one short line that cannot hold `secret`. */
export function serverWords(
  { headers, body }: { readonly headers: IncomingHttpHeaders; readonly body: Buffer },
  secret?: string,
): string {
  const text = body.toString("utf8", 0, 2_000);
  let words = String(headers["content-type"] ?? "").includes("html") ? "an HTML page" : text;
  try {
    const { error, message } = JSON.parse(text) as { error?: unknown; message?: unknown };
    const said = message ?? error;
    if (typeof said === "string") words = said;
  } catch {
    // Not JSON: its text will do.
  }
  const line = words.replace(/\s+/g, " ").trim().slice(0, 300) || "no text";
  return secret ? line.replaceAll(secret, "***") : line;
}

/** The content of a body that is packed; an error where it has more than `most` bytes. */
export async function* unpacked(
  body: AsyncIterable<Uint8Array>,
  encodings: readonly string[],
  most: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let content = body;
  for (const encoding of encodings.toReversed()) {
    content = bounded(decompress(encoding, content, signal), most);
  }
  yield* encodings.length === 0 ? bounded(content, most) : content;
}

async function* bounded(
  content: AsyncIterable<Uint8Array>,
  most: number,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    if (bytes > most) throw tooLong(most);
    yield chunk;
  }
}

/** As `unpacked`, of what is held as a whole. */
export async function unpackWhole(
  body: Buffer,
  encodings: readonly string[],
  most: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const once = async function* () {
    yield body;
  };
  const chunks: Uint8Array[] = [];
  for await (const chunk of unpacked(once(), encodings, most, signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** What is under way for a signal: one listener for all of it, not one for each request. */
const REQUESTS = new WeakMap<AbortSignal, Set<Timed>>();

function underWay(signal: AbortSignal): Set<Timed> {
  let requests = REQUESTS.get(signal);
  if (!requests) {
    const made = new Set<Timed>();
    const interrupt = () => {
      for (const timed of made) timed.interrupt();
    };
    signal.addEventListener("abort", interrupt, { once: true });
    REQUESTS.set(signal, made);
    requests = made;
  }
  return requests;
}

/** What is under way, and can be ended. */
interface Endable {
  destroy(error: Error): unknown;
}

/** One for all: a closure for each of 100,000 requests would cost more than it does. */
function isLate(timed: Timed): void {
  timed.end();
}

/** One request's deadline and the caller's signal, whichever comes first. */
export class Timed {
  private readonly request: HttpRequest;
  private timer: NodeJS.Timeout | undefined;
  private sent: Endable | undefined;
  private late = false;
  private readonly underWay: Set<Timed>;

  constructor(request: HttpRequest) {
    request.signal.throwIfAborted();
    this.request = request;
    this.underWay = underWay(request.signal);
    this.underWay.add(this);
    this.restart();
  }

  interrupt(): void {
    this.sent?.destroy(new Error("interrupted"));
  }

  attach(sent: Endable): void {
    this.sent = sent;
    // Between two hops there is no request to end: the next one ends before it begins.
    if (this.late || this.request.signal.aborted) sent.destroy(new Error("interrupted"));
  }

  restart(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(isLate, this.request.deadline, this);
  }

  pause(): void {
    clearTimeout(this.timer);
  }

  end(): void {
    this.late = true;
    this.sent?.destroy(new Error("too slow"));
  }

  done(): void {
    clearTimeout(this.timer);
    this.underWay.delete(this);
  }

  explain(error: unknown): unknown {
    if (this.request.signal.aborted) return this.request.signal.reason;
    const { method, url, deadline } = this.request;
    // The query may hold a signed upload's secret; the path never does.
    const what = `${method} ${url.origin}${url.pathname}`;
    if (this.late)
      return new UserError("NCP-501", `${what}: no answer within ${deadline / 1000} s`);
    if (error instanceof UserError) {
      if (error.code !== "NCP-335") return error;
      return new UserError(error.code, `${what}: ${error.message}`);
    }
    return new Error(`${what}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}
