/** Whether the workflows use the cache well: set up, read, pushed to in time, looked after, and for what Nix builds. Pure. */

import type { Addresses } from "../../domain/location.ts";
import type { CacheConfiguration, ProjectFacts } from "../../domain/workflow.ts";
import { type Check, rule, type Trouble } from "./check.ts";
import { installsNix, nixUse, pushOf, readsCache, runsOwnScript } from "./commands.ts";
import { fillsSharedCache, warms } from "./events.ts";
import type { AuditedJob, Jobs } from "./jobs.ts";
import { isAlien, isOurWorkflow, looksLikeInstaller } from "./known-actions.ts";
import { configurationOf, settingsOfStep } from "./nix-settings.ts";
import { type AuditedStep, pushesNow, secretsOf, usesNix } from "./steps.ts";
import { workChecks } from "./work-checks.ts";

export interface Intent {
  /** Whether the audit itself names a cache that is written to. */
  readonly cache: "named" | "none";
  readonly addresses: Addresses;
}

export function habitChecks(jobs: Jobs, project: ProjectFacts, intent: Intent): Check[] {
  const { all } = jobs;
  const own = all.filter(({ start, runs }) => start.who === "us" && runs.is !== "no");
  const building = own.filter(usesNix);
  const some = (holds: string) => (building.length > 0 ? holds : undefined);
  const flake = project.configurations.find(({ where }) => where === "flake.nix");
  return [
    ...rule(
      "workflows",
      "NCP-630",
      some("every job that needs Nix sets it up"),
      building.flatMap(noNix),
    ),
    ...rule(
      "workflows",
      "NCP-628",
      some("every job that builds reads a cache"),
      building.flatMap((job) => noCache(job, flake)),
    ),
    ...rule("workflows", "NCP-629", undefined, own.flatMap(obsolete)),
    ...rule("workflows", "NCP-627", undefined, own.flatMap(nixEnv)),
    ...workChecks(own),
    ...pushing(jobs, intent),
  ];
}

function isCache({ known }: AuditedStep): boolean {
  return known?.role === "cache" || known?.role === "ours" || known?.role === "builder";
}

/** A runner of GitHub's, on which nothing but what the job sets up has Nix. */
function isHosted({ job, runners }: AuditedJob): boolean {
  return (
    job.container === "" &&
    runners.length > 0 &&
    runners.every((label) => /^(?:ubuntu|macos)-/.test(label))
  );
}

function noNix(job: AuditedJob): Trouble[] {
  if (!isHosted(job)) return [];
  const doubts: string[] = [];
  for (const step of job.steps) {
    if (step.runs.is === "no") continue;
    const { known, step: written } = step;
    const name = written.uses?.name;
    if (known?.role === "installer") return [];
    if (known?.role === "ours" && step.inputText("install-nix") === "true") return [];
    if (step.commands.some((command) => installsNix(command))) return [];
    if (name !== undefined && !known) {
      if (looksLikeInstaller(name)) return [];
      if (written.composite === "read" || isAlien(name)) continue;
      doubts.push(`whether ${name} installs it`);
    }
    const scripts = step.commands.find(runsOwnScript);
    const uses = step.commands.findIndex(
      (command) => nixUse(command) === "builds" || nixUse(command) === "evaluates",
    );
    if (scripts && uses < 0)
      doubts.push(`whether "${scripts.words.slice(0, 2).join(" ")}" installs it`);
    if (written.odd.length > 0) doubts.push(`what the key ${written.odd[0]} does`);
    if (uses >= 0) break;
  }
  const mend = "- uses: cachix/install-nix-action, or install-nix: true on this action";
  const message = `the job ${job.job.id} uses Nix and nothing that is known here sets it up`;
  const base = { kind: "no nix", mend, where: job.job.where };
  if (doubts.length === 0)
    return [{ ...base, message: `the job ${job.job.id} uses Nix and nothing sets it up` }];
  return [
    {
      ...base,
      status: "unknown",
      kind: "no nix?",
      message: `${message}; to be known: ${doubts.slice(0, 3).join("; ")}`,
    },
  ];
}

function noCache(job: AuditedJob, flake: CacheConfiguration | undefined): Trouble[] {
  // A machine of one's own keeps its store.
  if (!isHosted(job) && job.job.container === "") return [];
  if (
    !job.steps.some(
      (step) =>
        step.runs.is !== "no" && step.commands.some((command) => nixUse(command) === "builds"),
    )
  )
    return [];
  const doubts: string[] = [];
  for (const step of job.steps) {
    if (isCache(step) || step.commands.some((one) => pushOf(one) || readsCache(one))) return [];
    const settings = settingsOfStep(step);
    const said = configurationOf("", settings);
    if ((said?.substituters.length ?? 0) > 0) return [];
    // An address that stands in a variable.
    if (
      step.step.run.includes("substituters") ||
      [...step.step.inputs.values()].some((value) => value.includes("substituters"))
    )
      return [];
    if ((step.variable("NIX_CONFIG") ?? "").includes("substituters")) return [];
    if (said?.flakeConfig === "accepted" && (flake?.substituters.length ?? 0) > 0) return [];
    const { uses, run } = step.step;
    const name = uses?.name ?? "";
    if (uses && !step.known && !isAlien(name) && step.step.composite !== "read") doubts.push(name);
    if (run !== "" && secretsOf(step).length > 0 && step.commands.some(runsOwnScript)) {
      doubts.push("a script that is given a secret");
    }
    if (!step.known && /cache.*nix|nix.*cache|attic|cachix|niks3|hestia|celler/.test(name))
      return [];
  }
  const base = {
    where: job.job.where,
    mend: "have it read one: extra-substituters in extra_nix_config, or a step that sets up your cache before the builds",
  };
  const message = `the job ${job.job.id} builds with Nix and reads no cache but cache.nixos.org`;
  if (doubts.length === 0) return [{ ...base, status: "warn", kind: "no cache", message }];
  return [
    {
      ...base,
      status: "unknown",
      kind: "no cache?",
      message: `${message}, as far as is known here; to be known: what ${doubts.slice(0, 3).join(", ")} sets up`,
    },
  ];
}

function obsolete(job: AuditedJob): Trouble[] {
  const ours = job.steps.some(({ known }) => known?.role === "ours");
  return job.steps.flatMap((step): Trouble[] => {
    const { known, step: written } = step;
    const { where, uses } = written;
    if (known?.role === "files" && /(?:^|\n)\s*~?\/nix(?:\/|\s|$)/.test(step.inputText("path"))) {
      const message = `${uses?.name} keeps /nix: its database and its files come back apart`;
      return [
        { status: "warn", message, mend: "take it out: a Nix cache keeps store paths", where },
      ];
    }
    if (ours && known?.role === "cache" && pushesNow(step).is === "yes") {
      const message = `${uses?.name} pushes beside this action: what one job builds is sent twice`;
      const mend = known.off ? `take it out, or ${known.off[0]}: ${known.off[1]}` : "take it out";
      return [{ status: "warn", message, mend, where }];
    }
    return [];
  });
}

/** What it installs from a channel; a file or an address names what it takes. */
function nixEnv(job: AuditedJob): Trouble[] {
  return job.steps.flatMap((step) =>
    step.commands.flatMap(({ words }): Trouble[] => {
      if (words[0] !== "nix-env") return [];
      const installs = words.some((word) =>
        /^-[a-zA-Z]*i[a-zA-Z]*$|^--install$|^-[a-zA-Z]*u[a-zA-Z]*$|^--upgrade$/.test(word),
      );
      const at = words.findIndex((word) => /^-[a-zA-Z]*f$|^--file$/.test(word));
      const file = at < 0 ? "" : (words[at + 1] ?? "");
      if (
        !installs ||
        (file !== "" && !file.startsWith("<")) ||
        words.some((word) => word.startsWith("/nix/store/"))
      )
        return [];
      return [
        {
          message:
            "nix-env installs from a channel: no lock names what it takes, and no cache is warmed for it",
          mend: "nix shell nixpkgs#NAME --command …, or a devShell of the flake",
          where: step.step.where,
        },
      ];
    }),
  );
}

/** Whether a cache is filled when the default branch changes, and whether somebody looks after it. */
function pushing({ all }: Jobs, intent: Intent): Check[] {
  const answers = all
    .filter(({ start, runs }) => warms(start) && runs.is !== "no")
    .flatMap((job) =>
      job.steps.map((step) => ({ step, ...pushesNow(step) })).map((one) => ({ ...one, job })),
    );
  const useful = answers.filter(({ step, job }) => !isGitHubs(step) || fillsSharedCache(job.start));
  const called = all.some(
    ({ job, start }) => job.calls !== undefined && isOurWorkflow(job.calls.name) && warms(start),
  );
  const fills = called || useful.some(({ is, job }) => is === "yes" && job.runs.is !== "no");
  const open = unresolved(all);
  const maybe = useful.flatMap(({ is, why }) => (is === "unknown" ? why : []));
  const meant = intent.cache === "named" || all.some(wantsToPush);
  const base = { group: "workflows", code: "NCP-631" } as const;
  if (fills) {
    return [
      { ...base, status: "pass", message: "something pushes to the cache" },
      ...lookedAfter(all, intent),
    ];
  }
  if (open.length > 0 || maybe.length > 0) {
    const message = `whether something pushes to a cache is not known; to be known: ${[...open, ...maybe].slice(0, 3).join("; ")}`;
    return [{ ...base, status: "unknown", message }];
  }
  if (!meant) return [];
  const queue = answers.some(({ is, job }) => is === "yes" && job.start.event === "merge_group");
  return [
    {
      ...base,
      status: "warn",
      message: queue
        ? "only the merge queue writes to GitHub's cache: no branch reads what a queue's own branch saved"
        : "no workflow pushes to a cache when the default branch changes",
      mend: "push in a workflow on push or on a schedule; with this action, mode: warm",
    },
  ];
}

function isGitHubs(step: AuditedStep): boolean {
  return (
    step.known?.keeps === "github" ||
    (step.known?.role === "ours" && /^(?:github)?$/.test(step.inputText("cache")))
  );
}

/** It is given what one pushes with, or tries to. */
function wantsToPush(job: AuditedJob): boolean {
  return job.steps.some(
    (step) =>
      step.commands.some((command) => pushOf(command)) ||
      (step.known?.role !== "builder" &&
        (step.known?.secrets ?? []).some((name) => step.step.inputs.has(name))) ||
      (step.known?.pushes === "always" && pushesNow(step).is !== "no"),
  );
}

/** What is handed secrets and is not here to be read. */
function unresolved(all: readonly AuditedJob[]): string[] {
  return [
    ...new Set(
      all.flatMap((job) => {
        if (job.runs.is === "no") return [];
        const pushes = () => job.steps.some((step) => pushesNow(step).is !== "no");
        if (job.start.event === "workflow_call" && pushes())
          return [`what calls ${job.workflow.file}`];
        if (!warms(job.start)) return [];
        const { calls, secrets } = job.job;
        if (calls && calls.from === "elsewhere" && (secrets === "inherit" || secrets.size > 0))
          return [`what ${calls.name} does with the secrets`];
        if (!usesNix(job)) return [];
        return job.steps.flatMap((step) => {
          const name = step.step.uses?.name;
          if (secretsOf(step).length === 0) return [];
          if (name !== undefined && !step.known && !isAlien(name) && step.step.composite !== "read")
            return [`what ${name} does with its secret`];
          const scripts = step.commands.some(runsOwnScript);
          return scripts ? [`what the script at ${step.step.where} does with its secret`] : [];
        });
      }),
    ),
  ];
}

function watching(job: AuditedJob): boolean {
  if (job.start.event !== "schedule") return false;
  const ours = job.steps.some(({ known }) => known?.role === "ours");
  return ours || (job.job.calls !== undefined && isOurWorkflow(job.job.calls.name));
}

/** Said to whom it concerns: who uses this action, or has it look at a cache. */
function lookedAfter(all: readonly AuditedJob[], intent: Intent): Check[] {
  const uses = all.some(
    ({ steps, job }) =>
      steps.some(({ known }) => known?.role === "ours") ||
      (job.calls !== undefined && isOurWorkflow(job.calls.name)),
  );
  if (!uses && intent.cache === "none") return [];
  const message =
    "no workflow looks at the cache on a schedule: what is collected is found out by building it";
  const mend = "mode: audit, in a workflow with on: schedule";
  const troubles = all.some(watching) ? [] : [{ status: "warn" as const, message, mend }];
  return rule("workflows", "NCP-632", "something looks after the cache", troubles);
}
