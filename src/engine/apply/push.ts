/** Which paths a push sends: what the closure holds and no cache has. */

import { type Can, type PushProgress, ReferenceNotPushed } from "../../domain/cache.ts";
import { describeError, UserError } from "../../domain/errors.ts";
import type { Finding } from "../../domain/finding.ts";
import type { Job } from "../../domain/job.ts";
import { dependencies, type PathInfo } from "../../domain/narinfo.ts";
import type { Nix } from "../../domain/ports.ts";
import { count, formatBytes } from "../../domain/size.ts";
import { baseName, namePart, type StorePath } from "../../domain/store-path.ts";
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
    const answer = await lookup.ask(root);
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
      const { own, upstream, refused } = await lookup.ask(info.storePath);
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

/** Causes told one by one; a cache that is down gives one, a damaged disk many. */
const TOLD = 5;

export function pushFindings(
  { onPushFailure }: Pick<Job, "onPushFailure">,
  failed: ReadonlyMap<StorePath, Error>,
): Finding[] {
  if (onPushFailure === "ignore") return [];
  const causes = new Map<
    string,
    { readonly path: StorePath; readonly error: Error; paths: number }
  >();
  let following = 0;
  for (const [path, error] of failed) {
    if (error instanceof ReferenceNotPushed) {
      following++;
      continue;
    }
    const text = describeError(error)
      .replaceAll(path, "")
      .replaceAll(baseName(path), "")
      // Names by hash, numbers of uploads, of tries, of bytes: the cause is the same.
      .replace(/[0-9a-z]{32,}[-.\w]*/g, "#")
      .replace(/[0-9a-f]*\d[0-9a-f]*/g, "#");
    const before = causes.get(text);
    if (before) before.paths++;
    else causes.set(text, { path, error, paths: 1 });
  }
  const level = onPushFailure === "error" ? "error" : "warning";
  const finding = (message: string, hint?: string): Finding => ({
    kind: "push",
    level,
    code: "NCP-305",
    message,
    hint: hint ?? "run it again: only what is still missing is uploaded",
  });
  const found = [...causes.values()].slice(0, TOLD).map(({ path, error, paths }) => {
    const more = paths > 1 ? ` and ${count(paths - 1, "more path")} were` : " was";
    const hint = error instanceof UserError ? error.hint : undefined;
    return finding(`${baseName(path)}${more} not pushed: ${describeError(error)}`, hint);
  });
  if (causes.size > TOLD) found.push(finding(`${causes.size - TOLD} more causes kept paths back`));
  if (following > 0) {
    const are = following === 1 ? "is" : "are";
    const message = `${count(following, "path")} ${are} not served, for want of a reference that failed`;
    found.push({ ...finding(message), code: "NCP-310" });
  }
  return found;
}

/** What somebody else put there is evidence; only who is asked to (`force`) writes over it. */
export function poisonFindings(
  cache: string,
  poisoned: readonly (readonly [StorePath, string])[],
): Finding[] {
  const [first] = poisoned;
  if (!first) return [];
  const [path, why] = first;
  const more = poisoned.length > 1 ? ` and ${count(poisoned.length - 1, "more path")}` : "";
  return [
    {
      kind: "push",
      level: "warning",
      code: "NCP-452",
      message: `${cache} holds ${baseName(path)}${more} in a way that must not be believed: ${why}; nothing is pushed over it`,
      hint: "find out who wrote it; then force: true uploads it anew",
    },
  ];
}

/** What is not reproducible has as many forms as builds, and a cache keeps the first. */
export function otherBuild(target: string, cache: string, detail: string | undefined): Finding {
  return {
    kind: "notice",
    level: "notice",
    message: `${target} is in ${cache} as another build made it${detail ? `: ${detail}` : ""}`,
    hint: "it is cached, and what readers get is that build; it is not pinned by this run",
  };
}

/** `bws-1.0.0 (1.2 GB)`. */
export function keptOutWords({ path, bytes, why }: KeptOut): string {
  const because = why === "its size" ? "" : ", for what it refers to";
  return `${namePart(path)} (${formatBytes(bytes)}${because})`;
}

/** What the user asked for is no trouble: it is told, and counts as nothing that failed. */
export function keptOutFindings(keptOut: readonly KeptOut[]): Finding[] {
  const large = keptOut.filter(({ why }) => why === "its size");
  if (large.length === 0) return [];
  const named = [...large].sort((a, b) => b.bytes - a.bytes).slice(0, 3);
  const more = large.length > named.length ? ` and ${large.length - named.length} more` : "";
  const others = keptOut.length - large.length;
  const then =
    others === 0
      ? ""
      : `, nor ${count(others, "path")} that ${others === 1 ? "refers" : "refer"} to that`;
  const are = large.length === 1 ? "is" : "are";
  return [
    {
      kind: "notice",
      level: "notice",
      code: "NCP-314",
      message: `${named.map(keptOutWords).join(", ")}${more} ${are} above push-max and not pushed${then}`,
      hint: "raise push-max, or name it in no target",
    },
  ];
}

export function vanished(path: StorePath): UserError {
  return new UserError("NCP-308", `${path} is not in this machine's store any more`, {
    hint: "something collected garbage while this run was at work; run it again",
  });
}
