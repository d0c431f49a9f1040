/** The audit: every group of checks over what was seen. Pure but for the sizes of pins. */

import { can } from "../../domain/cache.ts";
import type { Finding } from "../../domain/finding.ts";
import type { Job } from "../../domain/job.ts";
import type { World } from "../../domain/ports.ts";
import type { VerifiedTarget } from "../../domain/verdict.ts";
import type { Survey } from "../survey.ts";
import { cacheChecks } from "./cache-checks.ts";
import type { Audit, AuditRequest, Check } from "./check.ts";
import { keyChecks } from "./key-checks.ts";
import { closureChecks, measurePins, pinChecks, quotaChecks } from "./pin-checks.ts";
import { secretChecks, tokenChecks } from "./token-checks.ts";
import { actionChecks, forkChecks, habitChecks, lockChecks } from "./workflow-checks.ts";

export async function audit(
  job: Job,
  survey: Survey,
  verified: readonly VerifiedTarget[],
  world: World,
  signal: AbortSignal,
): Promise<Audit> {
  const keyFiles = survey.keyFiles.flatMap(({ name, hash }) => (hash === undefined ? [] : [name]));
  const project = await world.project?.look(keyFiles, signal);
  const pins = survey.pins;
  const sizes = pins && pins.length > 0 ? await measurePins(survey.lookup, pins) : undefined;
  const listed = can(world.own, "pins");
  const request: AuditRequest = {
    job,
    survey,
    verified,
    project,
    pins: !listed ? "none" : pins ? "listed" : "hidden",
    ownUrl: world.own?.substituter.url,
    addresses: world.addresses,
    sizes,
    now: world.clock.now(),
  };
  return { checks: checksOf(request), sizes };
}

export function checksOf(request: AuditRequest): Check[] {
  return [
    ...closureChecks(request),
    ...pinChecks(request),
    ...quotaChecks(request),
    ...keyChecks(request),
    ...cacheChecks(request),
    ...tokenChecks(request),
    ...workflowChecks(request),
    ...lockChecks(request),
  ];
}

function workflowChecks(request: AuditRequest): Check[] {
  const workflows = request.project?.workflows ?? [];
  const unreadable = workflows.flatMap((file): Check[] => {
    if (file.kind === "workflow") return [];
    const message = `${file.file} cannot be read: ${file.why}`;
    return [
      {
        group: "workflows",
        code: "NCP-620",
        status: "warn",
        message,
        mend: "GitHub does not run it either: mend its YAML",
      },
    ];
  });
  if (workflows.length === unreadable.length) {
    const message = "there is no workflow file here that could be looked at";
    return [...unreadable, { group: "workflows", code: "NCP-600", status: "unknown", message }];
  }
  return [
    ...unreadable,
    ...forkChecks(request),
    ...secretChecks(request),
    ...actionChecks(request),
    ...habitChecks(request),
  ];
}

/** What is not well, as findings; what verification told already is not told again. */
export function auditFindings(job: Job, { checks }: Audit): Finding[] {
  const failed = job.failOn.includes("audit") ? ("error" as const) : ("warning" as const);
  return checks
    .filter(
      ({ status, group }) => status !== "pass" && !(status === "fail" && group === "closures"),
    )
    .map(({ status, code, message, mend, where }) => ({
      kind: "audit" as const,
      level:
        status === "fail" ? failed : status === "warn" ? ("warning" as const) : ("notice" as const),
      code,
      message: where === undefined ? message : `${where}: ${message}`,
      ...(mend === undefined ? {} : { hint: mend }),
    }));
}
