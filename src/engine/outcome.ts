/** Owns what came of a plan: what was done, in bytes and seconds, and what went wrong. */

import type { PushProgress } from "../domain/cache.ts";
import type { Finding } from "../domain/finding.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { VerificationOutcome } from "../domain/verdict.ts";
import type { Audit } from "./audit/check.ts";
import type { Step } from "./step.ts";

export interface TimedStep {
  readonly do: Step["do"];
  readonly what: string;
  readonly begin: number;
  readonly end: number;
}

export interface VerifiedTarget {
  readonly target: string;
  readonly outcome: VerificationOutcome;
  readonly detail: string | undefined;
  readonly paths: number;
}

export interface PinnedTarget {
  readonly target: string;
  readonly name: string;
  readonly storePath: StorePath;
  /** `set`: written, and not to be read back from this cache. */
  readonly state: "confirmed" | "set" | "failed";
  readonly detail: string | undefined;
}

export interface Outcome {
  readonly steps: readonly TimedStep[];
  readonly configured: readonly string[];
  readonly substituted: { readonly paths: number; readonly bytes: number };
  /** With the seconds of the step that built it: Nix builds side by side what it can. */
  readonly built: readonly { readonly name: string; readonly seconds: number }[];
  readonly pushed: readonly PushProgress[];
  readonly verified: readonly VerifiedTarget[];
  readonly pinned: readonly PinnedTarget[];
  /** What an audit found; undefined in every other run. */
  readonly audit?: Audit;
  readonly findings: readonly Finding[];
}

export const NOTHING_DONE: Outcome = {
  steps: [],
  configured: [],
  substituted: { paths: 0, bytes: 0 },
  built: [],
  pushed: [],
  verified: [],
  pinned: [],
  findings: [],
};
