/** Verdicts: what a fresh machine would have to do for a target. */

import type { StorePath } from "./store-path.ts";

/** Who has a path. */
export interface Holder {
  /** A cache's name; where it is passed on, the names of the keys that it is signed with. */
  readonly cache: string;
  /** The cache that answered, where it only passes on what `cache` holds. */
  readonly via?: string;
}

/** The cache whose word it is that the path is there. */
export function answeredBy({ cache, via }: Holder): string {
  return via ?? cache;
}

export function holderWords({ cache, via }: Holder): string {
  return via === undefined ? cache : `${cache}, passed on by ${via}`;
}

/** A list of which only the beginning is kept: 2,000 targets that want 2,000 derivations are 4 million names. */
export interface Few<T> {
  readonly first: readonly T[];
  /** Of the whole list. */
  readonly length: number;
}

/** As many are kept. */
export const FEW = 10;

export interface MissingDerivations {
  /** To be built from source; heavy ones first, then those that most targets want. */
  readonly source: Few<StorePath>;
  /** Fixed-output: fetched from their origin, not from a cache. */
  readonly download: Few<StorePath>;
  /** Built anyway, at next to no cost: counted, never named. */
  readonly trivial: number;
}

/**
 * - `own`: our cache has it, whole; `upstream`: other substituters do. Either may lack trivial derivations.
 * - `missing`: something would be built from source, or fetched from its origin.
 * - `unknown`: a substituter did not answer. Never counted as missing.
 * - `failed`: it did not evaluate.
 */
export type Verdict =
  | { readonly kind: "own"; readonly holders: readonly Holder[]; readonly trivial: number }
  | { readonly kind: "upstream"; readonly holders: readonly Holder[]; readonly trivial: number }
  | { readonly kind: "missing"; readonly missing: MissingDerivations }
  | { readonly kind: "unknown"; readonly why: string }
  | { readonly kind: "failed"; readonly message: string; readonly nearest: readonly string[] };

export function isHit(verdict: Verdict): boolean {
  return verdict.kind === "own" || verdict.kind === "upstream";
}

/**
 * How a pushed path came out when it was looked at from outside. `another build`: the cache holds it whole, as
 * another build of the same derivation made it: it is cached, and these are not this machine's bytes.
 */
export type VerificationOutcome =
  | "verified"
  | "another build"
  | "not yet visible"
  | "rejected"
  | "mismatch"
  | "upstream only"
  | "gone"
  | "unknown";

/** Whether readers get it from a cache, whoever made it. */
export function isServed(outcome: VerificationOutcome): boolean {
  return outcome === "verified" || outcome === "upstream only" || outcome === "another build";
}

/** What came of verifying a target. */
export interface VerifiedTarget {
  readonly target: string;
  readonly outcome: VerificationOutcome;
  readonly detail: string | undefined;
  readonly paths: number;
  /** What our cache stores of them. */
  readonly bytes: number;
  readonly seconds: number;
}
