/** Owns the verdict on each target, out of the facts. Pure. */

import { buildKind, outputPaths } from "../../domain/derivation.ts";
import { describeError } from "../../domain/errors.ts";
import type { DerivationOutputs } from "../../domain/ports.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Verdict } from "../../domain/verdict.ts";
import { byWeight, type SurveyedDerivation } from "./derivations.ts";
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
  const tiers = new Set<string>();
  let kind: "own" | "upstream" = "upstream";
  // The path itself where it is served; of a trivial one, what its build would fetch.
  const roots = target.outputs?.filter((path) => fetch.has(path)) ?? [];
  for (const path of roots.length > 0 ? roots : fetch) {
    const answer = facts.answers.get(path);
    if (answer?.own) {
      kind = "own";
      tiers.add(answer.own.tier);
    } else if (answer?.upstream) tiers.add(answer.upstream.tier);
  }
  return { kind, tiers: [...tiers], trivial };
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
