/** Owns looking: everything a plan needs to know, and nothing that changes the world. */

import type { StoredPin, TierInfo } from "../domain/cache.ts";
import { can } from "../domain/cache.ts";
import { type CacheKey, cacheKey, type KeyFile } from "../domain/cache-key.ts";
import { asError, UserError } from "../domain/errors.ts";
import type { Job, Trust } from "../domain/job.ts";
import type { DerivationOutputs, World } from "../domain/ports.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { Verdict } from "../domain/verdict.ts";
import { describeDerivations, type SurveyedDerivation } from "./derivations.ts";
import { FactFinder, type Facts } from "./facts.ts";
import { type Judgement, judge, nothing } from "./judge.ts";
import { Lookup, type TierCount } from "./lookup.ts";
import { type FoundTarget, findTargets } from "./targets.ts";
import { deepMissing, verdictOf } from "./verdicts.ts";

export interface SurveyedTarget extends FoundTarget {
  readonly verdict: Verdict;
  /** Whether its outputs are valid in this machine's store: beside the verdict, not instead of it. */
  readonly local: "here" | "absent";
  /** For `closure=build`: what neither our cache nor an upstream has below it. */
  readonly deepMissing: readonly DerivationOutputs[];
}

export interface SurveyedTier {
  readonly name: string;
  readonly role: "own" | "upstream";
  readonly state:
    | { readonly kind: "reachable"; readonly info: TierInfo; readonly milliseconds: number }
    | { readonly kind: "down"; readonly error: Error };
  readonly count: TierCount;
}

export interface Survey {
  readonly trust: Trust;
  readonly key: CacheKey;
  readonly keyFiles: readonly KeyFile[];
  readonly system: string | undefined;
  readonly nixVersion: string | undefined;
  readonly targets: readonly SurveyedTarget[];
  /** Every derivation a fresh machine would build. */
  readonly derivations: ReadonlyMap<StorePath, SurveyedDerivation>;
  readonly tiers: readonly SurveyedTier[];
  readonly facts: Facts;
  /** For all targets together, on a fresh machine. */
  readonly fresh: Judgement;
  /** Paths that are valid in this machine's store. */
  readonly local: ReadonlySet<StorePath>;
  readonly pins: readonly StoredPin[] | undefined;
  readonly notices: readonly string[];
  readonly lookup: Lookup;
}

/** Looks at keys, caches, targets and pins, side by side where nothing waits for another. */
export async function survey(
  job: Job,
  trust: Trust,
  world: World,
  signal: AbortSignal,
): Promise<Survey> {
  const notices: string[] = [...world.notices];
  const [keyFiles, tiers] = await Promise.all([
    world.keyFiles(job.keyFiles),
    describeTiers(world, signal),
  ]);
  for (const { name, hash } of keyFiles) {
    if (hash === undefined) notices.push(`${name}: no such file; its place in the key is "none"`);
  }
  // A cache that is down, or another store's, is asked nothing.
  const reachable = tiers.flatMap(({ tier, state }) => (state.kind === "reachable" ? [tier] : []));
  const lookup = new Lookup(reachable, signal);
  const [found, pins] = await Promise.all([
    findTargets(job, world, signal),
    readPins(
      world,
      reachable.some(({ role }) => role === "own"),
      notices,
      signal,
    ),
  ]);
  notices.push(...found.notices);

  const { nix } = world;
  const facts = new FactFinder(lookup, (path) => {
    if (!nix) throw new Error("derivations are read by Nix only");
    return nix.derivation(path);
  });
  const gathered = await Promise.all(found.targets.map((target) => gather(facts, target)));

  const local = nix
    ? await nix.valid([...pathsToCheck(facts, gathered)], signal)
    : new Set<StorePath>();
  const wanted = gathered.flatMap(({ wanted }) => (wanted ? [wanted] : []));
  const derivations = describeDerivations(job, facts, gathered);
  const targets = gathered.map(
    (target): SurveyedTarget => ({
      ...target,
      verdict: verdictOf(target, facts, derivations),
      local: target.outputs?.every((path) => local.has(path)) ? "here" : "absent",
      deepMissing: target.target.closure === "build" ? deepMissing(target, facts) : [],
    }),
  );
  return {
    trust,
    key: cacheKey(job.keyPrefix, keyFiles, job.keySuffix),
    keyFiles,
    system: nix?.setup.system,
    nixVersion: nix?.setup.version,
    targets,
    derivations,
    tiers: tiers.map(({ tier, state }) => ({
      name: tier.cache.name,
      role: tier.role,
      state,
      count: lookup.counts.get(tier.cache.name) ?? { asked: 0, hits: 0, unknown: 0, refused: [] },
    })),
    facts,
    fresh: judge(facts, wanted, nothing),
    local,
    pins,
    notices,
    lookup,
  };
}

/** Our own cache and the others, in the order in which Nix would ask them. */
export async function describeTiers(world: World, signal: AbortSignal) {
  const all = [
    ...(world.own ? [{ cache: world.own, role: "own" as const }] : []),
    ...world.tiers.map((cache) => ({ cache, role: "upstream" as const })),
  ];
  const described = await Promise.all(
    all.map(async (tier) => {
      const begun = world.clock.now();
      const state: SurveyedTier["state"] = await tier.cache.describe(signal).then(
        (info) => ({ kind: "reachable", info, milliseconds: world.clock.now() - begun }),
        (error) => {
          signal.throwIfAborted();
          return { kind: "down", error: asError(error) };
        },
      );
      return { tier, state };
    }),
  );
  // Nix's own default where a cache does not say: 50.
  const priority = ({ tier, state }: (typeof described)[number]) =>
    tier.cache.substituter.priority ??
    (state.kind === "reachable" ? (state.info.priority ?? 50) : 50);
  return described.sort((a, b) => priority(a) - priority(b));
}

async function readPins(
  world: World,
  ownIsReachable: boolean,
  notices: string[],
  signal: AbortSignal,
): Promise<readonly StoredPin[] | undefined> {
  if (!ownIsReachable || !can(world.own, "pins")) return undefined;
  try {
    return await world.own.pins(signal);
  } catch (error) {
    signal.throwIfAborted();
    notices.push(`pins of ${world.own.name} cannot be read: ${asError(error).message}`);
    return undefined;
  }
}

/** The target as it was found; failed where something below it cannot be read. */
async function gather(facts: FactFinder, target: FoundTarget): Promise<FoundTarget> {
  const { wanted, outputs } = target;
  try {
    if (wanted?.kind === "path") await facts.path(wanted.path);
    if (wanted?.kind !== "derivation") return target;
    await facts.explore(wanted, "until cached");
    // What Nix must not fetch (`allowSubstitutes = false`) is pushed, pinned and audited all the same.
    await Promise.all((outputs ?? []).map((path) => facts.path(path)));
    if (target.target.closure === "build") await facts.explore(wanted, "until upstream");
    return target;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const message = error.hint ? `${error.message}; ${error.hint}` : error.message;
    return { ...target, wanted: undefined, outputs: undefined, failure: { message, nearest: [] } };
  }
}

function pathsToCheck(facts: Facts, targets: readonly FoundTarget[]): Set<StorePath> {
  const paths = new Set(facts.answers.keys());
  for (const { outputs } of targets) for (const path of outputs ?? []) paths.add(path);
  for (const derivation of facts.derivations.values()) {
    for (const { path } of derivation.outputs.values()) if (path) paths.add(path);
  }
  return paths;
}
