/** What a check is: what an audit found of one thing, and the line that mends it. */

import type { ErrorCode } from "../../domain/errors.ts";
import type { Job } from "../../domain/job.ts";
import type { Addresses } from "../../domain/location.ts";
import type { VerifiedTarget } from "../../domain/verdict.ts";
import type { ProjectFacts } from "../../domain/workflow.ts";
import type { Survey } from "../survey.ts";

export type CheckGroup =
  | "closures"
  | "pins"
  | "quota"
  | "keys"
  | "caches"
  | "token"
  | "workflows"
  | "locks";

/** `unknown`: nobody answered. It is no pass, and no fault of the project (docs/adr/0002). */
export type CheckStatus = "pass" | "warn" | "fail" | "unknown";

export interface Check {
  readonly group: CheckGroup;
  /** Of the rule: the same whether it passes or fails. */
  readonly code: ErrorCode;
  readonly status: CheckStatus;
  /** One sentence: what is so. */
  readonly message: string;
  /** The line that mends it. */
  readonly mend?: string;
  /** `.github/workflows/ci.yml:12`. */
  readonly where?: string;
}

/** The bytes of a pin's closure in our own cache. */
export interface PinSize {
  readonly name: string;
  /** As stored, each path once. */
  readonly bytes: number;
  readonly paths: number;
}

export interface PinSizes {
  /** The largest first. */
  readonly pins: readonly PinSize[];
  /** What several share is counted once. */
  readonly bytes: number;
  /** Whether a path's answer was missing, so that there may be more. */
  readonly complete: "complete" | "at least";
}

export interface AuditRequest {
  readonly job: Job;
  readonly survey: Survey;
  readonly verified: readonly VerifiedTarget[];
  /** Undefined where the project cannot be looked at. */
  readonly project: ProjectFacts | undefined;
  /** Where Nix reads our cache. */
  readonly ownUrl: string | undefined;
  readonly addresses: Addresses;
  /** `none`: our cache has no such thing; `hidden`: it does not list them to us. */
  readonly pins: "listed" | "hidden" | "none";
  readonly sizes: PinSizes | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface Audit {
  readonly checks: readonly Check[];
  readonly sizes: PinSizes | undefined;
}

export type Trouble = Pick<Check, "message" | "mend" | "where"> & {
  readonly status?: Exclude<CheckStatus, "pass">;
};

/** A rule's troubles, `fail` unless they say otherwise; without any, that it holds. */
export function rule(
  group: CheckGroup,
  code: ErrorCode,
  holds: string,
  troubles: readonly Trouble[],
): Check[] {
  if (troubles.length === 0) return [{ group, code, status: "pass", message: holds }];
  // A workflow that others call is looked at in each of its callers, too.
  const once = new Map(troubles.map((trouble) => [`${trouble.where} ${trouble.message}`, trouble]));
  return [...once.values()].map((trouble) => ({
    group,
    code,
    ...trouble,
    status: trouble.status ?? "fail",
  }));
}
