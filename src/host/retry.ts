/** Owns trying again: what is worth it, how long to wait, and when to stop. */

import { describeError, UserError } from "../domain/errors.ts";
import { clock } from "./clock.ts";
import type { HttpResponse } from "./http.ts";

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

/** For questions: a tier that does not answer must not hold up the others for long. */
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
