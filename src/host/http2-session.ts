/**
 * One HTTP/2 session: many requests side by side over one connection, which of them the server has
 * begun, and whether it is still there. Source: RFC 9113, sections 5.1.2, 6.7 (PING) and 6.8 (GOAWAY).
 */

import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import type { Socket } from "node:net";
import { sendBody } from "./http-body.ts";
import {
  type Answered,
  type Lane,
  type LaneEvents,
  type LaneRequest,
  Lost,
  NotBegun,
  type Sending,
} from "./http-lane.ts";

/** Streams at once where the server allows more; and what it allows as long as it has not said. */
const STREAMS_MOST = 256;
const STREAMS_FIRST = 100;
/** What a stream, and all of them, may send unread: 80 MB/s a stream at 50 ms. Node's own is 64 kB: 1 MB/s. */
const STREAM_WINDOW = 4 * 1024 * 1024;
const SESSION_WINDOW = 32 * 1024 * 1024;
/** Megabytes that Node lets a session hold. Its default, 10, is less than one part of an upload. */
const MEMORY = 512;
/** Milliseconds without a request after which it is closed, and after which it has to show that it lives. */
const IDLE = 30_000;
const FRESH = 1_000;
/** Milliseconds for the answer to a ping: when it is taken up again, and while an answer is waited for. */
const PONG = 3_000;
const BEAT = 15_000;

export class Http2Session implements Lane {
  readonly protocol = "h2";
  isUsable = true;
  private readonly session: ClientHttp2Session;
  private readonly events: LaneEvents;
  private open = 0;
  private carried = 0;
  private limit = STREAMS_FIRST;
  private heard = performance.now();
  private proving: Promise<boolean> | undefined;
  /** The last stream that the server took up, once it has said goodbye. */
  private last = Number.POSITIVE_INFINITY;
  private idle: NodeJS.Timeout | undefined;
  private readonly beat: NodeJS.Timeout;

  constructor(socket: Socket, origin: string, events: LaneEvents) {
    this.events = events;
    const http2 = process.getBuiltinModule("node:http2");
    const session = http2.connect(origin, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW },
      maxSessionMemory: MEMORY,
    });
    this.session = session;
    session.on("connect", () => session.setLocalWindowSize(SESSION_WINDOW));
    session.on("remoteSettings", ({ maxConcurrentStreams }) => {
      this.limit = Math.min(STREAMS_MOST, maxConcurrentStreams ?? STREAMS_MOST);
      this.settled();
    });
    session.on("goaway", (_, last) => {
      this.last = last;
      this.retire();
    });
    session.on("error", () => this.retire());
    session.on("close", () => this.retire());
    this.rest();
    this.beat = setInterval(() => void this.feel(), BEAT);
    this.beat.unref();
  }

  get free(): number {
    return this.isUsable ? this.limit - this.open : 0;
  }

  get isStuck(): boolean {
    return this.isUsable && this.open === 0 && this.limit === 0;
  }

  /** A connection that rested may lead nowhere: a middle box forgets it without a word. */
  prove(): Promise<boolean> | undefined {
    if (this.open > 0 || performance.now() - this.heard < FRESH) return undefined;
    this.proving ??= this.ping(PONG).finally(() => {
      this.proving = undefined;
    });
    return this.proving;
  }

  send({ method, url, headers, body, timed }: LaneRequest): Sending {
    const { session } = this;
    const fields = [":method", method, ":path", `${url.pathname}${url.search}`];
    fields.push(":scheme", "https", ":authority", url.host);
    for (const name in headers) fields.push(name, headers[name] as string);
    if (body?.bytes !== undefined) fields.push("content-length", String(body.bytes));
    const isFirst = this.carried === 0;
    this.carried++;
    if (this.open++ === 0) {
      session.ref();
      clearTimeout(this.idle);
    }
    const { promise, resolve, reject } = Promise.withResolvers<Answered>();
    let stream: ClientHttp2Stream;
    try {
      stream = session.request(fields, { endStream: body === undefined });
    } catch (error) {
      this.closed();
      // Between its last word and ours.
      return {
        answer: Promise.reject(this.isUsable ? error : new NotBegun(error)),
        destroy: () => undefined,
      };
    }
    let answered = false;
    let given: Error | undefined;
    stream.on("response", (received: IncomingHttpHeaders) => {
      answered = true;
      this.heard = performance.now();
      const status = Number(received[":status"]);
      resolve({
        status,
        headers: received,
        body: stream,
        isFirst,
        protocol: "h2",
        end: (bytes) =>
          end(stream, method === "HEAD" ? undefined : received["content-length"], bytes),
      });
    });
    stream.on("error", (error) => {
      if (!answered) reject(given ?? this.explain(error, stream, isFirst));
    });
    stream.on("close", () => {
      this.closed();
      if (!answered)
        reject(
          given ??
            this.explain(new Error("the stream was closed without an answer"), stream, isFirst),
        );
    });
    if (body) {
      sendBody(stream, body, timed).catch((error) => {
        given = error;
        reject(error);
        stream.close(CANCEL);
      });
    }
    return {
      answer: promise,
      destroy: (error) => {
        given = error;
        reject(error);
        stream.destroy(error);
      },
    };
  }

  destroy(): void {
    this.retire();
    this.session.destroy();
  }

  private closed(): void {
    this.open--;
    if (this.open > 0) {
      this.events.freed();
      return;
    }
    if (this.isUsable) this.rest();
    else this.session.close();
    this.events.freed();
  }

  /** Nothing is under way: it keeps no process alive, and is closed in a while. */
  private rest(): void {
    this.session.unref();
    this.idle = setTimeout(() => {
      this.retire();
      this.session.close();
    }, IDLE);
    this.idle.unref();
  }

  /** Nothing more is begun here; what is under way may end. */
  private retire(): void {
    if (!this.isUsable) return;
    this.isUsable = false;
    clearTimeout(this.idle);
    if (this.session.destroyed || this.open === 0) clearInterval(this.beat);
    this.events.ended(this);
  }

  private settled(): void {
    this.heard = performance.now();
    this.events.freed();
  }

  /** While answers are waited for and nothing is heard, whether anybody is there. */
  private async feel(): Promise<void> {
    if (this.session.destroyed) return clearInterval(this.beat);
    if (this.open === 0 || performance.now() - this.heard < BEAT) return;
    if (!(await this.ping(BEAT)))
      this.session.destroy(new Error("the connection is dead: no answer to a ping"));
  }

  private ping(patience: number): Promise<boolean> {
    const { session } = this;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), patience);
      const settle = (error: Error | null) => {
        clearTimeout(timer);
        if (!error) this.heard = performance.now();
        resolve(!error);
      };
      try {
        if (!session.ping(settle)) settle(new Error("no ping can be sent"));
      } catch (error) {
        settle(error as Error);
      }
    });
  }

  /** What a failed request means: not begun, perhaps done, or its own fault. */
  private explain(error: Error, stream: ClientHttp2Stream, isFirst: boolean): Error {
    const { id } = stream;
    if (id === undefined || stream.rstCode === REFUSED_STREAM || id > this.last)
      return new NotBegun(error);
    // The server reset this one stream: it has spoken. Else it was the session that died.
    const isReset = !this.session.destroyed && this.isUsable;
    return isReset || isFirst ? error : new Lost(error);
  }
}

const REFUSED_STREAM = 7;
const CANCEL = 8;

/**
 * To Node a body that broke off with its session has just ended, and what the server resets without an
 * error code as well. A request body that the server did not wait for is not sent to its end.
 */
function end(stream: ClientHttp2Stream, length: string | undefined, bytes: number): void {
  const isCut = (stream.rstCode ?? 0) !== 0 || (length !== undefined && bytes !== Number(length));
  if (isCut) throw new Error("the connection was closed in the middle");
  if (!stream.writableFinished) stream.close(CANCEL);
}
