/** Owns the bodies of requests and answers: sent without a copy or as a stream, read whole and bounded. */

import type { ClientRequest, IncomingMessage } from "node:http";
import { UserError } from "../domain/errors.ts";

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * A list is sent as it stands, one piece after the other, without a copy. A stream is sent as it
   * comes, in chunks, and the deadline then holds for each wait.
   */
  readonly body?: Uint8Array | string | readonly Uint8Array[] | AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
  /** Milliseconds for one try, connection to last byte. */
  readonly deadline: number;
  /** A longer body is refused. */
  readonly maxBytes?: number;
}

export type Body =
  | { readonly kind: "pieces"; readonly pieces: readonly Uint8Array[]; readonly bytes: number }
  | { readonly kind: "stream"; readonly chunks: AsyncIterable<Uint8Array> };

/** Undefined where there is none to send. */
export function bodyOf(body: HttpRequest["body"]): Body | undefined {
  if (body === undefined) return undefined;
  if (typeof body === "object" && Symbol.asyncIterator in body) {
    return { kind: "stream", chunks: body };
  }
  const pieces =
    typeof body === "string" ? [Buffer.from(body)] : body instanceof Uint8Array ? [body] : body;
  return { kind: "pieces", pieces, bytes: pieces.reduce((sum, { length }) => sum + length, 0) };
}

/** Sends a body to its end. Rejects where the body itself fails; the connection's faults are the request's. */
export async function sendBody(
  sent: ClientRequest,
  body: Body | undefined,
  timed: Timed,
): Promise<void> {
  if (body?.kind !== "stream") {
    for (const piece of body?.pieces ?? []) sent.write(piece);
    sent.end();
    return;
  }
  let answered = false;
  sent.once("response", () => {
    answered = true;
  });
  for await (const chunk of body.chunks) {
    // A server that answers in the middle has heard enough.
    if (answered || sent.destroyed) return;
    timed.restart();
    if (!sent.write(chunk)) await drained(sent);
  }
  timed.restart();
  sent.end();
}

function drained(sent: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      for (const event of EVENTS) sent.off(event, go);
      resolve();
    };
    for (const event of EVENTS) sent.once(event, go);
  });
}

const EVENTS = ["drain", "close", "response"] as const;

/** The answer's body; an error where it has more than `most` bytes or breaks off. */
export function wholeBody(response: IncomingMessage, url: URL, most: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    response.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > most) {
        response.destroy(new Error(`${url.href} answered with more than ${most} bytes`));
      }
    });
    response.on("end", () => {
      resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks));
    });
    response.on("error", reject);
    // Behind `end` it changes nothing; without one the other side hung up in the middle.
    response.on("close", () => reject(new Error("the connection was closed in the middle")));
  });
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
    this.timer = setTimeout(() => {
      this.late = true;
      this.sent?.destroy(new Error("too slow"));
    }, this.request.deadline);
  }

  pause(): void {
    clearTimeout(this.timer);
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
    return new Error(`${what}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}
