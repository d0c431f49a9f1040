/** The verdict on each target, out of the facts. Pure. */

import { type BuildFigures, figuresOf } from "../../domain/build-figures.ts";
import { type BuildKind, buildKind, outputPaths } from "../../domain/derivation.ts";
import { describeError } from "../../domain/errors.ts";
import { isHeavy } from "../../domain/heavy.ts";
import type { Job } from "../../domain/job.ts";
import type { DerivationOutputs } from "../../domain/ports.ts";
import type { StorePath } from "../../domain/store-path.ts";
import { type Holder, holderWords, type Verdict } from "../../domain/verdict.ts";
import type { Facts } from "./facts.ts";
import { judge, nothing } from "./judge.ts";
import type { FoundTarget } from "./targets.ts";

export function verdictOf(
  target: FoundTarget,
  facts: Facts,
  derivations: ReadonlyMap<StorePath, SurveyedDerivation>,
): Verdict {
  const { wanted, failure } = target;
  if (!wanted || failure) {
    return {
      kind: "failed",
      message: failure?.message ?? "it was not evaluated",
      nearest: failure?.nearest ?? [],
    };
  }
  const { build, fetch, unknown, lost } = judge(facts, [wanted], nothing);
  const built = [...build.keys()]
    .flatMap((drvPath) => derivations.get(drvPath) ?? [])
    .sort(byWeight);
  const of = (kind: SurveyedDerivation["kind"]) =>
    built.filter((derivation) => derivation.kind === kind).map(({ drvPath }) => drvPath);
  const source = of("source");
  const download = of("download");
  const trivial = wanted.kind === "recalled" ? wanted.trivial : of("trivial").length;
  if (unknown.size > 0 && source.length === 0 && download.length === 0) {
    const [path] = unknown;
    const cause = path && facts.answers.get(path)?.unknown;
    return { kind: "unknown", why: cause ? describeError(cause) : "a cache did not answer" };
  }
  if (source.length > 0 || download.length > 0 || lost.size > 0) {
    return { kind: "missing", missing: { source, download, trivial } };
  }
  const holders = new Map<string, Holder>();
  let kind: "own" | "upstream" = "upstream";
  // The path itself where it is served; of a trivial one, what its build would fetch.
  const roots = target.outputs?.filter((path) => fetch.has(path)) ?? [];
  for (const path of roots.length > 0 ? roots : fetch) {
    const answer = facts.answers.get(path);
    if (answer?.own) kind = "own";
    if (!answer?.served) continue;
    const { narInfo: _, ...holder } = answer.served;
    holders.set(holderWords(holder), holder);
  }
  return { kind, holders: [...holders.values()], trivial };
}

/**
 * For `closure=build`: derivations below the target, itself included, that are built from source or
 * downloaded, and whose outputs neither our cache nor an upstream has. Below what an upstream has,
 * nothing is wanted: it is never built.
 */
export function deepMissing(target: FoundTarget, facts: Facts): DerivationOutputs[] {
  if (target.wanted?.kind !== "derivation") return [];
  const wanted = new Map<StorePath, Set<string>>();
  const seen = new Set<string>();
  const missing = new Set<StorePath>();
  const stack: DerivationOutputs[] = [target.wanted];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { drvPath, outputNames } = next;
    const key = `${drvPath}!${outputNames.join(",")}`;
    const derivation = facts.derivations.get(drvPath);
    if (!derivation || seen.has(key)) continue;
    seen.add(key);
    const paths = outputPaths(derivation, outputNames);
    if (paths?.every((path) => facts.answers.get(path)?.upstream)) continue;
    if (buildKind(derivation) !== "trivial") {
      const names = wanted.get(drvPath) ?? new Set();
      for (const name of outputNames) names.add(name);
      wanted.set(drvPath, names);
      const have = paths?.every((path) => facts.availability.get(path) === "whole");
      if (!have) missing.add(drvPath);
    }
    for (const [input, names] of derivation.inputs) {
      stack.push({ drvPath: input, outputNames: names });
    }
  }
  return [...missing].map((drvPath) => ({
    drvPath,
    outputNames: [...(wanted.get(drvPath) ?? [])],
  }));
}

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
