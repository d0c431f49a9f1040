/** Assesses targets: asks what has to be asked, and gives each its verdict and what `closure=build` wants below it. */

import { BitSet } from "../../domain/bit-set.ts";
import type { BuildFigures } from "../../domain/build-figures.ts";
import { buildKind, outputPaths } from "../../domain/derivation.ts";
import { UserError } from "../../domain/errors.ts";
import type { Job } from "../../domain/job.ts";
import type { DerivationOutputs, World } from "../../domain/ports.ts";
import { realisationReading } from "../../domain/realisation.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Verdict } from "../../domain/verdict.ts";
import { BuildGraph, type Builds, referencesFirst } from "./build-graph.ts";
import { FactFinder, type Facts } from "./facts.ts";
import type { FoundTarget } from "./found.ts";
import { type Judgement, judge, needsOf, nothing, wantsOf } from "./judge.ts";
import type { Lookup } from "./lookup.ts";
import { describeDerivations, type SurveyedDerivation, verdictsOf } from "./verdicts.ts";

export interface AssessedTarget extends FoundTarget {
  readonly verdict: Verdict;
}

export interface Assessment {
  readonly targets: readonly AssessedTarget[];
  readonly facts: Facts;
  /** Every derivation a fresh machine would build. */
  readonly derivations: ReadonlyMap<StorePath, SurveyedDerivation>;
  /** Which of them each target would need there. */
  readonly builds: Builds;
  /** What `closure=build` wants below targets. */
  readonly deep: DeepGraph;
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
    deep: new DeepGraph(facts, found),
    fresh: judge(facts, wanted, nothing),
    targets: found.map((target, place) => ({
      ...target,
      verdict: verdicts[place] ?? { kind: "failed", message: "it was not looked at", nearest: [] },
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

/** Outputs that are looked for, and what their derivation is built of where no upstream has them. */
interface DeepNode extends DerivationOutputs {
  readonly inputs: DeepNode[];
  readonly counts: "wanted" | "passed through";
  readonly lacks: "it" | "nothing";
}

export interface DeepWant {
  readonly wanted: DerivationOutputs;
  readonly by: BitSet;
}

/** What is to be in our cache for `closure=build`, shared out to those it is pushed with. */
export interface DeepShares {
  readonly only: ReadonlyMap<string, readonly DerivationOutputs[]>;
  /** What several targets want: pushed once. */
  readonly shared: readonly DerivationOutputs[];
}

/**
 * For `closure=build`: derivations below targets, these included, that are built from source or
 * downloaded, and whose outputs neither our cache nor an upstream has. Below what an upstream has,
 * nothing is wanted: it is never built. One graph for all targets.
 */
export class DeepGraph {
  private readonly tops = new Map<string, readonly DeepNode[]>();
  private readonly nodes = new Map<string, DeepNode>();
  private readonly lacking = new Set<DeepNode>();

  constructor(facts: Facts, targets: readonly FoundTarget[]) {
    for (const { name, target, wanted } of targets) {
      if (target.closure !== "build") continue;
      const needs = needsOf(wanted);
      this.tops.set(
        name,
        needs.flatMap((need) => this.node(need, facts) ?? []),
      );
    }
    for (const node of referencesFirst(this.nodes.values(), ({ inputs }) => inputs)) {
      const isLacking = node.lacks === "it" || node.inputs.some((one) => this.lacking.has(one));
      if (isLacking) this.lacking.add(node);
    }
  }

  /** Whether anything is missing for the target. */
  lacks(name: string): boolean {
    return this.tops.get(name)?.some((node) => this.lacking.has(node)) ?? false;
  }

  /** All that is missing for any of the targets. */
  missing(names: Iterable<string>): readonly DerivationOutputs[] {
    const found = new Set<DeepNode>();
    for (const name of names) for (const node of this.tops.get(name) ?? []) found.add(node);
    for (const node of found) for (const input of node.inputs) found.add(input);
    return outputsOf(found);
  }

  /** The same, with who of the targets wants it, by their place. */
  wanting(names: readonly string[]): readonly DeepWant[] {
    const wanting = new Map<DeepNode, BitSet>();
    const of = (node: DeepNode) => {
      const set = wanting.get(node) ?? new BitSet(names.length);
      wanting.set(node, set);
      return set;
    };
    for (const [place, name] of names.entries()) {
      for (const node of this.tops.get(name) ?? []) of(node).add(place);
    }
    const ordered = referencesFirst([...wanting.keys()], ({ inputs }) => inputs).toReversed();
    for (const node of ordered) for (const input of node.inputs) of(input).addAll(of(node));
    // Of one derivation several outputs may be wanted, each of them by others.
    const byDerivation = new Map<StorePath, BitSet>();
    for (const [{ drvPath }, set] of wanting) {
      const all = byDerivation.get(drvPath) ?? new BitSet(names.length);
      all.addAll(set);
      byDerivation.set(drvPath, all);
    }
    return outputsOf(ordered).map((wanted) => ({
      wanted,
      by: byDerivation.get(wanted.drvPath) ?? new BitSet(names.length),
    }));
  }

  /** The same, each once: with the target that wants it, or with what several do. */
  shares(names: readonly string[]): DeepShares {
    const only = new Map<string, DerivationOutputs[]>();
    const shared: DerivationOutputs[] = [];
    for (const { wanted: one, by } of this.wanting(names)) {
      const [place = 0, another] = by.first(2);
      const name = names[place];
      if (another !== undefined || name === undefined) shared.push(one);
      else {
        const mine = only.get(name) ?? [];
        mine.push(one);
        only.set(name, mine);
      }
    }
    return { only, shared };
  }

  private node(wanted: DerivationOutputs, facts: Facts): DeepNode | undefined {
    const made: DeepNode[] = [];
    const of = ({ drvPath, outputNames }: DerivationOutputs): DeepNode | undefined => {
      const key = `${drvPath}!${outputNames.join(",")}`;
      const known = this.nodes.get(key);
      if (known) return known;
      const derivation = facts.derivations.get(drvPath);
      if (!derivation) return undefined;
      const paths = outputPaths(derivation, outputNames);
      const isUpstreams = paths?.every((path) => facts.answers.get(path)?.upstream) ?? false;
      const isTrivial = buildKind(derivation) === "trivial";
      const have = paths?.every((path) => facts.availability.get(path) === "whole") ?? false;
      const node: DeepNode = {
        drvPath,
        outputNames,
        inputs: [],
        counts: isUpstreams || isTrivial ? "passed through" : "wanted",
        lacks: isUpstreams || isTrivial || have ? "nothing" : "it",
      };
      this.nodes.set(key, node);
      if (!isUpstreams) made.push(node);
      return node;
    };
    const top = of(wanted);
    for (let node = made.pop(); node !== undefined; node = made.pop()) {
      for (const [drvPath, outputNames] of facts.derivations.get(node.drvPath)?.inputs ?? []) {
        const input = of({ drvPath, outputNames });
        if (input) node.inputs.push(input);
      }
    }
    return top;
  }
}

/** What the nodes lack, each derivation once with all that is wanted of it. */
function outputsOf(nodes: Iterable<DeepNode>): readonly DerivationOutputs[] {
  const wanted = new Map<StorePath, Set<string>>();
  const missing = new Set<StorePath>();
  for (const { drvPath, outputNames, counts, lacks } of nodes) {
    if (counts === "wanted") {
      const names = wanted.get(drvPath) ?? new Set();
      for (const name of outputNames) names.add(name);
      wanted.set(drvPath, names);
    }
    if (lacks === "it") missing.add(drvPath);
  }
  return [...missing].map((drvPath) => ({
    drvPath,
    outputNames: [...(wanted.get(drvPath) ?? [])],
  }));
}
