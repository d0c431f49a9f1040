/** Owns what a row of the bench is, and what comes out of one. */

import type { Pairs, Spread } from "./measure.ts";
import type { Bench, Network } from "./site.ts";

export type Goal =
  | { readonly kind: "times the peer"; readonly atLeast: number }
  | { readonly kind: "milliseconds"; readonly atMost: number }
  | { readonly kind: "bytes"; readonly atMost: number }
  | { readonly kind: "count"; readonly atMost: number }
  | { readonly kind: "none" };

export interface Result {
  readonly row: string;
  readonly what: string;
  readonly peerIs: string;
  readonly unit: "ms" | "bytes" | "per second" | "count" | "none";
  readonly ours: Spread | undefined;
  readonly peer: Spread | undefined;
  /** Peer over ours, pair by pair. */
  readonly ratio: Spread | undefined;
  readonly rounds: number;
  readonly goal: Goal;
  readonly note: string;
}

/** With what else the machine did: its load average just before the row; and the day on which it was measured. */
export interface LoadedResult extends Result {
  readonly load?: number;
  readonly network?: Network;
  readonly date: string;
}

export interface Row {
  readonly name: string;
  /** `long`: only when it is named. */
  readonly length: "short" | "long";
  run(bench: Bench): Promise<readonly Result[]>;
}

export function pairResult(
  row: string,
  what: string,
  peerIs: string,
  pairs: Pairs,
  goal: Goal,
  note = "",
): Result {
  const { ours, peer, ratio, rounds } = pairs;
  return { row, what, peerIs, unit: "ms", ours, peer, ratio, rounds, goal, note };
}

/** Delay of the bench's servers before each answer, in milliseconds. */
export const DELAY = 20;
