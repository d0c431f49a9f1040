/** Trying again: what is worth it, how long to wait, and when to stop. */

import { type AnswerTrouble, SLOW } from "../domain/cache.ts";
import { describeError, UserError } from "../domain/errors.ts";
import { clock } from "./clock.ts";
import type { Http, HttpRequest, HttpResponse, HttpStream } from "./http-client.ts";

export interface RetryPolicy {
  /** Milliseconds before the second try, doubled for each further one, with full jitter. */
  readonly first: number;
  readonly longest: number;
  /** Milliseconds after which no further try is begun. */
  readonly total: number;
  /** No server's Retry-After is waited for longer than this. */
  readonly patience: number;
  /** Once it is aborted no further try is begun; what is under way goes on. */
  readonly giveUp?: AbortSignal;
}

export const RETRY: RetryPolicy = {
  first: 500,
  longest: 15_000,
  total: 90_000,
  patience: 120_000,
};

/** For questions: a substituter that does not answer must not hold up the others for long. */
export const ASK: RetryPolicy = { first: 250, longest: 2_500, total: 15_000, patience: 30_000 };

/** Nobody is there, or not who they say: asking on would be waiting for nothing. */
const HOPELESS = /ENOTFOUND|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ERR_TLS/;

/** What another try would not mend: a certificate, a proxy that gives no way, a body without an end. */
function isSettled(failure: unknown): boolean {
  return failure instanceof UserError && /^NCP-33[345]$/.test(failure.code);
}

/** Any 2xx: what was asked for was done. */
export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** Of the server's own faults those that stay: not implemented, another version, full, a login page. */
const LASTING = new Set([501, 505, 507, 511]);

/** Worth another try: too many requests, the server's own faults. Never 400, 401, 403, 404. */
export function isPassing(status: number): boolean {
  return status === 429 || status === 408 || (status >= 500 && !LASTING.has(status));
}

/**
 * Calls `attempt` until it answers with something else than a passing fault, or time is up.
 * At the end a passing status is returned, a thrown error thrown, with the bound in its words.
 */
export async function retry(
  attempt: () => Promise<HttpResponse>,
  signal: AbortSignal,
  policy: RetryPolicy = RETRY,
): Promise<HttpResponse> {
  const begun = performance.now();
  const isOver = () => policy.giveUp?.aborted === true;
  const bound = `, for at most ${Math.round(policy.total / 1000)} s`;
  for (let n = 1; ; n++) {
    let answer: HttpResponse | undefined;
    let failure: unknown;
    try {
      answer = await attempt();
      if (!isPassing(answer.status)) return answer;
    } catch (error) {
      signal.throwIfAborted();
      if (isSettled(error)) throw error;
      failure = error;
    }
    const asked = answer && retryAfter(answer, Date.now());
    const backOff = Math.min(policy.longest, policy.first * 2 ** (n - 1));
    // Full jitter spreads out clients that were turned away together.
    const pause =
      asked === undefined
        ? Math.random() * backOff
        : Math.min(asked, policy.patience) + Math.random() * policy.first;
    const spent = performance.now() - begun;
    // Too many requests: it is there, and will answer. What it asks for is time.
    const most = answer?.status === 429 ? Math.max(policy.total, policy.patience) : policy.total;
    const hopeless = failure !== undefined && n > 1 && HOPELESS.test(codeOf(failure));
    const late =
      isOver() || hopeless || (asked === undefined ? spent + pause > most : spent > most);
    if (late) return end(answer, failure, n, hopeless ? "" : bound);
    const either = policy.giveUp ? AbortSignal.any([signal, policy.giveUp]) : signal;
    await clock.sleep(pause, either).catch(() => signal.throwIfAborted());
    if (isOver()) return end(answer, failure, n);
  }
}

function end(
  answer: HttpResponse | undefined,
  failure: unknown,
  tries: number,
  bound = "",
): HttpResponse {
  if (answer) return answer;
  throw new UserError("NCP-302", `${describeError(failure)} (tried ${tries} times${bound})`, {
    cause: failure,
    fault: "the server's",
  });
}

function codeOf(failure: unknown): string {
  const parts: string[] = [];
  // Not `instanceof`: an error of Node's own may be of another realm than ours.
  for (let at = failure; typeof at === "object" && at !== null; at = (at as Error).cause) {
    parts.push(String((at as NodeJS.ErrnoException).code ?? ""));
  }
  return parts.join(" ");
}

/** Milliseconds a server asks us to wait, where it asks: seconds or a date in the header, `retry_after` in the body. */
export function retryAfter(answer: HttpResponse, now: number): number | undefined {
  const header = answer.headers["retry-after"];
  if (header !== undefined) {
    const text = header.trim();
    if (/^\d{1,9}(\.\d+)?$/.test(text)) return later(Number(text) * 1000);
    const date = Date.parse(text);
    if (!Number.isNaN(date)) return later(date - now);
  }
  if (!String(answer.headers["content-type"] ?? "").includes("json")) return undefined;
  try {
    const body = JSON.parse(answer.body.toString("utf8")) as { retry_after?: unknown };
    return typeof body.retry_after === "number" ? later(body.retry_after * 1000) : undefined;
  } catch {
    return undefined;
  }
}

/** "At once", or a moment that has passed, is no wait to keep to: ours grows from try to try. */
function later(milliseconds: number): number | undefined {
  return milliseconds > 0 ? milliseconds : undefined;
}

/** Requests at once, where all is well; and what is left where nothing is. */
const MOST = 256;
const FEWEST = 4;
/** Milliseconds between two halvings: what is turned away together is one word of the server's. */
const ONE_WORD = 250;

/** Halves what is under way at once when the server has had enough, and widens with every answer. */
export class PoliteHttp implements Http {
  private readonly http: Http;
  private readonly troubles = new Map<string, number>();
  private slow = 0;
  private slowest = 0;
  private width = MOST;
  private narrowed = Number.NEGATIVE_INFINITY;
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(http: Http) {
    this.http = http;
  }

  get answerTrouble(): AnswerTrouble {
    return { troubles: this.troubles, slow: this.slow, slowest: this.slowest };
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    if (this.running < this.width) this.running++;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    const begun = performance.now();
    try {
      const answer = await this.http.request(request);
      this.note(answer.status);
      if (request.body === undefined) this.noteTime(performance.now() - begun);
      return answer;
    } catch (error) {
      if (!request.signal.aborted) this.add(wordOf(error));
      throw error;
    } finally {
      this.running--;
      this.letIn();
    }
  }

  /** What is streamed is few and long: it is counted, and does not wait. */
  async stream(request: HttpRequest): Promise<HttpStream> {
    try {
      const answer = await this.http.stream(request);
      this.note(answer.status);
      return answer;
    } catch (error) {
      if (!request.signal.aborted) this.add(wordOf(error));
      throw error;
    }
  }

  private letIn(): void {
    while (this.waiting.length > 0 && this.running < this.width) {
      this.running++;
      this.waiting.shift()?.();
    }
  }

  private note(status: number): void {
    if (!isPassing(status)) {
      this.width = Math.min(MOST, this.width + 1 / this.width);
      return;
    }
    this.add(`HTTP ${status}`);
    const now = performance.now();
    // 408 and 500 say nothing of how many we are.
    if ((status !== 429 && status !== 503) || now - this.narrowed < ONE_WORD) return;
    this.narrowed = now;
    this.width = Math.max(FEWEST, this.width / 2);
  }

  private noteTime(milliseconds: number): void {
    if (milliseconds < SLOW) return;
    this.slow++;
    this.slowest = Math.max(this.slowest, milliseconds);
  }

  private add(trouble: string): void {
    this.troubles.set(trouble, (this.troubles.get(trouble) ?? 0) + 1);
  }
}

function wordOf(error: unknown): string {
  if (error instanceof UserError) return "no answer in time";
  const cause = error instanceof Error ? error.cause : undefined;
  const { code = "" } = (cause ?? {}) as NodeJS.ErrnoException;
  const isClosed = code === "ECONNRESET" || code === "EPIPE" || /closed/.test(String(cause));
  return isClosed ? "connection closed" : "connection failed";
}
