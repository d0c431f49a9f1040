/**
 * Owns reading one HTTP/1.1 answer out of a connection's bytes, as they come.
 * Source: RFC 9112, sections 4 (status line), 5 (fields), 6 (length of the body), 7.1 (chunks).
 */

export interface WireAnswer {
  readonly status: number;
  /** Names in lower case; of a field that came several times, the values joined by commas. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Whether the connection may carry another request. */
  readonly connection: "keep" | "close";
  /** Whether the connection was opened for this request. */
  readonly isNew?: boolean;
}

type Expecting =
  | { readonly what: "head" }
  | { readonly what: "bytes"; left: number }
  | { readonly what: "until close" }
  | { readonly what: "chunk size" }
  | { readonly what: "chunk"; left: number }
  | { readonly what: "trailer" };

interface Head {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly connection: "keep" | "close";
}

/** What Node's own client allows is 16 kB; a proxy may add its own. */
const HEAD_MOST = 64 * 1024;
const LINE_MOST = 1024;
const EMPTY: Buffer = Buffer.alloc(0);
const END_OF_HEAD = "\r\n\r\n";
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: .*)?$/;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** One answer to one request. An error says what is wrong, and the connection has to be closed. */
export class AnswerReader {
  private readonly method: string;
  private readonly most: number;
  private expecting: Expecting = { what: "head" };
  private head: Head | undefined;
  private held = EMPTY;
  private readonly body: Buffer[] = [];
  private size = 0;

  /** A body of more than `most` bytes is an error. */
  constructor(method: string, most: number) {
    this.method = method;
    this.most = most;
  }

  /** The answer once it is whole; throws where it is none. */
  take(chunk: Buffer): WireAnswer | undefined {
    this.held = this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk]);
    while (this.step()) if (this.expecting.what === "head" && this.head) return this.whole();
    return undefined;
  }

  /** The other side hung up: the end of a body without a length, else an error. */
  end(): WireAnswer {
    if (this.expecting.what === "until close" && this.head) return this.whole();
    throw new Error(
      this.head || this.held.length > 0
        ? "the connection was closed in the middle"
        : "the connection was closed without an answer",
    );
  }

  private whole(): WireAnswer {
    const { head, body } = this;
    if (!head) throw new Error("there is no answer yet");
    const [only] = body;
    // What comes behind its end was not asked for: whatever is sent on, nobody could tell them apart.
    const connection = this.held.length > 0 ? "close" : head.connection;
    return { ...head, connection, body: body.length === 1 && only ? only : Buffer.concat(body) };
  }

  /** Whether there was anything to do with what is held. */
  private step(): boolean {
    const { expecting } = this;
    switch (expecting.what) {
      case "head":
        return this.readHead();
      case "bytes":
        this.pass(expecting);
        if (expecting.left > 0) return false;
        this.expecting = { what: "head" };
        return true;
      case "until close":
        this.keep(this.held);
        this.held = EMPTY;
        return false;
      case "chunk size":
        return this.readChunkSize();
      case "chunk":
        this.pass(expecting);
        if (expecting.left > 0 || this.held.length < 2) return false;
        if (this.held[0] !== 13 || this.held[1] !== 10) throw new Error("a chunk without its end");
        this.held = this.held.subarray(2);
        this.expecting = { what: "chunk size" };
        return true;
      case "trailer": {
        const line = this.line();
        if (line === "") this.expecting = { what: "head" };
        return line !== undefined;
      }
      default:
        return expecting satisfies never;
    }
  }

  private readHead(): boolean {
    const end = this.held.indexOf(END_OF_HEAD);
    if (end < 0) {
      if (this.held.length > HEAD_MOST) throw new Error("the answer's head is too long");
      return false;
    }
    const head = parseHead(this.held.toString("latin1", 0, end));
    this.held = this.held.subarray(end + END_OF_HEAD.length);
    if (head.status === 101) throw new Error("the answer changes the protocol");
    // 100 Continue and 103 Early Hints come before the answer.
    if (head.status < 200) return true;
    this.head = head;
    this.expecting = this.bodyOf(head);
    return true;
  }

  private bodyOf({ status, headers }: Head): Expecting {
    if (this.method === "HEAD" || status === 204 || status === 304) return { what: "head" };
    const encoding = headers["transfer-encoding"];
    if (encoding !== undefined) {
      if (encoding.toLowerCase() === "chunked") return { what: "chunk size" };
      throw new Error(`the transfer encoding "${encoding.slice(0, 40)}" is not known here`);
    }
    const length = headers["content-length"];
    if (length === undefined) return { what: "until close" };
    // A length that came twice is allowed where it is the same.
    const [first = "", ...others] = length.split(/, ?/);
    if (!/^\d{1,15}$/.test(first) || others.some((other) => other !== first)) {
      throw new Error(`"${length.slice(0, 40)}" is no Content-Length`);
    }
    return Number(first) === 0 ? { what: "head" } : { what: "bytes", left: Number(first) };
  }

  private readChunkSize(): boolean {
    const line = this.line();
    if (line === undefined) return false;
    const size = /^([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?$/.exec(line)?.[1];
    if (size === undefined) throw new Error(`"${line.slice(0, 40)}" is no size of a chunk`);
    const left = Number.parseInt(size, 16);
    this.expecting = left === 0 ? { what: "trailer" } : { what: "chunk", left };
    return true;
  }

  private line(): string | undefined {
    const end = this.held.indexOf("\r\n");
    if (end > LINE_MOST || (end < 0 && this.held.length > LINE_MOST)) {
      throw new Error("a chunk's line is too long");
    }
    if (end < 0) return undefined;
    const line = this.held.toString("latin1", 0, end);
    this.held = this.held.subarray(end + 2);
    return line;
  }

  private pass(expecting: { left: number }): void {
    const piece = this.held.subarray(0, expecting.left);
    this.held = this.held.subarray(piece.length);
    expecting.left -= piece.length;
    this.keep(piece);
  }

  private keep(piece: Buffer): void {
    this.size += piece.length;
    if (this.size > this.most) throw new Error(`it answered with more than ${this.most} bytes`);
    if (piece.length > 0) this.body.push(piece);
  }
}

function parseHead(text: string): Head {
  const [first = "", ...lines] = text.split("\r\n");
  const [, minor, status] = STATUS_LINE.exec(first) ?? [];
  if (status === undefined) throw new Error(`"${first.slice(0, 40)}" is no HTTP/1.1 answer`);
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon));
    if (!FIELD_NAME.test(name)) throw new Error(`"${line.slice(0, 40)}" is no field of a head`);
    const value = line.slice(colon + 1).trim();
    const key = name.toLowerCase();
    const before = Object.hasOwn(headers, key) ? headers[key] : undefined;
    headers[key] = before === undefined ? value : `${before}, ${value}`;
  }
  const wish = headers["connection"]?.toLowerCase() ?? "";
  const isKept = minor === "1" ? !wish.includes("close") : wish.includes("keep-alive");
  // With both, two readers may see two ends: what follows is not to be trusted.
  const isUnclear = "transfer-encoding" in headers && "content-length" in headers;
  return { status: Number(status), headers, connection: isKept && !isUnclear ? "keep" : "close" };
}

export interface WireRequest {
  readonly method: string;
  /** The request line and the fields, with the empty line behind them. */
  readonly head: string;
  /** The body, sent without a copy. */
  readonly pieces: readonly Uint8Array[];
  /** An answer with a longer body is an error. */
  readonly most: number;
}

/** Node's own rule: no control character but the tab, so that no value can hold another field. */
const NO_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** Throws for a value that cannot stand in a field; the error does not hold it. */
export function wireRequest(
  method: string,
  { pathname, search, host }: URL,
  headers: Readonly<Record<string, string>>,
  pieces: readonly Uint8Array[],
  most: number,
): WireRequest {
  let head = `${method} ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    if (NO_VALUE.test(value)) throw new Error(`the value of the field ${name} cannot be sent`);
    head += `${name}: ${value}\r\n`;
  }
  if (pieces.length > 0 || method === "PUT" || method === "POST") {
    head += `content-length: ${pieces.reduce((sum, { length }) => sum + length, 0)}\r\n`;
  }
  return { method, head: `${head}\r\n`, pieces, most };
}
