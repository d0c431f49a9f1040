/** The caches in the order in which Nix would ask them: who is there, and who is left out. */

import {
  answerTroubleWords,
  type BinaryCache,
  type CacheDescription,
  can,
} from "../../domain/cache.ts";
import { asError, UserError } from "../../domain/errors.ts";
import type { Finding } from "../../domain/finding.ts";
import { plainAddress } from "../../domain/location.ts";
import type { Untrusted, World } from "../../domain/ports.ts";
import type { AnswerCount } from "./answer.ts";
import type { RankedSubstituter } from "./lookup.ts";

export type SubstituterState =
  | {
      readonly kind: "reachable";
      readonly info: CacheDescription;
      readonly milliseconds: number;
      /** As Nix sees it: lower is asked first. */
      readonly priority: number;
    }
  | { readonly kind: "down"; readonly error: Error };

export interface SurveyedSubstituter {
  readonly name: string;
  readonly role: "own" | "upstream";
  /** Where a person can look at a path of it. */
  readonly page: BinaryCache["page"];
  /** Whether a path can be pinned there. */
  readonly pins: "kept" | "none";
  readonly state: SubstituterState;
  readonly count: AnswerCount;
}

export interface DescribedSubstituter {
  readonly substituter: RankedSubstituter;
  readonly state: SubstituterState;
}

/** What Nix takes a cache for that says nothing of its priority: it is asked before all others. */
const PRIORITY = 0;

/** What our own cache is for in this run. */
export type OwnUse = "pushed to" | "read";

/** Our own cache and the others, by priority, then as listed; all are asked at once. */
export async function describeSubstituters(
  { own, substituters, nix, clock }: Pick<World, "own" | "substituters" | "nix" | "clock">,
  signal: AbortSignal,
  use: OwnUse = "read",
): Promise<readonly DescribedSubstituter[]> {
  const all: RankedSubstituter[] = [
    ...(own ? [{ cache: own, role: "own" as const }] : []),
    ...substituters.map((cache) => ({ cache, role: "upstream" as const })),
  ];
  const answered = await Promise.all(
    all.map(async (substituter): Promise<DescribedSubstituter> => {
      const begun = clock.now();
      try {
        const said = await substituter.cache.describe(signal);
        const milliseconds = clock.now() - begun;
        const pushes = use === "pushed to" && substituter.role === "own";
        const info = pushes ? await withRights(substituter.cache, said, signal) : said;
        const refusal = refusalOf(substituter, nix?.setup.untrusted);
        if (refusal) return { substituter, state: { kind: "down", error: refusal } };
        const priority = substituter.cache.substituter.priority ?? info.priority ?? PRIORITY;
        return { substituter, state: { kind: "reachable", info, milliseconds, priority } };
      } catch (error) {
        signal.throwIfAborted();
        return { substituter, state: { kind: "down", error: asError(error) } };
      }
    }),
  );
  // Nix may be configured with our own cache already, by an earlier run for one: an upstream it is not.
  const mine = own?.place();
  return answered
    .filter(({ substituter }) => substituter.role === "own" || substituter.cache.place() !== mine)
    .sort((a, b) => priorityOf(a) - priorityOf(b));
}

/** Who may read may not yet write, and the hours of building come before the first push. */
async function withRights(
  cache: BinaryCache,
  info: CacheDescription,
  signal: AbortSignal,
): Promise<CacheDescription> {
  if (info.trouble) return info;
  const trouble = await cache.mayPush?.(signal);
  return trouble ? { ...info, permission: "read", trouble } : info;
}

/** What is known of it without asking. */
export function placed({
  cache,
  role,
}: RankedSubstituter): Omit<SurveyedSubstituter, "state" | "count"> {
  const pins = can(cache, "pin") ? "kept" : "none";
  return { name: cache.name, role, page: (path) => cache.page(path), pins };
}

function priorityOf({ substituter, state }: DescribedSubstituter): number {
  if (state.kind === "reachable") return state.priority;
  return substituter.cache.substituter.priority ?? Number.MAX_SAFE_INTEGER;
}

/** What only a refused cache has, a later step builds. Our own is read to know what to push. */
function refusalOf(
  { cache, role }: RankedSubstituter,
  untrusted: Untrusted | undefined,
): UserError | undefined {
  if (!untrusted || role === "own") return undefined;
  const keys = cache.substituter.publicKeys;
  const signed = keys.length === 0 || keys.some(({ text }) => untrusted.publicKeys.includes(text));
  if (isAllowed(cache, untrusted) && signed) return undefined;
  return new UserError(
    "NCP-351",
    `${cache.name}: Nix's daemon does not let ${untrusted.user} add it`,
  );
}

export function isAllowed({ substituter }: BinaryCache, { substituters }: Untrusted): boolean {
  const url = plainAddress(substituter.url);
  return substituters.some((allowed) => plainAddress(allowed) === url);
}

/** Whether the cache may well have what we look for: nobody has said no. */
export function isSilent({ role, state }: Pick<SurveyedSubstituter, "role" | "state">): boolean {
  if (state.kind !== "down") return false;
  const code = state.error instanceof UserError ? state.error.code : undefined;
  // What a stranger's cache does not show us it has for nobody in this job; Nix takes 401 and 403 so, too.
  if (code === "NCP-303") return role === "own";
  return code !== "NCP-304" && code !== "NCP-351";
}

/** Nobody is there to answer, and nobody will be in a minute: no such host, no such port. */
export function isNowhere(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth++) {
    const { code } = at as NodeJS.ErrnoException;
    if (code === "ECONNREFUSED" || code === "ENOTFOUND") return true;
  }
  return false;
}

/** Names of those that did not answer, or stopped: nobody in this job needs to wait for them again. */
export function silentSubstituters({
  substituters,
}: {
  readonly substituters: readonly SurveyedSubstituter[];
}): string[] {
  return substituters
    .filter((one) => one.role !== "own" && (isSilent(one) || one.count.failure))
    .map(({ name }) => name);
}

/** Whether Nix is to be told of it: one that stopped answering, or talks nonsense, would hold it up. */
export function isFit({ role, state, count }: SurveyedSubstituter): boolean {
  if (state.kind === "down") return false;
  // Without our own the job is worth little: what is damaged in it a warming run mends.
  return role === "own" || (!count.failure && count.corrupt === 0);
}

/** Of caches that are there: who is left out has a word of its own. */
export function answerTroubleFindings(
  { own, substituters }: Pick<World, "own" | "substituters">,
  surveyed: readonly Pick<SurveyedSubstituter, "name" | "state">[],
): Finding[] {
  const there = new Set(
    surveyed.flatMap(({ name, state }) => (state.kind === "reachable" ? [name] : [])),
  );
  const caches = [...(own ? [own] : []), ...substituters].filter(({ name }) => there.has(name));
  return caches.flatMap((cache): Finding[] => {
    const answerTrouble = cache.answerTrouble?.();
    const words = answerTrouble && answerTroubleWords(answerTrouble);
    if (words === undefined) return [];
    const message = `${cache.name} was hard to get answers from: ${words}`;
    const hint = "nothing is missing because of it; the run took longer";
    return [{ kind: "cache", level: "notice", message, hint }];
  });
}
