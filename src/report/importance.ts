/** Owns which finding is told first. Pure. */

import type { Finding, FindingKind } from "../domain/finding.ts";

/** What ends a job, what will cost most, what did not arrive; then the rest. */
const ORDER: readonly FindingKind[] = [
  "disk",
  "eval",
  "heavy",
  "unverified",
  "push",
  "pin",
  "missing",
  "twin",
  "tier",
  "system",
  "trust",
  "notice",
];
const LEVELS: readonly Finding["level"][] = ["error", "warning", "notice"];

/** Errors before warnings before notices; within them by kind, else as they were found. */
export function byImportance(findings: readonly Finding[]): Finding[] {
  const rank = ({ kind }: Finding) => {
    const at = ORDER.indexOf(kind);
    return at < 0 ? ORDER.length : at;
  };
  return [...findings].sort(
    (a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level) || rank(a) - rank(b),
  );
}
