/** Owns one connection that carries one request after another (RFC 9112, section 9.3). */

import type { Socket } from "node:net";
import { AnswerReader, type WireAnswer, type WireRequest } from "./wire-answer.ts";

export interface WireConnection {
  /** Requests it carried to their answer. */
  readonly carried: number;
  /** Whether not a byte came back for the request under way. */
  readonly silent: boolean;
  readonly isUsable: boolean;
  send(request: WireRequest): Promise<WireAnswer>;
  /** Nothing is under way: it keeps no process alive. */
  rest(): void;
  destroy(error: Error): void;
}

export interface ConnectionEvents {
  session(session: Buffer): void;
  closed(): void;
}

/** Opens a connection to the URL's host; what fails is told by the first request. */
export function openConnection(
  url: URL,
  session: Buffer | undefined,
  events: ConnectionEvents,
): WireConnection {
  return new Connection(url, session, events);
}

interface UnderWay {
  readonly reader: AnswerReader;
  readonly resolve: (answer: WireAnswer) => void;
  readonly reject: (error: unknown) => void;
}

class Connection implements WireConnection {
  carried = 0;
  silent = true;
  isUsable = true;
  private readonly socket: Socket;
  private underWay: UnderWay | undefined;

  constructor(url: URL, session: Buffer | undefined, events: ConnectionEvents) {
    const socket = connect(url, session, (bytes) => this.read(bytes));
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("session", (made: Buffer) => events.session(made));
    socket.on("end", () => this.ended());
    socket.on("error", (error) => this.fail(error));
    socket.on("close", () => {
      this.fail(new Error("the connection was closed"));
      events.closed();
    });
  }

  send(request: WireRequest): Promise<WireAnswer> {
    const { method, head, most, pieces } = request;
    const { promise, resolve, reject } = Promise.withResolvers<WireAnswer>();
    this.underWay = { reader: new AnswerReader(method, most), resolve, reject };
    this.silent = true;
    const { socket } = this;
    if (this.carried > 0) socket.ref();
    if (pieces.length === 0) socket.write(head, "latin1");
    else {
      socket.cork();
      socket.write(head, "latin1");
      for (const piece of pieces) socket.write(piece);
      socket.uncork();
    }
    return promise;
  }

  rest(): void {
    this.socket.unref();
  }

  destroy(error: Error): void {
    this.fail(error);
  }

  private read(chunk: Buffer): void {
    const { underWay } = this;
    // What nobody asked for is the answer to nothing.
    if (!underWay) {
      this.fail(new Error("bytes without a question"));
      return;
    }
    this.silent = false;
    try {
      const answer = underWay.reader.take(chunk);
      if (answer) this.answered(underWay, answer);
    } catch (error) {
      this.fail(error);
    }
  }

  private answered({ resolve }: UnderWay, answer: WireAnswer): void {
    this.underWay = undefined;
    this.carried++;
    // An answer in the middle of the question: the rest of it would still be on its way.
    if (answer.connection === "close" || this.socket.writableLength > 0) {
      this.isUsable = false;
      this.socket.destroy();
    }
    resolve(answer);
  }

  private ended(): void {
    const { underWay } = this;
    this.isUsable = false;
    if (!underWay) return;
    try {
      this.answered(underWay, underWay.reader.end());
    } catch (error) {
      this.fail(error);
    }
  }

  private fail(error: unknown): void {
    const { underWay } = this;
    this.underWay = undefined;
    this.isUsable = false;
    this.socket.destroy();
    underWay?.reject(error);
  }
}

/**
 * What the kernel has is read into this one buffer, and copied out: a buffer of its own for each read,
 * as streams have it, costs more than all the rest of reading.
 */
const READ = Buffer.allocUnsafeSlow(64 * 1024);

function connect(url: URL, session: Buffer | undefined, read: (bytes: Buffer) => void): Socket {
  const { hostname } = url;
  const host = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
  const isSecure = url.protocol === "https:";
  const port = url.port === "" ? (isSecure ? 443 : 80) : Number(url.port);
  const callback = (bytes: number) => {
    read(Buffer.from(READ.subarray(0, bytes)));
    return true;
  };
  const to = { host, port, onread: { buffer: READ, callback } };
  // Loaded by the first request, and TLS only where it is spoken.
  const net = process.getBuiltinModule("node:net");
  if (!isSecure) return net.connect(to);
  return process.getBuiltinModule("node:tls").connect({
    ...to,
    ALPNProtocols: ["http/1.1"],
    // A server is named by its name; an address is none (RFC 6066, section 3).
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
    ...(session ? { session } : {}),
  });
}
