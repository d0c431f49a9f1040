/** What came of a plan: what was done, in bytes and seconds, and what went wrong. */

import type { BuildFigures } from "../domain/build-figures.ts";
import type { PushProgress } from "../domain/cache.ts";
import type { Finding } from "../domain/finding.ts";
import type { Deed } from "../domain/job.ts";
import { cacheHost } from "../domain/location.ts";
import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import type { StorePath } from "../domain/store-path.ts";
import { isHit, type VerificationOutcome, type VerifiedTarget } from "../domain/verdict.ts";
import type { Audit } from "./audit/check.ts";
import type { Step } from "./step.ts";
import type { SurveyedTarget } from "./survey.ts";

export interface TimedStep {
  readonly do: Step["do"];
  readonly what: string;
  readonly begin: number;
  readonly end: number;
}

export interface Fetched {
  readonly paths: number;
  /** Of their NARs: what the store grew by. */
  readonly bytes: number;
  readonly seconds: number;
}

export interface Built {
  readonly drvPath: StorePath;
  readonly name: string;
  /** Where Nix does not say it of each: of the step, in which it builds side by side what it can. */
  readonly seconds: number;
  /** What its outputs take in the store, where this run had to know. */
  readonly bytes: number | undefined;
}

/** What was to be built and is not there. */
export interface NotBuilt {
  readonly drvPath: StorePath;
  /** `cut`: it was not begun, as disk space ran low. */
  readonly why: "failed" | "full disk" | "cut";
}

export interface PushedPath extends PushProgress {
  /** From its first byte read to its being served; undefined where the cache read it otherwise. */
  readonly seconds: number | undefined;
}

export interface PinnedTarget {
  readonly target: string;
  readonly name: string;
  readonly storePath: StorePath;
  /** `set`: written, and not to be read back from this cache. */
  readonly state: "confirmed" | "set" | "failed";
  readonly detail: string | undefined;
  readonly seconds: number;
}

/** Names of the targets of which a pin was set, and none failed. */
export function pinnedTargets({ pinned }: Pick<Outcome, "pinned">): ReadonlySet<string> {
  const failed = new Set(pinned.flatMap((pin) => (pin.state === "failed" ? [pin.target] : [])));
  return new Set(pinned.flatMap(({ target }) => (failed.has(target) ? [] : [target])));
}

export interface Reclaimed {
  /** `Delete /usr/share/dotnet (2.1 GB)`. */
  readonly what: string;
  /** Bytes that the file systems have more; undefined where it is no matter of bytes. */
  readonly bytes: number | undefined;
}

export interface Outcome {
  readonly steps: readonly TimedStep[];
  readonly configured: readonly string[];
  readonly substituted: Fetched;
  /** Served, in a cache's own words, and not to be had: gone, broken off, or not what was promised. */
  readonly unfetched: readonly StorePath[];
  /** Their narinfo is served and their NAR is not, as a verification found. */
  readonly gone: readonly StorePath[];
  readonly built: readonly Built[];
  readonly notBuilt: readonly NotBuilt[];
  /** What those took that Nix built here; kept for the next run's plan. */
  readonly figures: readonly BuildFigures[];
  readonly reclaimed: readonly Reclaimed[];
  /** Bytes free in the store's file system when all was done; undefined where nobody could say. */
  readonly freeAfter: number | undefined;
  readonly pushed: readonly PushedPath[];
  /** Targets, and what several share, whose push failed, in part or whole; the paths are `unpushed`. */
  readonly notPushed: readonly string[];
  readonly unpushed: readonly StorePath[];
  /** The same that `push-max` keeps out of the cache, in part or whole. */
  readonly keptOut: readonly string[];
  readonly verified: readonly VerifiedTarget[];
  readonly pinned: readonly PinnedTarget[];
  /** What an audit found; undefined in every other run. */
  readonly audit?: Audit;
  readonly findings: readonly Finding[];
}

export const NOTHING_DONE: Outcome = {
  steps: [],
  configured: [],
  substituted: { paths: 0, bytes: 0, seconds: 0 },
  unfetched: [],
  gone: [],
  built: [],
  notBuilt: [],
  figures: [],
  reclaimed: [],
  freeAfter: undefined,
  pushed: [],
  notPushed: [],
  unpushed: [],
  keptOut: [],
  verified: [],
  pinned: [],
  findings: [],
};

/** Whether this run found out that a target which caches say they have cannot be had from them. */
function isDisproved(
  { unfetched, verified }: Outcome,
  target: { readonly name: string; readonly outputs: readonly StorePath[] | undefined },
): boolean {
  const lacking = new Set(unfetched);
  const lies = new Set<VerificationOutcome>(["mismatch", "rejected", "gone"]);
  return (
    target.outputs?.some((path) => lacking.has(path)) === true ||
    verified.some((one) => one.target === target.name && lies.has(one.outcome))
  );
}

/** Cached, as far as this run can tell: it may have found that what is served cannot be had. */
export function isHad(outcome: Outcome, target: SurveyedTarget): boolean {
  return isHit(target.verdict) && !isDisproved(outcome, target);
}

/** Builds that have a line each, and pins that are named in one. */
const BUILDS_TOLD = 30;
const PINS_TOLD = 4;

const FAILED: ReadonlySet<string> = new Set(["NCP-206", "NCP-407"]);

/** What a phase has done, of the outcome before it and after it, in few words each. */
export function deedsSince(
  before: Outcome,
  after: Outcome,
  cache: string,
): readonly (readonly [Deed, string])[] {
  const since = <T>(of: (outcome: Outcome) => readonly T[]) => of(after).slice(of(before).length);
  const seconds = since(({ steps }) => steps).reduce((all, { begin, end }) => all + end - begin, 0);
  const time = `in ${formatSeconds(seconds / 1000)}`;
  const { substituted } = after;
  const fetched = substituted === before.substituted ? 0 : substituted.paths;
  const built = since((outcome) => outcome.built);
  // Of what was not built, what failed by itself; each once, however many needed it.
  const causes = new Set(before.findings.map(({ cause }) => cause));
  const failed = since(({ findings }) => findings).filter(({ code, cause, title }) => {
    const isNew = FAILED.has(code ?? "") && title !== undefined && !causes.has(cause);
    causes.add(cause);
    return isNew;
  });
  const pushed = since((outcome) => outcome.pushed);
  const bytes = pushed.reduce((all, one) => all + one.bytes, 0);
  const verified = since((outcome) => outcome.verified).filter((one) => one.outcome === "verified");
  const pinned = since((outcome) => outcome.pinned).filter(({ state }) => state !== "failed");
  const pins =
    pinned.length > PINS_TOLD
      ? count(pinned.length, "target")
      : pinned.map(({ name }) => name).join(", ");
  const more = built.length - BUILDS_TOLD;
  const deeds: readonly (readonly [Deed, string])[] = [
    ...since(({ reclaimed }) => reclaimed).map(({ what }) => ["Freed", what] as const),
    [
      "Downloaded",
      fetched > 0
        ? `${count(fetched, "store path")} (${formatBytes(substituted.bytes)}) ${time}`
        : "",
    ],
    ...built
      .slice(0, BUILDS_TOLD)
      .map((one) => ["Built", `${one.name} in ${formatSeconds(one.seconds)}`] as const),
    ["Built", more > 0 ? count(more, "more derivation") : ""],
    ...failed
      .slice(0, BUILDS_TOLD)
      .map(({ title = "" }) => ["Failed", title.split(" ")[0] ?? ""] as const),
    [
      "Pushed",
      pushed.length > 0
        ? `${count(pushed.length, "store path")} (${formatBytes(bytes)}) to ${cacheHost(cache)} ${time}`
        : "",
    ],
    ["Verified", verified.length > 0 ? count(verified.length, "target") : ""],
    ["Pinned", pins],
  ];
  return deeds.filter(([, what]) => what !== "");
}
