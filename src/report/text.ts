/** Owns the report as lines of a log or a terminal. Pure. */

import type { Run } from "../engine/run.ts";
import { allFindings } from "./json.ts";
import { plainLine } from "./plain.ts";
import { roomLines } from "./room.ts";
import { headline, recalledWords, verdictWords } from "./words.ts";

export function textReport(run: Run): string[] {
  const { survey, plan } = run;
  const lines = [headline(run), ""];
  for (const target of survey.targets) {
    const here = target.local === "here" ? " [here]" : "";
    lines.push(`  ${target.name}${here}: ${verdictWords(survey, target.verdict)}`);
  }
  if (survey.targets.length > 0) lines.push("");
  lines.push(...roomLines(plan.room));
  for (const { name, state, count } of survey.tiers) {
    const reach = state.kind === "reachable" ? `${count.hits} of ${count.asked} paths` : "left out";
    lines.push(`  ${name}: ${reach}`);
  }
  lines.push(`  key: ${survey.key.key}`);
  if (survey.recalled !== undefined) lines.push(`  ${recalledWords(survey.recalled)}`);
  return lines.flatMap((line) => line.split("\n")).map(plainLine);
}

/** Findings as lines, where there are no annotations to show them. */
export function findingLines(run: Run): string[] {
  const lines: string[] = [];
  for (const { level, code, message, hint } of allFindings(run)) {
    lines.push(`${level}${code ? ` ${code}` : ""}: ${message}`);
    if (hint) lines.push(`  → ${hint}`);
  }
  return lines.flatMap((line) => line.split("\n")).map(plainLine);
}
