/** Owns the faults the Cachix stand-in can be made to show: their names, and when each one strikes. */

import type { Endpoint } from "./cachix-routes.ts";

/** What a fault may look at to decide whether this is the request to spoil. */
export interface FaultTarget {
  readonly endpoint: Endpoint;
  readonly method: string;
  readonly path: string;
  /** The 32 characters of the store path concerned, where the request concerns one. */
  readonly hash?: string | undefined;
  readonly partNumber?: number | undefined;
}

export interface Fault {
  readonly when: "once" | "always" | { readonly times: number };
  /** Strikes (and counts) only where this holds. */
  readonly matching?: (target: FaultTarget) => boolean;
}

/** Set and unset at any time; setting a new object starts its count anew. */
export interface Faults {
  /** Each upload that completes goes to the upstream: 200, yet not ours, hence not pinnable. */
  upstreamOnly?: Fault | undefined;
  /** Bulk leaves a hash out ("already there") though nobody has it; asked per hash. */
  staleAlreadyThere?: Fault | undefined;
  /** Everything unpinned is collected as the pin request arrives. */
  gcBeforePin?: Fault | undefined;
  /** The narinfo stays, its NAR answers 404. */
  narGone?: Fault | undefined;
  /** The narinfo of a stored path answers 404; counted per path, so `times: k` is "after k polls". */
  slowNarInfo?: Fault | undefined;
  /** A narinfo answers 404 until all it refers to is there, own or upstream. */
  rootHidden?: Fault | undefined;
  rateLimited?:
    | (Fault & { readonly retryAfter: "seconds" | "date" | "json"; readonly seconds: number })
    | undefined;
  /** 502 with a proxy's HTML page. */
  badGateway?: Fault | undefined;
  /** The write takes effect, the answer is 500. */
  errorAfterCommit?: Fault | undefined;
  /** The connection ends with half of a part read. */
  dropMidPart?: Fault | undefined;
  /** The connection ends without an answer, before anything takes effect. */
  dropConnection?: Fault | undefined;
  /** The part's URL answers 403 from now on: only one signed anew is good. */
  expiredPartUrl?: Fault | undefined;
  /** The part is stored but its answer has no ETag; `parts` may then be null. */
  missingETag?: Fault | undefined;
  /** `short`: fewer bytes, honestly counted; `cut`: all promised, the connection dropped half way. */
  truncatedNar?: (Fault & { readonly how: "short" | "cut" }) | undefined;
  flippedNar?: Fault | undefined;
  wrongFileHash?: Fault | undefined;
  /** Signed anew with the cache's key, so that only comparing finds it. */
  wrongNarHash?: Fault | undefined;
  wrongSig?: Fault | undefined;
  /** A good signature under the name of a key nobody trusts. */
  wrongKeyName?: Fault | undefined;
  /** 204 where 200 is declared. */
  noContent?: Fault | undefined;
  refused?: (Fault & { readonly status: 401 | 403 | 404 }) | undefined;
  /** The pin list does not show a new revision; counted per revision. */
  slowPin?: Fault | undefined;
  /** 400 `{"error":"<path> not in binary cache"}`, whatever is there. */
  pinRefused?: Fault | undefined;
  /** The request is taken and never answered. */
  hang?: Fault | undefined;
  delay?: (Fault & { readonly milliseconds: number }) | undefined;
  /** The answer to a completion comes when this is settled. */
  slowComplete?: (Fault & { readonly until: Promise<void> }) | undefined;
}

export type FaultName = keyof Faults;

export class FaultInjector {
  readonly faults: Faults = {};
  readonly #strikes = new WeakMap<Fault, Map<string, number>>();
  readonly #fired = new Map<FaultName, number>();

  /** The fault, when it strikes `target` now; `key` is what is counted separately. */
  strikes<Name extends FaultName>(
    name: Name,
    target: FaultTarget,
    key = "",
  ): NonNullable<Faults[Name]> | undefined {
    const fault = this.faults[name];
    if (!fault || fault.matching?.(target) === false) return undefined;
    const counts = this.#strikes.get(fault) ?? new Map<string, number>();
    this.#strikes.set(fault, counts);
    const count = counts.get(key) ?? 0;
    if (count >= limitOf(fault)) return undefined;
    counts.set(key, count + 1);
    this.#fired.set(name, this.fired(name) + 1);
    return fault;
  }

  /** How often `name` has struck: a test of a fault that never struck shows nothing. */
  fired(name: FaultName): number {
    return this.#fired.get(name) ?? 0;
  }
}

function limitOf(fault: Fault): number {
  if (fault.when === "always") return Number.POSITIVE_INFINITY;
  return fault.when === "once" ? 1 : fault.when.times;
}
