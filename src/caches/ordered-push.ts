/** Owns the order of a push: NARs side by side, and no path served before its references are. */

import type { PushProgress, PushResult } from "../domain/cache.ts";
import { asError, UserError } from "../domain/errors.ts";
import { limiter } from "../domain/limit.ts";
import { dependencies, type PathInfo } from "../domain/narinfo.ts";
import { baseName, type StorePath } from "../domain/store-path.ts";

/** A path whose NAR is in the cache, and that nobody is told of yet. */
export interface Uploaded {
  readonly bytes: number;
  /** Writes the narinfo: from now on the path is served. */
  publish(): Promise<void>;
  /** Takes the upload back, as far as the cache can. */
  discard(): Promise<void>;
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
): Promise<PushResult> {
  const limit = limiter(parallel);
  const infos = new Map(paths.map((info) => [info.storePath, info]));
  const published = new Map<StorePath, Promise<void>>();
  const pushed: PushProgress[] = [];
  const failed = new Map<StorePath, Error>();

  const one = async (info: PathInfo): Promise<void> => {
    const uploaded = await limit(() => {
      signal.throwIfAborted();
      return upload(info);
    });
    try {
      for (const reference of dependencies(info)) {
        const before = published.get(reference);
        if (!before) continue;
        await before.catch((cause) => {
          const name = baseName(reference);
          throw new UserError("NCP-305", `its reference ${name} was not pushed`, { cause });
        });
      }
      await limit(() => uploaded.publish());
    } catch (error) {
      await uploaded.discard().catch(() => undefined);
      throw error;
    }
    const done = { path: info.storePath, bytes: uploaded.bytes };
    pushed.push(done);
    progress(done);
  };

  // References first, so that a path never waits for one that has not been started.
  const start = (info: PathInfo): void => {
    const stack = [info];
    while (stack.length > 0) {
      const top = stack[stack.length - 1] as PathInfo;
      if (published.has(top.storePath)) {
        stack.pop();
        continue;
      }
      const before = dependencies(top).find(
        (path) => infos.has(path) && !published.has(path) && !onStack(stack, path),
      );
      const next = before && infos.get(before);
      if (next) stack.push(next);
      else {
        stack.pop();
        const promise = one(top);
        promise.catch((error) => failed.set(top.storePath, asError(error)));
        published.set(top.storePath, promise);
      }
    }
  };
  for (const info of paths) start(info);
  await Promise.allSettled(published.values());
  return { pushed, failed };
}

function onStack(stack: readonly PathInfo[], path: StorePath): boolean {
  // Store paths form no cycles; were one to, waiting for it would be for ever.
  return stack.some((info) => info.storePath === path);
}
