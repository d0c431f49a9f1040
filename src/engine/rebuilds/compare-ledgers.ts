/** Compares two ledgers: which derivations changed, and which of them changed first. Pure. */

import { figuresName } from "../../domain/build-figures.ts";
import type { Ledger, LedgerNode, LockedInput } from "../../domain/ledger.ts";

/**
 * Why a derivation is another one. `own`: it was itself changed, in these attributes (none that could be
 * named: in its builder's arguments). `input`: by an input of `flake.nix`, through the derivation `by` where it is
 * not its own source. `dependency`: by this one below it, and so many others.
 */
export type Cause =
  | { readonly kind: "own"; readonly attributes: readonly string[] }
  | { readonly kind: "input"; readonly input: ChangedInput; readonly by: string | undefined }
  | {
      readonly kind: "dependency";
      readonly name: string;
      readonly was: string | undefined;
      readonly others: number;
    }
  | { readonly kind: "new" };

export interface ChangedInput {
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

/** As many first causes of one derivation are kept apart. */
const ROOTS_MOST = 50;

export class Comparison {
  /** Places in the head's ledger of what the base does not build. */
  readonly changed: ReadonlySet<number>;
  /** Places in the base's ledger that the head builds no more, and nothing of its name instead. */
  readonly gone: readonly number[];
  readonly inputs: readonly ChangedInput[];
  private readonly head: Ledger;
  private readonly base: Ledger;
  private readonly pairs: ReadonlyMap<number, number>;
  private readonly roots = new Map<number, readonly number[]>();

  constructor(head: Ledger, base: Ledger) {
    this.head = head;
    this.base = base;
    this.changed = onlyIn(head, base);
    const left = onlyIn(base, head);
    this.pairs = paired(head, base, this.changed, left);
    const kept = new Set(this.pairs.values());
    this.gone = [...left].filter((place) => !kept.has(place)).sort((a, b) => a - b);
    this.inputs = changedInputs(head.sources.inputs, base.sources.inputs);
    // Inputs stand first: their roots are known when what is built of them is looked at.
    for (const place of [...this.changed].sort((a, b) => a - b)) {
      this.roots.set(place, this.rootsOf(place));
    }
  }

  /** What the base has instead; undefined for what is new. */
  before(place: number): LedgerNode | undefined {
    const pair = this.pairs.get(place);
    return pair === undefined ? undefined : this.base.nodes[pair];
  }

  cause(place: number): Cause {
    if (!this.pairs.has(place)) return { kind: "new" };
    const [root = place, ...others] = this.roots.get(place) ?? [];
    const given = this.givenBy(root);
    const name = this.head.nodes[root]?.name ?? "";
    if (given) return { kind: "input", input: given, by: root === place ? undefined : name };
    const [only, ...more] = this.inputs;
    const { tree } = this.head.sources;
    // Nothing else is another one: then what changed in it changed by this input.
    if (only && more.length === 0 && tree !== "" && tree === this.base.sources.tree) {
      return { kind: "input", input: only, by: root === place ? undefined : name };
    }
    if (root === place) return { kind: "own", attributes: this.ownAttributes(place) };
    const was = this.before(root)?.name;
    return {
      kind: "dependency",
      name,
      was: was === name ? undefined : was,
      others: others.length,
    };
  }

  /** From a derivation down to the first that was itself changed; each is an input of the one before it. */
  way(place: number): readonly number[] {
    const way = [place];
    for (let at = place; ; ) {
      const [root] = this.roots.get(at) ?? [];
      if (root === undefined || root === at) return way;
      const inputs = this.differing(at).filter((input) => this.roots.get(input)?.includes(root));
      // What is trivial to build says less to a reader.
      const next = inputs.find((input) => this.head.nodes[input]?.kind === "source") ?? inputs[0];
      if (next === undefined) return way;
      way.push(next);
      at = next;
    }
  }

  /** Attributes of its own that are others now; its name is told with it. */
  ownAttributes(place: number): readonly string[] {
    const before = this.before(place)?.attributes;
    const now = this.head.nodes[place]?.attributes;
    if (!before || !now) return [];
    const names = new Set([...now.keys(), ...before.keys()]);
    return [...names]
      .filter((name) => name !== "name" && now.get(name) !== before.get(name))
      .sort(byWorth);
  }

  /** Sources that it takes as they are, and that the base's does not. */
  newSources(place: number): readonly string[] {
    const before = new Set(this.before(place)?.sources);
    return (this.head.nodes[place]?.sources ?? []).filter((source) => !before.has(source));
  }

  private differing(place: number): number[] {
    return (this.head.nodes[place]?.inputs ?? []).filter(
      // What is only downloaded is a source of what is built of it.
      (input) => this.changed.has(input) && this.head.nodes[input]?.kind !== "download",
    );
  }

  private rootsOf(place: number): readonly number[] {
    const inputs = this.differing(place);
    const isOwn =
      !this.pairs.has(place) ||
      inputs.length === 0 ||
      this.ownAttributes(place).length > 0 ||
      this.newSources(place).length > 0;
    if (isOwn) return [place];
    const roots = new Set<number>();
    for (const input of inputs) {
      for (const root of this.roots.get(input) ?? []) if (roots.size < ROOTS_MOST) roots.add(root);
    }
    return [...roots];
  }

  /** The input of `flake.nix` that a new source of it is. */
  private givenBy(place: number): ChangedInput | undefined {
    const sources = new Set(this.newSources(place));
    const given = this.head.sources.inputs.find(
      ({ source }) => source !== "" && sources.has(source),
    );
    return given && this.inputs.find(({ name }) => name === given.name);
  }
}

/** What a person would look at first. */
const FIRST = ["src", "srcs", "version", "patches"];

function byWorth(a: string, b: string): number {
  const worth = (name: string) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return worth(a) - worth(b) || (a < b ? -1 : a > b ? 1 : 0);
}

/** Equal outputs are equal builds, whatever derivation makes them. */
function identity({ outputs, derivation }: LedgerNode): string {
  const known = [...outputs].filter(([, hash]) => hash !== "");
  if (known.length === 0 || known.length < outputs.size) return derivation;
  return known
    .map(([name, hash]) => `${name} ${hash}`)
    .sort()
    .join(",");
}

/** What the targets need and the other ledger has not; below what both have, nothing is asked for. */
function onlyIn(ledger: Ledger, other: Ledger): Set<number> {
  const known = new Set(other.nodes.map(identity));
  const found = new Set<number>();
  const seen = new Set<number>();
  const stack = ledger.targets.map(({ node }) => node);
  for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
    const node = ledger.nodes[place];
    if (!node || seen.has(place)) continue;
    seen.add(place);
    if (known.has(identity(node))) continue;
    found.add(place);
    for (const input of node.inputs) stack.push(input);
  }
  return found;
}

/**
 * Which of the base's a changed derivation takes the place of: target by target from the top, so that of two of
 * one name each finds its own; what is left, by name.
 */
function paired(
  head: Ledger,
  base: Ledger,
  changed: ReadonlySet<number>,
  left: ReadonlySet<number>,
): Map<number, number> {
  const pairs = new Map<number, number>();
  const taken = new Set<number>();
  const queue: (readonly [number, number])[] = [];
  const pair = (one: number, other: number) => {
    if (pairs.has(one) || taken.has(other)) return;
    pairs.set(one, other);
    taken.add(other);
    queue.push([one, other]);
  };
  const match = (ones: Iterable<number>, others: Iterable<number>) => {
    for (const nameOf of [
      ({ name }: LedgerNode) => name,
      ({ name }: LedgerNode) => figuresName(name),
    ]) {
      const waiting = new Map<string, number[]>();
      for (const other of others) {
        const node = base.nodes[other];
        if (!node || taken.has(other)) continue;
        const key = `${node.kind} ${nameOf(node)}`;
        const list = waiting.get(key);
        if (list) list.push(other);
        else waiting.set(key, [other]);
      }
      for (const one of ones) {
        const node = head.nodes[one];
        if (!node || pairs.has(one)) continue;
        const other = waiting.get(`${node.kind} ${nameOf(node)}`)?.shift();
        if (other !== undefined) pair(one, other);
      }
    }
  };
  const tops = new Map(base.targets.map(({ name, node }) => [name, node]));
  for (const { name, node } of head.targets) {
    const before = tops.get(name);
    if (before !== undefined && changed.has(node) && left.has(before)) pair(node, before);
  }
  for (const [one, other] of queue) {
    match(
      (head.nodes[one]?.inputs ?? []).filter((input) => changed.has(input)),
      (base.nodes[other]?.inputs ?? []).filter((input) => left.has(input)),
    );
  }
  match(changed, left);
  return pairs;
}

function changedInputs(
  now: readonly LockedInput[],
  before: readonly LockedInput[],
): ChangedInput[] {
  const known = new Map(before.map(({ name, revision }) => [name, revision]));
  return now.flatMap(({ name, revision }) => {
    const from = known.get(name);
    return from === undefined || from === revision ? [] : [{ name, from, to: revision }];
  });
}
