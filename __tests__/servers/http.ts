/** Owns what every loopback server of the tests is made of: a socket, bounded bodies, replies, an end. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createSecureServer } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { loopbackCertificate } from "../support/certificate.ts";

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Drop the connection after so many bytes of the body, though its whole length was promised. */
  readonly cutAfter?: number;
  /** `untold`: in chunks, as a server does that makes the body up while it sends it. */
  readonly length?: "told" | "untold";
}

/** `drop` ends the connection without an answer; `hang` keeps it and never answers. */
export type Outcome = Reply | "drop" | "hang";

/** Thrown by a handler that answers with an error from deep inside. */
export class HttpError extends Error {
  readonly reply: Reply;

  constructor(reply: Reply) {
    super(`${reply.status} ${typeof reply.body === "string" ? reply.body : ""}`);
    this.name = "HttpError";
    this.reply = reply;
  }
}

export interface LoopbackServer extends AsyncDisposable {
  readonly port: number;
  /** `http://127.0.0.1:PORT`, or `https://localhost:PORT`. */
  readonly origin: string;
  /** Aborted when the server is disposed of: for whatever a handler waits on. */
  readonly closed: AbortSignal;
}

/** What a server speaks: plain HTTP/1.1, as on a LAN, or what delivery networks speak. */
export type Wire = "HTTP/1.1" | "HTTP/2 over TLS";

/** Serves on 127.0.0.1 and a free port; disposing of it cuts every open connection. */
export async function listen(
  answer: (request: IncomingMessage) => Promise<Outcome>,
  wire: Wire = "HTTP/1.1",
): Promise<LoopbackServer> {
  const end = new AbortController();
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    // Kept: a request whose body was given up in the middle no longer knows its socket.
    const socket = cutting(request);
    // A client that goes away in the middle is part of what the tests do.
    request.on("error", () => {});
    response.on("error", () => {});
    answer(request)
      .catch((thrown: unknown) => replyForThrown(thrown))
      .then((outcome) => {
        if (outcome === "drop") socket.destroy();
        else if (outcome !== "hang") send(request, response, outcome);
      })
      .catch(() => socket.destroy());
  };
  const server =
    wire === "HTTP/1.1"
      ? // Node's 5 s would close idle connections under a client that is about to use them again.
        createServer({ keepAliveTimeout: 120_000, requestTimeout: 0 }, serve)
      : createSecureServer(loopbackCertificate().pair, (request, response) =>
          // Node means it to be used as the other: all that is called here is there.
          serve(request as unknown as IncomingMessage, response as unknown as ServerResponse),
        );
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket.on("error", () => undefined).on("close", () => sockets.delete(socket)));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    origin: wire === "HTTP/1.1" ? `http://127.0.0.1:${port}` : `https://localhost:${port}`,
    closed: end.signal,
    async [Symbol.asyncDispose]() {
      if (end.signal.aborted) return;
      end.abort();
      await new Promise((resolve) => {
        server.close(resolve);
        for (const socket of sockets) socket.destroy();
      });
    },
  };
}

/** What ends the connection of HTTP/1.1, or the one stream of HTTP/2, in the middle. */
function cutting(request: IncomingMessage): { destroy(): void } {
  const { stream } = request as unknown as { stream?: { close(code: number): void } };
  // INTERNAL_ERROR: the others on the connection go on.
  return stream ? { destroy: () => stream.close(2) } : request.socket;
}

function replyForThrown(thrown: unknown): Reply {
  if (thrown instanceof HttpError) return thrown.reply;
  return text(500, thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
}

function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  // Not copied: a NAR may be large.
  const body = typeof reply.body === "object" ? reply.body : Buffer.from(reply.body ?? "");
  const bodiless = reply.status === 204 || reply.status === 304;
  response.writeHead(reply.status, {
    ...(bodiless || reply.length === "untold" ? {} : { "content-length": String(body.length) }),
    ...reply.headers,
  });
  if (bodiless || request.method === "HEAD") {
    response.end();
  } else if (reply.cutAfter === undefined) {
    response.end(body);
  } else {
    const end = cutting(request);
    response.write(body.subarray(0, reply.cutAfter), () => end.destroy());
  }
}

/** The body, or 413 when it is longer than `limit`; the rest is read all the same, so the answer arrives. */
export async function readBody(
  request: IncomingMessage,
  options: { readonly limit: number },
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= options.limit) chunks.push(chunk);
    else chunks.length = 0;
  }
  if (size > options.limit) {
    throw new HttpError(json(413, { error: `body has ${size} bytes, limit ${options.limit}` }));
  }
  return Buffer.concat(chunks);
}

/** A JSON body: 415 without its content type, 400 when it does not parse. */
export async function readJson(
  request: IncomingMessage,
  options: { readonly limit: number },
): Promise<unknown> {
  const type = request.headers["content-type"] ?? "application/octet-stream";
  const body = await readBody(request, options);
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new HttpError(json(415, { error: `content type ${type} is not application/json` }));
  }
  try {
    return JSON.parse(body.toString("utf8")) as unknown;
  } catch (thrown) {
    throw new HttpError(json(400, { error: `not JSON: ${String(thrown)}` }));
  }
}

export function json(status: number, value: unknown): Reply {
  return {
    status,
    headers: { "content-type": "application/json;charset=utf-8" },
    body: JSON.stringify(value),
  };
}

export function text(status: number, body: string, type = "text/plain"): Reply {
  return { status, headers: { "content-type": type }, body };
}
