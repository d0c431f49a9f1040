/** The report as lines of a log or a terminal. Pure. */

import { describeError } from "../domain/errors.ts";
import type { WorkState } from "../domain/ports.ts";
import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import { isHit } from "../domain/verdict.ts";
import type { Run } from "../engine/run.ts";
import { byImportance } from "./annotations.ts";
import { auditLines } from "./audit-section.ts";
import { diskLines } from "./disk-table.ts";
import { allFindings } from "./json.ts";
import { plainLine } from "./page.ts";
import { rebuildLines } from "./rebuilds.ts";
import { headline, provedTargets, reachWords, recalledWords, verdictWords } from "./words.ts";

/** A log of thousands of lines is read by nobody. */
const TARGETS_MOST = 200;

export function textReport(run: Run): string[] {
  const { survey, plan } = run;
  const lines = [headline(run), ""];
  // What is not cached comes first, where not all can be told.
  const all = survey.targets;
  const told =
    all.length <= TARGETS_MOST
      ? all
      : [...all]
          .sort((a, b) => Number(isHit(a.verdict)) - Number(isHit(b.verdict)))
          .slice(0, TARGETS_MOST);
  const proved = provedTargets(run);
  for (const target of told) {
    const here = target.local === "here" ? " [here]" : "";
    const isNew = proved.has(target.name) && !isHit(target.verdict);
    const words = isNew
      ? `cached now; was ${verdictWords(survey, target.verdict, "short")}`
      : verdictWords(survey, target.verdict);
    lines.push(`  ${target.name}${here}: ${words}`);
  }
  const left = all.length - told.length;
  if (left > 0) lines.push(`  and ${left.toLocaleString("en-US")} more, in the report`);
  if (survey.targets.length > 0) lines.push("");
  lines.push(...diskLines(plan.diskSpace));
  for (const substituter of survey.substituters) {
    const { name, state, count } = substituter;
    const how =
      state.kind === "reachable"
        ? `, answers in ${Math.round(state.milliseconds)} ms, priority ${state.priority}: ${count.hits} of ${count.asked} paths (${formatBytes(count.bytes)})`
        : `: ${describeError(state.error)}`;
    lines.push(`  ${name}: ${reachWords(substituter)}${how}`);
  }
  lines.push(`  key: ${survey.key.key}`);
  lines.push(...auditLines(run.outcome.audit));
  lines.push(...rebuildLines(run));
  if (survey.recalled !== undefined) lines.push(`  ${recalledWords(survey.recalled)}`);
  return lines.flatMap((line) => line.split("\n")).map(plainLine);
}

/** Findings as lines, where there are no annotations to show them. */
export function findingLines(run: Run): string[] {
  const lines: string[] = [];
  for (const { level, kind, code, message, hint } of byImportance(allFindings(run))) {
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
      : `${done.toLocaleString("en-US")} of ${count(inAll, unit)}`,
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
