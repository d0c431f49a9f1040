/** What is used by a workflow: actions, their versions and inputs, installers from the network, and machines. Pure. */

import { didYouMean } from "../../domain/suggest.ts";
import type { ActionUse } from "../../domain/workflow.ts";
import { type Check, rule, type Trouble } from "./check.ts";
import { installsNix } from "./commands.ts";
import type { AuditedJob, Jobs } from "./jobs.ts";
import { type AuditedStep, secretsOf, usesNix } from "./steps.ts";

export function actionChecks({ all }: Jobs): Check[] {
  const steps = all.flatMap((job) => job.steps);
  const seen = steps.some(({ known }) => known !== undefined);
  return [
    ...rule("workflows", "NCP-623", seen ? "no action or machine is retired" : undefined, [
      ...steps.flatMap(retired),
      ...all.flatMap(retiredMachines),
    ]),
    ...rule("workflows", "NCP-624", seen ? "what sees Nix or a secret is pinned" : undefined, [
      ...steps.flatMap(unpinned),
      ...all.flatMap(unpinnedCall),
      ...all.flatMap(piped),
    ]),
    ...rule(
      "workflows",
      "NCP-625",
      seen ? "every input is one of its action" : undefined,
      steps.flatMap(foreign),
    ),
  ];
}

/** Last versions of GitHub's own that still spoke to the cache service that is gone. */
const FILES_RETIRED = /^v?(?:[12](?:\.|$)|3\.[0-3]\.|4\.[01]\.)/;

function retired(step: AuditedStep): Trouble[] {
  const { known, step: written } = step;
  const { uses, where } = written;
  if (uses && step.inputText("backend") === "buildjet") {
    return [
      {
        message: "backend: buildjet: BuildJet closed on 2026-03-31",
        mend: "backend: actions",
        where,
      },
    ];
  }
  const version = uses?.version;
  if (!uses || version === undefined || known?.since === undefined) return [];
  const major = Number(/\d+/.exec(version)?.[0]);
  const isOld = known.role === "files" ? FILES_RETIRED.test(version) : major < Number(known.since);
  if (!isOld) return [];
  const message = `${uses.name} ${version} speaks to a cache service that GitHub has ended`;
  return [
    {
      kind: `old ${uses.name}`,
      message,
      mend: "take its newest version, or this action's cache: github",
      where,
    },
  ];
}

/** Images that GitHub took away, and firms that are gone. */
const MACHINES: readonly (readonly [RegExp, string])[] = [
  [/^ubuntu-(?:16|18|20)\.04$/, "GitHub took that image away"],
  [/^macos-(?:10\.15|11|12|13)(?:-(?:large|xlarge|xl))?$/, "GitHub took that image away"],
  [/^windows-(?:2016|2019)$/, "GitHub took that image away"],
  [/^buildjet-/, "BuildJet closed on 2026-03-31"],
];

function retiredMachines(job: AuditedJob): Trouble[] {
  if (
    !usesNix(job) &&
    !job.steps.some(({ known }) => known && known.role !== "checkout" && known.role !== "files")
  )
    return [];
  // One's own machine may be called as one likes.
  if (job.runners.includes("self-hosted")) return [];
  return job.runners.flatMap((label): Trouble[] => {
    const why = MACHINES.find(([pattern]) => pattern.test(label))?.[1];
    if (why === undefined) return [];
    const message = `no machine has the label ${label} (${why}): the job ${job.job.id} waits a day and fails`;
    return [
      {
        kind: "machine",
        message,
        mend: "runs-on: ubuntu-24.04, macos-15, or another that exists",
        where: job.job.where,
      },
    ];
  });
}

function unpinned(step: AuditedStep): Trouble[] {
  const { uses, where } = step.step;
  const secrets = secretsOf(step);
  const seesNix =
    step.known !== undefined && !["checkout", "plain", "files"].includes(step.known.role);
  return uses ? pinTroubles(uses, where, secrets, seesNix) : [];
}

function unpinnedCall({ job, start }: AuditedJob): Trouble[] {
  if (!job.calls || start.who === "stranger") return [];
  const given = job.secrets === "inherit" ? ["all secrets"] : [...job.secrets.keys()];
  return pinTroubles(job.calls, job.where, given, false);
}

/** Only where Nix or a secret of the project is seen: the rest is another tool's matter. */
function pinTroubles(
  uses: ActionUse,
  where: string,
  secrets: readonly string[],
  seesNix: boolean,
): Trouble[] {
  if (uses.pinned === "commit" || uses.from !== "elsewhere") return [];
  const [secret] = secrets;
  if (secret === undefined && !seesNix) return [];
  const given =
    secret === undefined
      ? ""
      : `, and is given ${secret === "all secrets" ? secret : `secrets.${secret}`}`;
  if (uses.pinned === "tag" || uses.pinned === "name") {
    // What its owner publishes anyway; GitHub's own tags are GitHub's.
    if (secret === undefined || uses.name.startsWith("actions/")) return [];
    const message = `${uses.name}@${uses.ref} can be moved${given}`;
    const mend = "write the commit, with its version as a comment";
    return [{ status: "warn", kind: "tag", message, mend, where }];
  }
  const at = uses.ref === undefined ? "without a version" : `at the branch ${uses.ref}`;
  const message = `${uses.name} is used ${at}: it is another program every day${given}`;
  return [
    {
      status: secret === undefined ? "warn" : "fail",
      kind: `branch ${secret === undefined}`,
      nature: "security",
      message,
      mend: `write ${uses.name}@ and a commit or a version`,
      where,
    },
  ];
}

/** A program straight from the network, in whatever version is there today. */
function piped(job: AuditedJob): Trouble[] {
  return job.steps.flatMap((step) =>
    step.commands.flatMap((command): Trouble[] => {
      const nix = installsNix(command)?.url;
      const url = nix ?? (secretsOf(step).length > 0 ? pipedUrl(command) : undefined);
      if (url === undefined) return [];
      const message = `what ${url} has today is run${nix === undefined ? " with a secret at hand" : " and installs Nix"}: another program every day`;
      const mend =
        nix === undefined
          ? "fetch a version by name, and compare its sum"
          : "name a version in the address (https://releases.nixos.org/nix/nix-2.31.4/install), or use a pinned action";
      return [{ status: "warn", kind: "piped", message, mend, where: step.step.where }];
    }),
  );
}

function pipedUrl({ words, pipedInto }: AuditedStep["commands"][number]): string | undefined {
  if (!/^(?:curl|wget)$/.test(words[0] ?? "")) return undefined;
  const shell = pipedInto?.find((word) => !/^(?:sudo|-.*)$/.test(word));
  if (!shell || !/^(?:sh|bash|zsh|python3?)$/.test(shell)) return undefined;
  const url = words.find((word) => /^https?:/.test(word));
  return url === undefined || /\d+\.\d+\.\d+|[0-9a-f]{40}|\$/.test(url) ? undefined : url;
}

function foreign({ known, step }: AuditedStep): Trouble[] {
  const legal = known?.inputs;
  if (!legal) return [];
  const names = new Set(legal.map((name) => name.toLowerCase()));
  return [...step.inputs.keys()]
    .filter((name) => !names.has(name) && !(known.role === "ours" && name.startsWith("_")))
    .map((name) => ({
      kind: `input ${step.uses?.name}`,
      message: `${step.uses?.name} has no input "${name}": it is ignored in silence.${didYouMean(name, legal)}`,
      mend: known.off
        ? `inputs are ${legal.join(", ")}; ${known.off[0]}: ${known.off[1]} is what stops a push`
        : `inputs are ${legal.join(", ")}`,
      where: step.where,
    }));
}
