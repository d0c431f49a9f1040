/** Which paths a push sends: what the closure holds and no cache has; and how a pin is set and read back. */

import type { BinaryCache, Can, Pin, PushProgress } from "../../domain/cache.ts";
import { UserError } from "../../domain/errors.ts";
import type { Job } from "../../domain/job.ts";
import { mapLimited } from "../../domain/limit.ts";
import { dependencies, type PathInfo } from "../../domain/narinfo.ts";
import type { Clock, Nix } from "../../domain/ports.ts";
import {
  type MadeRealisation,
  type Realisations,
  realisationFile,
} from "../../domain/realisation.ts";
import { namePart, type StorePath } from "../../domain/store-path.ts";
import type { PushRoots } from "../step.ts";
import type { Lookup } from "../survey/lookup.ts";

export interface Pushed {
  readonly closure: ReadonlyMap<StorePath, PathInfo>;
  readonly pushed: readonly PushProgress[];
  readonly failed: ReadonlyMap<StorePath, Error>;
  /** Paths that our cache answers for with something that must not be believed, and why: not sent. */
  readonly poisoned: ReadonlyMap<StorePath, string>;
  /** Members of the closure that no cache has and that are above `push-max`, or refer to one that is. */
  readonly keptOut: readonly KeptOut[];
  /** Roots that another cache serves: nothing of ours to protect. */
  readonly upstreamOnly: readonly StorePath[];
  /** Roots that are not in this machine's store. */
  readonly absent: readonly StorePath[];
}

export interface KeptOut {
  readonly path: StorePath;
  /** Bytes of its NAR. */
  readonly bytes: number;
  readonly why: "its size" | "what it refers to";
}

export interface PushHow extends Pick<Job, "pushFilter" | "pushMax" | "force"> {
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
  const wanted = await lackingPaths(job, lookup, roots, closure, poisoned);
  const keptOut = aboveMost(wanted, job);
  const send = filtered(wanted, keptOut, job);
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
    const answer = await lookup.certain(root);
    if (!sent.has(root) && !answer.own && answer.upstream) upstreamOnly.push(root);
  }
  return {
    closure,
    pushed: result.pushed,
    failed: result.failed,
    poisoned,
    keptOut,
    upstreamOnly,
    absent: roots.filter((root) => !valid.has(root)),
  };
}

/** What roots are by now: of what is content-addressed Nix knows it only when it is built. */
export async function rootsMade(
  { paths, realised = [] }: PushRoots,
  nix: Pick<Nix, "realisations">,
  signal: AbortSignal,
): Promise<{ readonly paths: readonly StorePath[]; readonly made: Realisations }> {
  const made = realised.length === 0 ? [] : ((await nix.realisations?.(realised, signal)) ?? []);
  return { paths: [...new Set([...paths, ...made.map(({ path }) => path)])], made };
}

/**
 * Writes what became of content-addressed outputs whose paths our cache was sent, as `nix copy` does, and
 * reads it back: without it nobody knows their paths before they are built.
 */
export async function pushRealisations(
  cache: BinaryCache,
  made: Realisations,
  signal: AbortSignal,
): Promise<void> {
  const { realise, realisation } = cache;
  if (!realise || !realisation) return;
  const isServed = async ({ id, path }: MadeRealisation) => {
    const answer = await realisation(id, signal);
    return answer.kind === "hit" && answer.realisation.path === path;
  };
  await mapLimited(made, AT_ONCE, async (one) => {
    if (await isServed(one)) return;
    await realise(one, signal);
    if (await isServed(one)) return;
    throw new UserError(
      "NCP-305",
      `${cache.name} took ${realisationFile(one.id)} and does not serve it`,
    );
  });
}

/** Files of some hundred bytes. */
const AT_ONCE = 16;

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
 * that an upstream serves.
 */
async function lackingPaths(
  { force, again }: PushHow,
  lookup: Lookup,
  roots: readonly StorePath[],
  closure: ReadonlyMap<StorePath, PathInfo>,
  poisoned: Map<StorePath, string>,
): Promise<PathInfo[]> {
  const isRoot = new Set(roots);
  const wanted: PathInfo[] = [];
  await Promise.all(
    [...closure.values()].map(async (info) => {
      const { own, upstream, refused } = await lookup.certain(info.storePath);
      const { storePath } = info;
      const isForced = force === "force" && (!upstream || isRoot.has(storePath));
      if (isForced || again?.has(storePath)) wanted.push(info);
      else if (own || upstream) return;
      else if (refused === undefined) wanted.push(info);
      else poisoned.set(storePath, refused);
    }),
  );
  return wanted;
}

/**
 * A cache serves no path without what it refers to: so what is too large keeps out all that refers to it.
 * What a push that turned out wrong is to mend was let through before.
 */
function aboveMost(wanted: readonly PathInfo[], { pushMax, again }: PushHow): KeptOut[] {
  if (pushMax === undefined) return [];
  const most = pushMax;
  const large = wanted.filter(({ storePath, narSize }) => narSize > most && !again?.has(storePath));
  const out = new Map(large.map((info) => [info.storePath, info]));
  const referrers = new Map<StorePath, PathInfo[]>();
  for (const info of wanted) {
    for (const reference of dependencies(info)) {
      const known = referrers.get(reference);
      if (known) known.push(info);
      else referrers.set(reference, [info]);
    }
  }
  const stack = [...large];
  for (let info = stack.pop(); info !== undefined; info = stack.pop()) {
    for (const referrer of referrers.get(info.storePath) ?? []) {
      if (out.has(referrer.storePath)) continue;
      out.set(referrer.storePath, referrer);
      stack.push(referrer);
    }
  }
  return [...out.values()].map(({ storePath, narSize }) => ({
    path: storePath,
    bytes: narSize,
    why: narSize > most ? "its size" : "what it refers to",
  }));
}

/** The push filter holds for whatever no path that is sent refers to. */
function filtered(
  wanted: readonly PathInfo[],
  keptOut: readonly KeptOut[],
  { pushFilter }: PushHow,
): PathInfo[] {
  const out = new Set(keptOut.map(({ path }) => path));
  const fit = wanted.filter(({ storePath }) => !out.has(storePath));
  if (!pushFilter) return fit;
  const infos = new Map(fit.map((info) => [info.storePath, info]));
  const send = new Set<StorePath>();
  const matching = pushFilter.matching(fit.map(({ storePath }) => namePart(storePath)));
  const stack = fit.filter(({ storePath }) => !matching.has(namePart(storePath)));
  for (let info = stack.pop(); info !== undefined; info = stack.pop()) {
    if (send.has(info.storePath)) continue;
    send.add(info.storePath);
    for (const reference of dependencies(info)) {
      const needed = infos.get(reference);
      if (needed) stack.push(needed);
    }
  }
  return fit.filter(({ storePath }) => send.has(storePath));
}

export function vanished(path: StorePath): UserError {
  return new UserError("NCP-308", `${path} is not in this machine's store any more`, {
    hint: "something collected garbage while this run was at work; run it again",
  });
}

/**
 * `deadline`: milliseconds the pin has to become visible in the list.
 * `set`: written, and not to be read back from this cache. Throws where it is
 * not what was asked for.
 */
export async function setPin(
  cache: Can<"pin">,
  pin: Pin,
  deadline: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<"confirmed" | "set"> {
  await cache.pin(pin, signal);
  const until = clock.now() + deadline;
  for (let pause = 250; ; pause = Math.min(pause * 2, 5_000)) {
    const pins = await cache.pins?.(signal).catch(() => void signal.throwIfAborted());
    if (pins === undefined) return "set";
    const stored = pins.find(({ name }) => name === pin.name);
    if (stored?.storePath === pin.storePath) return "confirmed";
    if (clock.now() + pause > until) {
      throw new UserError(
        "NCP-307",
        `asked for ${deadline / 1000} s, the cache still has it on ${stored?.storePath ?? "nothing"}`,
      );
    }
    await clock.sleep(pause * (0.5 + Math.random() / 2), signal);
  }
}
