/** Twins: a target and another derivation of the same name that the other targets want. Pure. */

import { buildKind } from "../../domain/derivation.ts";
import { derivationName, type StorePath } from "../../domain/store-path.ts";
import { BuildGraph } from "./build-graph.ts";
import type { Facts } from "./facts.ts";
import type { FoundTarget } from "./found.ts";
import { nothing } from "./judge.ts";

export interface Twin {
  readonly name: string;
  /** The target whose own derivation it is. */
  readonly target: string;
  readonly derivation: StorePath;
  readonly others: readonly {
    readonly derivation: StorePath;
    readonly wantedBy: readonly string[];
  }[];
}

/**
 * Looks among the derivations that were read, and that is all a fresh machine would need to build
 * the other targets: where everything of theirs is cached, a twin costs nobody anything.
 */
export function findTwins(facts: Facts, targets: readonly FoundTarget[]): Twin[] {
  const graph = new BuildGraph(facts, nothing);
  // Only what bears the name of a target can be its twin.
  const own = new Set(
    targets.flatMap(({ wanted }) =>
      wanted?.kind === "derivation" ? [derivationName(wanted.drvPath)] : [],
    ),
  );
  const called = new Map<string, number>();
  for (const { name } of facts.derivations.values()) called.set(name, (called.get(name) ?? 0) + 1);
  if (![...own].some((name) => (called.get(name) ?? 0) > 1)) return [];
  const near = new Map<StorePath, readonly StorePath[]>();
  const wants = new Map<string, Map<StorePath, string[]>>();
  for (const { name, wanted } of targets) {
    if (wanted?.kind !== "derivation") continue;
    const found = new Set([wanted.drvPath]);
    for (const { drvPath } of graph.reach([wanted]).build) {
      let named = near.get(drvPath);
      if (!named) {
        named = [drvPath, ...(facts.derivations.get(drvPath)?.inputs.keys() ?? [])].filter((one) =>
          own.has(derivationName(one)),
        );
        near.set(drvPath, named);
      }
      for (const one of named) found.add(one);
    }
    for (const drvPath of found) {
      const drvName = derivationName(drvPath);
      const byPath = wants.get(drvName) ?? new Map<StorePath, string[]>();
      const by = byPath.get(drvPath);
      if (by) by.push(name);
      else byPath.set(drvPath, [name]);
      wants.set(drvName, byPath);
    }
  }
  const twins: Twin[] = [];
  // `default`, `static` and `debug` of one flake bear one name and are meant to differ.
  const owners = new Map<StorePath, Set<string>>();
  for (const { wanted, target } of targets) {
    if (wanted?.kind !== "derivation" || target.installable.kind !== "flake") continue;
    const flakes = owners.get(wanted.drvPath) ?? new Set();
    owners.set(wanted.drvPath, flakes.add(target.installable.flake));
  }
  for (const { name, wanted, system, target } of targets) {
    const flake = target.installable.kind === "flake" ? target.installable.flake : undefined;
    if (wanted?.kind !== "derivation") continue;
    const derivation = facts.derivations.get(wanted.drvPath);
    if (!derivation || buildKind(derivation) === "trivial") continue;
    const others = [...(wants.get(derivation.name) ?? [])]
      .filter(
        ([drvPath]) =>
          drvPath !== wanted.drvPath &&
          facts.derivations.get(drvPath)?.system === system &&
          !(flake !== undefined && owners.get(drvPath)?.has(flake)),
      )
      .map(([other, wantedBy]) => ({
        derivation: other,
        wantedBy: wantedBy.filter((one) => one !== name),
      }))
      .filter(({ wantedBy }) => wantedBy.length > 0);
    if (others.length > 0) {
      twins.push({ name: derivation.name, target: name, derivation: wanted.drvPath, others });
    }
  }
  return twins;
}
