/** Owns HTTP: connections that are kept, deadlines, retries, and credentials that stay at home. */

import * as http from "node:http";
import * as https from "node:https";
import { finished } from "node:stream/promises";
import { UserError } from "../domain/errors.ts";

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  readonly signal: AbortSignal;
  /** Milliseconds for one try, connection to last byte. */
  readonly deadline: number;
  /** A longer body is refused. */
  readonly maxBytes?: number;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  /** The URL that answered, after redirects. */
  readonly url: URL;
}

export interface HttpStream {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: AsyncIterable<Uint8Array>;
}

const BODY_MOST = 64 * 1024 * 1024;
const REDIRECTS_MOST = 5;

/** The connections of one run. At 20 ms a request, 128 at once ask for 5,001 paths in about 1 s. */
export class HttpClient {
  private readonly plain: http.Agent;
  private readonly secure: https.Agent;

  constructor(environment: Readonly<Record<string, string>>, connections = 128) {
    const options = {
      keepAlive: true,
      maxSockets: connections,
      maxFreeSockets: connections,
      scheduling: "lifo" as const,
      proxyEnv: environment as NodeJS.ProcessEnv,
    };
    this.plain = new http.Agent(options);
    this.secure = new https.Agent(options);
  }

  close(): void {
    this.plain.destroy();
    this.secure.destroy();
  }

  /** One try, redirects followed. Throws for transport faults and deadlines, never for a status. */
  async request(request: HttpRequest): Promise<HttpResponse> {
    const timed = new Timed(request);
    try {
      const { response, url } = await this.follow(request, timed);
      const most = request.maxBytes ?? BODY_MOST;
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of response as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > most) throw new Error(`${url.href} answered with more than ${most} bytes`);
        chunks.push(chunk);
      }
      const body = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
      return { status: response.statusCode ?? 0, headers: response.headers, body, url };
    } catch (error) {
      throw timed.explain(error);
    } finally {
      timed.done();
    }
  }

  /** As `request`, with the body as a stream; the deadline holds for each wait between chunks. */
  async stream(request: HttpRequest): Promise<HttpStream> {
    const timed = new Timed(request);
    try {
      const { response } = await this.follow(request, timed);
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
      return { status: response.statusCode ?? 0, headers: response.headers, body: body() };
    } catch (error) {
      timed.done();
      throw timed.explain(error);
    }
  }

  private async follow(
    request: HttpRequest,
    timed: Timed,
  ): Promise<{ response: http.IncomingMessage; url: URL }> {
    let { url } = request;
    let headers: Record<string, string> = { ...request.headers };
    for (let hop = 0; ; hop++) {
      const response = await this.send(request, url, headers, timed);
      const { location } = response.headers;
      const redirects = [301, 302, 303, 307, 308].includes(response.statusCode ?? 0);
      if (!redirects || !location || (request.method !== "GET" && request.method !== "HEAD")) {
        return { response, url };
      }
      response.resume();
      await finished(response);
      if (hop >= REDIRECTS_MOST) throw new Error(`${request.url.href} redirects without end`);
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

  private send(
    request: HttpRequest,
    url: URL,
    headers: Record<string, string>,
    timed: Timed,
  ): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      const options = {
        method: request.method,
        agent: url.protocol === "https:" ? this.secure : this.plain,
        headers: {
          "user-agent": "nix-cache-preflight",
          ...headers,
          ...(request.body === undefined
            ? {}
            : { "content-length": String(Buffer.byteLength(request.body)) }),
        },
      };
      const module = url.protocol === "https:" ? https : http;
      const sent = module.request(url, options, resolve);
      timed.attach(sent);
      sent.on("error", reject);
      sent.end(request.body);
    });
  }
}

/** One request's deadline and the caller's signal, whichever comes first. */
class Timed {
  private readonly request: HttpRequest;
  private timer: NodeJS.Timeout | undefined;
  private sent: http.ClientRequest | undefined;
  private late = false;
  private readonly onAbort = () => this.sent?.destroy(new Error("interrupted"));

  constructor(request: HttpRequest) {
    request.signal.throwIfAborted();
    this.request = request;
    request.signal.addEventListener("abort", this.onAbort, { once: true });
    this.restart();
  }

  attach(sent: http.ClientRequest): void {
    this.sent = sent;
    // Between two hops there is no request to end: the next one ends before it begins.
    if (this.late || this.request.signal.aborted) sent.destroy(new Error("interrupted"));
  }

  restart(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.late = true;
      this.sent?.destroy(new Error("too slow"));
    }, this.request.deadline);
  }

  pause(): void {
    clearTimeout(this.timer);
  }

  done(): void {
    clearTimeout(this.timer);
    this.request.signal.removeEventListener("abort", this.onAbort);
  }

  explain(error: unknown): unknown {
    if (this.request.signal.aborted) return this.request.signal.reason;
    const { method, url, deadline } = this.request;
    // The query may hold a signed upload's secret; the path never does.
    const what = `${method} ${url.origin}${url.pathname}`;
    if (this.late)
      return new UserError("NCP-501", `${what}: no answer within ${deadline / 1000} s`);
    return new Error(`${what}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}
