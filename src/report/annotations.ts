/** Which findings become annotations: the most important ten of each level, the rest counted. Pure. */

import type { Finding, FindingKind } from "../domain/finding.ts";

/** GitHub shows ten per level and step, and drops the others without a word. */
const MOST = 10;
/** GitHub cuts a message at 4,096 characters. */
const LENGTH = 3_500;

export interface Annotation {
  readonly level: Finding["level"];
  readonly title: string;
  readonly message: string;
}

const TITLES: Readonly<Record<Finding["kind"], string>> = {
  disk: "Not enough disk space",
  eval: "A target does not evaluate",
  missing: "In no cache",
  heavy: "Heavy and in no cache",
  unverified: "Not verified",
  cache: "A cache",
  time: "Not enough time",
  twin: "Two derivations of one name",
  system: "Another system",
  push: "Not pushed",
  pin: "Not pinned",
  trust: "Read-only",
  audit: "Audit",
  notice: "Note",
};

export function annotations(findings: readonly Finding[]): Annotation[] {
  return (["error", "warning", "notice"] as const).flatMap((level) => {
    const all = byImportance(findings.filter((finding) => finding.level === level));
    const shown = all.length > MOST ? all.slice(0, MOST - 1) : all;
    const rest = all.length - shown.length;
    return [
      ...shown.map((finding) => ({
        level,
        title: `${finding.code ? `${finding.code} ` : ""}${TITLES[finding.kind]}`,
        message: `${finding.message}${finding.hint ? `\n${finding.hint}` : ""}`.slice(0, LENGTH),
      })),
      ...(rest > 0
        ? [
            {
              level,
              title: "And more",
              message: `${rest.toLocaleString("en-US")} more of this kind: see the job summary`,
            },
          ]
        : []),
    ];
  });
}

/** What ends a job, what will cost most, what did not arrive; then the rest. */
const ORDER: readonly FindingKind[] = [
  "disk",
  "eval",
  "heavy",
  "unverified",
  "push",
  "pin",
  "missing",
  "time",
  "twin",
  "cache",
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
