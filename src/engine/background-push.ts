/** Pushes while the job runs: what it builds is found and pushed as it appears. */

import { type Can, can, type PushProgress } from "../domain/cache.ts";
import { describeError } from "../domain/errors.ts";
import type { Job } from "../domain/job.ts";
import type { World } from "../domain/ports.ts";
import { count } from "../domain/size.ts";
import { baseName, type StorePath } from "../domain/store-path.ts";
import { push } from "./apply/push.ts";
import { ownOf } from "./post.ts";
import { Lookup } from "./survey/lookup.ts";
import { describeSubstituters } from "./survey/substituters.ts";

export interface WatchRequest {
  readonly job: Job;
  readonly world: World;
  /** Names that were in the store folder when the job began. */
  readonly since: ReadonlySet<string>;
  /** What the job's work descends from; undefined: all that is new is its own. */
  readonly origin?: readonly StorePath[] | undefined;
  /** Asked after every round; what is there by then is still pushed. */
  readonly isOver: () => Promise<boolean>;
  /** Rests between two looks at the store; a look with nothing new is one directory read. */
  readonly rest: (signal: AbortSignal) => Promise<void>;
  readonly progress: (done: PushProgress) => void;
  /** Told once, where the cache fails whatever it is sent: then this is over. */
  readonly ended: (why: string) => void;
}

/**
 * Pushes until the job is over. A path whose push failed is left to the end of the job, which tries
 * it once more and says so.
 */
export async function watch(request: WatchRequest, signal: AbortSignal): Promise<void> {
  const { world, since, isOver, rest } = request;
  const { nix, own } = world;
  if (!nix || !can(own, "push")) return;
  const seen = new Set(since);
  let lookup: Lookup | undefined;
  for (let over = false; !over; ) {
    // In this order: what was built before the end was called is found by the last round.
    over = await isOver();
    const fresh = await nix.builtHere(seen, signal);
    for (const path of fresh) seen.add(baseName(path));
    // What cannot be told yet, the end of the job asks for once more.
    const built = await ownOf(nix, fresh, request.origin, signal);
    if (built.length > 0) {
      lookup ??= await substitutersOf(world, signal);
      await send(request, own, lookup, built, signal);
      const ended = own.pushEnded?.();
      if (ended) return request.ended(describeError(ended));
    }
    if (!over) await rest(signal);
  }
}

async function substitutersOf(world: World, signal: AbortSignal): Promise<Lookup> {
  const substituters = await describeSubstituters(world, signal);
  return new Lookup(
    substituters.flatMap(({ substituter, state }) =>
      state.kind === "reachable" ? [substituter] : [],
    ),
    signal,
  );
}

async function send(
  { job, world, progress }: WatchRequest,
  own: Can<"push">,
  lookup: Lookup,
  built: Parameters<typeof push>[4],
  signal: AbortSignal,
): Promise<void> {
  if (!world.nix) return;
  try {
    const { failed } = await push(job, own, lookup, world.nix, built, progress, signal);
    for (const [path, error] of failed) world.log.info(`${path}: ${describeError(error)}`);
  } catch (error) {
    signal.throwIfAborted();
    world.log.info(`${count(built.length, "path")} not pushed: ${describeError(error)}`);
  }
}
