/** Owns which findings become annotations: the most important ten of each level, the rest counted. Pure. */

import type { Finding } from "../domain/finding.ts";
import { byImportance } from "./importance.ts";

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
  disk: "Not enough room",
  eval: "A target does not evaluate",
  missing: "In no cache",
  heavy: "Heavy and in no cache",
  unverified: "Not verified",
  tier: "A cache",
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
