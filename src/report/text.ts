/** Owns the report as lines of a log or a terminal. Pure. */

import { formatBytes } from "../domain/size.ts";
import type { Run } from "../engine/run.ts";
import { auditLines } from "./audit.ts";
import { allFindings } from "./json.ts";
import { plainLine } from "./plain.ts";
import { headline, recalledWords, verdictWords } from "./words.ts";

export function textReport(run: Run): string[] {
  const { survey, plan } = run;
  const lines = [headline(run), ""];
  for (const target of survey.targets) {
    const here = target.local === "here" ? " [here]" : "";
    lines.push(`  ${target.name}${here}: ${verdictWords(survey, target.verdict)}`);
  }
  if (survey.targets.length > 0) lines.push("");
  for (const { fileSystem, needs, bytesAfter } of plan.room.fileSystems) {
    const uses = needs.map(({ what, bytes }) => `${what} ${formatBytes(bytes)}`).join(", ");
    lines.push(
      `  ${fileSystem.mountPoint}: ${formatBytes(fileSystem.freeBytes)} free, ${formatBytes(bytesAfter)} after (${uses})`,
    );
  }
  for (const { name, state, count } of survey.tiers) {
    const reach = state.kind === "reachable" ? `${count.hits} of ${count.asked} paths` : "left out";
    lines.push(`  ${name}: ${reach}`);
  }
  lines.push(`  key: ${survey.key.key}`);
  lines.push(...auditLines(run.outcome.audit));
  if (survey.recalled !== undefined) lines.push(`  ${recalledWords(survey.recalled)}`);
  return lines.flatMap((line) => line.split("\n")).map(plainLine);
}

/** Findings as lines, where there are no annotations to show them. */
export function findingLines(run: Run): string[] {
  const lines: string[] = [];
  for (const { level, kind, code, message, hint } of allFindings(run)) {
    // The report has the audit's checks already, with those that pass.
    if (kind === "audit") continue;
    lines.push(`${level}${code ? ` ${code}` : ""}: ${message}`);
    if (hint) lines.push(`  → ${hint}`);
  }
  return lines.flatMap((line) => line.split("\n")).map(plainLine);
}
