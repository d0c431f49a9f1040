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
  readonly level: "error" | "warning" | "notice";
  readonly code?: ErrorCode;
  /** One sentence: what is so. */
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
}
