/** The verdict on each target, out of the facts. Pure. */

import { type BuildFigures, figuresOf } from "../../domain/build-figures.ts";
import { type UnknownOutputs, unknownOutputs } from "../../domain/content-address.ts";
import { type BuildKind, buildKind, outputPaths } from "../../domain/derivation.ts";
import { describeError } from "../../domain/errors.ts";
import { isHeavy, isNamedHeavy } from "../../domain/heavy.ts";
import type { Job } from "../../domain/job.ts";
import type { DerivationOutputs } from "../../domain/ports.ts";
import type { StorePath } from "../../domain/store-path.ts";
import { type Holder, holderWords, type Verdict } from "../../domain/verdict.ts";
import type { Reach } from "./build-graph.ts";
import type { Facts } from "./facts.ts";
import type { FoundTarget } from "./found.ts";
import { derivationOf, needsOf } from "./judge.ts";

export function verdictOf(
  target: FoundTarget,
  facts: Facts,
  derivations: ReadonlyMap<StorePath, SurveyedDerivation>,
  { build, fetch, unknown, lost }: Reach,
): Verdict {
  const { wanted, failure } = target;
  if (!wanted || failure) {
    return {
      kind: "failed",
      message: failure?.message ?? "it was not evaluated",
      nearest: failure?.nearest ?? [],
    };
  }
  const built = build.flatMap(({ drvPath }) => derivations.get(drvPath) ?? []).sort(byRank);
  const of = (kind: SurveyedDerivation["kind"]) =>
    built.filter((derivation) => derivation.kind === kind).map(({ drvPath }) => drvPath);
  const source = of("source");
  const download = of("download");
  const open =
    wanted.kind === "derivation"
      ? openQuestion(wanted.drvPath, facts, new Set(build.map(({ drvPath }) => drvPath)))
      : undefined;
  if (open) return { kind: "unknown", why: `${open.name} ${OPEN_WORDS[open.outputs]}` };
  const trivial = wanted.kind === "recalled" ? wanted.trivial : of("trivial").length;
  if (wanted.kind === "evaluation" && source.length === 0 && download.length === 0) {
    // Next to nothing to build, and still nobody knows what comes behind it.
    if (trivial > 0)
      return { kind: "missing", missing: { source: of("trivial"), download, trivial: 0 } };
    const needed = wanted.needs.map(({ drvPath }) => drvPath).join(", ");
    return { kind: "unknown", why: `its evaluation needs ${needed}, which Nix could not fetch` };
  }
  if (unknown !== undefined && source.length === 0 && download.length === 0) {
    const cause = facts.answers.get(unknown)?.unknown;
    return { kind: "unknown", why: cause ? describeError(cause) : "a cache did not answer" };
  }
  if (source.length > 0 || download.length > 0 || lost.length > 0) {
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

/** What no cache can be asked for by its path. */
export const OPEN_WORDS: Readonly<Record<Exclude<UnknownOutputs, "impure">, string>> = {
  floating:
    "is content-addressed: its store path is known only when it is built, or by a cache's realisations, which are not read",
  deferred:
    "is built of something content-addressed: its store path is known only when that is built",
  dynamic: "is built of a derivation that is built itself: its store path is known only then",
};

/**
 * The derivation of which nobody can say whether a cache has it, where nothing else has to be built for
 * sure: what lies below it is built only if it is. An impure one is always built.
 */
function openQuestion(
  root: StorePath,
  facts: Facts,
  build: ReadonlySet<StorePath>,
): { readonly name: string; readonly outputs: Exclude<UnknownOutputs, "impure"> } | undefined {
  let found: ReturnType<typeof openQuestion>;
  const seen = new Set<StorePath>([root]);
  for (const drvPath of seen) {
    const derivation = facts.derivations.get(drvPath);
    if (!derivation || !build.has(drvPath)) continue;
    const outputs = unknownOutputs(derivation);
    if (outputs !== undefined && outputs !== "impure") {
      found ??= { name: derivation.name, outputs };
      continue;
    }
    if (buildKind(derivation) !== "trivial") return undefined;
    for (const input of derivation.inputs.keys()) seen.add(input);
  }
  return found;
}

/**
 * For `closure=build`: derivations below the target, itself included, that are built from source or
 * downloaded, and whose outputs neither our cache nor an upstream has. Below what an upstream has,
 * nothing is wanted: it is never built.
 */
export function deepMissing(target: FoundTarget, facts: Facts): DerivationOutputs[] {
  const needs = needsOf(target.wanted);
  const wanted = new Map<StorePath, Set<string>>();
  const seen = new Set<string>();
  const missing = new Set<StorePath>();
  const stack: DerivationOutputs[] = [...needs];
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
  /** Its place among all, by weight. */
  readonly rank: number;
}

/** What would be built for each target, by name of the target. */
export type Builds = ReadonlyMap<string, Reach>;

export function describeDerivations(
  job: Pick<Job, "heavy">,
  facts: Facts,
  targets: readonly FoundTarget[],
  builds: Builds,
  learnt: ReadonlyMap<string, BuildFigures>,
): Map<StorePath, SurveyedDerivation> {
  const spaces = new Map<StorePath, number>();
  for (const { target, wanted } of targets) {
    const drvPath = derivationOf(wanted);
    if (drvPath !== undefined && target.space !== undefined) {
      spaces.set(drvPath, Math.max(target.space, spaces.get(drvPath) ?? 0));
    }
  }
  const wanting = new Map<StorePath, { by: string[]; outputs: ReadonlySet<string> }>();
  for (const [name, { build }] of builds) {
    for (const { drvPath, outputs } of build) {
      const entry = wanting.get(drvPath);
      if (entry) entry.by.push(name);
      else wanting.set(drvPath, { by: [name], outputs });
    }
  }
  const found: (SurveyedDerivation & { rank: number })[] = [];
  for (const [drvPath, { by, outputs }] of wanting) {
    const derivation = facts.derivations.get(drvPath);
    if (!derivation) continue;
    // Whoever names it means it, however Nix would come by it.
    const kind = isNamedHeavy(job.heavy, derivation.name) ? "source" : buildKind(derivation);
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
      rank: 0,
    });
  }
  found.sort(byWeight);
  found.forEach((one, rank) => {
    one.rank = rank;
  });
  return new Map(found.map((derivation) => [derivation.drvPath, derivation]));
}

/** As `byWeight`, of those that were described together. */
function byRank(a: SurveyedDerivation, b: SurveyedDerivation): number {
  return a.rank - b.rank;
}

/** Heavy ones first, then those that most targets want, then by name. */
export function byWeight(a: SurveyedDerivation, b: SurveyedDerivation): number {
  return (
    Number(b.heavy === "heavy") - Number(a.heavy === "heavy") ||
    b.wantedBy.length - a.wantedBy.length ||
    (a.name < b.name ? -1 : a.name > b.name ? 1 : a.drvPath < b.drvPath ? -1 : 1)
  );
}
