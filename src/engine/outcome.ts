/** Owns what came of a plan: what was done, in bytes and seconds, and what went wrong. */

import type { BuildFigures } from "../domain/build-figures.ts";
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

export interface Reclaimed {
  /** `Delete /usr/share/dotnet (2.1 GB)`. */
  readonly what: string;
  /** Bytes that the file systems have more; undefined where it is no matter of bytes. */
  readonly bytes: number | undefined;
}

export interface Outcome {
  readonly steps: readonly TimedStep[];
  readonly configured: readonly string[];
  readonly substituted: { readonly paths: number; readonly bytes: number };
  /** With the seconds of the step that built it: Nix builds side by side what it can. */
  readonly built: readonly { readonly name: string; readonly seconds: number }[];
  /** What those took that Nix built here; kept for the next run's plan. */
  readonly figures: readonly BuildFigures[];
  readonly reclaimed: readonly Reclaimed[];
  readonly pushed: readonly PushProgress[];
  readonly verified: readonly VerifiedTarget[];
  readonly pinned: readonly PinnedTarget[];
  readonly findings: readonly Finding[];
}

export const NOTHING_DONE: Outcome = {
  steps: [],
  configured: [],
  substituted: { paths: 0, bytes: 0 },
  built: [],
  figures: [],
  reclaimed: [],
  pushed: [],
  verified: [],
  pinned: [],
  findings: [],
};
