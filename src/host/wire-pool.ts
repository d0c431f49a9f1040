/**
 * Owns connections that speak HTTP/1.1 for themselves: many requests of a few kilobytes, each answer
 * read whole. Node's own client takes 135 µs of processor for one of these, this one 25 (docs/adr/0014).
 */

import type { WireAnswer, WireRequest } from "./wire-answer.ts";
import { openConnection, type WireConnection } from "./wire-connection.ts";

/** A request under way. Ended with `destroy`, it rejects with the error given. */
export interface Sending {
  readonly answer: Promise<WireAnswer>;
  destroy(error: Error): void;
}

interface Turn {
  readonly request: WireRequest;
  readonly resolve: (answer: WireAnswer) => void;
  readonly reject: (error: unknown) => void;
  connection: WireConnection | undefined;
  isOver: boolean;
}

/** The connections to one scheme, host and port. */
class Origin {
  private readonly url: URL;
  private readonly most: number;
  private readonly free: WireConnection[] = [];
  private readonly open = new Set<WireConnection>();
  private readonly waiting: Turn[] = [];
  /** The last TLS session, so that the next connection begins sooner. */
  private session: Buffer | undefined;

  constructor(url: URL, most: number) {
    this.url = url;
    this.most = most;
  }

  send(request: WireRequest): Sending {
    const { promise, resolve, reject } = Promise.withResolvers<WireAnswer>();
    const turn: Turn = { request, resolve, reject, connection: undefined, isOver: false };
    const connection = this.free.pop() ?? this.connect();
    if (connection) this.begin(turn, connection);
    else this.waiting.push(turn);
    return {
      answer: promise,
      destroy: (error) => {
        turn.isOver = true;
        turn.connection?.destroy(error);
        reject(error);
      },
    };
  }

  close(): void {
    for (const connection of this.open) connection.destroy(new Error("closed"));
  }

  /** Undefined where there are as many as there may be. */
  private connect(): WireConnection | undefined {
    if (this.open.size >= this.most) return undefined;
    const connection = openConnection(this.url, this.session, {
      session: (session) => {
        this.session = session;
      },
      closed: () => {
        this.open.delete(connection);
        const index = this.free.indexOf(connection);
        if (index >= 0) this.free.splice(index, 1);
        this.next();
      },
    });
    this.open.add(connection);
    return connection;
  }

  private begin(turn: Turn, connection: WireConnection): void {
    const { request } = turn;
    const isFirst = connection.carried === 0;
    turn.connection = connection;
    connection.send(request).then(
      (answer) => {
        turn.isOver = true;
        turn.resolve({ ...answer, isNew: isFirst });
        this.next(connection);
      },
      (error) => {
        // A server may close a kept connection at the very moment at which it is used again; that is
        // no answer, and a question may be asked twice (RFC 9112, section 9.3.1).
        const isQuestion = request.method === "GET" || request.method === "HEAD";
        if (isQuestion && !isFirst && connection.silent && !turn.isOver) {
          // The place of the connection that is closing is taken by a new one, and that by this turn.
          this.waiting.unshift(turn);
          return;
        }
        turn.isOver = true;
        turn.reject(error);
      },
    );
  }

  /** A connection is free, or another one may be opened. */
  private next(free?: WireConnection): void {
    let turn = this.waiting.shift();
    while (turn?.isOver) turn = this.waiting.shift();
    if (free && !free.isUsable) free = undefined;
    if (!turn) {
      if (free) {
        free.rest();
        this.free.push(free);
      }
      return;
    }
    const connection = free ?? this.connect();
    if (connection) this.begin(turn, connection);
    else this.waiting.unshift(turn);
  }
}

export class WirePool {
  private readonly most: number;
  private readonly origins = new Map<string, Origin>();

  /** `most`: connections to one origin. */
  constructor(most: number) {
    this.most = most;
  }

  /** Sends to the URL's scheme, host and port. */
  send(url: URL, request: WireRequest): Sending {
    let origin = this.origins.get(url.origin);
    if (!origin) {
      origin = new Origin(url, this.most);
      this.origins.set(url.origin, origin);
    }
    return origin.send(request);
  }

  close(): void {
    for (const origin of this.origins.values()) origin.close();
  }
}
