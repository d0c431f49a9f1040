/** Assesses targets: asks what has to be asked, and gives each its verdict. */

import type { BuildFigures } from "../../domain/build-figures.ts";
import { UserError } from "../../domain/errors.ts";
import type { Job } from "../../domain/job.ts";
import type { DerivationOutputs, World } from "../../domain/ports.ts";
import { realisationReading } from "../../domain/realisation.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Verdict } from "../../domain/verdict.ts";
import { BuildGraph, type Builds } from "./build-graph.ts";
import { FactFinder, type Facts } from "./facts.ts";
import type { FoundTarget } from "./found.ts";
import { type Judgement, judge, nothing, wantsOf } from "./judge.ts";
import type { Lookup } from "./lookup.ts";
import {
  deepMissing,
  describeDerivations,
  type SurveyedDerivation,
  verdictsOf,
} from "./verdicts.ts";

export interface AssessedTarget extends FoundTarget {
  readonly verdict: Verdict;
  /** For `closure=build`: what neither our cache nor an upstream has below it. */
  readonly deepMissing: readonly DerivationOutputs[];
}

export interface Assessment {
  readonly targets: readonly AssessedTarget[];
  readonly facts: Facts;
  /** Every derivation a fresh machine would build. */
  readonly derivations: ReadonlyMap<StorePath, SurveyedDerivation>;
  /** Which of them each target would need there. */
  readonly builds: Builds;
  /** For all targets together, on a fresh machine. */
  readonly fresh: Judgement;
}

export async function assess(
  job: Job,
  world: World,
  lookup: Lookup,
  targets: readonly FoundTarget[],
  figures: ReadonlyMap<string, BuildFigures>,
  signal: AbortSignal,
): Promise<Assessment> {
  const read = (path: StorePath) => {
    if (!world.nix) throw new Error("derivations are read by Nix only");
    return world.nix.derivation(path);
  };
  const { substitution, version } = world.nix?.setup ?? {};
  const facts = new FactFinder(lookup, read, substitution, realisationReading(version));
  const found = await Promise.all(targets.map((target) => gather(facts, target, signal)));
  const wanted = found.flatMap(wantsOf);
  const graph = new BuildGraph(facts, nothing);
  const tops = new Map(found.map((target) => [target.name, graph.tops(wantsOf(target))]));
  const builds = { graph, tops };
  const derivations = describeDerivations(job, facts, found, builds, figures);
  const verdicts = verdictsOf(found, facts, derivations, builds);
  return {
    facts,
    derivations,
    builds,
    fresh: judge(facts, wanted, nothing),
    targets: found.map((target, place) => ({
      ...target,
      verdict: verdicts[place] ?? { kind: "failed", message: "it was not looked at", nearest: [] },
      deepMissing: target.target.closure === "build" ? deepMissing(target, facts) : [],
    })),
  };
}

/** The target as it was found; failed where something below it cannot be read. */
async function gather(
  facts: FactFinder,
  target: FoundTarget,
  signal: AbortSignal,
): Promise<FoundTarget> {
  try {
    await ask(facts, target);
    return target;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    const message = error.hint ? `${error.message}; ${error.hint}` : error.message;
    return { ...target, wanted: undefined, outputs: undefined, failure: { message, nearest: [] } };
  }
}

async function ask(
  facts: FactFinder,
  { wanted, target, outputs, imports }: FoundTarget,
): Promise<void> {
  await Promise.all(imports.map((one) => facts.explore(one, "until cached")));
  switch (wanted?.kind) {
    case "path":
      await facts.path(wanted.path);
      return;
    case "recalled":
      await Promise.all(wanted.paths.map((path) => facts.path(path)));
      return;
    case "derivation":
      await facts.explore(wanted, "until cached");
      // What Nix must not fetch (`allowSubstitutes = false`) is pushed, pinned and audited all the same.
      await Promise.all((outputs ?? []).map((path) => facts.path(path)));
      if (target.closure === "build") await facts.explore(wanted, "until upstream");
      return;
    case "shell":
    case "evaluation": {
      if (wanted.kind === "shell") await facts.derivation(wanted.drvPath);
      const { needs } = wanted;
      await Promise.all(needs.map((one) => facts.explore(one, "until cached")));
      await Promise.all((outputs ?? []).map((path) => facts.path(path)));
      if (target.closure === "build") {
        await Promise.all(needs.map((one) => facts.explore(one, "until upstream")));
      }
      return;
    }
    case undefined:
      return;
    default:
      return wanted satisfies never;
  }
}
