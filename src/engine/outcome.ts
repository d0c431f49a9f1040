/** Owns what came of a plan: what was done, in bytes and seconds, and what went wrong. */

import type { PushProgress } from "../domain/cache.ts";
import type { Finding } from "../domain/finding.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { VerificationOutcome } from "../domain/verdict.ts";
import type { Step } from "./step.ts";

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
  readonly name: string;
  /** Where Nix does not say it of each: of the step, in which it builds side by side what it can. */
  readonly seconds: number;
  /** What its outputs take in the store, where this run had to know. */
  readonly bytes: number | undefined;
}

export interface PushedPath extends PushProgress {
  /** From its first byte read to its being served; undefined where the cache read it otherwise. */
  readonly seconds: number | undefined;
}

export interface VerifiedTarget {
  readonly target: string;
  readonly outcome: VerificationOutcome;
  readonly detail: string | undefined;
  readonly paths: number;
  /** What our cache stores of them. */
  readonly bytes: number;
  readonly seconds: number;
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

export interface Outcome {
  readonly steps: readonly TimedStep[];
  readonly configured: readonly string[];
  readonly substituted: Fetched;
  readonly built: readonly Built[];
  readonly pushed: readonly PushedPath[];
  readonly verified: readonly VerifiedTarget[];
  readonly pinned: readonly PinnedTarget[];
  readonly findings: readonly Finding[];
}

export const NOTHING_DONE: Outcome = {
  steps: [],
  configured: [],
  substituted: { paths: 0, bytes: 0, seconds: 0 },
  built: [],
  pushed: [],
  verified: [],
  pinned: [],
  findings: [],
};
