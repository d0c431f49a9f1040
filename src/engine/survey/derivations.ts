/** Owns what is said of each derivation a fresh machine would build: kind, weight, who wants it. */

import { type BuildFigures, figuresOf } from "../../domain/build-figures.ts";
import { type BuildKind, buildKind } from "../../domain/derivation.ts";
import { isHeavy } from "../../domain/heavy.ts";
import type { Job } from "../../domain/job.ts";
import type { StorePath } from "../../domain/store-path.ts";
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
  /** What the last build of this name took. */
  readonly figures: BuildFigures | undefined;
  /** Names of the targets for which it would be built. */
  readonly wantedBy: readonly string[];
  readonly outputNames: readonly string[];
}

/** What would be built for each target, by name of the target. */
export type Builds = ReadonlyMap<string, Iterable<readonly [StorePath, ReadonlySet<string>]>>;

/** Every derivation a fresh machine would build for the targets. */
export function freshBuilds(facts: Facts, targets: readonly FoundTarget[]): Builds {
  return new Map(
    targets.flatMap(({ name, wanted }) =>
      wanted ? [[name, judge(facts, [wanted], nothing).build] as const] : [],
    ),
  );
}

export function describeDerivations(
  job: Pick<Job, "heavy">,
  facts: Facts,
  targets: readonly FoundTarget[],
  builds: Builds,
  learnt: ReadonlyMap<string, BuildFigures>,
): Map<StorePath, SurveyedDerivation> {
  const spaces = new Map<StorePath, number>();
  for (const { target, wanted } of targets) {
    if (wanted?.kind === "derivation" && target.space !== undefined) {
      spaces.set(wanted.drvPath, Math.max(target.space, spaces.get(wanted.drvPath) ?? 0));
    }
  }
  const wanting = new Map<StorePath, { by: string[]; outputs: Set<string> }>();
  for (const [name, build] of builds) {
    for (const [drvPath, outputs] of build) {
      const entry = wanting.get(drvPath) ?? { by: [], outputs: new Set() };
      entry.by.push(name);
      for (const output of outputs) entry.outputs.add(output);
      wanting.set(drvPath, entry);
    }
  }
  const found: SurveyedDerivation[] = [];
  for (const [drvPath, { by, outputs }] of wanting) {
    const derivation = facts.derivations.get(drvPath);
    if (!derivation) continue;
    const kind = buildKind(derivation);
    const space = spaces.get(drvPath);
    // A download is another file each time, whatever its name.
    const figures = kind === "source" ? figuresOf(learnt, derivation.name) : undefined;
    const weight = {
      bytes: figures ? Math.max(figures.buildBytes, figures.outputBytes) : space,
      seconds: figures?.seconds,
    };
    found.push({
      drvPath,
      name: derivation.name,
      system: derivation.system,
      kind,
      heavy: kind === "source" && isHeavy(job.heavy, derivation.name, weight) ? "heavy" : "light",
      space,
      figures,
      wantedBy: by,
      outputNames: [...outputs],
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
