/** Patience with a cache: a deadline on every question, and one failure too many ends it. */

import type { AnswerTrouble, CacheClient, CacheDescription, Presence } from "../domain/cache.ts";
import { asError, isServersFault, UserError } from "../domain/errors.ts";
import { ByteBudget, limiter } from "../domain/limit.ts";
import type { RealisationAnswer } from "../domain/realisation.ts";
import { Deadlines } from "../host/clock.ts";

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
 * A cache that did not answer in time, or not as a cache does, is asked nothing more in this run: its
 * answers are unknown, and those still under way are not waited for. So it costs its deadline once.
 * One path without an answer does not make it so where others were answered meanwhile; many of them do.
 */
export function guarded(
  cache: CacheClient,
  options: GuardOptions = PATIENCE,
  answerTrouble?: () => AnswerTrouble,
): CacheClient {
  let down: Error | undefined;
  let lastAnswer = Number.NEGATIVE_INFINITY;
  let lastByte = Number.NEGATIVE_INFINITY;
  let failures = 0;
  const end = new AbortController();
  const markDown = (error: Error): Error => {
    if (!down) {
      down = error;
      end.abort(error);
    }
    return down;
  };
  let combined: { readonly of: AbortSignal; readonly signal: AbortSignal } | undefined;
  /** One for all questions: a signal each, for 100,000 of them, would cost more than the questions. */
  const either = (signal: AbortSignal): AbortSignal => {
    if (combined?.of !== signal) {
      combined = { of: signal, signal: AbortSignal.any([signal, end.signal]) };
    }
    return combined.signal;
  };
  let described: Promise<CacheDescription> | undefined;
  const deadlines = (milliseconds: number) =>
    new Deadlines(milliseconds, () => tooSlow(cache.name, milliseconds));
  const first = deadlines(options.describe);
  const later = deadlines(options.query);
  const limit = limiter(cache.questionsAtOnce ?? options.parallel);
  const nars = new ByteBudget(cache.narsAtOnce ?? Number.MAX_SAFE_INTEGER);
  let pushEnded: Error | undefined;
  const { push } = cache;
  const { realisation, mayHave } = cache;
  const writing: Pick<CacheClient, "push" | "pushEnded"> | undefined = push && {
    async push(paths, nar, progress, signal) {
      try {
        const result = await push(paths, nar, progress, signal);
        pushEnded ??= result.ended;
        return result;
      } catch (error) {
        // Before any path: the cache cannot be opened, or its nix-cache-info cannot be written.
        if (isServersFault(error)) pushEnded ??= asError(error);
        throw error;
      }
    },
    pushEnded: () => pushEnded,
  };
  return {
    ...cache,
    ...writing,
    ...(answerTrouble ? { answerTrouble } : {}),
    async *readNar(narInfo, signal) {
      await nars.take(1);
      let heard = performance.now();
      try {
        for await (const chunk of cache.readNar(narInfo, either(signal))) {
          heard = performance.now();
          lastByte = heard;
          yield chunk;
        }
      } catch (error) {
        signal.throwIfAborted();
        // One that stops in the middle of its NARs would hold up Nix for longer, and more than once.
        if (isLate(error) && lastByte <= heard) throw markDown(asError(error));
        throw error;
      } finally {
        nars.give(1);
      }
    },
    // Some caches learn their own address only when they are described.
    get substituter() {
      return cache.substituter;
    },
    describe(signal) {
      // Asked once: the survey, the plan and the push all want to know.
      described ??= first
        .run(signal, (inner) => cache.describe(inner))
        .catch((error) => {
          throw markDown(asError(error));
        });
      // Whoever asks again, before handing it to Nix, hears that it stopped answering since.
      return described.then((info) => {
        if (down) throw down;
        return info;
      });
    },
    ...(cache.mayPush ? { mayPush: asked(cache.mayPush, first) } : {}),
    ...(realisation
      ? {
          // One that cannot be read says nothing against the cache, whose paths are what counts.
          realisation: (id, signal) =>
            limit(async (): Promise<RealisationAnswer> => {
              if (down) return { kind: "unknown", cause: down };
              try {
                return await later.run(either(signal), (inner) => realisation(id, inner));
              } catch (error) {
                signal.throwIfAborted();
                return { kind: "unknown", cause: down ?? asError(error) };
              }
            }),
        }
      : {}),
    ...(mayHave
      ? {
          // Of one that is down nothing is known, whatever its index said: `query` says so.
          async mayHave(path, signal) {
            if (down) return "perhaps";
            try {
              const said = await mayHave(path, either(signal));
              return down ? "perhaps" : said;
            } catch {
              signal.throwIfAborted();
              return "perhaps";
            }
          },
        }
      : {}),
    query: (path, signal) =>
      // Waiting for one's turn is no fault of the cache: the deadline begins behind the limit.
      limit(async (): Promise<Presence> => {
        if (down) return { kind: "unknown", cause: down };
        const begun = performance.now();
        const failed = (cause: Error): Presence => {
          failures++;
          if (lastAnswer <= begun || failures >= FAILURES_MOST) markDown(cause);
          return { kind: "unknown", cause: down ?? cause };
        };
        try {
          const presence = await later.run(either(signal), (inner) => cache.query(path, inner));
          if (presence.kind === "unknown" && !presence.of) return failed(presence.cause);
          lastAnswer = performance.now();
          return presence;
        } catch (error) {
          signal.throwIfAborted();
          return failed(asError(error));
        }
      }),
  };
}

/** A question that fails says nothing: the push itself will tell. */
function asked(
  mayPush: NonNullable<CacheClient["mayPush"]>,
  deadlines: Deadlines,
): NonNullable<CacheClient["mayPush"]> {
  return async (signal) => {
    try {
      return await deadlines.run(signal, (inner) => mayPush(inner));
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  };
}

/** Whether it was a deadline that ended it, of the last try or of the NAR's next piece. */
function isLate(error: unknown): boolean {
  if (!(error instanceof UserError)) return false;
  return error.code === "NCP-501" || (error.code === "NCP-302" && isLate(error.cause));
}

function tooSlow(name: string, milliseconds: number): UserError {
  return new UserError("NCP-501", `${name} did not answer within ${milliseconds / 1000} s`, {
    hint: "it is not asked again in this run; what only it could have could not be checked, and is not counted as missing",
  });
}
