/** The report as lines of a log or a terminal. Pure. */

import { describeError } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import type { WorkState } from "../domain/ports.ts";
import { count, formatBytes, formatSeconds, number } from "../domain/size.ts";
import type { StorePath } from "../domain/store-path.ts";
import { type Few, holderWords, isHit, type Verdict } from "../domain/verdict.ts";
import type { Run } from "../engine/result.ts";
import { isSilent, type SurveyedSubstituter } from "../engine/survey/substituters.ts";
import type { Survey } from "../engine/survey.ts";
import { auditLines } from "./audit-section.ts";
import { diskLines } from "./disk-table.ts";
import { headline, subject } from "./headline.ts";
import { plainLine } from "./page.ts";
import { missWords, plain, rebuildLines } from "./rebuilds.ts";

/** A log of thousands of lines is read by nobody. */
const TARGETS_MOST = 200;

export function textReport(run: Run): string[] {
  const { survey, plan } = run;
  const lines = [`${subject(run)}: ${headline(run)}`, ""];
  // What is not cached comes first, where not all can be told.
  const all = survey.targets;
  const told =
    all.length <= TARGETS_MOST
      ? all
      : [...all]
          .sort((a, b) => Number(isHit(a.verdict)) - Number(isHit(b.verdict)))
          .slice(0, TARGETS_MOST);
  for (const target of told) {
    const here = target.local === "here" ? " [here]" : "";
    const isNew = run.result.states.get(target.name) === "now cached";
    const words = isNew
      ? `now cached${neededWords(survey, target.verdict)}`
      : verdictWords(survey, target.verdict);
    lines.push(`  ${target.name}${here}: ${words}`);
  }
  const left = all.length - told.length;
  if (left > 0) lines.push(`  and ${number(left)} more, in the report`);
  if (survey.targets.length > 0) lines.push("");
  lines.push(...diskLines(plan.diskSpace));
  for (const substituter of survey.substituters) {
    const { name, state, count } = substituter;
    const how =
      state.kind === "reachable"
        ? `, answers in ${Math.round(state.milliseconds)} ms, priority ${state.priority}: ${count.hits} of ${count.asked} paths (${formatBytes(count.bytes)})`
        : `: ${describeError(state.error)}`;
    const index = count.byIndex > 0 ? `, ${count.byIndex} more not there by its index` : "";
    lines.push(`  ${name}: ${reachWords(substituter)}${how}${index}`);
  }
  lines.push(`  key: ${survey.key.key}`);
  lines.push(...auditLines(run.outcome.audit));
  lines.push(...rebuildLines(run));
  if (survey.recalled !== undefined) lines.push(`  ${recalledWords(survey.recalled)}`);
  return lines.flatMap((line) => line.split("\n")).map(plainLine);
}

/** For the command `why`: a target, and the way down to what differs. */
export function whyLines({ survey, changes, job }: Run): string[] {
  return survey.targets.flatMap(({ name, verdict, wanted }): string[] => {
    switch (verdict.kind) {
      case "own":
      case "upstream":
        return [`${name} is cached: ${verdict.holders.map(({ cache }) => cache).join(", ")}`];
      case "unknown":
        return [`${name} could not be checked: ${verdict.why}`];
      // An error or a warning tells it, with what helps.
      case "failed":
        return [];
      case "missing":
        break;
      default:
        return verdict satisfies never;
    }
    const drvPath =
      wanted?.kind === "derivation" || wanted?.kind === "shell" ? wanted.drvPath : undefined;
    const miss = changes?.misses.find((one) => one.drvPath === drvPath);
    if (miss)
      return [`${name} is in no binary cache: ${missWords(miss, changes?.dirty ?? [], plain)}`];
    const why =
      changes?.base === "read"
        ? "the default branch built nothing of that name"
        : `no run on the default branch has left its graph beside ${job.cacheName} yet`;
    return [`${name} is in no binary cache: ${why}`];
  });
}

/** All findings as lines, those too that ask nobody to do something. */
export function findingLines({ result }: Pick<Run, "result">): string[] {
  return linesOf(result.findings);
}

export function linesOf(findings: readonly Finding[]): string[] {
  const lines: string[] = [];
  for (const { level, kind, code, message, hint } of findings) {
    // The report has the audit's checks already, with those that pass.
    if (kind === "audit") continue;
    lines.push(`${level}${code ? ` ${code}` : ""}: ${message}`);
    if (hint) lines.push(`  → ${hint}`);
  }
  return lines.flatMap((line) => line.split("\n")).map(plainLine);
}

/** Seconds before which a rate is chance. */
const SETTLED = 3;

/** From 0 to 1: in bytes where they are known, for paths differ in size; undefined: nobody knows. */
export function fraction({ done, inAll, bytes, bytesInAll }: WorkState): number | undefined {
  if (bytesInAll !== undefined && bytesInAll > 0) return Math.min(1, bytes / bytesInAll);
  if (inAll !== undefined && inAll > 0) return Math.min(1, done / inAll);
  return undefined;
}

/** What a line has to say, most important first; a narrow one leaves the end out. */
export function progressWords(state: WorkState, seconds: number): string[] {
  const { unit, done, inAll, bytes, bytesInAll, now } = state;
  const part = fraction(state);
  const left =
    part !== undefined && part > 0.02 && seconds > SETTLED
      ? (seconds / part) * (1 - part)
      : undefined;
  const rate = bytes > 0 && seconds > SETTLED ? [`${formatBytes(bytes / seconds)}/s`] : [];
  return [
    inAll === undefined
      ? `${count(done, unit)} so far`
      : `${number(done)} of ${count(inAll, unit)}`,
    ...(bytesInAll !== undefined && bytesInAll > 0
      ? [`${formatBytes(bytes)} of ${formatBytes(bytesInAll)}`]
      : bytes > 0
        ? [formatBytes(bytes)]
        : []),
    ...(left === undefined ? [] : [`${formatSeconds(left)} left`]),
    ...rate,
    ...(now.length > 0 ? [now.map(plainLine).join(", ")] : []),
  ];
}

/** The same as one line of a log. */
export function progressLine(what: string, state: WorkState, seconds: number): string {
  return plainLine(
    `${what}, ${formatSeconds(seconds)}: ${progressWords(state, seconds).join(", ")}`,
  );
}

/** `cached (file:///cache)`, `needs a build: bws-1.0.0 and 3 more from source`, …: the verdict in a few words. */
export function verdictWords(survey: Survey, verdict: Verdict): string {
  const nameOf = namer(survey);
  switch (verdict.kind) {
    case "own":
    case "upstream": {
      const from =
        verdict.holders.length > 0 ? ` (${verdict.holders.map(holderWords).join(", ")})` : "";
      const trivial = verdict.trivial > 0 ? `, ${verdict.trivial} to build locally` : "";
      return `cached${from}${trivial}`;
    }
    case "missing": {
      const { source, download, trivial } = verdict.missing;
      const parts = [
        ...(source.length > 0 ? [`${fewNames(source, nameOf)} from source`] : []),
        ...(download.length > 0 ? [`to download: ${fewNames(download, nameOf)}`] : []),
        ...(trivial > 0 ? [`${trivial} to build locally`] : []),
      ];
      return `needs a build${parts.length > 0 ? `: ${parts.join("; ")}` : ""}`;
    }
    case "unknown":
      return `could not be checked: ${verdict.why}`;
    case "failed":
      return `does not evaluate: ${verdict.message.split("\n")[0] ?? ""}`;
    default:
      return verdict satisfies never;
  }
}

function namer({ derivations }: Survey) {
  return (path: string) => derivations.get(path as StorePath)?.name ?? path;
}

/** `; it needed bws-1.0.0`: what was in no cache before. */
function neededWords(survey: Survey, verdict: Verdict): string {
  if (verdict.kind !== "missing" || verdict.missing.source.length === 0) return "";
  return `; it needed ${fewNames(verdict.missing.source, namer(survey), 2)}`;
}

function fewNames<T>({ first, length }: Few<T>, nameOf: (one: T) => string, most = 3): string {
  const shown = first.slice(0, most).map(nameOf).join(", ");
  return length > most ? `${shown} and ${length - most} more` : shown;
}

/** Whether a cache is there: `reachable`, `did not answer`, `not used`, `stopped answering`. */
export function reachWords(substituter: SurveyedSubstituter): string {
  const {
    state,
    count: { failure },
  } = substituter;
  if (state.kind === "down") return isSilent(substituter) ? "did not answer" : "not used";
  return failure ? "stopped answering" : "reachable";
}

/** Why nothing was evaluated. */
export function recalledWords(checked: number): string {
  const time = new Date(checked).toISOString().slice(0, 16).replace("T", " ");
  return `nothing changed since the run of ${time} UTC, and nothing was evaluated`;
}
