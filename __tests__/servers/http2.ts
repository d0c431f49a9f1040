/** A server of HTTP/2 over TLS that misbehaves on demand, and the file of whoever vouches for it. */

import { writeFile } from "node:fs/promises";
import {
  createSecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { certificateFor } from "../support/certificate.ts";
import { temporaryFolder } from "../support/folder.ts";

export interface Http2Server extends AsyncDisposable {
  readonly port: number;
  at(path: string): URL;
  /** `NIX_SSL_CERT_FILE`, with which it is trusted. */
  readonly environment: Readonly<Record<string, string>>;
  /** `METHOD path`, in order of arrival. */
  readonly requests: string[];
  readonly sessions: ServerHttp2Session[];
}

export type StreamAnswer = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  session: ServerHttp2Session,
) => void;

export async function http2Server(
  answer: StreamAnswer,
  options: { readonly maxConcurrentStreams?: number; readonly protocols?: readonly string[] } = {},
): Promise<Http2Server> {
  const folder = await temporaryFolder();
  const { key, cert } = certificateFor("localhost");
  const file = folder.at("ca.pem");
  await writeFile(file, cert);
  const requests: string[] = [];
  const sessions: ServerHttp2Session[] = [];
  const sockets = new Set<Socket>();
  const { maxConcurrentStreams = 100 } = options;
  const server = createSecureServer({ key, cert, settings: { maxConcurrentStreams } });
  server.on("connection", (socket: Socket) => sockets.add(socket.on("error", () => undefined)));
  server.on("tlsClientError", () => undefined);
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => undefined);
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    requests.push(`${headers[":method"]} ${headers[":path"]}`);
    if (stream.session) answer(stream, headers, stream.session as ServerHttp2Session);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    at: (path) => new URL(path, `https://localhost:${port}`),
    environment: { NIX_SSL_CERT_FILE: file },
    requests,
    sessions,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await folder[Symbol.asyncDispose]();
    },
  };
}

export function reply(stream: ServerHttp2Stream, body: string | Uint8Array, status = 200): void {
  if (stream.destroyed) return;
  stream.respond({ ":status": status, "content-length": Buffer.byteLength(body) });
  stream.end(body);
}

export interface Nat extends AsyncDisposable {
  readonly port: number;
  /** From now on, what goes through connections that are open is swallowed without a word. */
  forget(): void;
  readonly flows: () => number;
}

/** A middle box that forgets its flows when it is told to. */
export async function nat(to: number): Promise<Nat> {
  const sockets = new Set<Socket>();
  let forgotten = 0;
  let flows = 0;
  const server = createServer((near) => {
    const mine = forgotten;
    flows++;
    const far = connect(to, "127.0.0.1");
    const pass = (other: Socket) => (data: Buffer) => {
      if (mine === forgotten) other.write(data);
    };
    near.on("data", pass(far));
    far.on("data", pass(near));
    for (const socket of [near, far]) sockets.add(socket.on("error", () => undefined));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    forget: () => {
      forgotten++;
    },
    flows: () => flows,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
