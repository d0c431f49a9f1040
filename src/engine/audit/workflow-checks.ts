/** Checks whether the workflows use the cache at all: set up, read, pushed to, looked after. Pure. */

import { didYouMean } from "../../domain/suggest.ts";
import type { ActionUse } from "../../domain/workflow.ts";
import { type AuditRequest, type Check, rule, type Trouble } from "./check.ts";
import {
  type AuditedJob,
  type AuditedStep,
  auditedJobs,
  callsOurs,
  inputOf,
  isCache,
  pushCommand,
  pushes,
  stepSecrets,
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

export function lockChecks({ project }: AuditRequest): Check[] {
  const locks = project?.locks ?? [];
  if (locks.some(({ state }) => state === "unknown")) {
    const message = "there is no git here to say whether the lock files are committed";
    return [{ group: "locks", code: "NCP-600", status: "unknown", message }];
  }
  const troubles = locks.flatMap(({ name, state }): Trouble[] => {
    if (state === "missing") {
      const make = name === "flake.lock" ? "nix flake lock" : "cargo generate-lockfile";
      return [{ message: `there is no ${name}`, mend: `${make} && git add ${name}` }];
    }
    if (state === "committed") return [];
    const message = `${name} is not committed: it is another one on every machine`;
    return [{ message, mend: `git add --force ${name} && git commit` }];
  });
  const names = locks.map(({ name }) => name).join(", ");
  return rule(
    "locks",
    "NCP-633",
    names === "" ? "nothing here has a lock file" : `committed: ${names}`,
    troubles,
  );
}

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

export function actionChecks({ project }: AuditRequest): Check[] {
  const jobs = project ? auditedJobs(project) : [];
  const steps = jobs.flatMap((job) => job.steps);
  return [
    ...rule("workflows", "NCP-623", "no action is of a retired version", steps.flatMap(retired)),
    ...rule("workflows", "NCP-624", "every action is pinned", [
      ...steps.flatMap(unpinned),
      ...jobs.flatMap(unpinnedCall),
    ]),
    ...rule("workflows", "NCP-625", "every input is one of its action", steps.flatMap(foreign)),
  ];
}

/** Last versions of GitHub's own that still spoke to the cache service that is gone. */
const FILES_RETIRED = /^v?(?:[12](?:\.|$)|3\.[0-3]\.|4\.[01]\.)/;

function retired({ step, known }: AuditedStep): Trouble[] {
  const { uses } = step;
  const version = uses?.version;
  if (!uses || version === undefined || known?.since === undefined) return [];
  const major = Number(/\d+/.exec(version)?.[0]);
  const isOld = known.role === "files" ? FILES_RETIRED.test(version) : major < Number(known.since);
  if (!isOld) return [];
  const message = `${uses.name} ${version} speaks to a cache service that GitHub has ended`;
  return [
    { message, mend: "take its newest version, or this action's cache: github", where: step.where },
  ];
}

function unpinned({ step }: AuditedStep): Trouble[] {
  return step.uses ? pinTroubles(step.uses, step.where, stepSecrets(step)) : [];
}

function unpinnedCall({ job }: AuditedJob): Trouble[] {
  return job.calls ? pinTroubles(job.calls, job.where, []) : [];
}

/** A tag can be moved, too; where a secret goes along that is worth a word. */
function pinTroubles(uses: ActionUse, where: string, secrets: readonly string[]): Trouble[] {
  if (uses.pinned === "commit") return [];
  if (uses.pinned === "tag") {
    if (secrets.length === 0 || uses.name.startsWith("actions/")) return [];
    const message = `${uses.name}@${uses.ref} can be moved, and is given secrets.${secrets[0]}`;
    return [
      { status: "warn", message, mend: "write the commit, with its version as a comment", where },
    ];
  }
  const at = uses.ref === undefined ? "without a version" : `at the branch ${uses.ref}`;
  const message = `${uses.name} is used ${at}: it is another program every day`;
  return [{ message, mend: `write ${uses.name}@ and a commit or a version`, where }];
}

function foreign({ step, known }: AuditedStep): Trouble[] {
  const legal = known?.inputs;
  if (!legal) return [];
  return [...step.inputs.keys()]
    .filter((name) => !legal.includes(name))
    .map((name) => ({
      message: `${step.uses?.name} has no input "${name}": it is ignored in silence.${didYouMean(name, legal)}`,
      mend: known.off
        ? `inputs are ${legal.join(", ")}; ${known.off[0]}: ${known.off[1]} is what stops a push`
        : `inputs are ${legal.join(", ")}`,
      where: step.where,
    }));
}
