/** The dangers that come with strangers: their code beside secrets, in privileged runs, and on machines that stay. Pure. */

import { type Check, rule, type Trouble } from "./check.ts";
import { pushOf } from "./commands.ts";
import { isPrivileged } from "./events.ts";
import type { AuditedJob, Jobs } from "./jobs.ts";
import { settingsOfStep } from "./nix-settings.ts";
import { type AuditedStep, pushesNow, secretsOf, usesNix } from "./steps.ts";
import { runsStrangers, type Taken, takesStrangers } from "./strangers.ts";
import { unique } from "./value.ts";

export function forkChecks({ all }: Jobs): Check[] {
  const found = all
    .filter(({ start, job }) => isPrivileged(start) && !job.calls)
    .flatMap(privileged);
  const asked = all.some(({ start }) => start.who === "stranger");
  const of = (code: string) => found.flatMap((one) => (one.code === code ? [one.trouble] : []));
  const doubtful = of("NCP-621").length + of("NCP-634").length > 0;
  return [
    ...rule(
      "workflows",
      "NCP-621",
      asked && !doubtful ? "no stranger's code meets a secret or a push" : undefined,
      of("NCP-621"),
    ),
    ...rule("workflows", "NCP-634", undefined, of("NCP-634")),
    ...rule("workflows", "NCP-635", undefined, selfHosted(all)),
  ];
}

/** What only those may do to a pull request who may write here. */
const MAINTAINERS = new Set(["labeled", "unlabeled", "assigned", "unassigned", "milestoned"]);

function byMaintainers({ event, trigger: { types } }: AuditedJob["start"]): boolean {
  return (
    event === "pull_request_target" &&
    types.length > 0 &&
    types.every((type) => MAINTAINERS.has(type))
  );
}

interface Danger {
  readonly code: "NCP-621" | "NCP-634";
  readonly trouble: Trouble;
}

const APART =
  "build it under pull_request, which has neither secrets nor rights, and let a second workflow take what it made";
/** What tells our own from a stranger's, where the event says it. */
function guard({ start }: AuditedJob): string {
  const own: Readonly<Record<string, string>> = {
    pull_request_target:
      "if: github.event.pull_request.head.repo.full_name == github.repository, or ",
    workflow_run:
      "if: github.event.workflow_run.head_repository.full_name == github.repository, or ",
  };
  return `${own[start.event] ?? ""}${APART}`;
}

function privileged(job: AuditedJob): Danger[] {
  const { runs, start, approvals } = job;
  if (runs.is === "no") return [];
  const taken = takesStrangers(job);
  const steps = job.steps.filter((step) => step.runs.is !== "no");
  if (taken?.is === "no") return [refused(job, taken)];
  const ran = steps.map((step) => ({ step, ...runsStrangers(step, taken) }));
  const first = ran.find(({ is }) => is === "yes") ?? ran.find(({ is }) => is === "unknown");
  const pushing = taken
    ? steps.filter((step) => pushesNow(step).is !== "no" && step.known?.role !== "ours")
    : [];
  if (!first && pushing.length === 0) return [];
  const from = first ? steps.indexOf(first.step) : steps.length;
  const holders = steps.filter(
    (step, at) => secretsOf(step).length > 0 && (at >= from || keeps(step)),
  );
  const danger = worst(job, first, pushing, holders);
  if (!danger) return [];
  const unseen = start.event === "workflow_run" && start.source === "";
  const open = [
    ...runs.why,
    ...(unseen ? ["which event starts the workflow that it follows"] : []),
    ...(byMaintainers(start) ? ["whether whoever sets the label has read that very commit"] : []),
    ...(taken?.is === "unknown" ? [taken.why] : []),
    ...(first?.step.runs.why ?? []),
    ...(first?.is === "unknown" && danger.code === "NCP-634"
      ? [`whether ${first.what} runs what it finds there`]
      : []),
    ...approvals.map((name) => `whether the environment ${name} asks somebody first`),
  ];
  if (
    open.length === 0 &&
    !(first?.is === "unknown" && pushing.length === 0 && holders.length === 0)
  )
    return [danger];
  const needed = unique(
    open.length > 0 ? open : [`whether ${first?.what} runs what it finds there`],
  );
  return [
    {
      ...danger,
      trouble: {
        ...danger.trouble,
        status: "unknown",
        kind: `${danger.trouble.kind} ${start.event} open`,
        message: `${danger.trouble.message}, unless something holds it back; to be known: ${needed.slice(0, 3).join("; ")}`,
      },
    },
  ];
}

function worst(
  job: AuditedJob,
  first: { readonly step: AuditedStep; readonly what: string } | undefined,
  pushing: readonly AuditedStep[],
  holders: readonly AuditedStep[],
): Danger | undefined {
  const { event } = job.start;
  const [pusher] = pushing;
  const more = settled(job);
  if (pusher) {
    const what =
      pusher.step.uses?.name ??
      pusher.commands.flatMap((one) => pushOf(one) ?? [])[0] ??
      "this step";
    const secrets = unique(pushing.flatMap(secretsOf));
    const given = secrets.length > 0 ? `, with ${secrets.join(", ")}` : "";
    const lets =
      pusher.known?.keeps === "github"
        ? `, which cache-mode: ${job.cacheMode} lets it do for every branch`
        : "";
    const message = `${what} pushes in a ${event} run that builds a stranger's code${given}${lets}${more}`;
    return {
      code: "NCP-621",
      trouble: {
        kind: "push",
        nature: "security",
        message,
        mend: guard(job),
        where: pusher.step.where,
      },
    };
  }
  if (!first) return undefined;
  const [holder] = holders;
  if (holder) {
    const secrets = unique(holders.flatMap(secretsOf));
    const same = holders.includes(first.step);
    const message = same
      ? `${first.what} runs a stranger's code in a ${event} run and is handed ${secrets.join(", ")}: that nothing is pushed is no comfort${more}`
      : `${first.what} runs a stranger's code in a ${event} run, in whose job ${holder.step.uses?.name ?? "another step"} is handed ${secrets.join(", ")}${more}`;
    return {
      code: "NCP-621",
      trouble: {
        kind: "secret",
        nature: "security",
        message,
        mend: guard(job),
        where: first.step.step.where,
      },
    };
  }
  const write = /^write/.test(job.cacheMode)
    ? `, and cache-mode: ${job.cacheMode} lets it write what every branch restores from GitHub's cache`
    : ": it has that run's rights, and the default branch's cache wherever GitHub does not refuse the write";
  const message = `${first.what} runs a stranger's code in a ${event} run${write}${more}`;
  return {
    code: "NCP-634",
    trouble: {
      kind: /^write/.test(job.cacheMode) ? "cache" : "run",
      nature: "security",
      message,
      mend: APART,
      where: first.step.step.where,
    },
  };
}

/** What the job's settings of Nix add to it. */
function settled(job: AuditedJob): string {
  const all = job.steps.map(settingsOfStep);
  const accepts = all.some((one) => one.get("accept-flake-config")?.at(-1) === "true");
  const builders =
    all.some((one) => one.get("builders")?.some((word) => word.includes("ssh"))) ||
    job.steps.some(({ known }) => known?.role === "builder");
  return `${accepts ? "; accept-flake-config lets his flake configure Nix" : ""}${builders ? "; remote builders build it, with the key that logs in there" : ""}`;
}

function refused(job: AuditedJob, { step, why }: Taken): Danger {
  return {
    code: "NCP-621",
    trouble: {
      status: "warn",
      kind: "refused",
      message: `${why} refuses a fork's code in a ${job.start.event} run: nothing is pushed, and the job fails for every fork`,
      mend: `${APART}; allow-unsafe-pr-checkout: true would hand it the job's secrets`,
      where: step.step.where,
    },
  };
}

/** Where a secret stays for what runs later: an action's end, a login, a file. */
function keeps(step: AuditedStep): boolean {
  return (
    step.step.uses !== undefined ||
    step.commands.some(
      ({ words, writesTo }) =>
        /^(?:login|authtoken|auth|ssh-add)$/.test(words[1] ?? words[0] ?? "") ||
        writesTo.length > 0,
    )
  );
}

/** Machines that are there after the job, for whoever opens a pull request. */
function selfHosted(all: readonly AuditedJob[]): Trouble[] {
  const kept = (job: AuditedJob) =>
    job.runners.some((label) => label.toLowerCase() === "self-hosted");
  if (!all.some((job) => kept(job) && usesNix(job))) return [];
  return all
    .filter(
      (job) =>
        job.start.who === "stranger" &&
        job.start.event.startsWith("pull_request") &&
        kept(job) &&
        job.runs.is !== "no",
    )
    .map((job): Trouble => {
      const { is, why } = job.runs;
      const open = [
        ...why,
        ...job.approvals.map((name) => `whether the environment ${name} asks somebody first`),
      ];
      const more = settled(job);
      const message = `the job ${job.job.id} runs whoever's pull request on a machine of your own: what it leaves in the store, the next push takes${more}`;
      const mend =
        "run pull requests on GitHub's machines, or on one that is thrown away after each job; demand an approval for all outside contributors";
      return {
        status: is === "unknown" || open.length > 0 ? "unknown" : "warn",
        kind: `self-hosted${more}`,
        message: open.length > 0 ? `${message}; to be known: ${open.join("; ")}` : message,
        mend,
        where: job.job.where,
      };
    });
}
