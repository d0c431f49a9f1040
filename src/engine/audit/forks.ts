/** Owns fork protection: what a stranger wrote must not reach the cache. Pure. */

import { type AuditRequest, type Check, rule, type Trouble } from "./check.ts";
import {
  type AuditedJob,
  type AuditedStep,
  auditedJobs,
  inputOf,
  pushCommand,
  pushes,
  stepSecrets,
} from "./steps.ts";

/** Events that run with the project's secrets on anybody's say. */
const PRIVILEGED = ["pull_request_target", "workflow_run", "issue_comment"];

/** Conditions that tell our own branches from a fork's. */
const GUARD =
  /head\.repo\.(?:full_name|fork|id)|head_repository\.(?:full_name|fork|id)|head\.user\.login|author_association/;

export function forkChecks({ project }: AuditRequest): Check[] {
  const troubles = project ? auditedJobs(project).flatMap(jobTroubles) : [];
  return rule("workflows", "NCP-621", "no workflow pushes what a stranger wrote", troubles);
}

function jobTroubles(job: AuditedJob): Trouble[] {
  const { workflow } = job;
  const event = PRIVILEGED.find((one) => workflow.triggers.has(one));
  if (event === undefined || GUARD.test(job.job.condition)) return [];
  if (!job.steps.some(takesForeignCode)) return [];
  return job.steps.flatMap((step): Trouble[] => {
    const { where, condition } = step.step;
    // Ours looks at the event itself, and lets nothing out of a fork's run (docs/adr/0005).
    if (step.known?.role === "ours" || !pushes(step) || GUARD.test(condition) || skips(step)) {
      return [];
    }
    const secrets = stepSecrets(step.step);
    if (secrets.length === 0 && !pushCommand(step.step.run) && step.known?.pushes !== "always") {
      return [];
    }
    const what = step.step.uses?.name ?? pushCommand(step.step.run) ?? "this step";
    return [
      {
        message: `${what} pushes in a ${event} run that builds a stranger's code${secrets.length > 0 ? `, with ${secrets.join(", ")}` : ""}`,
        mend: "if: github.event.pull_request.head.repo.full_name == github.repository",
        where,
      },
    ];
  });
}

function skips({ step, known }: AuditedStep): boolean {
  return known?.off !== undefined && GUARD.test(inputOf(step, known.off[0]));
}

/** A checkout of the pull request's head, by whichever expression; or by hand. */
function takesForeignCode({ step }: AuditedStep): boolean {
  if (step.uses?.name === "actions/checkout") {
    const from = `${inputOf(step, "ref")} ${inputOf(step, "repository")}`;
    return /head|refs\/pull|pull_request|merge_commit_sha|github\.event\.number/.test(from);
  }
  return /gh\s+pr\s+checkout|refs\/pull\/|git\s+fetch[^\n]*pull\//.test(step.run);
}
