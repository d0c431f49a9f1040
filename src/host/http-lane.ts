/** What carries requests to a host, and HTTP/1.1 as one of these: Node's own agent and its connections. */

import { once } from "node:events";
import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { type Body, type HttpRequest, sendBody, type Timed } from "./http-body.ts";
import { type ProxyServer, proxyAuthorization, tunnel } from "./network-settings.ts";

export interface LaneRequest {
  readonly method: HttpRequest["method"];
  readonly url: URL;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Body | undefined;
  readonly timed: Pick<Timed, "restart" | "pause">;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readable;
  readonly protocol: "h2" | "http/1.1";
  /** Whether the connection was made for it. */
  readonly isFirst: boolean;
  /**
   * Called when so many bytes of the body were read: throws where it is not whole. What is left of the
   * request is not sent any more.
   */
  end(bytes: number): void;
}

/** A request under way. Ended with `destroy`, it rejects with the error given. */
export interface Sending {
  readonly answer: Promise<Answered>;
  destroy(error: Error): void;
}

export interface LaneEvents {
  /** There may be space for another request. */
  freed(): void;
  /** Nothing more is begun there. */
  ended(lane: Lane): void;
}

export interface Lane {
  readonly protocol: "h2" | "http/1.1";
  /** Requests it would take now. */
  readonly free: number;
  readonly isUsable: boolean;
  /** It takes nothing, and nothing is under way that could change that. */
  readonly isStuck: boolean;
  /** Whether it lives, where that has to be asked. */
  prove(): Promise<boolean> | undefined;
  /** `answer` rejects with `NotBegun` or `Lost` where the request may be sent again. */
  send(request: LaneRequest): Sending;
  destroy(): void;
}

/** The server did not begin it: it may be asked again whatever it is (RFC 9113, section 8.7). */
export class NotBegun extends Error {
  constructor(cause: unknown) {
    super("the server did not begin it", { cause });
    this.name = "NotBegun";
  }
}

/** A connection that was kept ended without an answer: a question may be asked again (RFC 9112, 9.3.1). */
export class Lost extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = "Lost";
  }
}

/**
 * Milliseconds a connection may rest: HTTP/1.1 has no ping, and a new connection is three journeys, where
 * one that leads nowhere is a deadline. The server's `Keep-Alive: timeout` counts where it is shorter.
 */
const IDLE = 1_500;
/** Milliseconds from which on the kernel asks whether the other side is there. */
export const KEEP_ALIVE = 30_000;

export interface Http1Options {
  /** Connections at once, now: the hosts of a run share the files that may be open. */
  readonly most: () => number;
  /** A new connection; undefined: Node's own way, for plain HTTP. */
  readonly connect?: () => Promise<Socket>;
  /** Where a proxy is asked in the host's stead: it, and what it is shown. */
  readonly through?: {
    readonly host: string;
    readonly port: number;
    readonly headers: Readonly<Record<string, string>>;
  };
}

export class Http1Lane implements Lane {
  readonly protocol = "http/1.1";
  readonly isUsable = true;
  readonly isStuck = false;
  private readonly options: Http1Options;
  private readonly events: LaneEvents;
  private readonly agent: Agent;
  private open = 0;

  constructor(options: Http1Options, events: LaneEvents) {
    this.options = options;
    this.events = events;
    const http = process.getBuiltinModule("node:http");
    this.agent = new http.Agent({
      keepAlive: true,
      keepAliveMsecs: KEEP_ALIVE,
      // As many as there are requests, which are counted here.
      maxSockets: Number.POSITIVE_INFINITY,
      maxFreeSockets: options.most(),
      scheduling: "lifo",
      timeout: IDLE,
    });
    const { connect } = options;
    if (!connect) return;
    const given = (_: unknown, done: (error: Error | null, socket?: Socket) => void): undefined => {
      connect().then((socket) => done(null, socket), done);
    };
    Object.assign(this.agent, { createConnection: given });
  }

  get free(): number {
    return this.options.most() - this.open;
  }

  prove(): undefined {
    return undefined;
  }

  send({ method, url, headers, body, timed }: LaneRequest): Sending {
    const { through } = this.options;
    this.open++;
    const length = body?.bytes === undefined ? {} : { "content-length": String(body.bytes) };
    const sent = process.getBuiltinModule("node:http").request({
      agent: this.agent,
      method,
      ...(through
        ? {
            host: through.host,
            port: through.port,
            path: `${url.origin}${url.pathname}${url.search}`,
          }
        : address(url)),
      // Node would take a URL of https for another agent's.
      protocol: "http:",
      headers: { host: url.host, ...headers, ...through?.headers, ...length },
    });
    const { promise, resolve, reject } = Promise.withResolvers<Answered>();
    let given: Error | undefined;
    sent.on("response", (response: IncomingMessage) => {
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: response,
        protocol: "http/1.1",
        isFirst: !sent.reusedSocket,
        // A request whose body was not sent to its end: its connection can carry no other.
        end: () => {
          if (!sent.writableFinished) sent.destroy();
        },
      });
    });
    sent.on("error", (error) => reject(given ?? explain(error, sent)));
    sent.on("close", () => {
      this.open--;
      this.events.freed();
    });
    if (body) {
      sendBody(sent, body, timed).catch((error) => {
        given = error;
        reject(error);
        sent.destroy();
      });
    } else sent.end();
    return {
      answer: promise,
      destroy: (error) => {
        given = error;
        reject(error);
        sent.destroy(error);
      },
    };
  }

  destroy(): void {
    this.agent.destroy();
  }
}

/** As Node would take it out of the URL, which it does anew, and slowly, for every request. */
function address({ protocol, hostname, port, pathname, search }: URL) {
  return {
    host: hostname.startsWith("[") ? hostname.slice(1, -1) : hostname,
    port: port === "" ? (protocol === "https:" ? 443 : 80) : Number(port),
    path: `${pathname}${search}`,
  };
}

/** A server may close a kept connection at the very moment at which it is used again: that is no answer. */
function explain(error: NodeJS.ErrnoException, sent: ClientRequest): Error {
  const isClosed = error.code === "ECONNRESET" || error.code === "EPIPE";
  return sent.reusedSocket && isClosed ? new Lost(error) : error;
}

/** Connections of plain HTTP at once: they cost no handshake. */
const PLAIN_MOST = 128;

/** Plain HTTP: a proxy of HTTP is asked in the host's stead, one of SOCKS leads there. */
export function plainLane(
  url: URL,
  proxy: ProxyServer | undefined,
  files: () => number,
  events: LaneEvents,
): Lane {
  const most = () => Math.min(PLAIN_MOST, files());
  if (!proxy) return new Http1Lane({ most }, events);
  const { scheme, host, port } = proxy;
  if (scheme === "socks5" || scheme === "socks5h") {
    const to = url.hostname.replace(/^\[|\]$/g, "");
    const connect = () => tunnel(proxy, to, url.port === "" ? 80 : Number(url.port));
    return new Http1Lane({ most, connect }, events);
  }
  const through = { host, port, headers: proxyAuthorization(proxy) };
  if (scheme === "http") return new Http1Lane({ most, through }, events);
  const connect = async () => {
    const socket = process.getBuiltinModule("node:tls").connect({ host, port, servername: host });
    await once(socket, "secureConnect");
    return socket;
  };
  return new Http1Lane({ most, through, connect }, events);
}
