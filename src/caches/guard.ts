/** Owns patience with a cache: a deadline on every question, and one failure too many ends it. */

import type { BinaryCache, Presence, TierInfo } from "../domain/cache.ts";
import { asError, UserError } from "../domain/errors.ts";
import { limiter } from "../domain/limit.ts";
import type { Strain } from "../domain/strain.ts";
import { Deadlines } from "../host/deadlines.ts";

export interface GuardOptions {
  /** Milliseconds for the first question, retries included. */
  readonly describe: number;
  /** Milliseconds for any later one, from when its turn has come. */
  readonly query: number;
  /** Questions at once, where the cache does not say. */
  readonly parallel: number;
}

/** Paths that got no answer, before the others are not asked for any more. */
const FAILURES_MOST = 16;

export const PATIENCE: GuardOptions = { describe: 20_000, query: 45_000, parallel: 256 };

/**
 * A cache that gives no answers is asked nothing more in this run: its answers are unknown. One path
 * without an answer does not make it so where others were answered in the meantime; many of them do.
 */
export function guarded(
  cache: BinaryCache,
  strain?: () => Strain,
  options: GuardOptions = PATIENCE,
): BinaryCache {
  let down: Error | undefined;
  let lastAnswer = Number.NEGATIVE_INFINITY;
  let failures = 0;
  let described: Promise<TierInfo> | undefined;
  const deadlines = (milliseconds: number) =>
    new Deadlines(milliseconds, () => tooSlow(cache.name, milliseconds));
  const first = deadlines(options.describe);
  const later = deadlines(options.query);
  const limit = limiter(cache.questionsAtOnce ?? options.parallel);
  return {
    ...cache,
    ...(strain ? { strain } : {}),
    // Some caches learn their own address only when they are described.
    get substituter() {
      return cache.substituter;
    },
    describe(signal) {
      // Asked once: the survey, the plan and the push all want to know.
      described ??= first
        .run(signal, (inner) => cache.describe(inner))
        .catch((error) => {
          down = asError(error);
          throw error;
        });
      return described;
    },
    query: (path, signal) =>
      // Waiting for one's turn is no fault of the cache: the deadline begins behind the limit.
      limit(async (): Promise<Presence> => {
        if (down) return { kind: "unknown", cause: down };
        const begun = performance.now();
        const failed = (cause: Error): Presence => {
          failures++;
          if (lastAnswer < begun || failures >= FAILURES_MOST) down ??= cause;
          return { kind: "unknown", cause };
        };
        try {
          const presence = await later.run(signal, (inner) => cache.query(path, inner));
          if (presence.kind === "unknown") return failed(presence.cause);
          lastAnswer = performance.now();
          return presence;
        } catch (error) {
          signal.throwIfAborted();
          return failed(asError(error));
        }
      }),
  };
}

function tooSlow(name: string, milliseconds: number): UserError {
  return new UserError("NCP-501", `${name} did not answer within ${milliseconds / 1000} s`, {
    hint: "it is left out of this run; what only it has counts as unknown, not as missing",
  });
}
