/** Looks: everything a plan needs to know, and nothing that changes the world. */

import type { BuildFigures } from "../domain/build-figures.ts";
import { foreignSystem, hindrance } from "../domain/builders.ts";
import { can, type StoredPin } from "../domain/cache.ts";
import { type CacheKey, cacheKey, type KeyFile } from "../domain/cache-key.ts";
import { asError } from "../domain/errors.ts";
import type { InputSource } from "../domain/evaluation.ts";
import type { EvaluationRecord } from "../domain/evaluation-record.ts";
import type { Job, Trust } from "../domain/job.ts";
import type { Untrusted, World } from "../domain/ports.ts";
import type { StorePath } from "../domain/store-path.ts";
import { MAY, MAY_IN_POST } from "./step.ts";
import { type Indexes, noCount } from "./survey/answer.ts";
import { type AssessedTarget, type Assessment, assess } from "./survey/assess.ts";
import { BuildGraph, type BuildNode, type Tops } from "./survey/build-graph.ts";
import type { FoundTargets } from "./survey/found.ts";
import { Lookup } from "./survey/lookup.ts";
import { recall } from "./survey/recall.ts";
import {
  describeSubstituters,
  isSilent,
  type OwnUse,
  placed,
  type SurveyedSubstituter,
} from "./survey/substituters.ts";
import { findTargets } from "./survey/targets.ts";

export interface SurveyedTarget extends AssessedTarget {
  /** Whether its outputs are valid in this machine's store: beside the verdict, not instead of it. */
  readonly local: "here" | "absent";
  /** Why what it lacks cannot be built here, and of which derivation that is so. */
  readonly hindered: { readonly drvPath: StorePath; readonly why: string } | undefined;
}

export interface Survey extends Assessment {
  readonly targets: readonly SurveyedTarget[];
  readonly trust: Trust;
  readonly key: CacheKey;
  readonly keyFiles: readonly KeyFile[];
  readonly system: string | undefined;
  readonly flake: "here" | "absent";
  /** Undefined where Nix takes the caches and keys that we add. */
  readonly untrusted: Untrusted | undefined;
  readonly nixVersion: string | undefined;
  readonly substituters: readonly SurveyedSubstituter[];
  /** Paths that are valid in this machine's store. */
  readonly local: ReadonlySet<StorePath>;
  /** Sources of the flake's inputs that are here and that our cache is to have. */
  readonly inputs: readonly StorePath[];
  readonly pins: readonly StoredPin[] | undefined;
  readonly notices: readonly string[];
  readonly lookup: Lookup;
  /** When an evaluation record answered for the evaluation, and its closure was last asked for. */
  readonly recalled: number | undefined;
  /** What the evaluation had to say; an evaluation record keeps it. */
  readonly foundNotices: readonly string[];
  /** What builds took on earlier runs; `figuresOf` finds a derivation's. */
  readonly figures: ReadonlyMap<string, BuildFigures>;
}

/**
 * Looks at keys, caches, targets and pins, side by side where nothing waits for another. `onFound` is called once
 * nothing is evaluated any more.
 */
export async function survey(
  job: Job,
  trust: Trust,
  world: World,
  signal: AbortSignal,
  refuted?: ReadonlySet<StorePath>,
  onFound: () => void = () => undefined,
): Promise<Survey> {
  const notices: string[] = [...world.notices];
  const [keyFiles, substituters, sought, figures] = await Promise.all([
    world.keyFiles(job.keyFiles),
    describeSubstituters(world, signal, ownUse(job, trust)),
    seek(job, world, signal),
    world.figures?.recall(signal) ?? new Map<string, BuildFigures>(),
  ]);
  for (const { name, hash, why = "no such file" } of keyFiles) {
    if (hash === undefined && job.keyFilesBy === "the user")
      notices.push(`${name}: ${why}; its place in the key is "none"`);
  }
  const reachable = substituters.flatMap(({ substituter, state }) =>
    state.kind === "reachable" ? [substituter] : [],
  );
  // A cache that does not exist has nothing. One that did not answer is asked nothing more, and
  // every answer of it is unknown (docs/adr/0002).
  const silent = substituters.flatMap(({ substituter, state }) =>
    isSilent({ role: substituter.role, state }) ? [substituter] : [],
  );
  const lookup = new Lookup([...reachable, ...silent], signal, refuted, indexesOf(job));
  using _shown = world.log.watch?.("Look", lookup.state);
  const ownIsReachable = reachable.some(({ role }) => role === "own");
  const [recalled, pins] = await Promise.all([
    sought.record && recall(sought.record, job, lookup, signal),
    readPins(world, ownIsReachable, notices, signal),
  ]);
  const found = recalled ?? sought.found ?? (await findTargets(job, world, signal));
  onFound();
  const assessment = await assess(job, world, lookup, found.targets, figures, signal);
  const local =
    (await world.nix?.valid([...pathsToCheck(assessment)], signal)) ?? new Set<StorePath>();
  const inputs = await inputsToPush(job, trust, world, lookup, signal);
  const hindrances = hindrancesOf(assessment, local, world);
  return {
    ...assessment,
    trust,
    key: cacheKey(job.keyPrefix, keyFiles, job.keySuffix),
    keyFiles,
    system: world.nix?.setup.system,
    flake: world.nix?.setup.flake ?? "absent",
    untrusted: world.nix?.setup.untrusted,
    nixVersion: world.nix?.setup.version,
    targets: assessment.targets.map((target, place) => {
      const hindered = hindrances[place];
      return {
        ...target,
        local: target.outputs?.every((path) => local.has(path)) ? "here" : "absent",
        hindered,
        buildable: target.wanted?.kind === "derivation" ? whereBuilt(hindered) : target.buildable,
      };
    }),
    substituters: substituters.map(({ substituter, state }) => ({
      ...placed(substituter),
      state,
      count: lookup.counts.get(substituter.cache.name) ?? noCount(),
    })),
    local,
    inputs,
    pins,
    notices: [...notices, ...found.notices],
    lookup,
    recalled: recalled && sought.record?.checked,
    foundNotices: found.notices,
    figures,
  };
}

/** An audit judges caches by what they serve; and no job fails for what only an index says. */
function indexesOf(job: Job): Indexes {
  if (MAY[job.mode].has("audit")) return "not used";
  const { failOn } = job;
  return failOn.includes("missing") || failOn.includes("heavy") ? "confirmed" : "believed";
}

/** Of those that are here and may be pushed, what no cache has: by this step, or at the end of the job. */
async function inputsToPush(
  job: Job,
  trust: Trust,
  { nix, log }: World,
  lookup: Lookup,
  signal: AbortSignal,
): Promise<readonly StorePath[]> {
  const { push, pushInputs } = job;
  const pushes = MAY[job.mode].has("push") || MAY_IN_POST[job.mode].has("push");
  if (!pushes || trust.kind !== "write" || push !== "auto" || pushInputs === "off") return [];
  const here = (await nix?.evaluated?.inputs?.(signal)) ?? [];
  const isAbsent = async ({ path }: InputSource) =>
    job.force === "force" || !(await lookup.ask(path)).served;
  const asked = await Promise.all(here.map(async (one) => ((await isAbsent(one)) ? [one] : [])));
  const absent = asked.flat();
  const fit = absent.filter(({ readers }) => pushInputs === "all" || readers === "everybody");
  const kept = absent.filter((one) => !fit.includes(one)).map(({ name }) => name);
  if (kept.length > 0) {
    log.info(
      `inputs of the flake that may be private are not pushed: ${kept.join(", ")} (push-inputs: all pushes them)`,
    );
  }
  return fit.map(({ path }) => path);
}

/** A run that builds in order to push asks first whether it may. */
function ownUse(job: Job, trust: Trust): OwnUse {
  const pushes = MAY[job.mode].has("push") && job.push !== "off" && trust.kind === "write";
  return pushes ? "pushed to" : "read";
}

function whereBuilt(hindered: SurveyedTarget["hindered"]): AssessedTarget["buildable"] {
  return hindered ? "elsewhere" : "here";
}

/** Of all that would have to be built for each target here, the first that nobody can build. */
function hindrancesOf(
  { facts, targets }: Assessment,
  local: ReadonlySet<StorePath>,
  { nix }: World,
): SurveyedTarget["hindered"][] {
  if (!nix) return [];
  const graph = new BuildGraph(facts, (path) => local.has(path));
  const why = (drvPath: StorePath): SurveyedTarget["hindered"] => {
    const derivation = facts.derivations.get(drvPath);
    const words = derivation && hindrance(derivation, nix.setup.builders);
    return words === undefined ? undefined : { drvPath, why: words };
  };
  const tops = targets.map(({ wanted }): Tops | undefined =>
    wanted?.kind === "derivation" ? graph.tops([wanted]) : undefined,
  );
  const known = new Map<BuildNode, SurveyedTarget["hindered"]>();
  const first = (nodes: readonly BuildNode[]) => nodes.flatMap((node) => known.get(node) ?? [])[0];
  for (const node of graph.inputsFirst()) {
    known.set(node, why(node.drvPath) ?? first(node.inputs));
  }
  return targets.map(({ wanted }, place) => {
    if (wanted?.kind !== "derivation") return undefined;
    // Another system is worth a word in any case: nothing of it runs here.
    const system = facts.derivations.get(wanted.drvPath)?.system ?? "";
    const own = why(wanted.drvPath);
    return own?.why === foreignSystem(system) ? own : first(tops[place]?.build ?? []);
  });
}

/** An evaluation record, where there is one; else the evaluation begins while the caches are described. */
async function seek(
  job: Job,
  world: World,
  signal: AbortSignal,
): Promise<{ readonly record?: EvaluationRecord; readonly found?: FoundTargets }> {
  const record = await world.memory?.recall(signal);
  return record ? { record } : { found: await findTargets(job, world, signal) };
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
