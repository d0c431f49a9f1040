/** The job: what the user asked for, every default resolved, no secret in it. */

import type { PinKeep } from "./cache.ts";
import type { Sha256 } from "./hash.ts";
import type { HeavyRule } from "./heavy.ts";
import type { CacheLocation, SubstituterLine } from "./location.ts";
import type { NamePattern } from "./pattern.ts";
import type { Exclusion, Target } from "./target.ts";

/** What a run has done, as a terminal tells it: `Built bws-1.0.0 in 24m`. */
export type Deed =
  | "Checked"
  | "Downloaded"
  | "Built"
  | "Failed"
  | "Pushed"
  | "Kept out"
  | "Verified"
  | "Pinned"
  | "Freed";

export const MODES = ["check", "prefetch", "warm", "audit"] as const;
export type Mode = (typeof MODES)[number];

export const FAIL_ON = ["disk", "eval", "missing", "heavy", "unverified", "audit"] as const;
export type FailOn = (typeof FAIL_ON)[number];

export const VERIFY_LEVELS = ["narinfo", "nar", "full"] as const;
export type VerifyLevel = (typeof VERIFY_LEVELS)[number];

export interface Job {
  readonly mode: Mode;
  /** Empty: what the flake has for this system, by the standard names of its sets. */
  readonly targets: readonly Target[];
  /** Our own, the one that is written to; undefined for `none`. */
  readonly cache: CacheLocation | undefined;
  /** What is taken away of them. */
  readonly without: readonly Exclusion[];
  /** The input `cache` as written: the name of our cache in every report. */
  readonly cacheName: string;
  /** Undefined: those Nix is configured with, and no others. */
  readonly substituters: readonly SubstituterLine[];
  readonly push: "auto" | "targets" | "off";
  readonly pushFilter: NamePattern | undefined;
  /** Bytes of a NAR above which a path is not pushed, nor what refers to it. */
  readonly pushMax: number | undefined;
  /** Sources of the flake's inputs: `auto`, those that everybody can fetch from where they come from. */
  readonly pushInputs: "auto" | "all" | "off";
  readonly pin: "auto" | "off";
  readonly pinKeep: PinKeep;
  readonly verify: VerifyLevel;
  readonly onPushFailure: "error" | "warn" | "ignore";
  readonly failOn: readonly FailOn[];
  readonly heavy: readonly HeavyRule[];
  readonly minFree: number;
  readonly reclaim: "off" | "auto";
  /** Bytes that our cache gives us, where the user says so. */
  readonly quota: number | undefined;
  readonly keyFiles: readonly string[];
  /** What only the default asks for is not missed. */
  readonly keyFilesBy: "the default" | "the user";
  readonly keyPrefix: string;
  readonly keySuffix: readonly string[];
  readonly force: "force" | "trust";
  /** Whether what an earlier job evaluated of the same commit answers for this one. */
  readonly reuseEvaluation: "auto" | "off";
  /** Names of variables that builds need beside those that every child gets. */
  readonly passEnv: readonly string[];
  readonly installNix: "install" | "require";
  /** Undefined: the one that is known here. */
  readonly chosenNix: ChosenNix | undefined;
}

/** What may be written, and why not. */
export type Trust =
  | { readonly kind: "write"; readonly pins: "move" | "keep"; readonly why: string }
  | { readonly kind: "read-only"; readonly code: Code; readonly why: string };

/**
 * Whose code the job evaluates and builds. `strange`: not shown to be ours; then no credential is where
 * that code could read it (docs/adr/0005).
 */
export type Code = "ours" | "strange";

export function codeOf(trust: Trust): Code {
  return trust.kind === "write" ? "ours" : trust.code;
}

/** Kept apart from the job, so that the job can be printed, saved and compared. */
export interface Secrets {
  readonly token: string | undefined;
  readonly signingKey: string | undefined;
  /** For GitHub's API, and no cache. */
  readonly checkRunsToken?: string | undefined;
}

/** What seals the records that this job leaves for later ones; undefined where it holds nothing to seal with. */
export function recordSecret({ token, signingKey }: Secrets): string | undefined {
  return signingKey ?? token;
}

/** Shorter parts stand in any log: masking them would hide other words. */
const MASKED_FROM = 12;

/** Every text that would give one of them away. */
export function secretTexts({ token, signingKey, checkRunsToken }: Secrets): string[] {
  return [
    token,
    signingKey,
    checkRunsToken,
    // A bucket's token is KEYID:SECRET, and each part is a secret without the other.
    ...(token?.split(":").slice(1) ?? []).filter((part) => part.length >= MASKED_FROM),
    // The base64 part alone is just as secret as the key with its name.
    signingKey?.split(":")[1],
  ].filter((text) => text !== undefined && text !== "") as string[];
}

/** A release of Nix that the user named, and answers for. */
export interface ChosenNix {
  readonly version: string;
  /** Of its archive, by system; under `""` the one of whatever system this is. */
  readonly sha256: ReadonlyMap<string, Sha256>;
}

/** The input's default. */
const USUAL_MIN_FREE = 1e9;

/** More than this share of its size no file system in use has free. */
const FREE_AT_MOST = 0.9;

/**
 * Bytes that are to stay free on a file system: half of one that is too small for `minFree`. A number
 * that was asked for by hand and that not even the largest one can give stays as it is, so that it is told.
 */
export function floorOf(
  totalBytes: number,
  largest: { readonly totalBytes: number },
  minFree: number,
): number {
  const byHand = minFree > USUAL_MIN_FREE && totalBytes >= largest.totalBytes;
  return byHand || minFree <= totalBytes * FREE_AT_MOST ? minFree : Math.floor(totalBytes / 2);
}
