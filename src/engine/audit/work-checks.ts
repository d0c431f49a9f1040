/** Work that does not reach a cache: done outside Nix, before the cache is there, or pushed with its failure unseen. Pure. */

import { type Check, rule, type Trouble } from "./check.ts";
import { nixUse, pushOf } from "./commands.ts";
import type { AuditedJob } from "./jobs.ts";
import { type AuditedStep, pushesNow } from "./steps.ts";

export function workChecks(jobs: readonly AuditedJob[]): Check[] {
  return [
    ...rule("workflows", "NCP-636", undefined, jobs.flatMap(unseen)),
    ...rule("workflows", "NCP-637", undefined, jobs.flatMap(late)),
    ...rule("workflows", "NCP-638", undefined, jobs.flatMap(outside)),
  ];
}

/** A push that may fail without a word. */
function unseen(job: AuditedJob): Trouble[] {
  return job.steps.flatMap((step): Trouble[] => {
    const { where, continueOnError } = step.step;
    const base = { status: "warn" as const, kind: "unseen", where };
    const swallowed = step.commands.find(
      (command) => pushOf(command) && command.failure === "swallowed",
    );
    if (swallowed) {
      const message = `"${pushOf(swallowed)} … || …" hides that a push failed: the next run builds it all again, and nobody knows why`;
      return [
        {
          ...base,
          message,
          mend: "take the || away; with this action, on-push-failure: warn says it and does not fail",
        },
      ];
    }
    const pushes =
      step.commands.some((command) => pushOf(command)) ||
      (step.known?.role === "cache" && pushesNow(step).is === "yes");
    if (!pushes || continueOnError.trim() !== "true") return [];
    const message = `continue-on-error: true hides that ${step.step.uses?.name ?? "a push"} failed`;
    return [
      {
        ...base,
        message,
        mend: "take it out; with this action, on-push-failure: warn says it and does not fail",
      },
    ];
  });
}

/** What is built before a cache is set up is neither fetched from it nor pushed to it. */
function late(job: AuditedJob): Trouble[] {
  const steps = job.steps.filter((step) => step.runs.is === "yes");
  const built = steps.findIndex((step) =>
    step.commands.some((command) => nixUse(command) === "builds"),
  );
  const cache = steps.findIndex(
    ({ known }) => known?.role === "cache" || known?.role === "ours" || known?.role === "builder",
  );
  const at = steps[cache];
  if (
    built < 0 ||
    cache < built ||
    !at ||
    at.known?.order !== "before builds" ||
    at.step.inputs.has("pathstopush")
  )
    return [];
  const first = steps[built];
  const message = `${at.step.uses?.name} stands after "${first?.commands
    .find((one) => nixUse(one) === "builds")
    ?.words.slice(0, 2)
    .join(" ")}": what that built is neither fetched from the cache nor pushed`;
  return [
    {
      status: "warn",
      kind: "late",
      message,
      mend: "put it before the first build",
      where: at.step.where,
    },
  ];
}

/** Builds of other tools, what would be instead, and what keeps their work in GitHub's cache. */
const TOOLS: readonly (readonly [RegExp, string, RegExp])[] = [
  [
    /^cargo (?:build|b|test|t|check|clippy|nextest|run|install|doc)\b|^cargo-nextest\b/,
    "crane's buildDepsOnly or buildRustPackage",
    /rust-cache|sccache|(?:^|[/~\s])target\b|\.cargo\b/i,
  ],
  [
    /^(?:npm (?:ci|i|install)|yarn(?: install)?$|pnpm (?:i|install)|bun install)\b/,
    "buildNpmPackage or importNpmLock",
    /setup-node|node_modules|\.npm\b|pnpm|\.yarn/i,
  ],
  [/^go (?:build|test|install|vet)\b/, "buildGoModule", /setup-go|go-build|pkg\/mod/i],
  [
    /^(?:pip3? install|uv (?:sync|pip)|poetry install|pdm install)\b/,
    "buildPythonPackage, uv2nix or poetry2nix",
    /setup-python|setup-uv|pip\b|\.venv|poetry/i,
  ],
  [
    /^(?:stack|cabal) (?:build|test|install)\b/,
    "callCabal2nix or haskell.nix",
    /\.stack|\.cabal|dist-newstyle/i,
  ],
  [
    /^(?:mvn|gradle|\.\/gradlew|\.\/mvnw)\b/,
    "a derivation of its own",
    /setup-java|\.m2|\.gradle|gradle\//i,
  ],
];

function outside(job: AuditedJob): Trouble[] {
  const fills = job.steps.some(
    (step) =>
      (step.known?.role === "cache" || step.known?.role === "ours" || step.step.run !== "") &&
      pushesNow(step).is !== "no",
  );
  if (!fills) return [];
  const kept = job.steps
    .filter(({ known, step }) => step.uses && (known === undefined || known.role === "files"))
    .map(({ step }) => [step.uses?.name, ...step.inputs.values()].join("\n"))
    .join("\n");
  return job.steps.flatMap((step) => outsideIn(step, kept));
}

function outsideIn(step: AuditedStep, kept: string): Trouble[] {
  if (step.runs.is === "no") return [];
  const inShell = /\bnix(?:-shell| develop| shell)\b|\bdevenv\b/.test(step.step.shell);
  return step.commands.flatMap(({ words, within }): Trouble[] => {
    const shell = within.find((one) =>
      /^(?:nix (?:develop|shell)|nix-shell|devenv shell|direnv exec)/.test(one),
    );
    if (shell === undefined && !inShell) return [];
    const text = words.slice(0, 4).join(" ");
    const [, instead, elsewhere] = TOOLS.find(([tool]) => tool.test(text)) ?? [];
    if (instead === undefined || elsewhere?.test(kept)) return [];
    const message = `"${words.slice(0, 2).join(" ")}" in ${shell ?? "a Nix shell"}: a binary cache keeps the shell alone, what this builds is no store path and is built again each time`;
    const mend = `build it as a package (${instead}): its layer of dependencies is then in the cache; or keep its folder with actions/cache under this action's output cache-key`;
    return [{ status: "warn", kind: "outside", message, mend, where: step.step.where }];
  });
}
