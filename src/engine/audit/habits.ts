/** Owns whether the workflows use the cache at all: set up, read, pushed to, looked after. Pure. */

import { type AuditRequest, type Check, rule, type Trouble } from "./check.ts";
import {
  type AuditedJob,
  auditedJobs,
  callsOurs,
  inputOf,
  isCache,
  pushes,
  usesNix,
} from "./steps.ts";

export function habitChecks({ project }: AuditRequest): Check[] {
  const jobs = project ? auditedJobs(project) : [];
  return [
    ...rule("workflows", "NCP-630", "every job that needs Nix sets it up", jobs.flatMap(noNix)),
    ...rule("workflows", "NCP-628", "every job that builds uses a cache", jobs.flatMap(noCache)),
    ...rule("workflows", "NCP-629", "no cache step is obsolete", jobs.flatMap(obsolete)),
    ...rule("workflows", "NCP-627", "nothing uses nix-env", jobs.flatMap(nixEnv)),
    ...rule(
      "workflows",
      "NCP-631",
      "something pushes to the cache",
      nobody(jobs, pushing, {
        message: "no workflow pushes to a cache when the default branch changes",
        mend: "mode: warm, in a workflow on push or on a schedule",
      }),
    ),
    ...rule(
      "workflows",
      "NCP-632",
      "something looks after the cache",
      nobody(jobs, watching, {
        message:
          "no workflow looks at the cache on a schedule: what is collected is found out by building it",
        mend: "mode: audit, in a workflow with on: schedule",
      }),
    ),
  ];
}

const INSTALLS =
  /nixos\.org\/nix\/install|install\.determinate\.systems|nix-installer|apt(?:-get)?\s[^\n]*\bnix(?:-bin)?\b|install\.lix\.systems/;

function noNix(audited: AuditedJob): Trouble[] {
  const { job, steps } = audited;
  const needs = usesNix(audited) || steps.some(isCache);
  // A runner or an image of one's own may well have it.
  const hosted = /\b(?:ubuntu|macos)-/.test(job.runsOn) && job.container === "";
  if (!needs || !hosted) return [];
  const installed = steps.some(
    ({ step, known }) =>
      known?.role === "installer" ||
      (known?.role === "ours" && inputOf(step, "install-nix") === "true") ||
      INSTALLS.test(step.run) ||
      // Somebody else's action whose name says it.
      /(?:install|setup)[-_]?(?:nix|lix)|(?:nix|lix)[-_]?(?:install|setup|quick-install)/.test(
        step.uses?.name ?? "",
      ),
  );
  if (installed) return [];
  const mend = "- uses: cachix/install-nix-action, or install-nix: true on this action";
  return [{ message: `the job ${job.id} uses Nix and nothing sets it up`, mend, where: job.where }];
}

function noCache(audited: AuditedJob): Trouble[] {
  const { job, steps } = audited;
  if (!usesNix(audited) || steps.some(isCache)) return [];
  const reads = steps.some(({ step }) =>
    [...step.inputs.values()].some((value) => /substituters\s*=/.test(value)),
  );
  if (reads) return [];
  const message = `the job ${job.id} builds with Nix and uses no cache`;
  return [
    {
      status: "warn",
      message,
      mend: "put a step of this action before its builds",
      where: job.where,
    },
  ];
}

function obsolete({ steps }: AuditedJob): Trouble[] {
  const ours = steps.some(({ known }) => known?.role === "ours");
  return steps.flatMap((one): Trouble[] => {
    const { step, known } = one;
    const { where } = step;
    if (known?.role === "files" && /(?:^|\n)\s*~?\/nix(?:\/|\s|$)/.test(inputOf(step, "path"))) {
      const message = `${step.uses?.name} keeps /nix: its database and its files come back apart`;
      return [
        { status: "warn", message, mend: "take it out: a Nix cache keeps store paths", where },
      ];
    }
    if (ours && known?.role === "cache" && pushes(one)) {
      const message = `${step.uses?.name} pushes beside this action: what one job builds is sent twice`;
      const mend = known.off ? `take it out, or ${known.off[0]}: ${known.off[1]}` : "take it out";
      return [{ status: "warn", message, mend, where }];
    }
    return [];
  });
}

function nixEnv({ steps }: AuditedJob): Trouble[] {
  return steps
    .filter(({ step }) => /(?:^|[\s;&|(`])nix-env\b/m.test(step.run))
    .map(({ step }) => ({
      message:
        "nix-env installs from a channel: no lock names what it takes, and no cache is warmed for it",
      mend: "nix shell nixpkgs#NAME --command …, or a devShell of the flake",
      where: step.where,
    }));
}

function nobody(
  jobs: readonly AuditedJob[],
  does: (job: AuditedJob) => boolean,
  { message, mend }: { readonly message: string; readonly mend: string },
): Trouble[] {
  return jobs.length === 0 || jobs.some(does) ? [] : [{ status: "warn", message, mend }];
}

const DEFAULT_BRANCH = ["push", "schedule", "workflow_dispatch", "merge_group", "release"];

function pushing(audited: AuditedJob): boolean {
  const starts = DEFAULT_BRANCH.some((event) => audited.workflow.triggers.has(event));
  return starts && (callsOurs(audited) || audited.steps.some(pushes));
}

function watching(audited: AuditedJob): boolean {
  const ours = audited.steps.some(({ known }) => known?.role === "ours");
  return audited.workflow.triggers.has("schedule") && (ours || callsOurs(audited));
}
