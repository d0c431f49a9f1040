/** The calls of Cachix: retried, the token stays with its host, and refusals are put into words. */

import type * as z from "zod/mini";
import { UserError } from "../../domain/errors.ts";
import type { Http, HttpResponse } from "../../host/http-client.ts";
import { ASK, isPassing, RETRY, type RetryPolicy, retry } from "../../host/retry.ts";

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
}

/** Milliseconds for one try. A completion may take its time: the server looks at the parts. */
const ASK_DEADLINE = 15_000;
const WRITE_DEADLINE = 60_000;

/** Source: cachix-api's API.hs, as noted in docs/adr/0010-cachix.md. */
export class CachixApi {
  readonly label: string;
  readonly http: Http;
  readonly askPolicy: RetryPolicy;
  readonly writePolicy: RetryPolicy;
  private readonly base: string;
  private readonly given: string | undefined;
  /** Set by the first write that was refused: a revoked token is not tried ten thousand times. */
  private refused: UserError | undefined;

  constructor(options: CachixApiOptions) {
    this.label = options.label;
    this.http = options.http;
    this.askPolicy = options.ask ?? ASK;
    this.writePolicy = options.write ?? RETRY;
    this.given = options.token;
    const root = options.host.href.replace(/\/+$/, "");
    this.base = `${root}/api/v1/cache/${encodeURIComponent(options.name)}`;
  }

  get token(): string | undefined {
    return this.given;
  }

  /** A question: whatever it answers is returned, once it is no passing fault. */
  ask(call: Call, as: "bearer" | "nobody" = "bearer"): Promise<HttpResponse> {
    return retry(() => this.once(call, ASK_DEADLINE, as), call.signal, this.askPolicy);
  }

  /**
   * A write that has to succeed; throws a UserError for anything but 2xx. `tookEffect` is asked
   * before each further try: an answer may get lost behind a write that was done.
   */
  async write(
    call: Call,
    tookEffect: () => Promise<boolean> = async () => false,
  ): Promise<HttpResponse | "done before"> {
    if (this.refused) throw this.refused;
    let tries = 0;
    let done = false;
    const answer = await retry(
      async () => {
        if (tries++ > 0 && (await tookEffect())) {
          done = true;
          return { status: 200, headers: {}, body: Buffer.alloc(0), url: new URL(this.base) };
        }
        return this.once(call, WRITE_DEADLINE, "bearer");
      },
      call.signal,
      this.writePolicy,
    );
    if (done) return "done before";
    if (answer.status >= 200 && answer.status < 300) return answer;
    if (answer.status === 401 || answer.status === 403) {
      this.refused = this.refusal(answer);
      throw this.refused;
    }
    throw this.failure(`${call.method} ${call.path}`, answer, this.writePolicy);
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
      { hint: "see https://status.cachix.org; running it again uploads only what is missing" },
    );
  }

  /** What the server said, in one short line that cannot hold the token. */
  private words({ headers, body }: HttpResponse): string {
    const text = body.toString("utf8", 0, 2_000);
    let words = String(headers["content-type"] ?? "").includes("html") ? "an HTML page" : text;
    try {
      const { error } = JSON.parse(text) as { error?: unknown };
      if (typeof error === "string") words = error;
    } catch {
      // Not JSON: its text will do.
    }
    const line = words.replace(/\s+/g, " ").trim().slice(0, 300) || "no text";
    return this.given === undefined ? line : line.replaceAll(this.given, "***");
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
