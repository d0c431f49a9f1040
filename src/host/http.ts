/** Owns HTTP: connections that are kept, deadlines, retries, and credentials that stay at home. */

import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { finished } from "node:stream/promises";
import { Connections } from "./http-agent.ts";
import { bodyOf, sendBody, wholeBody } from "./http-body.ts";
import type { HttpRequest } from "./http-request.ts";
import { Timed } from "./http-timed.ts";

export type { HttpRequest } from "./http-request.ts";

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
export type Http = Pick<HttpClient, "request" | "stream">;

const BODY_MOST = 64 * 1024 * 1024;
const REDIRECTS_MOST = 5;

/** The connections of one run. At 20 ms a request, 128 at once ask for 5,001 paths in about 1 s. */
export class HttpClient {
  private readonly connections: Connections;

  constructor(environment: Readonly<Record<string, string>>, connections = 128) {
    this.connections = new Connections(environment, connections);
  }

  close(): void {
    this.connections.close();
  }

  /** One try, redirects followed. Throws for transport faults and deadlines, never for a status. */
  async request(request: HttpRequest): Promise<HttpResponse> {
    const timed = new Timed(request);
    try {
      const { response, url } = await this.follow(request, timed);
      const most = request.maxBytes ?? BODY_MOST;
      const body = await wholeBody(response, url, most);
      return { status: response.statusCode ?? 0, headers: response.headers, body, url };
    } catch (error) {
      throw timed.explain(error);
    } finally {
      timed.done();
      timed.letGo();
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
      return {
        status: response.statusCode ?? 0,
        headers: response.headers,
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

  private async follow(
    request: HttpRequest,
    timed: Timed,
  ): Promise<{ response: IncomingMessage; url: URL }> {
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
  ): Promise<IncomingMessage> {
    const body = bodyOf(request.body);
    return new Promise((resolve, reject) => {
      const options = {
        method: request.method,
        headers: {
          "user-agent": "nix-cache-preflight",
          ...headers,
          ...(body?.kind === "pieces" ? { "content-length": String(body.bytes) } : {}),
        },
      };
      const sent = this.connections.begin(url, options, resolve);
      timed.attach(sent);
      sent.on("error", reject);
      sendBody(sent, body, timed).catch((error) => {
        reject(error);
        sent.destroy();
      });
    });
  }
}
