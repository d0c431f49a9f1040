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
const HOPELESS = /ENOTFOUND|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|CERT_|SELF_SIGNED|ERR_TLS/;

/** Worth another try: too many requests, the server's own faults. Never 400, 401, 403, 404. */
export function isPassing(status: number): boolean {
  return status === 429 || status === 408 || status >= 500;
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
  for (let n = 1; ; n++) {
    let answer: HttpResponse | undefined;
    let failure: unknown;
    try {
      answer = await attempt();
      if (!isPassing(answer.status)) return answer;
    } catch (error) {
      signal.throwIfAborted();
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
    const late = hopeless || (asked === undefined ? spent + pause > most : spent > most);
    if (late) {
      if (answer) return answer;
      const bound = hopeless ? "" : `, for at most ${Math.round(policy.total / 1000)} s`;
      throw new UserError("NCP-302", `${describeError(failure)} (tried ${n} times${bound})`, {
        cause: failure,
      });
    }
    await clock.sleep(pause, signal);
  }
}

function codeOf(failure: unknown): string {
  const parts: string[] = [];
  // Not `instanceof`: an error of Node's own may be of another realm than ours.
  for (let at = failure; typeof at === "object" && at !== null; at = (at as Error).cause) {
    parts.push(String((at as NodeJS.ErrnoException).code ?? ""));
  }
  return parts.join(" ");
}

/** Milliseconds a server asks us to wait: seconds or a date in the header, `retry_after` in the body. */
export function retryAfter(answer: HttpResponse, now: number): number | undefined {
  const header = answer.headers["retry-after"];
  if (header !== undefined) {
    if (/^\d{1,9}(\.\d+)?$/.test(header.trim())) return Number(header) * 1000;
    const date = Date.parse(header);
    if (!Number.isNaN(date)) return Math.max(0, date - now);
  }
  if (!String(answer.headers["content-type"] ?? "").includes("json")) return undefined;
  try {
    const body = JSON.parse(answer.body.toString("utf8")) as { retry_after?: unknown };
    return typeof body.retry_after === "number" ? Math.max(0, body.retry_after * 1000) : undefined;
  } catch {
    return undefined;
  }
}

/** The stream of the last try, whatever its status; what breaks off behind it is an error. */
export async function retryStream(
  http: Http,
  request: HttpRequest,
  policy: RetryPolicy,
): Promise<HttpStream> {
  let opened: HttpStream | undefined;
  const attempt = async () => {
    opened?.discard();
    opened = await http.stream(request);
    const { status, headers } = opened;
    return { status, headers, body: Buffer.alloc(0), url: request.url };
  };
  await retry(attempt, request.signal, policy);
  if (!opened) throw new Error("a stream was not opened");
  return opened;
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
