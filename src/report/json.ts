/** The JSON report and the outputs' values: the run as data, for machines. Pure. */

import { describeError } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import type { StorePath } from "../domain/store-path.ts";
import { type Few, holderWords, isHit, isServed, type Verdict } from "../domain/verdict.ts";
import { isCached, type Run } from "../engine/result.ts";
import { MAY } from "../engine/step.ts";
import type { AnswerCount } from "../engine/survey/answer.ts";
import { pinsOf } from "../engine/survey/found.ts";
import { derivationOf } from "../engine/survey/judge.ts";
import type { Survey, SurveyedTarget } from "../engine/survey.ts";
import { diskReport } from "./disk-table.ts";
import { lastLine } from "./headline.ts";
import { rebuildMinutes, rebuildsReport } from "./rebuilds.ts";
import { buildSeconds } from "./timeline.ts";

/** As many names stand in a list of each target or derivation; where there are more, it says how many. */
const NAMES_MOST = 5;
const WANTING_MOST = 3;
/**
 * A list of paths or derivations has these at least, and one for two targets where they are many, the weightiest
 * first: so a report stays below 1 kB a target. Where there are more, it says how many.
 */
const ENTRIES_LEAST = 500;
/** Builds that the disk space plan reckons with, and findings that say of a derivation what its own entry does. */
const REPEATED_MOST = 50;

function counted<Name extends string>(
  name: Name,
  list: { readonly length: number },
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
  const most = Math.max(ENTRIES_LEAST, Math.floor(survey.targets.length / 2));
  const derivations = [...survey.derivations.values()];
  const { build, fetch } = survey.fresh;
  const builds = [...plan.diskSpace.load.builds].sort((a, b) => b.bytes - a.bytes);
  const findings = allFindings(run);
  const told = toldApart(findings);
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
    result: { line: lastLine(run), states: Object.fromEntries(run.result.states) },
    /** When an evaluation record stood in for the evaluation: the time it was made. */
    recalled: survey.recalled === undefined ? null : new Date(survey.recalled).toISOString(),
    targets: survey.targets.map((target) => targetReport(survey, target)),
    /** Imports from derivation that no cache could give. */
    builtByEvaluation: [
      ...new Set(survey.targets.flatMap(({ imports }) => imports.map(({ drvPath }) => drvPath))),
    ],
    derivations: derivations
      .slice(0, most)
      .map(({ rank: _, wanting: __, wantedBy, ...derivation }) => ({
        ...derivation,
        wantedBy: wantedBy.first.slice(0, WANTING_MOST),
        ...counted("wantedByCount", wantedBy, WANTING_MOST),
        space: derivation.space ?? null,
        figures: derivation.figures ?? null,
      })),
    ...counted("derivationsCount", derivations, most),
    // What a fresh machine would do for all targets together, as `nix build --dry-run` lists it.
    fresh: {
      build: [...build.keys()].slice(0, most),
      ...counted("buildCount", { length: build.size }, most),
      fetch: [...fetch].slice(0, most),
      ...counted("fetchCount", { length: fetch.size }, most),
    },
    caches: survey.substituters.map(({ name, role, pins, state, count }) => ({
      name,
      role,
      pins,
      reachable: state.kind === "reachable",
      milliseconds: state.kind === "reachable" ? state.milliseconds : null,
      priority: state.kind === "reachable" ? state.priority : null,
      error: state.kind === "down" ? describeError(state.error) : failureOf(count),
      asked: count.asked,
      absentByIndex: count.byIndex,
      hits: count.hits,
      bytes: count.bytes,
      unknown: count.unknown,
      refused: count.refused,
    })),
    ...diskReport(run),
    builds: builds.slice(0, REPEATED_MOST),
    ...counted("buildsCount", builds, REPEATED_MOST),
    matrix: plan.matrix,
    rebuilds: rebuildsReport(run.changes),
    misses: run.changes?.misses ?? [],
    forecast: plan.forecast ? { ...plan.forecast, took: buildSeconds(outcome) ?? null } : null,
    steps: outcome.steps,
    fetched: outcome.substituted,
    unfetched: outcome.unfetched,
    built: outcome.built,
    pushed: outcome.pushed,
    verified: outcome.verified,
    pinned: outcome.pinned,
    withheld: plan.withheld,
    audit: outcome.audit ?? null,
    findings: told,
    ...counted("findingsCount", findings, told.length),
    seconds: (run.end - run.begin) / 1000,
  };
}

/** All but notices of what is missing, of which the first are enough: each derivation has its entry. */
function toldApart(findings: readonly Finding[]): Finding[] {
  let repeated = 0;
  return findings.filter(
    ({ kind, level }) => kind !== "missing" || level !== "notice" || ++repeated <= REPEATED_MOST,
  );
}

/** The report as it is written: laid out for reading where somebody may read it. */
export function reportText(run: Run): string {
  return JSON.stringify(jsonReport(run), null, run.survey.targets.length > 100 ? 0 : 2);
}

function failureOf({ failure }: AnswerCount): string | null {
  return failure ? describeError(failure) : null;
}

export function allFindings(run: Run): Finding[] {
  return [...run.result.findings];
}

function targetReport(survey: Survey, target: SurveyedTarget) {
  const answers = (target.outputs ?? []).map((path) => survey.facts.answers.get(path));
  return {
    name: target.name,
    system: target.system,
    drvPath: derivationOf(target.wanted) ?? null,
    outputs: target.outputs ?? null,
    local: target.local === "here",
    buildableHere: target.buildable === "here",
    pin: target.pinName,
    absentByIndex: answers.some((answer) => answer?.how === "by index"),
    verdict: verdictReport(survey, target.verdict),
  };
}

function verdictReport(survey: Survey, verdict: Verdict) {
  const names = ({ first }: Few<StorePath>) =>
    first.slice(0, NAMES_MOST).map((path) => {
      const derivation = survey.derivations.get(path);
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
      wantedBy: wantedBy.first.slice(0, WANTING_MOST),
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
    rebuilds: fitted(run.changes?.rebuilds?.changed ?? [], (some) =>
      JSON.stringify(rebuildsReport(run.changes, some)),
    ),
    "rebuild-minutes": rebuildMinutes(run.changes),
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
    .filter((target) => {
      // A pin that an output never had says nothing of what is deployed: the first one always has it.
      const moved = pinsOf(target).some(
        ({ name, storePath }, at) => pinned.get(name) !== storePath && !(at && !pinned.has(name)),
      );
      return moved && (!brings || served.has(target.name));
    })
    .map(({ name }) => name);
}
