/** Owns the bodies of requests and answers: sent without a copy or as a stream, read whole and bounded. */

import type { ClientRequest, IncomingMessage } from "node:http";
import type { HttpRequest } from "./http-request.ts";
import type { Timed } from "./http-timed.ts";

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
