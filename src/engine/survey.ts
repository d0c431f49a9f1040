/** Owns looking: everything a plan needs to know, and nothing that changes the world. */

import type { BuildFigures } from "../domain/build-figures.ts";
import { can, type StoredPin } from "../domain/cache.ts";
import { type CacheKey, cacheKey, type KeyFile } from "../domain/cache-key.ts";
import { asError } from "../domain/errors.ts";
import type { Memo } from "../domain/evaluation-record.ts";
import type { Job, Trust } from "../domain/job.ts";
import type { Untrusted, World } from "../domain/ports.ts";
import type { StorePath } from "../domain/store-path.ts";
import { type AssessedTarget, type Assessment, assess } from "./survey/assess.ts";
import { Lookup, noCount } from "./survey/lookup.ts";
import { recall } from "./survey/recall.ts";
import { describeTiers, isSilent, placed, type SurveyedTier } from "./survey/substituters.ts";
import { type FoundTargets, findTargets } from "./survey/targets.ts";

export interface SurveyedTarget extends AssessedTarget {
  /** Whether its outputs are valid in this machine's store: beside the verdict, not instead of it. */
  readonly local: "here" | "absent";
}

export interface Survey extends Assessment {
  readonly targets: readonly SurveyedTarget[];
  readonly trust: Trust;
  readonly key: CacheKey;
  readonly keyFiles: readonly KeyFile[];
  readonly system: string | undefined;
  /** Undefined where Nix takes the caches and keys that we add. */
  readonly untrusted: Untrusted | undefined;
  readonly nixVersion: string | undefined;
  readonly tiers: readonly SurveyedTier[];
  /** Paths that are valid in this machine's store. */
  readonly local: ReadonlySet<StorePath>;
  readonly pins: readonly StoredPin[] | undefined;
  readonly notices: readonly string[];
  readonly lookup: Lookup;
  /** When a memo answered for the evaluation, and its closure was last asked for. */
  readonly recalled: number | undefined;
  /** What the evaluation had to say; a memo keeps it. */
  readonly foundNotices: readonly string[];
  /** What builds took on earlier runs; `figuresOf` finds a derivation's. */
  readonly figures: ReadonlyMap<string, BuildFigures>;
}

/** Looks at keys, caches, targets and pins, side by side where nothing waits for another. */
export async function survey(
  job: Job,
  trust: Trust,
  world: World,
  signal: AbortSignal,
): Promise<Survey> {
  const notices: string[] = [...world.notices];
  const [keyFiles, tiers, sought, figures] = await Promise.all([
    world.keyFiles(job.keyFiles),
    describeTiers(world, signal),
    seek(job, world, signal),
    world.figures?.recall(signal) ?? new Map<string, BuildFigures>(),
  ]);
  for (const { name, hash } of keyFiles) {
    if (hash === undefined) notices.push(`${name}: no such file; its place in the key is "none"`);
  }
  const reachable = tiers.flatMap(({ tier, state }) => (state.kind === "reachable" ? [tier] : []));
  // A cache that does not exist has nothing. One that did not answer is asked nothing more, and
  // every answer of it is unknown (docs/adr/0002).
  const silent = tiers.flatMap(({ tier, state }) => (isSilent(state) ? [tier] : []));
  const lookup = new Lookup([...reachable, ...silent], signal);
  using _shown = world.log.watch?.("Look", lookup.state);
  const ownIsReachable = reachable.some(({ role }) => role === "own");
  const [recalled, pins] = await Promise.all([
    sought.memo && recall(sought.memo, job, world, lookup, reachable, signal),
    readPins(world, ownIsReachable, notices, signal),
  ]);
  const found = recalled ?? sought.found ?? (await findTargets(job, world, signal));
  const assessment = await assess(job, world, lookup, found.targets, figures, signal);
  const local =
    (await world.nix?.valid([...pathsToCheck(assessment)], signal)) ?? new Set<StorePath>();
  return {
    ...assessment,
    trust,
    key: cacheKey(job.keyPrefix, keyFiles, job.keySuffix),
    keyFiles,
    system: world.nix?.setup.system,
    untrusted: world.nix?.setup.untrusted,
    nixVersion: world.nix?.setup.version,
    targets: assessment.targets.map((target) => ({
      ...target,
      local: target.outputs?.every((path) => local.has(path)) ? "here" : "absent",
    })),
    tiers: tiers.map(({ tier, state }) => ({
      ...placed(tier),
      state,
      count: lookup.counts.get(tier.cache.name) ?? noCount(),
    })),
    local,
    pins,
    notices: [...notices, ...found.notices],
    lookup,
    recalled: recalled && sought.memo?.checked,
    foundNotices: found.notices,
    figures,
  };
}

/** A memo, where there is one; else the evaluation begins while the caches are described. */
async function seek(
  job: Job,
  world: World,
  signal: AbortSignal,
): Promise<{ readonly memo?: Memo; readonly found?: FoundTargets }> {
  const memo = await world.memory?.recall(signal);
  return memo ? { memo } : { found: await findTargets(job, world, signal) };
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

function pathsToCheck({ facts, targets }: Assessment): Set<StorePath> {
  const paths = new Set(facts.answers.keys());
  for (const { outputs } of targets) for (const path of outputs ?? []) paths.add(path);
  for (const derivation of facts.derivations.values()) {
    for (const { path } of derivation.outputs.values()) if (path) paths.add(path);
  }
  return paths;
}
