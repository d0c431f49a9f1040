/** The graph of what would be built: each derivation decided once, however many targets want it. Pure. */

import { BitSet } from "../../domain/bit-set.ts";
import { allowsSubstitutes, outputPaths } from "../../domain/derivation.ts";
import type { DerivationOutputs } from "../../domain/ports.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Facts } from "./facts.ts";
import { needsOf, type Wanted } from "./judge.ts";

/** A derivation that would be built. */
export interface BuildNode {
  readonly drvPath: StorePath;
  /** All that anybody wants of it. */
  readonly outputs: Set<string>;
  readonly inputs: readonly BuildNode[];
  /** What it needs and would be fetched: the tops of closures. */
  readonly fetches: readonly StorePath[];
  /** What it needs and nobody knows of. */
  readonly unknown: readonly StorePath[];
}

interface Node extends BuildNode {
  inputs: Node[];
  fetches: StorePath[];
  unknown: StorePath[];
}

interface Decision {
  /** Where it is built. */
  readonly node?: Node;
  readonly fetch: readonly StorePath[];
  readonly unknown: readonly StorePath[];
}

/** What one target would have built and fetched. */
export interface Reach {
  readonly build: readonly BuildNode[];
  /** The tops alone: what they refer to comes along. */
  readonly fetch: ReadonlySet<StorePath>;
  readonly unknown: StorePath | undefined;
  readonly lost: readonly StorePath[];
}

/** The same, of what the target itself names: what lies below that, the graph has once for all. */
export type Tops = Reach;

/** What would be built for each of many targets, by the target's name. */
export interface Builds {
  readonly graph: BuildGraph;
  readonly tops: ReadonlyMap<string, Tops>;
  /** What several of them name, each once. */
  readonly shared?: readonly SharedTops[];
}

export interface SharedTops {
  readonly tops: Tops;
  /** The places of the targets. */
  readonly by: BitSet;
}

/** The same decisions as `judge`, for many targets over one graph. `has` says what is here. */
export class BuildGraph {
  private readonly facts: Facts;
  private readonly has: (path: StorePath) => boolean;
  private readonly nodes = new Map<StorePath, Node>();

  constructor(facts: Facts, has: (path: StorePath) => boolean) {
    this.facts = facts;
    this.has = has;
  }

  tops(wants: readonly Wanted[]): Tops {
    const build = new Set<BuildNode>();
    const fetch = new Set<StorePath>();
    const lost: StorePath[] = [];
    let unknown: StorePath | undefined;
    for (const want of wants) {
      const paths = want.kind === "path" ? [want.path] : want.kind === "recalled" ? want.paths : [];
      for (const path of paths) {
        if (this.has(path)) continue;
        if (this.facts.substitution === "never") {
          lost.push(path);
          continue;
        }
        const state = this.settle([path]);
        if (state.kind === "absent") lost.push(path);
        for (const one of state.fetch) fetch.add(one);
        unknown ??= state.unknown[0];
      }
      for (const need of needsOf(want)) {
        const top = this.decide(need);
        if (top.node) build.add(top.node);
        for (const one of top.fetch) fetch.add(one);
        unknown ??= top.unknown[0];
      }
    }
    return { build: [...build], fetch, unknown, lost };
  }

  /** For one target by itself, or for all as one: a walk over all that is below. */
  reach(wants: readonly Wanted[]): Reach {
    const tops = this.tops(wants);
    const build = below(tops.build);
    const fetch = new Set(tops.fetch);
    let { unknown } = tops;
    for (const node of build) {
      for (const path of node.fetches) fetch.add(path);
      unknown ??= node.unknown[0];
    }
    return { build: [...build], fetch, unknown, lost: tops.lost };
  }

  /** All that any target has built, each after its inputs. */
  inputsFirst(): readonly BuildNode[] {
    return inputsFirst(this.nodes.values());
  }

  /** Which of the targets have it built, by their place: one pass over the graph for all of them. */
  wanting(
    targets: readonly Tops[],
    shared: readonly SharedTops[] = [],
  ): ReadonlyMap<BuildNode, BitSet> {
    const wanting = new Map<BuildNode, BitSet>();
    const of = (node: BuildNode) => {
      let set = wanting.get(node);
      if (!set) {
        set = new BitSet(targets.length);
        wanting.set(node, set);
      }
      return set;
    };
    for (const [place, { build }] of targets.entries()) {
      for (const node of build) of(node).add(place);
    }
    for (const { tops, by } of shared) for (const node of tops.build) of(node).addAll(by);
    for (const node of this.inputsFirst().toReversed()) {
      const set = wanting.get(node);
      if (set) for (const input of node.inputs) of(input).addAll(set);
    }
    return wanting;
  }

  /** Which of the targets have it fetched, by their place; what `fetches` says of builds, `tops` of targets. */
  fetching(
    targets: readonly Tops[],
    wanting: ReadonlyMap<BuildNode, BitSet>,
    shared: readonly SharedTops[] = [],
  ): ReadonlyMap<StorePath, BitSet> {
    const { facts, has } = this;
    const fetching = new Map<StorePath, BitSet>();
    const comesAlong = (path: StorePath) => has(path) || facts.sources?.has(path) === true;
    const of = (path: StorePath) => {
      const set = fetching.get(path) ?? new BitSet(targets.length);
      fetching.set(path, set);
      return set;
    };
    for (const [place, { fetch }] of targets.entries()) {
      for (const path of fetch) if (!comesAlong(path)) of(path).add(place);
    }
    for (const { tops, by } of shared) {
      for (const path of tops.fetch) if (!comesAlong(path)) of(path).addAll(by);
    }
    for (const [{ fetches }, set] of wanting) {
      for (const path of fetches) if (!comesAlong(path)) of(path).addAll(set);
    }
    const referencesOf = (path: StorePath) =>
      (facts.answers.get(path)?.served?.narInfo.references ?? []).filter(
        (reference) => reference !== path && !comesAlong(reference),
      );
    for (const path of referencesFirst(fetching.keys(), referencesOf).toReversed()) {
      for (const reference of referencesOf(path)) of(reference).addAll(of(path));
    }
    return fetching;
  }

  /** What becomes of outputs that are wanted; the graph below a build is made as it is first met. */
  private decide(wanted: DerivationOutputs): Decision {
    const made: Node[] = [];
    const top = this.decideOne(wanted, made);
    for (let node = made.pop(); node !== undefined; node = made.pop()) {
      for (const [drvPath, outputNames] of this.facts.derivations.get(node.drvPath)?.inputs ?? []) {
        const { node: input, fetch, unknown } = this.decideOne({ drvPath, outputNames }, made);
        if (input) node.inputs.push(input);
        node.fetches.push(...fetch);
        node.unknown.push(...unknown);
      }
    }
    return top;
  }

  private decideOne({ drvPath, outputNames }: DerivationOutputs, made: Node[]): Decision {
    const nothing: Decision = { fetch: [], unknown: [] };
    const derivation = this.facts.derivations.get(drvPath);
    if (!derivation) return nothing;
    const paths = outputPaths(derivation, outputNames);
    if (paths?.every(this.has)) return nothing;
    if (paths && allowsSubstitutes(derivation, this.facts.substitution)) {
      const state = this.settle(paths);
      if (state.kind !== "absent") return state;
    }
    let node = this.nodes.get(drvPath);
    if (!node) {
      node = { drvPath, outputs: new Set(), inputs: [], fetches: [], unknown: [] };
      this.nodes.set(drvPath, node);
      made.push(node);
    }
    for (const name of outputNames) node.outputs.add(name);
    return { ...nothing, node };
  }

  private settle(paths: readonly StorePath[]): {
    readonly kind: "settled" | "unknown" | "absent";
    readonly fetch: readonly StorePath[];
    readonly unknown: readonly StorePath[];
  } {
    const needed = paths.filter((path) => !this.has(path));
    const states = needed.map((path) => this.facts.availability.get(path) ?? "absent");
    if (states.every((state) => state === "whole")) {
      return { kind: "settled", fetch: needed, unknown: [] };
    }
    if (states.includes("absent") || states.includes("broken")) {
      return { kind: "absent", fetch: [], unknown: [] };
    }
    return { kind: "unknown", fetch: [], unknown: needed };
  }
}

/** These and all that is built for them. */
export function below(nodes: Iterable<BuildNode>): ReadonlySet<BuildNode> {
  const found = new Set(nodes);
  // A set that is added to is walked to its new end.
  for (const node of found) for (const input of node.inputs) found.add(input);
  return found;
}

/** The same, each after its inputs. */
export function inputsFirst(nodes: Iterable<BuildNode>): readonly BuildNode[] {
  return referencesFirst(nodes, ({ inputs }) => inputs);
}

/** All that is below the roots and these themselves, each after what it refers to. */
export function referencesFirst<T>(
  roots: Iterable<T>,
  referencesOf: (one: T) => readonly T[],
): readonly T[] {
  const ordered = new Set<T>();
  const entered = new Set<T>();
  const stack: { readonly one: T; readonly references: readonly T[]; next: number }[] = [];
  const enter = (one: T) => {
    if (entered.has(one)) return;
    entered.add(one);
    stack.push({ one, references: referencesOf(one), next: 0 });
  };
  for (const root of roots) {
    enter(root);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const reference = top.references[top.next++];
      if (reference !== undefined) enter(reference);
      else {
        stack.pop();
        ordered.add(top.one);
      }
    }
  }
  return [...ordered];
}
