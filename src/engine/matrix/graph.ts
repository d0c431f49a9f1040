/** The graph of what is missing, as the stages of a matrix look at it. Pure. */

import { derivationName, type StorePath } from "../../domain/store-path.ts";
import { type BuildNode, inputsFirst, type Tops } from "../survey/build-graph.ts";
import type { Facts } from "../survey/facts.ts";
import { needsOf } from "../survey/judge.ts";
import { byWeight, type SurveyedDerivation } from "../survey/verdicts.ts";
import type { SurveyedTarget } from "../survey.ts";

/** Which missing derivation needs which: the part of the graph that a fresh machine would build. */
export class MissingGraph {
  private readonly request: Pick<MatrixRequest, "derivations" | "facts">;

  constructor(request: Pick<MatrixRequest, "derivations" | "facts">) {
    this.request = request;
  }

  /** What is to be built from source, and what anything of that lies below. */
  private bearingSources(roots: readonly StorePath[]): Set<StorePath> {
    const all = this.below(roots);
    const above = new Map<StorePath, StorePath[]>();
    for (const path of all) {
      for (const input of this.inputs(path)) {
        const list = above.get(input);
        if (list) list.push(path);
        else above.set(input, [path]);
      }
    }
    const bearing = new Set(
      [...all].filter((path) => this.request.derivations.get(path)?.kind === "source"),
    );
    for (const path of bearing) for (const one of above.get(path) ?? []) bearing.add(one);
    return bearing;
  }

  private inputs(drvPath: StorePath): StorePath[] {
    const inputs = this.request.facts.derivations.get(drvPath)?.inputs.keys() ?? [];
    return [...inputs].filter((path) => this.request.derivations.has(path));
  }

  /** `roots` and all that is missing below them. */
  below(roots: Iterable<StorePath>): Set<StorePath> {
    const seen = new Set(roots);
    const stack = [...seen];
    for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
      for (const input of this.inputs(path)) {
        if (seen.has(input)) continue;
        seen.add(input);
        stack.push(input);
      }
    }
    return seen;
  }

  /** Where the second stage meets what the first one built: that has to be in the cache by then. */
  exits(
    targets: readonly SurveyedTarget[],
    covered: ReadonlySet<StorePath>,
  ): readonly SurveyedDerivation[] {
    const found = new Set<SurveyedDerivation>();
    const seen = new Set<StorePath>();
    const stack = targets.flatMap(({ wanted }) => needsOf(wanted).map(({ drvPath }) => drvPath));
    for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
      if (seen.has(path)) continue;
      seen.add(path);
      const derivation = this.request.derivations.get(path);
      // What is trivial is built wherever it is wanted, and what it needs is wanted there.
      if (derivation?.kind === "source" && covered.has(path)) found.add(derivation);
      else stack.push(...this.inputs(path));
    }
    return [...found].sort(byWeight);
  }

  /** Exits that are built from the same missing sources go together, where one system builds them. */
  parts(
    exits: readonly SurveyedDerivation[],
  ): { readonly members: SurveyedDerivation[]; readonly built: Set<StorePath> }[] {
    const sets = new DisjointSets<SurveyedDerivation>();
    const owners = new Map<string, SurveyedDerivation>();
    const bearing = this.bearingSources(exits.map(({ drvPath }) => drvPath));
    for (const exit of exits) {
      const stack = [exit.drvPath];
      for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
        const key = `${exit.system} ${path}`;
        const owner = owners.get(key);
        if (owner === exit) continue;
        if (owner) {
          if (bearing.has(path)) sets.join(owner, exit);
          continue;
        }
        owners.set(key, exit);
        stack.push(...this.inputs(path));
      }
    }
    const built = new Map<SurveyedDerivation, Set<StorePath>>();
    for (const [key, owner] of owners) {
      const path = key.slice(key.indexOf(" ") + 1) as StorePath;
      if (this.request.derivations.get(path)?.kind !== "source") continue;
      const group = sets.groupOf(owner);
      built.set(group, (built.get(group) ?? new Set()).add(path));
    }
    return [...grouped(exits, (exit) => sets.groupOf(exit))].map(([group, members]) => ({
      members,
      built: built.get(group) ?? new Set(),
    }));
  }
}

/** Targets that hang together: they lack the same derivations, or hang together with one by way of others. */
export interface Together {
  groupOf(target: SurveyedTarget): string;
  /** All that the targets of a group lack, by the group. */
  readonly lacks: ReadonlyMap<string, ReadonlySet<StorePath>>;
}

/**
 * `counts` says which derivations bind those that lack them; `apart`, who is never bound. Each derivation
 * is met once, however many targets lack it: whoever comes by again has the rest in common.
 */
export function together(
  { builds }: Pick<MatrixRequest, "builds">,
  targets: readonly SurveyedTarget[],
  counts: (drvPath: StorePath) => boolean,
  apart: (target: SurveyedTarget) => string,
): Together {
  const topsOf = ({ name }: SurveyedTarget) => builds.tops.get(name)?.build ?? [];
  // By way of what counts for nothing, and leads to nothing that counts, nobody is bound.
  const binding = new Set<BuildNode>();
  for (const node of inputsFirst(targets.flatMap(topsOf))) {
    if (counts(node.drvPath) || node.inputs.some((input) => binding.has(input))) binding.add(node);
  }
  const sets = new DisjointSets<string>();
  const owners = new Map<string, Map<BuildNode, string>>();
  for (const target of targets) {
    const { name } = target;
    const mine = owners.get(apart(target)) ?? new Map<BuildNode, string>();
    owners.set(apart(target), mine);
    const stack = [...topsOf(target)];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      const owner = mine.get(node);
      if (!binding.has(node) || owner === name) continue;
      if (owner !== undefined) {
        sets.join(owner, name);
        continue;
      }
      mine.set(node, name);
      stack.push(...node.inputs);
    }
  }
  const lacks = new Map<string, Set<StorePath>>();
  for (const [{ drvPath }, owner] of [...owners.values()].flatMap((mine) => [...mine])) {
    if (!counts(drvPath)) continue;
    const group = sets.groupOf(owner);
    lacks.set(group, (lacks.get(group) ?? new Set()).add(drvPath));
  }
  return { groupOf: ({ name }) => sets.groupOf(name), lacks };
}

/** Each set is named by one of its keys. */
export class DisjointSets<K> {
  private readonly parents = new Map<K, K>();

  groupOf(key: K): K {
    if (!this.parents.has(key)) return key;
    let at = key;
    for (let up = this.parents.get(at); up !== undefined; up = this.parents.get(at)) {
      // Half the way is cut on each walk, so that walks stay short.
      const above = this.parents.get(up);
      if (above !== undefined) this.parents.set(at, above);
      at = up;
    }
    return at;
  }

  join(a: K, b: K): void {
    const [one, other] = [this.groupOf(a), this.groupOf(b)];
    if (one !== other) this.parents.set(other, one);
  }
}

/** The items by group, in the order in which each group was met first. */
export function grouped<K, T>(items: Iterable<T>, keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

/** Before a job builds anything: its runner, the checkout, Nix, the start of the evaluation. */
export const JOB_SECONDS = 120;

/** What a target takes beside its builds: evaluated, fetched, pushed, read back. */
export const TARGET_SECONDS = 120;

/** A build that nobody has timed. */
const LIGHT_SECONDS = 120;
const HEAVY_SECONDS = 1_800;

export class Weights {
  private readonly request: Pick<MatrixRequest, "derivations" | "seconds">;
  private readonly known = new Map<StorePath, number>();

  constructor(request: Pick<MatrixRequest, "derivations" | "seconds">) {
    this.request = request;
  }

  /** Seconds that one derivation takes to build. */
  of(drvPath: StorePath): number {
    let seconds = this.known.get(drvPath);
    if (seconds === undefined) {
      const derivation = this.request.derivations.get(drvPath);
      seconds =
        this.request.seconds(derivation?.name ?? derivationName(drvPath)) ??
        (derivation?.heavy === "heavy" ? HEAVY_SECONDS : LIGHT_SECONDS);
      this.known.set(drvPath, seconds);
    }
    return seconds;
  }

  sum(drvPaths: Iterable<StorePath>): number {
    let seconds = 0;
    for (const drvPath of drvPaths) seconds += this.of(drvPath);
    return seconds;
  }
}

export interface MatrixRequest {
  readonly targets: readonly SurveyedTarget[];
  /** Every derivation that a fresh machine would build. */
  readonly derivations: ReadonlyMap<StorePath, SurveyedDerivation>;
  /** Which of them each target would need. */
  readonly builds: { readonly tops: ReadonlyMap<string, Pick<Tops, "build">> };
  readonly facts: Pick<Facts, "derivations">;
  /** This machine's system, which targets are evaluated for unless they say otherwise. */
  readonly system: string | undefined;
  /** `one`: nothing can be handed on, so a stage that builds for others would build for nobody. */
  readonly stages: "one" | "two";
  /** What a build of this name took last, in seconds, where that is known. */
  readonly seconds: (name: string) => number | undefined;
}
