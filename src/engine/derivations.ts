/** Owns what is said of each derivation a fresh machine would build: kind, weight, who wants it. */

import { type BuildKind, buildKind } from "../domain/derivation.ts";
import { isHeavy } from "../domain/heavy.ts";
import type { Job } from "../domain/job.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { Facts } from "./facts.ts";
import { judge, nothing } from "./judge.ts";
import type { FoundTarget } from "./targets.ts";

export interface SurveyedDerivation {
  readonly drvPath: StorePath;
  readonly name: string;
  readonly system: string;
  readonly kind: BuildKind;
  readonly heavy: "heavy" | "light";
  /** Bytes its build takes, where a target's `space=` says so. */
  readonly space: number | undefined;
  /** Names of the targets for which it would be built. */
  readonly wantedBy: readonly string[];
  readonly outputNames: readonly string[];
}

export function describeDerivations(
  job: Job,
  facts: Facts,
  targets: readonly FoundTarget[],
): Map<StorePath, SurveyedDerivation> {
  const spaces = new Map<StorePath, number>();
  const wantedBy = new Map<StorePath, string[]>();
  const outputs = new Map<StorePath, Set<string>>();
  for (const { name, target, wanted } of targets) {
    if (!wanted) continue;
    if (wanted.kind === "derivation" && target.space !== undefined) {
      spaces.set(wanted.drvPath, Math.max(target.space, spaces.get(wanted.drvPath) ?? 0));
    }
    for (const [drvPath, names] of judge(facts, [wanted], nothing).build) {
      const wanting = wantedBy.get(drvPath);
      if (wanting) wanting.push(name);
      else wantedBy.set(drvPath, [name]);
      outputs.set(drvPath, new Set([...(outputs.get(drvPath) ?? []), ...names]));
    }
  }
  const found: SurveyedDerivation[] = [];
  for (const [drvPath, wanting] of wantedBy) {
    const derivation = facts.derivations.get(drvPath);
    if (!derivation) continue;
    const kind = buildKind(derivation);
    const space = spaces.get(drvPath);
    const figures = { bytes: space, seconds: undefined };
    found.push({
      drvPath,
      name: derivation.name,
      system: derivation.system,
      kind,
      heavy: kind === "source" && isHeavy(job.heavy, derivation.name, figures) ? "heavy" : "light",
      space,
      wantedBy: wanting,
      outputNames: [...(outputs.get(drvPath) ?? [])],
    });
  }
  found.sort(byWeight);
  return new Map(found.map((derivation) => [derivation.drvPath, derivation]));
}

/** Heavy ones first, then those that most targets want, then by name. */
export function byWeight(a: SurveyedDerivation, b: SurveyedDerivation): number {
  return (
    Number(b.heavy === "heavy") - Number(a.heavy === "heavy") ||
    b.wantedBy.length - a.wantedBy.length ||
    (a.name < b.name ? -1 : a.name > b.name ? 1 : a.drvPath < b.drvPath ? -1 : 1)
  );
}
