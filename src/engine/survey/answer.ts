/** What the caches together answer about a path, and how many answers each of them gave. */

import type { Presence } from "../../domain/cache.ts";
import type { UserError } from "../../domain/errors.ts";
import type { NarInfo } from "../../domain/narinfo.ts";
import { signatureKeyName } from "../../domain/signature.ts";
import type { Holder } from "../../domain/verdict.ts";

/** Who has a path, and what is said of it there. */
export interface Served extends Holder {
  readonly narInfo: NarInfo;
}

/** What all caches together say of a path. */
export interface Answer {
  /** Our own cache holds it. */
  readonly own: Served | undefined;
  /** The first other cache, in order, that serves it. */
  readonly upstream: Served | undefined;
  /** Where it is to be had: our own cache before any other. */
  readonly served: Served | undefined;
  /** Somebody did not answer, so that "nobody has it" would be a guess. */
  readonly unknown: Error | undefined;
  readonly gone: Served | undefined;
  /** Why our own cache's answer is not believed. */
  readonly refused: string | undefined;
  /** `by index`: nobody serves it, and a cache that may was not asked, since its index does not name it. */
  readonly how: "asked" | "by index";
}

/**
 * Whether a path can be had from caches together with all it refers to.
 * - `broken`: it is served, and something in its closure is not: Nix would have to build it.
 */
export type Availability = "whole" | "broken" | "absent" | "unknown";

export interface AnswerCount {
  asked: number;
  /** Paths that it was not asked for, since its index does not name them. */
  byIndex: number;
  /** Why its index says nothing, where somebody should look at it. */
  badIndex?: UserError;
  hits: number;
  /** What its hits weigh on the way: as compressed, else unpacked. */
  bytes: number;
  unknown: number;
  /** Why it was asked nothing more. */
  failure: Error | undefined;
  readonly refused: string[];
  /** Those of the refused at which Nix would stop. */
  corrupt: number;
}

export function noCount(): AnswerCount {
  return {
    asked: 0,
    byIndex: 0,
    hits: 0,
    bytes: 0,
    unknown: 0,
    failure: undefined,
    refused: [],
    corrupt: 0,
  };
}

/**
 * What is made of it that a cache's index does not name a path: the cache is not asked; or it is where nobody
 * serves the path; or in any case.
 */
export type Indexes = "believed" | "confirmed" | "not used";

/** Our cache serves it, and another one signed it. */
export function passedOn(via: string, narInfo: NarInfo): Served {
  const keys = [...new Set(narInfo.signatures.map(signatureKeyName))].join(", ");
  return { cache: keys || "an unsigned upstream", via, narInfo };
}

/** An answer whose own parts are given. */
export function answerOf(parts: Partial<Omit<Answer, "served">>): Answer {
  const { own, upstream, unknown, gone, refused, how = "asked" } = parts;
  return { own, upstream, served: own ?? upstream, unknown, gone, refused, how };
}

/** The answer, and what each cache said of it. */
export interface Said {
  readonly answer: Answer;
  readonly presences: readonly (readonly [name: string, Presence])[];
}

export function isByIndex(presence: Presence): boolean {
  return presence.kind === "miss" && presence.by === "index";
}

/** Caches that only their index spoke for. */
export function silentIn({ presences }: Said): Set<string> {
  return new Set(presences.flatMap(([name, presence]) => (isByIndex(presence) ? [name] : [])));
}

/** Of those asked first, none of which serves it, and of the rest. */
export function joined({ answer }: Said, { answer: rest }: Said, how: Answer["how"]): Answer {
  return answerOf({
    own: rest.own,
    upstream: rest.upstream,
    unknown: answer.unknown ?? rest.unknown,
    gone: answer.gone ?? rest.gone,
    refused: answer.refused ?? rest.refused,
    how: rest.served ? "asked" : how,
  });
}
