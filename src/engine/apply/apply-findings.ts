/** What is told of downloads, pushes, proofs and pins that went wrong: one finding for each cause. Pure. */

import { ReferenceNotPushed } from "../../domain/cache.ts";
import { describeError, isFullDisk, UserError } from "../../domain/errors.ts";
import { type Finding, likeOf } from "../../domain/finding.ts";
import type { Code, Job } from "../../domain/job.ts";
import { cacheHost, serverCause } from "../../domain/location.ts";
import { count, formatBytes } from "../../domain/size.ts";
import { baseName, namePart, type StorePath } from "../../domain/store-path.ts";
import { isServed, type VerifiedTarget } from "../../domain/verdict.ts";
import type { KeptOut } from "./push.ts";

interface NotFetched {
  /** With Nix's message. */
  readonly failed: ReadonlyMap<StorePath, string>;
  /** The caches that say they have them. */
  readonly from: string;
  readonly code: Code;
  readonly into: string;
}

export function fetchFinding(
  { failOn }: Pick<Job, "failOn">,
  { failed, from, code, into }: NotFetched,
): Finding {
  const names = [...failed.keys()].map(baseName);
  const [first = ""] = names;
  const [why = ""] = failed.values();
  const full = [...failed.values()].find(isFullDisk);
  if (full !== undefined) {
    return {
      kind: "disk",
      level: failOn.includes("disk") ? "error" : "warning",
      code: "NCP-410",
      cause: `disk ${into}`,
      names,
      title: `the disk was full, ${count(names.length, "store path")} not downloaded`,
      message: `the disk was full while Nix fetched ${count(names.length, "path")} into ${into}: ${full}`,
      hint: "free disk space there (reclaim: auto), or name fewer targets; what had arrived is kept",
    };
  }
  return {
    kind: "cache",
    level: "warning",
    code: "NCP-302",
    cause: `fetch ${from}`,
    names,
    title: `${count(names.length, "store path")} could not be downloaded`,
    message: `Nix could not fetch ${count(names.length, "path")} that ${from} says it has, ${first} for one: ${why}`,
    hint:
      code === "strange"
        ? "later steps will build them: on such an event Nix is told no credentials, and what is unsigned or over half a gigabyte it would have to fetch itself"
        : "later steps will build them; is the cache's public key trusted, and its NAR there?",
  };
}

export interface Sent {
  /** The cache's name. */
  readonly to: string;
  readonly failed: ReadonlyMap<StorePath, Error>;
  /** How many paths arrived. */
  readonly pushed: number;
}

/** Causes told one by one; a cache that is down gives one, a damaged disk many. */
const TOLD = 5;

interface Cause {
  readonly error: Error;
  readonly paths: StorePath[];
}

export function pushFindings({ onPushFailure }: Pick<Job, "onPushFailure">, sent: Sent): Finding[] {
  if (onPushFailure === "ignore") return [];
  const { failed, to } = sent;
  const causes = new Map<string, Cause>();
  const following: StorePath[] = [];
  for (const [path, error] of failed) {
    if (error instanceof ReferenceNotPushed) {
      following.push(path);
      continue;
    }
    const text = describeError(error);
    const like = statusOf(text) ?? likeOf(text.replaceAll(path, "").replaceAll(baseName(path), ""));
    const before = causes.get(like);
    if (before) before.paths.push(path);
    else causes.set(like, { error, paths: [path] });
  }
  const level = onPushFailure === "error" ? "error" : "warning";
  const finding = (message: string, names: readonly StorePath[], like: string): Finding => ({
    kind: "push",
    level,
    code: "NCP-305",
    cause: serverCause(to, `push ${like}`),
    title: pushTitle(sent, like),
    names: names.map(baseName),
    message,
    hint: "run it again: only what is still missing is uploaded",
  });
  const shown = [...causes].slice(0, TOLD).map(([like, { error, paths }], at) => {
    const [first = ""] = paths.map(baseName);
    const more = paths.length > 1 ? ` and ${count(paths.length - 1, "more path")} were` : " was";
    // What only waits for these is of the same cause.
    const behind = at === 0 ? following : [];
    const wait =
      behind.length === 0
        ? ""
        : `; ${count(behind.length, "path")} that ${behind.length === 1 ? "refers" : "refer"} to such a one ${behind.length === 1 ? "is" : "are"} not pushed either`;
    const message = `${first}${more} not pushed: ${describeError(error)}${wait}`;
    const hint = error instanceof UserError ? error.hint : undefined;
    return {
      ...finding(message, [...paths, ...behind], like),
      ...(hint === undefined ? {} : { hint }),
    };
  });
  if (causes.size > TOLD) {
    const rest = [...causes.values()].slice(TOLD).flatMap(({ paths }) => paths);
    shown.push(
      finding(
        `${count(rest.length, "more path")} were not pushed, for ${count(causes.size - TOLD, "more cause")}`,
        rest,
        "more",
      ),
    );
  }
  if (causes.size === 0 && following.length > 0) {
    const are = following.length === 1 ? "is" : "are";
    const message = `${count(following.length, "path")} ${are} not served, since a reference was not pushed`;
    shown.push({ ...finding(message, following, "references"), code: "NCP-310" });
  }
  return shown;
}

/** `HTTP 403`, where a server said it. */
function statusOf(text: string): string | undefined {
  const status = /\b(?:HTTP|answers?|answered) ([1-5]\d\d)\b/.exec(text)?.[1];
  return status === undefined ? undefined : `HTTP ${status}`;
}

/** True of all paths together: one that arrived is no "nothing". */
function pushTitle({ to, failed, pushed }: Sent, like: string): string {
  const host = cacheHost(to);
  if (pushed > 0) {
    return `${failed.size} of ${count(pushed + failed.size, "store path")} could not be pushed`;
  }
  if (like === "HTTP 401" || like === "HTTP 403") {
    return `nothing was pushed, ${host} refused the token`;
  }
  return like.startsWith("HTTP ")
    ? `nothing was pushed, ${host} answered ${like}`
    : `nothing was pushed to ${host}`;
}

/** What proofs found, once for each outcome: one server's trouble befalls many targets. */
export function proofFindings(
  { failOn }: Pick<Job, "failOn">,
  to: string,
  verified: Iterable<VerifiedTarget>,
): Finding[] {
  const bad = [...verified].filter(({ outcome }) => !isServed(outcome));
  const groups = Map.groupBy(bad, ({ outcome, detail }) => `${outcome} ${likeOf(detail ?? "")}`);
  return [...groups].flatMap(([like, [first, ...rest]]): Finding[] => {
    if (!first) return [];
    const more = rest.length > 0 ? ` and ${count(rest.length, "more target")} are` : " is";
    const { target, outcome, detail } = first;
    return [
      {
        kind: "unverified",
        level: failOn.includes("unverified") ? "error" : "warning",
        code: "NCP-306",
        cause: serverCause(to, `verify ${like}`),
        names: [target, ...rest.map((one) => one.target)],
        title: `${count(rest.length + 1, "target")} could not be verified in ${cacheHost(to)}`,
        message: `${target}${more} not verified in ${to}: ${outcome}${detail ? `: ${detail}` : ""}`,
        hint: "it is not pinned; see docs/troubleshooting.md for what each outcome means",
      },
    ];
  });
}

export function pinFinding(
  { onPushFailure }: Pick<Job, "onPushFailure">,
  {
    pin,
    target,
    error,
  }: { readonly pin: string; readonly target: string; readonly error: unknown },
  now: VerifiedTarget["outcome"] | undefined,
): Finding {
  const why = describeError(error);
  return {
    kind: "pin",
    level: onPushFailure === "error" ? "error" : "warning",
    code: "NCP-307",
    cause: `pin ${likeOf(why.replaceAll(pin, ""))}`,
    names: [target],
    title: `the pin ${pin} was not set`,
    message: `pin ${pin} was not set: ${why}`,
    hint:
      now === "verified"
        ? "the path is in the cache and verified; run again to pin it"
        : "the cache lost the path after it was verified; run again to push it",
  };
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
      cause: `poison ${cache}`,
      title: `${cacheHost(cache)} holds what must not be believed`,
      names: poisoned.map(([one]) => baseName(one)),
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
