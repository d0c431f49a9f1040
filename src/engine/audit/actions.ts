/** Owns the actions that workflows use: none retired, each pinned, each given inputs that it has. Pure. */

import { didYouMean } from "../../domain/suggest.ts";
import type { ActionUse } from "../../domain/workflow.ts";
import { type AuditRequest, type Check, rule, type Trouble } from "./check.ts";
import { type AuditedJob, type AuditedStep, auditedJobs, stepSecrets } from "./steps.ts";

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
