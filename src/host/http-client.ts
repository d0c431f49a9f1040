/** Owns HTTP: connections that are kept, deadlines, redirects, and credentials that stay at home. */

import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from "node:http";
import { finished } from "node:stream/promises";
import { Connections, hasProxy } from "./http-agent.ts";
import { type Body, bodyOf, type HttpRequest, sendBody, Timed, wholeBody } from "./http-body.ts";

export type { HttpRequest } from "./http-body.ts";

import { exchangeWords, requestName, traced } from "./trace.ts";
import { type WireAnswer, wireRequest } from "./wire-answer.ts";
import { WirePool } from "./wire-pool.ts";

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

interface Streamed {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly sent: ClientRequest;
  readonly response: IncomingMessage;
}

type Whole = Extract<Body, { kind: "pieces" }>;
type Fields = Readonly<Record<string, string>>;

const BODY_MOST = 64 * 1024 * 1024;

/** What a cache needs of a client: one may be put around another. */
export interface Http {
  /** One try, redirects followed. Throws for transport faults and deadlines, never for a status. */
  request(request: HttpRequest): Promise<HttpResponse>;
  /** As `request`, with the body as a stream; the deadline holds for each wait between chunks. */
  stream(request: HttpRequest): Promise<HttpStream>;
}

/**
 * The connections of one run. What is sent and answered whole goes over our own, what is streamed
 * or has a proxy to go through over Node's.
 */
export class HttpClient implements Http {
  private readonly connections: Connections;
  private readonly wire: WirePool | undefined;

  /** `connections`: to one host. At 20 ms a request, 256 ask for 5,001 paths in half a second. */
  constructor(environment: Readonly<Record<string, string>>, connections = 256) {
    this.connections = new Connections(environment, connections);
    this.wire = hasProxy(environment) ? undefined : new WirePool(connections);
  }

  close(): void {
    this.connections.close();
    this.wire?.close();
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    const timed = new Timed(request);
    const body = bodyOf(request.body);
    const most = request.maxBytes ?? BODY_MOST;
    try {
      const { wire } = this;
      if (!wire || body?.kind === "stream") return await this.readWhole(request, body, most, timed);
      return await follow(
        request,
        (url, fields) => exchange(wire, request, url, fields, body, most, timed),
        async () => undefined,
      );
    } catch (error) {
      throw timed.explain(error);
    } finally {
      timed.done();
    }
  }

  async stream(request: HttpRequest): Promise<HttpStream> {
    const timed = new Timed(request);
    try {
      const { status, headers, response } = await follow(
        request,
        (url, fields) => this.send(request, url, fields, bodyOf(request.body), timed),
        passOver,
      );
      const body = async function* () {
        try {
          timed.restart();
          for await (const chunk of response as AsyncIterable<Buffer>) {
            timed.pause();
            yield chunk;
            timed.restart();
          }
        } catch (error) {
          throw timed.explain(error);
        } finally {
          timed.done();
          response.destroy();
        }
      };
      timed.pause();
      return {
        status,
        headers,
        body: body(),
        discard: () => {
          timed.done();
          // Nobody listens any more, and a body that ends early would end the process.
          response.on("error", () => undefined);
          response.destroy();
        },
      };
    } catch (error) {
      timed.done();
      throw timed.explain(error);
    }
  }

  private async readWhole(
    request: HttpRequest,
    body: Body | undefined,
    most: number,
    timed: Timed,
  ): Promise<HttpResponse> {
    const { status, headers, url, sent, response } = await follow(
      request,
      (to, fields) => this.send(request, to, fields, body, timed),
      passOver,
    );
    try {
      return { status, headers, url, body: await wholeBody(response, url, most) };
    } finally {
      // A request whose body was not sent to its end: its connection can carry no other.
      if (!sent.writableEnded) sent.destroy();
    }
  }

  private send(
    { method }: HttpRequest,
    url: URL,
    fields: Fields,
    body: Body | undefined,
    timed: Timed,
  ): Promise<Streamed> {
    return traced(
      () => requestName(method, url),
      () => this.begin(method, url, fields, body, timed),
      ({ status, sent }) => exchangeWords(status, "http/1.1", sent.reusedSocket ? "kept" : "new"),
    );
  }

  private begin(
    method: string,
    url: URL,
    fields: Fields,
    body: Body | undefined,
    timed: Timed,
  ): Promise<Streamed> {
    return new Promise((resolve, reject) => {
      const length = body?.kind === "pieces" ? { "content-length": String(body.bytes) } : {};
      const options = { method, headers: { ...AGENT, ...fields, ...length } };
      const sent = this.connections.begin(url, options, (response) => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, sent, response });
      });
      timed.attach(sent);
      sent.on("error", reject);
      sendBody(sent, body, timed).catch((error) => {
        reject(error);
        sent.destroy();
      });
    });
  }
}

const AGENT = { "user-agent": "nix-cache-preflight" };

async function passOver({ response }: Streamed): Promise<void> {
  response.resume();
  await finished(response);
}

function exchange(
  wire: WirePool,
  { method }: HttpRequest,
  url: URL,
  fields: Fields,
  body: Whole | undefined,
  most: number,
  timed: Timed,
): Promise<WireAnswer> {
  const headers = { ...AGENT, ...credentialsOf(url), ...fields };
  const sending = wire.send(url, wireRequest(method, url, headers, body?.pieces ?? [], most));
  timed.attach(sending);
  return traced(
    () => requestName(method, url),
    () => sending.answer,
    ({ status, isNew }) => exchangeWords(status, "http/1.1", isNew ? "new" : "kept"),
  );
}

/** `https://token@host/` is the token as a user name, and no password. */
function credentialsOf({ username }: URL): Fields {
  if (username === "") return {};
  const pair = `${decodeURIComponent(username)}:`;
  return { authorization: `Basic ${Buffer.from(pair).toString("base64")}` };
}

interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

const REDIRECTS_MOST = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** The last answer, and the URL that gave it. `pass` reads what stands behind a redirect to its end. */
export async function follow<A extends Answered>(
  { method, url: first, headers: given }: HttpRequest,
  send: (url: URL, headers: Readonly<Record<string, string>>) => Promise<A>,
  pass: (answer: A) => Promise<void>,
): Promise<A & { readonly url: URL }> {
  let url = first;
  let headers = given ?? {};
  for (let hop = 0; ; hop++) {
    const answer = await send(url, headers);
    const { location } = answer.headers;
    const isQuestion = method === "GET" || method === "HEAD";
    if (!REDIRECTS.has(answer.status) || !location || !isQuestion) return { ...answer, url };
    await pass(answer);
    if (hop >= REDIRECTS_MOST) throw new Error(`${first.href} redirects without end`);
    const next = new URL(location, url);
    if (next.protocol !== "https:" && next.protocol !== "http:") {
      throw new Error(`${url.href} redirects to ${next.protocol}`);
    }
    // Credentials are for the host the user named, not for whatever it points to.
    if (next.origin !== url.origin) {
      headers = Object.fromEntries(
        Object.entries(headers).filter(([name]) => !/^(authorization|cookie)$/i.test(name)),
      );
    }
    url = next;
  }
}
