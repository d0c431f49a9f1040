/** Twins: a target and another derivation of the same name that the other targets want. Pure. */

import { BitSet } from "../../domain/bit-set.ts";
import { buildKind } from "../../domain/derivation.ts";
import { derivationName, type StorePath } from "../../domain/store-path.ts";
import { FEW, type Few } from "../../domain/verdict.ts";
import { BuildGraph } from "./build-graph.ts";
import type { Facts } from "./facts.ts";
import type { FoundTarget } from "./found.ts";
import { nothing } from "./judge.ts";

export interface Twin {
  readonly name: string;
  /** The target whose own derivation it is. */
  readonly target: string;
  readonly derivation: StorePath;
  readonly others: Few<StorePath>;
  /** Names of the targets that want one of the others. */
  readonly wantedBy: Few<string>;
}

/** Derivations of one name and system that are another's than this flake's. */
interface Rivals {
  readonly derivations: readonly { readonly drvPath: StorePath; readonly wanting: BitSet }[];
  /** The targets, by their place, that want any of them. */
  readonly wanting: BitSet;
}

/**
 * Looks among the derivations that were read, and that is all a fresh machine would need to build
 * the other targets: where everything of theirs is cached, a twin costs nobody anything.
 */
export function findTwins(facts: Facts, targets: readonly FoundTarget[]): Twin[] {
  // Only what bears the name of a target can be its twin.
  const own = new Set(
    targets.flatMap(({ wanted }) =>
      wanted?.kind === "derivation" ? [derivationName(wanted.drvPath)] : [],
    ),
  );
  const called = new Map<string, number>();
  for (const { name } of facts.derivations.values()) called.set(name, (called.get(name) ?? 0) + 1);
  if (![...own].some((name) => (called.get(name) ?? 0) > 1)) return [];
  const byName = new Map<string, StorePath[]>();
  const wanting = wantingOf(facts, targets, own);
  for (const drvPath of wanting.keys()) {
    const paths = byName.get(derivationName(drvPath));
    if (paths) paths.push(drvPath);
    else byName.set(derivationName(drvPath), [drvPath]);
  }
  const owners = ownersOf(targets);
  const known = new Map<string, Rivals>();
  const rivalsOf = (name: string, system: string, flake: string | undefined): Rivals => {
    const key = JSON.stringify([name, system, flake]);
    let rivals = known.get(key);
    if (!rivals) {
      const derivations = (byName.get(name) ?? []).flatMap((drvPath) => {
        const set = wanting.get(drvPath);
        const isOfFlake = flake !== undefined && owners.get(drvPath)?.has(flake);
        if (!set || isOfFlake || facts.derivations.get(drvPath)?.system !== system) return [];
        return [{ drvPath, wanting: set }];
      });
      const all = new BitSet(targets.length);
      for (const one of derivations) all.addAll(one.wanting);
      rivals = { derivations, wanting: all };
      known.set(key, rivals);
    }
    return rivals;
  };
  return targets.flatMap(({ name, wanted, system, target }, place): Twin[] => {
    const flake = target.installable.kind === "flake" ? target.installable.flake : undefined;
    const derivation = wanted?.kind === "derivation" && facts.derivations.get(wanted.drvPath);
    if (!derivation || buildKind(derivation) === "trivial") return [];
    const rivals = rivalsOf(derivation.name, system, flake);
    const { others, by } = othersThan(derivation.path, place, rivals, targets.length);
    if (others.length === 0) return [];
    const wantedBy = {
      first: by.first(FEW + 1).flatMap((one) => (one === place ? [] : (targets[one]?.name ?? []))),
      length: by.size - Number(by.has(place)),
    };
    return [{ name: derivation.name, target: name, derivation: derivation.path, others, wantedBy }];
  });
}

/** What wants each derivation that bears a target's name: as a target, to build it, or as an input of that. */
function wantingOf(
  facts: Facts,
  targets: readonly FoundTarget[],
  own: ReadonlySet<string>,
): Map<StorePath, BitSet> {
  const graph = new BuildGraph(facts, nothing);
  const wanting = new Map<StorePath, BitSet>();
  const of = (drvPath: StorePath) => {
    const set = wanting.get(drvPath) ?? new BitSet(targets.length);
    wanting.set(drvPath, set);
    return set;
  };
  const tops = targets.map(({ wanted }) =>
    graph.tops(wanted?.kind === "derivation" ? [wanted] : []),
  );
  for (const [place, { wanted }] of targets.entries()) {
    if (wanted?.kind === "derivation") of(wanted.drvPath).add(place);
  }
  for (const [{ drvPath }, set] of graph.wanting(tops)) {
    for (const one of [drvPath, ...(facts.derivations.get(drvPath)?.inputs.keys() ?? [])]) {
      if (own.has(derivationName(one))) of(one).addAll(set);
    }
  }
  return wanting;
}

/** `default`, `static` and `debug` of one flake bear one name and are meant to differ. */
function ownersOf(targets: readonly FoundTarget[]): ReadonlyMap<StorePath, ReadonlySet<string>> {
  const owners = new Map<StorePath, Set<string>>();
  for (const { wanted, target } of targets) {
    if (wanted?.kind !== "derivation" || target.installable.kind !== "flake") continue;
    const flakes = owners.get(wanted.drvPath) ?? new Set();
    owners.set(wanted.drvPath, flakes.add(target.installable.flake));
  }
  return owners;
}

/** Those that somebody else than this target wants. */
function othersThan(
  drvPath: StorePath,
  place: number,
  { derivations, wanting }: Rivals,
  end: number,
): { readonly others: Few<StorePath>; readonly by: BitSet } {
  const isOther = (one: Rivals["derivations"][number]) =>
    one.drvPath !== drvPath && (one.wanting.size > 1 || !one.wanting.has(place));
  // A target of a flake is not among the rivals itself, and seldom wants one by itself.
  if (!wanting.has(place)) {
    const first = derivations.slice(0, FEW).map((one) => one.drvPath);
    return { others: { first, length: derivations.length }, by: wanting };
  }
  const others = derivations.filter(isOther);
  const by = new BitSet(end);
  for (const one of others) by.addAll(one.wanting);
  const first = others.slice(0, FEW).map((one) => one.drvPath);
  return { others: { first, length: others.length }, by };
}
