/** Findings: what a run has to tell, how loud, and under which name `fail-on` knows it. */

import type { ErrorCode } from "./errors.ts";
import type { FailOn } from "./job.ts";

export type FindingKind =
  | FailOn
  | "cache"
  | "time"
  | "twin"
  | "system"
  | "push"
  | "pin"
  | "trust"
  | "notice";

export interface Finding {
  readonly kind: FindingKind;
  /** `error`: the step fails; `warning`: somebody should look; `notice`: for the log and the report alone. */
  readonly level: "error" | "warning" | "notice";
  readonly code?: ErrorCode;
  /** As a headline says it: few words, no full stop. */
  readonly title?: string;
  /** One sentence: what is so; in the lines below it what Nix, a builder or a server said. */
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
  /** The same for all that one thing caused: a server and its status, a file and a line, a disk. */
  readonly cause?: string;
  /** The targets or store paths that it befell. */
  readonly names?: readonly string[];
  /** In the repository, where it is written. */
  readonly place?: { readonly file: string; readonly line: number };
}

const LEVELS: readonly Finding["level"][] = ["error", "warning", "notice"];

/** What ends a job, what will cost most, what did not arrive; then the rest. */
const ORDER: readonly FindingKind[] = [
  "eval",
  "disk",
  "push",
  "unverified",
  "pin",
  "heavy",
  "missing",
  "time",
  "cache",
  "twin",
  "system",
  "trust",
  "audit",
  "notice",
];

/** Errors before warnings before notices; within them by kind, else as they were found. */
export function byImportance(findings: readonly Finding[]): Finding[] {
  return [...findings].sort(
    (a, b) =>
      LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level) ||
      ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind),
  );
}

/** One finding for each cause, as loud as the loudest of them; what has no cause stands for itself. */
export function byCause(findings: readonly Finding[]): Finding[] {
  const found = new Map<string, Finding>();
  for (const finding of findings) {
    const key = finding.cause ?? JSON.stringify([finding.kind, finding.level, finding.message]);
    const before = found.get(key);
    found.set(key, before ? joined(before, finding) : finding);
  }
  return [...found.values()];
}

function joined(a: Finding, b: Finding): Finding {
  const [first, second] = byImportance([a, b]);
  const names = [...new Set([...(a.names ?? []), ...(b.names ?? [])])];
  return { ...(first ?? a), ...(names.length > 0 ? { names } : {}), ...code(first, second) };
}

function code(first: Finding | undefined, second: Finding | undefined): Pick<Finding, "code"> {
  const known = first?.code ?? second?.code;
  return known === undefined ? {} : { code: known };
}

/** The text without what differs from path to path, hashes and numbers: equal for one cause. */
export function likeOf(text: string): string {
  return text.replace(/[0-9a-z]{32,}[-.\w]*/g, "#").replace(/[0-9a-f]*\d[0-9a-f]*/g, "#");
}
