/** Owns patience with a cache: a deadline on every question, and one failure too many ends it. */

import type { BinaryCache, Presence, TierInfo } from "../domain/cache.ts";
import { asError, UserError } from "../domain/errors.ts";

export interface GuardOptions {
  /** Milliseconds for the first question, retries included. */
  readonly describe: number;
  /** Milliseconds for any later one. */
  readonly query: number;
}

export const PATIENCE: GuardOptions = { describe: 20_000, query: 45_000 };

/** A cache that did not answer in time is asked nothing more in this run: its answers are unknown. */
export function guarded(cache: BinaryCache, options: GuardOptions = PATIENCE): BinaryCache {
  let down: Error | undefined;
  let described: Promise<TierInfo> | undefined;
  return {
    ...cache,
    // Some caches learn their own address only when they are described.
    get substituter() {
      return cache.substituter;
    },
    describe(signal) {
      // Asked once: the survey, the plan and the push all want to know.
      described ??= within(options.describe, cache.name, signal, (inner) =>
        cache.describe(inner),
      ).catch((error) => {
        down = asError(error);
        throw error;
      });
      return described;
    },
    async query(path, signal): Promise<Presence> {
      if (down) return { kind: "unknown", cause: down };
      try {
        const presence = await within(options.query, cache.name, signal, (inner) =>
          cache.query(path, inner),
        );
        if (presence.kind === "unknown") down ??= presence.cause;
        return presence;
      } catch (error) {
        signal.throwIfAborted();
        down ??= asError(error);
        return { kind: "unknown", cause: down };
      }
    },
  };
}

async function within<T>(
  milliseconds: number,
  name: string,
  signal: AbortSignal,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new UserError("NCP-501", `${name} did not answer within ${milliseconds / 1000} s`, {
    hint: "it is left out of this run; what only it has counts as unknown, not as missing",
  });
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(late), milliseconds);
  const onAbort = () => controller.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    const aborted = new Promise<never>((_, reject) => {
      controller.signal.addEventListener("abort", () => reject(controller.signal.reason), {
        once: true,
      });
    });
    return await Promise.race([task(controller.signal), aborted]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
