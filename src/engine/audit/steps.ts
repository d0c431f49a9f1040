/** The view of workflow files that the rules share: which steps install, cache, push and use Nix. Pure. */

import {
  type ProjectFacts,
  resolved,
  secretsIn,
  type Workflow,
  type WorkflowJob,
  type WorkflowStep,
} from "../../domain/workflow.ts";
import { isOurWorkflow, type KnownAction, knownAction } from "./known-actions.ts";

export interface AuditedStep {
  readonly workflow: Workflow;
  readonly job: WorkflowJob;
  readonly step: WorkflowStep;
  readonly known: KnownAction | undefined;
}

export interface AuditedJob {
  readonly workflow: Workflow;
  readonly job: WorkflowJob;
  readonly steps: readonly AuditedStep[];
}

export function auditedJobs({ workflows }: ProjectFacts): AuditedJob[] {
  const files = workflows.flatMap((file) => (file.kind === "workflow" ? [file.workflow] : []));
  const byFile = new Map(files.map((workflow) => [`./${workflow.file}`, workflow]));
  return files.flatMap((workflow) =>
    workflow.jobs.flatMap((job) => {
      // What calls a workflow of this repository is that one's jobs, on the caller's events.
      const called = job.calls && byFile.get(job.calls.name);
      return [
        jobOf(workflow, job),
        ...(called?.jobs ?? []).map((inner) =>
          jobOf(workflow, {
            ...inner,
            condition: [job.condition, inner.condition].filter((one) => one !== "").join(" && "),
          }),
        ),
      ];
    }),
  );
}

function jobOf(workflow: Workflow, job: WorkflowJob): AuditedJob {
  const steps = job.steps.map((step): AuditedStep => {
    const known = step.uses && knownAction(step.uses.name);
    return { workflow, job, step, known };
  });
  return { workflow, job, steps };
}

/** The input as written, `${{ env.X }}` put in. */
export function inputOf(step: WorkflowStep, name: string): string {
  return resolved(step, step.inputs.get(name) ?? "").trim();
}

export function isCache({ known }: AuditedStep): boolean {
  return known?.role === "cache" || known?.role === "ours";
}

/** Whether it would push, were the secrets there. */
export function pushes({ step, known }: AuditedStep): boolean {
  if (pushCommand(step.run)) return true;
  if (!known || known.role === "installer" || known.role === "files") return false;
  if (known.off && inputOf(step, known.off[0]).toLowerCase() === known.off[1]) return false;
  if (known.role === "ours") {
    const mode = inputOf(step, "mode") || "prefetch";
    return (mode === "warm" || mode === "prefetch") && inputOf(step, "trust") !== "read-only";
  }
  return (
    known.pushes === "always" ||
    (known.pushes !== undefined && secretInputs(step, known).length > 0)
  );
}

export function secretInputs(step: WorkflowStep, known: KnownAction): string[] {
  return (known.secrets ?? []).filter((name) => inputOf(step, name) !== "");
}

/** `cachix push`, `attic push`, `nix copy --to`: what writes to a cache from a script. */
export function pushCommand(run: string): string | undefined {
  return /\b(?:cachix\s+(?:push|watch-exec|watch-store|pin)|attic\s+push|niks3\s+push|nix\s+copy\s[^\n]*--to)\b/.exec(
    run,
  )?.[0];
}

const NIX_COMMAND =
  /(?:^|[\s;&|(`"'])(?:nix\s+(?:--\S+\s+)*(?:build|develop|run|shell|flake|eval|profile|print-dev-env)|nix-(?:build|shell|instantiate|fast-build)|nixos-rebuild|darwin-rebuild|home-manager)\b/m;

/** Whether a script of the job's builds with Nix. */
export function usesNix({ job }: AuditedJob): boolean {
  return job.steps.some(({ run }) => NIX_COMMAND.test(run));
}

export function callsOurs({ job }: AuditedJob): boolean {
  return job.calls !== undefined && isOurWorkflow(job.calls.name);
}

/** Secrets that the step can read: its inputs, its script, and every variable that it sees. */
export function stepSecrets(step: WorkflowStep): string[] {
  const texts = [...step.inputs.values(), ...step.environment.values(), step.run];
  return [...new Set(texts.flatMap(secretsIn))];
}
