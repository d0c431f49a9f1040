/** The way to one host: which protocol it speaks, how many connections it gets, and whose turn it is. */

import type { Socket } from "node:net";
import type { SecureContext, TLSSocket } from "node:tls";
import type { Environment } from "./environment.ts";
import {
  type Answered,
  Http1Lane,
  KEEP_ALIVE,
  type Lane,
  type LaneEvents,
  type LaneRequest,
  Lost,
  NotBegun,
  plainLane,
  type Sending,
} from "./http-lane.ts";
import { Http2Session } from "./http2-session.ts";
import { type Certificates, type ProxyServer, proxyFor, tunnel } from "./network-settings.ts";

export interface Ways {
  readonly environment: Environment;
  readonly certificates: Certificates;
  /** Connections of HTTP/1.1 that a host may have, for the files that this process may open. */
  readonly most: () => number;
}

/** HTTP/2 sessions; and connections of HTTP/1.1, each of which is a handshake. */
const SESSIONS_MOST = 2;
const TLS_MOST = 32;
/** Requests that wait before a second session is worth its handshake. */
const SECOND = 64;
/** Milliseconds for a connection and its handshake. */
const CONNECT = 30_000;
/** Times a request is asked again, whose connection went away under it. */
const AGAIN = 4;

interface Turn {
  readonly request: LaneRequest;
  readonly resolve: (answer: Answered) => void;
  readonly reject: (error: unknown) => void;
  sending: Sending | undefined;
  isOver: boolean;
  again: number;
}

export class Origin {
  private readonly url: URL;
  private readonly ways: Ways;
  private readonly proxy: ProxyServer | undefined;
  private readonly lanes: Lane[] = [];
  private readonly waiting: Turn[] = [];
  private dialing = 0;
  private isPlanned = false;
  private isClosed = false;
  private protocol: Lane["protocol"] | undefined;
  /** The last TLS session, so that the next connection begins sooner. */
  private ticket: Buffer | undefined;
  private authorities: "Node's" | "all" = "Node's";
  private readonly sockets = new Set<Socket>();
  private readonly events: LaneEvents = {
    freed: () => this.plan(),
    ended: (lane) => {
      const index = this.lanes.indexOf(lane);
      if (index >= 0) this.lanes.splice(index, 1);
      this.plan();
    },
  };

  constructor(url: URL, ways: Ways) {
    this.url = url;
    this.ways = ways;
    this.proxy = proxyFor(url, ways.environment);
  }

  send(request: LaneRequest): Sending {
    const { promise, resolve, reject } = Promise.withResolvers<Answered>();
    const turn: Turn = { request, resolve, reject, sending: undefined, isOver: false, again: 0 };
    this.waiting.push(turn);
    this.serve();
    // A turn that is waited for is not the server's fault.
    if (!turn.sending && this.lanes.length > 0) request.timed.pause();
    return {
      answer: promise,
      destroy: (error) => {
        turn.isOver = true;
        turn.sending?.destroy(error);
        reject(error);
      },
    };
  }

  /** Makes the way before there is anything to send. Where it fails, the first request tries again, and is told. */
  connect(): void {
    if (this.url.protocol === "https:" && this.lanes.length === 0) this.widen();
  }

  close(): void {
    this.isClosed = true;
    for (const lane of [...this.lanes]) lane.destroy();
    for (const socket of this.sockets) socket.destroy();
    this.fail(new Error("closed"));
  }

  /** Once for all that is freed in one turn of the event loop. */
  private plan(): void {
    if (this.isPlanned || this.waiting.length === 0) return;
    this.isPlanned = true;
    queueMicrotask(() => {
      this.isPlanned = false;
      this.serve();
    });
  }

  private serve(): void {
    // From behind: one that is destroyed leaves the list.
    for (let at = this.lanes.length - 1; at >= 0; at--) {
      const lane = this.lanes[at];
      if (!lane || this.waiting.length === 0) return;
      if (lane.isStuck) {
        lane.destroy();
        continue;
      }
      const proof = lane.prove();
      if (!proof) this.fill(lane);
      else {
        void proof.then((lives) => {
          if (!lives) lane.destroy();
          this.plan();
        });
      }
    }
    if (this.waiting.length > 0) this.widen();
  }

  private fill(lane: Lane): void {
    while (lane.free > 0) {
      const turn = this.waiting.shift();
      if (!turn) return;
      if (!turn.isOver) this.begin(turn, lane);
    }
  }

  private begin(turn: Turn, lane: Lane): void {
    const { request } = turn;
    request.timed.restart();
    turn.sending = lane.send(request);
    turn.sending.answer.then(
      (answer) => {
        turn.isOver = true;
        turn.resolve(answer);
      },
      (error) => {
        turn.sending = undefined;
        if (turn.isOver || !this.mayAskAgain(turn, error)) {
          turn.isOver = true;
          turn.reject(error);
          return;
        }
        turn.again++;
        this.waiting.unshift(turn);
        this.plan();
      },
    );
  }

  private mayAskAgain({ request, again }: Turn, error: unknown): boolean {
    // What was a stream is partly gone.
    if (this.isClosed || again >= AGAIN || request.body?.kind === "stream") return false;
    const isQuestion = request.method === "GET" || request.method === "HEAD";
    return error instanceof NotBegun || (isQuestion && error instanceof Lost);
  }

  /** Another way, where there may be one. */
  private widen(): void {
    if (this.isClosed || this.dialing > 0) return;
    const { lanes, waiting, url, proxy } = this;
    if (url.protocol === "http:") {
      if (lanes.length === 0) this.open(plainLane(url, proxy, this.ways.most, this.events));
      return;
    }
    const isEnough =
      this.protocol === "http/1.1"
        ? lanes.length > 0
        : lanes.length >= SESSIONS_MOST || (lanes.length > 0 && waiting.length < SECOND);
    if (isEnough) return;
    // Nobody is there to wait for: it is this connection that they wait for.
    if (lanes.length === 0) for (const { request } of waiting) request.timed.restart();
    this.dialing++;
    this.dial(ALPN)
      .then(
        (socket) => this.open(this.laneOver(socket)),
        (error) => {
          // With another session to go on with, it is no news.
          if (this.lanes.length === 0) this.fail(error);
        },
      )
      .finally(() => {
        this.dialing--;
        this.plan();
      });
  }

  private open(lane: Lane): void {
    if (this.isClosed) {
      lane.destroy();
      return;
    }
    this.lanes.push(lane);
    this.protocol = lane.protocol;
    this.serve();
    for (const { request } of this.waiting) request.timed.pause();
  }

  private fail(error: unknown): void {
    for (const turn of this.waiting.splice(0)) {
      turn.isOver = true;
      turn.reject(error);
    }
  }

  private laneOver(socket: TLSSocket): Lane {
    if (socket.alpnProtocol === "h2") return new Http2Session(socket, this.url.origin, this.events);
    let first: TLSSocket | undefined = socket;
    const connect = async () => {
      const made = first && !first.destroyed ? first : await this.dial(["http/1.1"]);
      first = undefined;
      return made;
    };
    return new Http1Lane(
      { most: () => Math.min(TLS_MOST, this.ways.most()), connect },
      this.events,
    );
  }

  private async dial(protocols: readonly string[]): Promise<TLSSocket> {
    const { certificates } = this.ways;
    try {
      const context = this.authorities === "all" ? await certificates.all() : undefined;
      return await this.handshake(protocols, context);
    } catch (error) {
      if (this.authorities === "all" || !certificates.mayKnow(error)) {
        throw certificates.explain(error, this.url) ?? error;
      }
      this.authorities = "all";
      return this.dial(protocols);
    }
  }

  private async handshake(
    protocols: readonly string[],
    secureContext: SecureContext | undefined,
  ): Promise<TLSSocket> {
    const { url, proxy, ticket } = this;
    if (this.isClosed) throw new Error("closed");
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const port = url.port === "" ? 443 : Number(url.port);
    const carrier = proxy && (await tunnel(proxy, host, port));
    const net = process.getBuiltinModule("node:net");
    const socket = process.getBuiltinModule("node:tls").connect({
      ...(carrier ? { socket: carrier } : { host, port }),
      ALPNProtocols: [...protocols],
      // A server is named by its name; an address is none (RFC 6066, section 3).
      ...(net.isIP(host) === 0 ? { servername: host } : { host }),
      ...(ticket ? { session: ticket } : {}),
      ...(secureContext ? { secureContext } : {}),
    });
    this.sockets.add(socket);
    socket.on("close", () => this.sockets.delete(socket));
    socket.on("session", (session: Buffer) => {
      this.ticket = session;
    });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE);
    const timer = setTimeout(() => {
      socket.destroy(new Error(`no connection within ${CONNECT / 1000} s`));
    }, CONNECT);
    // Its requests have their own deadlines, and keep the process alive.
    timer.unref();
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
    socket.once("secureConnect", () => resolve(socket));
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("the connection was closed")));
    return promise.finally(() => clearTimeout(timer));
  }
}

const ALPN = ["h2", "http/1.1"];
