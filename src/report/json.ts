/** The JSON report and the outputs' values: the run as data, for machines. Pure. */

import { describeError } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import { holderWords, isHit, isServed, type Verdict } from "../domain/verdict.ts";
import { isCached, type Run } from "../engine/result.ts";
import { MAY } from "../engine/step.ts";
import { derivationOf } from "../engine/survey/judge.ts";
import type { AnswerCount } from "../engine/survey/lookup.ts";
import type { Survey, SurveyedTarget } from "../engine/survey.ts";
import { diskReport } from "./disk-table.ts";
import { lastLine } from "./headline.ts";

/** As many names stand in a list of each target or derivation; where there are more, it says how many. */
const NAMES_MOST = 10;
const WANTING_MOST = 5;

function counted<Name extends string>(
  name: Name,
  list: readonly unknown[],
  most = NAMES_MOST,
): Partial<Record<Name, number>> {
  const count: Partial<Record<Name, number>> = {};
  if (list.length > most) count[name] = list.length;
  return count;
}

/** Raised when a field changes its meaning; new fields do not raise it. */
const REPORT_VERSION = 2;

export function jsonReport(run: Run) {
  const { survey, plan, outcome } = run;
  return {
    version: REPORT_VERSION,
    mode: run.job.mode,
    cache: run.job.cacheName,
    system: survey.system ?? null,
    nix: survey.nixVersion ?? null,
    trust: survey.trust,
    key: survey.key.key,
    restoreKeys: survey.key.restoreKeys,
    hashes: hashes(survey),
    hitRate: hitRate(run),
    /** The last line of the log, and what became of each target. */
    result: { line: lastLine(run), states: Object.fromEntries(run.result.states) },
    /** When an evaluation record stood in for the evaluation: the time it was made. */
    recalled: survey.recalled === undefined ? null : new Date(survey.recalled).toISOString(),
    targets: survey.targets.map((target) => targetReport(survey, target)),
    /** Imports from derivation that no cache could give. */
    builtByEvaluation: [
      ...new Set(survey.targets.flatMap(({ imports }) => imports.map(({ drvPath }) => drvPath))),
    ],
    derivations: [...survey.derivations.values()].map(({ rank: _, wantedBy, ...derivation }) => ({
      ...derivation,
      wantedBy: wantedBy.slice(0, WANTING_MOST),
      ...counted("wantedByCount", wantedBy, WANTING_MOST),
      space: derivation.space ?? null,
      figures: derivation.figures ?? null,
    })),
    // What a fresh machine would do for all targets together, as `nix build --dry-run` lists it.
    fresh: { build: [...survey.fresh.build.keys()], fetch: [...survey.fresh.fetch] },
    caches: survey.substituters.map(({ name, role, pins, state, count }) => ({
      name,
      role,
      pins,
      reachable: state.kind === "reachable",
      milliseconds: state.kind === "reachable" ? state.milliseconds : null,
      priority: state.kind === "reachable" ? state.priority : null,
      // Why it was left out from the start, or from somewhere on.
      error: state.kind === "down" ? describeError(state.error) : failureOf(count),
      asked: count.asked,
      hits: count.hits,
      // What its hits weigh on the way.
      bytes: count.bytes,
      unknown: count.unknown,
      refused: count.refused,
    })),
    ...diskReport(run),
    matrix: plan.matrix,
    steps: outcome.steps,
    fetched: outcome.substituted,
    unfetched: outcome.unfetched,
    built: outcome.built,
    pushed: outcome.pushed,
    verified: outcome.verified,
    pinned: outcome.pinned,
    withheld: plan.withheld,
    audit: outcome.audit ?? null,
    findings: allFindings(run),
    seconds: (run.end - run.begin) / 1000,
  };
}

function failureOf({ failure }: AnswerCount): string | null {
  return failure ? describeError(failure) : null;
}

export function allFindings(run: Run): Finding[] {
  return [...run.result.findings];
}

function targetReport(survey: Survey, target: SurveyedTarget) {
  return {
    name: target.name,
    system: target.system,
    drvPath: derivationOf(target.wanted) ?? null,
    outputs: target.outputs ?? null,
    local: target.local === "here",
    buildableHere: target.buildable === "here",
    pin: target.pinName,
    verdict: verdictReport(survey, target.verdict),
  };
}

function verdictReport(survey: Survey, verdict: Verdict) {
  const names = (paths: readonly string[]) =>
    paths.slice(0, NAMES_MOST).map((path) => {
      const derivation = survey.derivations.get(path as never);
      return derivation?.name ?? path;
    });
  switch (verdict.kind) {
    case "missing":
      return {
        kind: verdict.kind,
        source: names(verdict.missing.source),
        ...counted("sourceCount", verdict.missing.source),
        download: names(verdict.missing.download),
        ...counted("downloadCount", verdict.missing.download),
        trivial: verdict.missing.trivial,
      };
    case "own":
    case "upstream":
      return {
        kind: verdict.kind,
        caches: verdict.holders.map(holderWords),
        trivial: verdict.trivial,
      };
    case "unknown":
    case "failed":
      return verdict;
    default:
      return verdict satisfies never;
  }
}

export function hashes(survey: Survey): Record<string, string | null> {
  return Object.fromEntries(survey.keyFiles.map(({ name, hash }) => [name, hash ?? null]));
}

/** Cached targets among those that evaluated; 0 where nothing was looked at, for nothing is known then. */
export function hitRate(run: Pick<Run, "survey" | "result">): number {
  const asked = run.survey.targets.filter(({ verdict }) => verdict.kind !== "failed");
  if (asked.length === 0) return 0;
  const hits = asked.filter(({ name }) => isCached(run.result, name)).length;
  return Math.round((hits / asked.length) * 1000) / 1000;
}

/** What is missing, as the output `missing` lists it: from source only, heavy ones first. */
function missingReport(survey: Survey) {
  return [...survey.derivations.values()]
    .filter(({ kind }) => kind === "source")
    .map(({ name, drvPath, system, heavy, wantedBy }) => ({
      name,
      drvPath,
      system,
      heavy: heavy === "heavy",
      wantedBy: wantedBy.slice(0, WANTING_MOST),
      ...counted("wantedByCount", wantedBy, WANTING_MOST),
    }));
}

/**
 * Characters that the lists among the outputs may take, each: with the matrix they stay below what
 * GitHub takes of a job together, 1 MB of two bytes a character. The report has all of it.
 */
const CHARACTERS_MOST = 45_000;

/** As many of the first entries as fit. */
function fitted<T>(entries: readonly T[], format: (some: readonly T[]) => string): string {
  let text = format(entries);
  for (let some = entries; text.length > CHARACTERS_MOST && some.length > 0; text = format(some)) {
    some = some.slice(0, Math.floor((some.length * CHARACTERS_MOST * 0.97) / text.length));
  }
  return text;
}

/** Every output of action.yml as text. */
export function outputValues(run: Run, reportPath: string): Record<string, string> {
  const { survey, plan } = run;
  const { targets } = survey;
  const missing = missingReport(survey);
  // Where nothing is written, nothing can be tight.
  const written = plan.diskSpace.fileSystems.filter(({ needs }) =>
    needs.some(({ writes }) => writes === "something"),
  );
  const places = written.length > 0 ? written : plan.diskSpace.fileSystems.slice(0, 1);
  const tightest = [...places].sort((a, b) => a.bytesAfter - b.bytesAfter)[0];
  const needed = plan.diskSpace.fileSystems.reduce((sum, { bytesNeeded }) => sum + bytesNeeded, 0);
  return {
    "cache-key": survey.key.key,
    "restore-keys": survey.key.restoreKeys.join("\n"),
    hashes: JSON.stringify(hashes(survey)),
    "read-only": String(survey.trust.kind === "read-only"),
    hit: String(targets.length > 0 && targets.every(({ name }) => isCached(run.result, name))),
    "hit-rate": String(hitRate(run)),
    // What is not cached comes first, where not all can be told.
    verdicts: fitted(
      [...targets].sort((a, b) => Number(isHit(a.verdict)) - Number(isHit(b.verdict))),
      (some) =>
        JSON.stringify(
          Object.fromEntries(
            some.map(({ name, verdict }) => [name, verdictReport(survey, verdict)]),
          ),
        ),
    ),
    missing: fitted(missing, (some) => JSON.stringify(some)),
    matrix: JSON.stringify({ include: plan.matrix.whole }),
    "matrix-first": JSON.stringify({ include: plan.matrix.first }),
    "matrix-second": JSON.stringify({ include: plan.matrix.second }),
    stages: String(plan.matrix.stages),
    "any-missing": String(missing.length > 0),
    changed: fitted(changedTargets(run), (some) => JSON.stringify(some)),
    "store-paths": fitted(
      targets.flatMap(({ name, outputs, wanted }) =>
        outputs?.[0] && wanted?.kind !== "shell" ? [[name, outputs[0]] as const] : [],
      ),
      (some) => JSON.stringify(Object.fromEntries(some)),
    ),
    "bytes-needed": String(needed),
    "bytes-free": String(tightest?.fileSystem.freeBytes ?? 0),
    report: reportPath,
  };
}

/** Names of targets, as the output `changed` lists them. */
function changedTargets({ job, survey, outcome }: Run): string[] {
  const pinned = new Map(survey.pins?.map(({ name, storePath }) => [name, storePath]));
  const served = new Set(
    outcome.verified.filter(({ outcome: how }) => isServed(how)).map(({ target }) => target),
  );
  // What this run was to bring into the cache and could not, nobody can fetch from there.
  const brings = MAY[job.mode].has("push") && survey.trust.kind === "write" && job.push !== "off";
  return survey.targets
    .filter(
      ({ name, outputs, pinName }) =>
        pinName !== "" &&
        outputs?.[0] !== undefined &&
        pinned.get(pinName) !== outputs[0] &&
        (!brings || served.has(name)),
    )
    .map(({ name }) => name);
}
