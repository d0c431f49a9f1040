/** The calls of Cachix: retried, the token stays with its host, and refusals are put into words. */

import type * as z from "zod/mini";
import { asError, UserError } from "../../domain/errors.ts";
import { serverWords } from "../../host/http-body.ts";
import type { Http, HttpResponse } from "../../host/http-client.ts";
import { ASK, isPassing, RETRY, type RetryPolicy, retry } from "../../host/retry.ts";
import { PushBreaker } from "../nar-file.ts";

export interface CachixApiOptions {
  /** The cache as the user wrote it; begins every error. */
  readonly label: string;
  /** `NAME` of `cachix:NAME`. */
  readonly name: string;
  /** `https://cachix.org`, or another server of the same protocol. */
  readonly host: URL;
  readonly token: string | undefined;
  readonly http: Http;
  /** How long questions and writes are tried again; the house's own policies unless a test says. */
  readonly ask?: RetryPolicy;
  readonly write?: RetryPolicy;
}

export interface Call {
  readonly method: "GET" | "POST";
  /** Below `/api/v1/cache/NAME`, with its slash: `/pin`; empty for the cache itself. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal: AbortSignal;
  /** Milliseconds for one try of a write, where it takes longer than others. */
  readonly deadline?: number;
}

/** Milliseconds for one try. */
const ASK_DEADLINE = 15_000;
const WRITE_DEADLINE = 60_000;

/** Source: cachix-api's API.hs, as noted in docs/adr/0010-cachix.md. */
export class CachixApi {
  readonly label: string;
  readonly http: Http;
  readonly askPolicy: RetryPolicy;
  readonly breaker = new PushBreaker();
  private readonly options: CachixApiOptions;
  private readonly base: string;
  private readonly given: string | undefined;
  private readonly isCachix: boolean;
  /** Set by the first write that was refused: a revoked token is not tried ten thousand times. */
  private refused: UserError | undefined;

  constructor(options: CachixApiOptions) {
    this.label = options.label;
    this.http = options.http;
    this.askPolicy = options.ask ?? ASK;
    this.options = options;
    this.given = options.token;
    this.isCachix = options.host.hostname === "cachix.org";
    const root = options.host.href.replace(/\/+$/, "");
    this.base = `${root}/api/v1/cache/${encodeURIComponent(options.name)}`;
  }

  get writePolicy(): RetryPolicy {
    return this.breaker.policy(this.options.write ?? RETRY);
  }

  get token(): string | undefined {
    return this.given;
  }

  /** A question: whatever it answers is returned, once it is no passing fault. */
  ask(call: Call, as: "bearer" | "nobody" = "bearer"): Promise<HttpResponse> {
    return retry(() => this.once(call, ASK_DEADLINE, as), call.signal, this.askPolicy);
  }

  /**
   * A write that has to succeed; throws a UserError for anything but 2xx. `tookEffect` is asked before
   * each further try, and behind the last one: an answer may get lost behind a write that was done.
   */
  async write(
    call: Call,
    tookEffect: () => Promise<boolean> = async () => false,
  ): Promise<HttpResponse | "done before"> {
    if (this.refused) throw this.refused;
    let tries = 0;
    let done = false;
    const failed = async (error: Error): Promise<"done before"> => {
      if (tries > 0 && !call.signal.aborted && (await tookEffect())) return "done before";
      throw error;
    };
    const answer = await retry(
      async () => {
        if (tries++ > 0 && (await tookEffect())) {
          done = true;
          return { status: 200, headers: {}, body: Buffer.alloc(0), url: new URL(this.base) };
        }
        return this.once(call, call.deadline ?? WRITE_DEADLINE, "bearer");
      },
      call.signal,
      this.writePolicy,
    ).catch((error) => failed(asError(error)));
    if (done || answer === "done before") return "done before";
    if (answer.status >= 200 && answer.status < 300) return answer;
    if (answer.status === 401 || answer.status === 403) {
      this.refused = this.refusal(answer);
      throw this.refused;
    }
    const error = this.failure(`${call.method} ${call.path}`, answer, this.writePolicy);
    if (!isPassing(answer.status)) throw error;
    return failed(error);
  }

  /** As `write`, for an answer that has to be JSON of this shape. */
  async writeFor<T>(call: Call, schema: z.ZodMiniType<T>): Promise<T> {
    const answer = await this.write(call);
    if (answer === "done before") throw new Error("an answer that is needed cannot be done before");
    return this.read(answer, schema, `${call.method} ${call.path}`);
  }

  read<T>(answer: HttpResponse, schema: z.ZodMiniType<T>, what: string): T {
    try {
      return schema.parse(JSON.parse(answer.body.toString("utf8")));
    } catch {
      throw new UserError(
        "NCP-302",
        `${this.label}: ${what} answers ${answer.status} with something else than Cachix does: ${this.words(answer)}`,
        { hint: "something else answers there: a login page, a proxy, another version" },
      );
    }
  }

  refusal(answer: HttpResponse): UserError {
    return new UserError(
      "NCP-303",
      `${this.label}: the token is refused (HTTP ${answer.status}: ${this.words(answer)})`,
      { hint: "it may have been revoked, or lack the right to write: make a new one on Cachix" },
    );
  }

  /** A UserError for an answer that ends the matter, with how long it was tried. */
  failure(what: string, answer: HttpResponse, policy: RetryPolicy): UserError {
    const bound = isPassing(answer.status)
      ? `, tried again for at most ${Math.round(policy.total / 1000)} s`
      : "";
    return new UserError(
      "NCP-302",
      `${this.label}: ${what.replace(/[0-9a-f-]{36}/, "ID")} answers ${answer.status} (${this.words(answer)})${bound}`,
      {
        ...(answer.status >= 500 || isPassing(answer.status)
          ? { fault: "the server's" as const }
          : {}),
        hint: `${this.isCachix ? "see https://status.cachix.org" : "see the server's own log"}; running it again uploads only what is missing`,
      },
    );
  }

  private words(answer: HttpResponse): string {
    return serverWords(answer, this.given);
  }

  private once(call: Call, deadline: number, as: "bearer" | "nobody"): Promise<HttpResponse> {
    const query = call.query ? `?${new URLSearchParams(call.query)}` : "";
    return this.http.request({
      method: call.method,
      url: new URL(`${this.base}${call.path}${query}`),
      headers: {
        accept: "application/json",
        ...(as === "bearer" && this.given !== undefined
          ? { authorization: `Bearer ${this.given}` }
          : {}),
        ...(call.body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      signal: call.signal,
      deadline,
    });
  }
}
