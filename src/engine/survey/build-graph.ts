/** The graph of what would be built: each derivation decided once, however many targets want it. Pure. */

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
  /** The last walk that came by. */
  seen: number;
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

/** The same decisions as `judge`, for many targets over one graph. `has` says what is here. */
export class BuildGraph {
  private readonly facts: Facts;
  private readonly has: (path: StorePath) => boolean;
  private readonly nodes = new Map<StorePath, Node>();
  private walks = 0;

  constructor(facts: Facts, has: (path: StorePath) => boolean) {
    this.facts = facts;
    this.has = has;
  }

  reach(wants: readonly Wanted[]): Reach {
    const walk = ++this.walks;
    const build: Node[] = [];
    const fetch = new Set<StorePath>();
    const lost: StorePath[] = [];
    let unknown: StorePath | undefined;
    const stack: Node[] = [];
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
        if (top.node) stack.push(top.node);
        for (const one of top.fetch) fetch.add(one);
        unknown ??= top.unknown[0];
      }
    }
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if (node.seen === walk) continue;
      node.seen = walk;
      build.push(node);
      for (const path of node.fetches) fetch.add(path);
      unknown ??= node.unknown[0];
      for (const input of node.inputs) if (input.seen !== walk) stack.push(input);
    }
    return { build, fetch, unknown, lost };
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
      node = { drvPath, outputs: new Set(), inputs: [], fetches: [], unknown: [], seen: 0 };
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
