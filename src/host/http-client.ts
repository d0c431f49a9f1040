/** HTTP: redirects, deadlines, credentials that stay at home, and bodies unpacked; over whatever a host speaks. */

import type { IncomingHttpHeaders } from "node:http";
import { describeError } from "../domain/errors.ts";
import { type Environment, openFilesMost } from "./environment.ts";
import {
  bodyOf,
  encodingsOf,
  type HttpRequest,
  Timed,
  unpacked,
  unpackWhole,
  wholeBody,
} from "./http-body.ts";
import type { Answered } from "./http-lane.ts";
import { Origin, type Ways } from "./http-origin.ts";
import { Certificates } from "./network-settings.ts";
import { beginTrace, exchangeWords, requestName } from "./trace.ts";

export type { HttpRequest } from "./http-body.ts";

export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The URL that answered, after redirects. */
  readonly url: URL;
}

export interface HttpStream {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: AsyncIterable<Uint8Array>;
  /** Lets go of a body that is not wanted. One that is neither read nor let go of keeps its connection. */
  discard(): void;
}

/** What a cache needs of a client: one may be put around another. */
export interface Http {
  /** One try, redirects followed. Throws for transport faults and deadlines, never for a status. */
  request(request: HttpRequest): Promise<HttpResponse>;
  /** As `request`, with the body as a stream; the deadline holds for each wait between chunks. */
  stream(request: HttpRequest): Promise<HttpStream>;
}

export interface HttpClientOptions {
  /** `ssl-cert-file` of Nix's configuration: looked at for a server that Node does not know. */
  readonly certificates?: Promise<string | undefined>;
}

const BODY_MOST = 64 * 1024 * 1024;
/** A body may be packed badly, and come to a little more than what is in it. */
const PACKED_MORE = 64 * 1024;

/** The connections of one run. */
export class HttpClient implements Http {
  private readonly ways: Ways;
  private readonly origins = new Map<string, Origin>();

  constructor(environment: Environment, { certificates }: HttpClientOptions = {}) {
    const files = openFilesMost();
    this.ways = {
      environment,
      certificates: new Certificates(environment, certificates),
      most: () => Math.max(2, Math.floor(files / CONNECTIONS / this.origins.size)),
    };
  }

  /** Connects to a host that will be asked. */
  connect(url: URL): void {
    this.origin(url).connect();
  }

  close(): void {
    for (const origin of this.origins.values()) origin.close();
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    const timed = new Timed(request);
    const most = request.maxBytes ?? BODY_MOST;
    try {
      const answer = await this.follow(request, timed);
      const { status, headers, url } = answer;
      const encodings = encodingsOf(headers);
      const isPacked = encodings.length > 0;
      const whole = await wholeBody(answer.body, isPacked ? most + PACKED_MORE : most);
      answer.end(whole.length);
      // A packed body of nothing is what some servers send with errors.
      if (!isPacked || whole.length === 0) return { status, headers, url, body: whole };
      const body = await unpackWhole(whole, encodings, most, request.signal);
      return { status, headers, url, body };
    } catch (error) {
      throw timed.explain(error);
    } finally {
      timed.done();
    }
  }

  async stream(request: HttpRequest): Promise<HttpStream> {
    const timed = new Timed(request);
    try {
      const { status, headers, body, end } = await this.follow(request, timed);
      const discard = () => {
        timed.done();
        // Nobody listens any more, and a body that ends early would end the process.
        body.on("error", () => undefined);
        body.destroy();
      };
      const chunks = async function* () {
        let bytes = 0;
        for await (const chunk of body as AsyncIterable<Buffer>) {
          bytes += chunk.length;
          timed.pause();
          yield chunk;
          timed.restart();
        }
        end(bytes);
      };
      const most = request.maxBytes ?? Number.MAX_SAFE_INTEGER;
      const content = unpacked(chunks(), encodingsOf(headers), most, request.signal);
      const read = async function* () {
        try {
          timed.restart();
          yield* content;
        } catch (error) {
          throw timed.explain(error);
        } finally {
          discard();
        }
      };
      timed.pause();
      return { status, headers, body: read(), discard };
    } catch (error) {
      timed.done();
      throw timed.explain(error);
    }
  }

  /** The last answer, and the URL that gave it. */
  private async follow(
    request: HttpRequest,
    timed: Timed,
  ): Promise<Answered & { readonly url: URL }> {
    const { method, url: first } = request;
    let url = first;
    let headers = fieldsOf(request);
    for (let hop = 0; ; hop++) {
      const answer = await this.exchange(request, url, headers, timed);
      const { location } = answer.headers;
      const isQuestion = method === "GET" || method === "HEAD";
      if (!REDIRECTS.has(answer.status) || !location || !isQuestion) return { ...answer, url };
      // For the sake of the connection.
      await wholeBody(answer.body, BODY_MOST);
      if (hop >= REDIRECTS_MOST) throw new Error(`${first.href} redirects without end`);
      const next = new URL(location, url);
      if (next.protocol !== "https:" && next.protocol !== "http:") {
        throw new Error(`${url.href} redirects to ${next.protocol}`);
      }
      // Credentials are for the host the user named, not for whatever it points to.
      if (next.origin !== url.origin) {
        headers = Object.fromEntries(Object.entries(headers).filter(([name]) => !SECRET.has(name)));
      }
      url = next;
    }
  }

  private exchange(
    request: HttpRequest,
    url: URL,
    headers: Fields,
    timed: Timed,
  ): Promise<Answered> {
    const { method } = request;
    const end = beginTrace(() => requestName(method, url));
    const sending = this.origin(url).send({
      method,
      url,
      headers: url.username === "" ? headers : { ...credentialsOf(url), ...headers },
      body: bodyOf(request),
      timed,
    });
    timed.attach(sending);
    sending.answer.then(
      ({ status, protocol, isFirst }) =>
        end(exchangeWords(status, protocol, isFirst ? "new" : "kept")),
      (error) => end(`failed (${describeError(error)})`),
    );
    return sending.answer;
  }

  private origin(url: URL): Origin {
    let origin = this.origins.get(url.origin);
    if (!origin) {
      origin = new Origin(url, this.ways);
      this.origins.set(url.origin, origin);
    }
    return origin;
  }
}

/**
 * Of the files that may be open, a quarter is for connections: all hosts share it. One that came first keeps what it
 * has until that rests, so that for a moment there may be more; the rest of the files is for what is written to disk.
 */
const CONNECTIONS = 4;

type Fields = Readonly<Record<string, string>>;

/** Node's own rule: no control character but the tab, so that no value can hold another field. */
const NO_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

const AGENT = { "user-agent": "nix-cache-preflight" };
/** What a cache sends along is the same for all it asks. */
const FIELDS = new WeakMap<Fields, Fields>();

/** As HTTP/2 has them, in lower case. Throws for a value that cannot be sent; the error does not hold it. */
function fieldsOf({ headers }: HttpRequest): Fields {
  if (!headers) return AGENT;
  const known = FIELDS.get(headers);
  if (known) return known;
  const fields: Record<string, string> = { ...AGENT };
  for (const [name, value] of Object.entries(headers)) {
    if (NO_VALUE.test(value)) throw new Error(`the value of the field ${name} cannot be sent`);
    fields[name.toLowerCase()] = value;
  }
  FIELDS.set(headers, fields);
  return fields;
}

/** `https://token@host/` is the token as a user name, and no password. */
function credentialsOf({ username }: URL): Fields {
  const pair = `${decodeURIComponent(username)}:`;
  return { authorization: `Basic ${Buffer.from(pair).toString("base64")}` };
}

const REDIRECTS_MOST = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const SECRET = new Set(["authorization", "cookie"]);
