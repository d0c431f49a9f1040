/** Which paths a push sends: what the closure holds and no cache has. */

import type { Can, PushProgress } from "../../domain/cache.ts";
import { UserError } from "../../domain/errors.ts";
import type { Job } from "../../domain/job.ts";
import { dependencies, type PathInfo } from "../../domain/narinfo.ts";
import type { Nix } from "../../domain/ports.ts";
import { namePart, type StorePath } from "../../domain/store-path.ts";
import type { Lookup } from "../survey/lookup.ts";

export interface Pushed {
  readonly closure: ReadonlyMap<StorePath, PathInfo>;
  readonly pushed: readonly PushProgress[];
  readonly failed: ReadonlyMap<StorePath, Error>;
  /** Paths that our cache answers for with something that must not be believed, and why: not sent. */
  readonly poisoned: ReadonlyMap<StorePath, string>;
  /** Roots that another cache serves: nothing of ours to protect. */
  readonly upstreamOnly: readonly StorePath[];
  /** Roots that are not in this machine's store. */
  readonly absent: readonly StorePath[];
}

export interface PushHow extends Pick<Job, "pushFilter" | "force"> {
  /** Paths to send whatever our cache says: a push of them turned out wrong. */
  readonly again?: ReadonlySet<StorePath>;
  /** Hears what is to be sent, and of each NAR how much of it was read. */
  readonly told?: PushListener;
}

export interface PushListener {
  sending(paths: readonly PathInfo[]): void;
  read(path: StorePath, bytes: number): void;
}

export async function push(
  job: PushHow,
  cache: Can<"push">,
  lookup: Lookup,
  nix: Pick<Nix, "valid" | "closure" | "nar">,
  roots: readonly StorePath[],
  progress: (done: PushProgress) => void,
  signal: AbortSignal,
): Promise<Pushed> {
  const valid = await nix.valid(roots, signal);
  const closure = await nix.closure([...valid], signal);
  const poisoned = new Map<StorePath, string>();
  const send = await selectPaths(job, lookup, roots, closure, poisoned);
  job.told?.sending(send);
  const result =
    send.length === 0
      ? { pushed: [], failed: new Map<StorePath, Error>() }
      : await cache.push(
          send,
          (path, inner) => counted(path, nix.nar(path, inner), job.told),
          progress,
          signal,
        );
  lookup.forget(send.map(({ storePath }) => storePath));
  const upstreamOnly: StorePath[] = [];
  const sent = new Set(send.map(({ storePath }) => storePath));
  for (const root of valid) {
    const answer = await lookup.ask(root);
    if (!sent.has(root) && !answer.own && answer.upstream) upstreamOnly.push(root);
  }
  return {
    closure,
    pushed: result.pushed,
    failed: result.failed,
    poisoned,
    upstreamOnly,
    absent: roots.filter((root) => !valid.has(root)),
  };
}

async function* counted(
  path: StorePath,
  nar: AsyncIterable<Uint8Array>,
  told: PushListener | undefined,
): AsyncIterable<Uint8Array> {
  if (!told) return yield* nar;
  let bytes = 0;
  told.read(path, bytes);
  for await (const chunk of nar) {
    yield chunk;
    bytes += chunk.length;
    told.read(path, bytes);
  }
}

/**
 * Members that no cache has. What somebody else put into our cache under a member's name is evidence,
 * and not written over unasked. `force` distrusts what our own cache says it has, and uploads a root
 * that an upstream serves. The push filter holds for whatever no path that is sent refers to.
 */
async function selectPaths(
  { pushFilter, force, again }: PushHow,
  lookup: Lookup,
  roots: readonly StorePath[],
  closure: ReadonlyMap<StorePath, PathInfo>,
  poisoned: Map<StorePath, string>,
): Promise<PathInfo[]> {
  const isRoot = new Set(roots);
  const wanted: PathInfo[] = [];
  await Promise.all(
    [...closure.values()].map(async (info) => {
      const { own, upstream, refused } = await lookup.ask(info.storePath);
      const { storePath } = info;
      const isForced = force === "force" && (!upstream || isRoot.has(storePath));
      if (isForced || again?.has(storePath)) wanted.push(info);
      else if (own || upstream) return;
      else if (refused === undefined) wanted.push(info);
      else poisoned.set(storePath, refused);
    }),
  );
  if (!pushFilter) return wanted;
  const infos = new Map(wanted.map((info) => [info.storePath, info]));
  const send = new Set<StorePath>();
  const filtered = pushFilter.matching(wanted.map(({ storePath }) => namePart(storePath)));
  const stack = wanted.filter(({ storePath }) => !filtered.has(namePart(storePath)));
  for (let info = stack.pop(); info !== undefined; info = stack.pop()) {
    if (send.has(info.storePath)) continue;
    send.add(info.storePath);
    for (const reference of dependencies(info)) {
      const needed = infos.get(reference);
      if (needed) stack.push(needed);
    }
  }
  return wanted.filter(({ storePath }) => send.has(storePath));
}

export function vanished(path: StorePath): UserError {
  return new UserError("NCP-308", `${path} is not in this machine's store any more`, {
    hint: "something collected garbage while this run was at work; run it again",
  });
}
