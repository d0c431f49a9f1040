/** The audit: every group of checks over what was seen. Pure but for the sizes of pins. */

import { can } from "../../domain/cache.ts";
import { describeError } from "../../domain/errors.ts";
import type { Finding } from "../../domain/finding.ts";
import type { Job } from "../../domain/job.ts";
import type { Addresses } from "../../domain/location.ts";
import type { World } from "../../domain/ports.ts";
import { count } from "../../domain/size.ts";
import type { VerifiedTarget } from "../../domain/verdict.ts";
import type { ProjectFacts } from "../../domain/workflow.ts";
import type { Survey } from "../survey.ts";
import { actionChecks } from "./action-checks.ts";
import { cacheChecks, configurationChecks, tokenChecks } from "./cache-checks.ts";
import {
  type Audit,
  type AuditKind,
  type AuditRequest,
  type Check,
  kindsOf,
  rule,
  type Trouble,
} from "./check.ts";
import { forkChecks } from "./fork-checks.ts";
import { habitChecks, type Intent } from "./habit-checks.ts";
import { auditedJobs, type Jobs } from "./jobs.ts";
import { keyChecks, placeholderChecks } from "./key-checks.ts";
import { workflowConfigurations } from "./nix-settings.ts";
import { closureChecks, pinChecks, quotaChecks } from "./pin-checks.ts";
import { measurePins } from "./pin-sizes.ts";
import { secretChecks } from "./token-checks.ts";

/** Paths of the store that are named. */
const LARGEST = 10;

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
  const store = await world.project?.largestPaths?.(LARGEST, signal).catch((error) => {
    signal.throwIfAborted();
    world.log.debug(`what takes the store's space could not be asked: ${describeError(error)}`);
    return undefined;
  });
  return { checks: checksOf(request), sizes, ...(store ? { store } : {}) };
}

export function checksOf(asked: AuditRequest): Check[] {
  const request = {
    ...asked,
    project: asked.project && withWorkflows(asked.project, asked.addresses),
  };
  return [
    ...closureChecks(request),
    ...pinChecks(request),
    ...quotaChecks(request),
    ...keyChecks(request),
    ...cacheChecks(request),
    ...tokenChecks(request),
    ...projectChecks(request.project, {
      cache: request.job.cache === undefined ? "none" : "named",
      addresses: request.addresses,
    }),
  ];
}

function projectChecks(project: ProjectFacts | undefined, intent: Intent): Check[] {
  return project ? [...workflowChecks(project, intent), ...lockChecks(project)] : [];
}

/** What the project's files alone can tell: no cache is asked, and nothing is evaluated. */
export function fileChecks(files: ProjectFacts, addresses: Addresses): Check[] {
  const project = withWorkflows(files, addresses);
  return [
    ...placeholderChecks(project),
    ...configurationChecks(project, { input: [], refused: [], addresses }),
    ...projectChecks(project, { cache: "none", addresses }),
  ];
}

/** The project with what its workflows say to Nix beside what Nix and the flake say. */
function withWorkflows(project: ProjectFacts, addresses: Addresses): ProjectFacts {
  const found = workflowConfigurations(auditedJobs(project, addresses).all);
  return { ...project, configurations: [...project.configurations, ...found] };
}

function workflowChecks(project: ProjectFacts, intent: Intent): Check[] {
  const { workflows } = project;
  const unreadable = workflows.flatMap((file): Check[] => {
    if (file.kind === "workflow") return [];
    const message = `${file.file} cannot be read: ${file.why}`;
    const mend =
      "correct its YAML, or divide it: a file that is too large for this is hard to read for people, too";
    return [{ group: "workflows", code: "NCP-620", status: "warn", message, mend }];
  });
  const base = {
    group: "workflows" as const,
    code: "NCP-600" as const,
    status: "unknown" as const,
  };
  if (workflows.length === unreadable.length) {
    return [
      ...unreadable,
      { ...base, message: "there is no workflow file here that could be looked at" },
    ];
  }
  const jobs = auditedJobs(project, intent.addresses);
  const doubts = rule("workflows", "NCP-600", undefined, doubtsOf(jobs));
  const found = [
    ...forkChecks(jobs),
    ...secretChecks(jobs, intent.addresses),
    ...actionChecks(jobs),
    ...habitChecks(jobs, project, intent),
  ];
  // What was not understood may hold just what a rule looks for: it does not pass then.
  const shown = doubts.length === 0 ? found : found.filter(({ status }) => status !== "pass");
  return [...unreadable, ...doubts, ...shown];
}

/** What is not judged, and why. */
function doubtsOf({ all, left }: Jobs): Trouble[] {
  const odd = all.flatMap(({ steps }) =>
    steps.flatMap(({ step }) =>
      step.odd.map((key): Trouble => {
        const message = `what the key "${key}" of this step does is not known here`;
        return { status: "unknown", kind: "odd", message, where: step.where };
      }),
    ),
  );
  if (left === 0) return odd;
  return [
    ...odd,
    { status: "unknown", message: `${left} jobs are not judged: there are too many` },
  ];
}

function lockChecks({ locks }: ProjectFacts): Check[] {
  const known = locks.filter(({ state }) => state !== "unknown");
  const open: Check[] =
    known.length < locks.length
      ? [
          {
            group: "locks",
            code: "NCP-600",
            status: "unknown",
            message: `whether ${locks.flatMap(({ name, state }) => (state === "unknown" ? [name] : [])).join(", ")} is committed, or needed, cannot be told from here`,
          },
        ]
      : [];
  const troubles = known.flatMap(({ name, state }): Trouble[] => {
    if (state === "missing") {
      const make = name === "flake.lock" ? "nix flake lock" : "cargo generate-lockfile";
      return [{ message: `there is no ${name}`, mend: `${make} && git add ${name}` }];
    }
    if (state === "committed") return [];
    const message = `${name} is not committed: it is another one on every machine`;
    return [{ message, mend: `git add --force ${name} && git commit` }];
  });
  const names = known.map(({ name }) => name).join(", ");
  return [
    ...open,
    ...rule("locks", "NCP-633", names === "" ? undefined : `committed: ${names}`, troubles),
  ];
}

/**
 * What is not well, a finding for each kind; what verification told already is not told again. What lets
 * somebody in fails the step unless nothing shall.
 */
export function auditFindings(job: Job, { checks }: Audit): Finding[] {
  return kindsOf(checks)
    .filter(({ status, group }) => !(status === "fail" && group === "closures"))
    .map((kind): Finding => {
      const { code, title, mend, places } = kind;
      const [first, ...more] = places;
      const at = first?.where === undefined ? "" : `${first.where}: `;
      const place = placeOf(first?.where);
      const also = more.length === 0 ? "" : ` (and ${count(more.length, "more place")})`;
      return {
        kind: "audit",
        level: levelOf(job, kind),
        code,
        title,
        cause: `audit ${code} ${title}`,
        message: `${at}${first?.message ?? title}${also}`,
        ...(mend === undefined ? {} : { hint: mend }),
        ...(place ? { place } : {}),
      };
    });
}

function levelOf(job: Job, { status, nature }: AuditKind): Finding["level"] {
  if (status === "unknown") return "notice";
  const fails = job.failOn.includes("audit") || (nature === "security" && job.failOn.length > 0);
  return status === "fail" && fails ? "error" : "warning";
}

/** `.github/workflows/ci.yml:12` as file and line. */
export function placeOf(where: string | undefined): Finding["place"] {
  const [, file, line] = /^([^:\s]+):(\d+)$/.exec(where ?? "") ?? [];
  return file === undefined ? undefined : { file, line: Number(line) };
}
