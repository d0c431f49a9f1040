/** Owns the order of a push: references first, one failure not the others', and an end where the server fails them all. */

import { type PushProgress, type PushResult, ReferenceNotPushed } from "../domain/cache.ts";
import { asError, isServersFault } from "../domain/errors.ts";
import { limiter, mapLimited } from "../domain/limit.ts";
import { dependencies, type PathInfo } from "../domain/narinfo.ts";
import { baseName, type StorePath } from "../domain/store-path.ts";
import type { RetryPolicy } from "../host/retry.ts";

/** A path whose NAR is in the cache, and that nobody is told of yet. */
export interface Uploaded {
  readonly bytes: number;
  /** Writes the narinfo: from now on the path is served. */
  publish(): Promise<void>;
  /** Takes the upload back, as far as the cache can. */
  discard(): Promise<void>;
}

/** Paths in a row that fail for the server's sake, before no other is tried. */
const FAILURES_MOST = 3;
/** Milliseconds that a path is tried where the one before it got all of its time, for nothing. */
const TOTAL_AFTER_FAILURE = 10_000;

/** What a cache makes of what is sent to it: one that fails whatever it is given is sent nothing more. */
export class PushBreaker {
  private readonly controller = new AbortController();
  private inARow = 0;
  ended: Error | undefined;

  policy(usual: RetryPolicy): RetryPolicy {
    const total = this.inARow === 0 ? usual.total : Math.min(usual.total, TOTAL_AFTER_FAILURE);
    return { ...usual, total, giveUp: this.controller.signal };
  }

  succeeded(): void {
    this.inARow = 0;
  }

  failed(error: unknown): void {
    if (this.ended || !isServersFault(error) || ++this.inARow < FAILURES_MOST) return;
    this.ended = asError(error);
    this.controller.abort(this.ended);
  }
}

/**
 * Uploads `paths` with at most `parallel` NARs under way. A narinfo is published when those of its
 * references among `paths` are; where one failed, the path fails too, and the others go on.
 */
export async function pushInOrder(
  paths: readonly PathInfo[],
  parallel: number,
  upload: (info: PathInfo) => Promise<Uploaded>,
  progress: (done: PushProgress) => void,
  signal: AbortSignal,
  breaker = new PushBreaker(),
): Promise<PushResult> {
  const limit = limiter(parallel);
  const published = new Map<StorePath, Promise<void>>();
  const pushed: PushProgress[] = [];
  const failed = new Map<StorePath, Error>();
  const publish = async (info: PathInfo, uploading: Promise<Uploaded>): Promise<void> => {
    const uploaded = await uploading;
    try {
      for (const reference of dependencies(info)) {
        const before = published.get(reference);
        if (!before) continue;
        await before.catch((cause) => {
          if (breaker.ended) throw breaker.ended;
          const name = baseName(reference);
          throw new ReferenceNotPushed("NCP-305", `its reference ${name} was not pushed`, {
            cause,
          });
        });
      }
      if (breaker.ended) throw breaker.ended;
      await limit(() => uploaded.publish());
      breaker.succeeded();
    } catch (error) {
      await uploaded.discard().catch(() => undefined);
      throw error;
    }
    const done = { path: info.storePath, bytes: uploaded.bytes };
    pushed.push(done);
    progress(done);
  };

  // A path that is uploaded and waits for its references holds up no other upload.
  await mapLimited(referencesFirst(paths), parallel, async (info) => {
    const stop = breaker.ended ?? (signal.aborted ? signal.reason : undefined);
    const uploading = stop === undefined ? upload(info) : Promise.reject(stop);
    const publishing = publish(info, uploading);
    publishing.catch((error) => {
      if (!(error instanceof ReferenceNotPushed)) breaker.failed(error);
      failed.set(info.storePath, asError(error));
    });
    published.set(info.storePath, publishing);
    await uploading.catch(() => undefined);
  });
  await Promise.allSettled(published.values());
  const { ended } = breaker;
  return { pushed, failed, ...(ended ? { ended } : {}) };
}

/** So that no path waits for one that has not been started. */
export function referencesFirst(paths: readonly PathInfo[]): PathInfo[] {
  const infos = new Map(paths.map((info) => [info.storePath, info]));
  const ordered = new Set<PathInfo>();
  const seen = new Set<StorePath>();
  for (const path of paths) {
    const stack = [path];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      seen.add(top.storePath);
      // What is seen and not done is below on the stack: store paths form no cycles, but were they to…
      const next = dependencies(top).find(
        (reference) => infos.has(reference) && !seen.has(reference),
      );
      const info = next && infos.get(next);
      if (info) stack.push(info);
      else {
        stack.pop();
        ordered.add(top);
      }
    }
  }
  return [...ordered];
}
