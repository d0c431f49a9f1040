/** Twins: a target and another derivation of the same name that the other targets want. Pure. */

import { buildKind } from "../../domain/derivation.ts";
import { derivationName, type StorePath } from "../../domain/store-path.ts";
import type { Facts } from "./facts.ts";
import type { FoundTarget } from "./found.ts";
import { judge, nothing, type Wanted } from "./judge.ts";

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
  const wants = new Map<string, Map<StorePath, string[]>>();
  for (const { name, wanted } of targets) {
    if (wanted?.kind !== "derivation") continue;
    for (const drvPath of wantedDerivations(facts, wanted)) {
      const drvName = derivationName(drvPath);
      const byPath = wants.get(drvName) ?? new Map<StorePath, string[]>();
      byPath.set(drvPath, [...(byPath.get(drvPath) ?? []), name]);
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
    const own = facts.derivations.get(wanted.drvPath);
    if (!own || buildKind(own) === "trivial") continue;
    const others = [...(wants.get(own.name) ?? [])]
      .filter(
        ([drvPath]) =>
          drvPath !== wanted.drvPath &&
          facts.derivations.get(drvPath)?.system === system &&
          !(flake !== undefined && owners.get(drvPath)?.has(flake)),
      )
      .map(([derivation, wantedBy]) => ({
        derivation,
        wantedBy: wantedBy.filter((other) => other !== name),
      }))
      .filter(({ wantedBy }) => wantedBy.length > 0);
    if (others.length > 0) {
      twins.push({ name: own.name, target: name, derivation: wanted.drvPath, others });
    }
  }
  return twins;
}

/** What a target would build and, one step further, what those builds take from caches. */
function wantedDerivations(
  facts: Facts,
  wanted: Extract<Wanted, { kind: "derivation" }>,
): Set<StorePath> {
  const found = new Set<StorePath>([wanted.drvPath]);
  for (const drvPath of judge(facts, [wanted], nothing).build.keys()) {
    found.add(drvPath);
    for (const input of facts.derivations.get(drvPath)?.inputs.keys() ?? []) found.add(input);
  }
  return found;
}
