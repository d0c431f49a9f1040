/** Checks of the secrets in workflow files: where one is needed it is there, and is a secret. Pure. */

import { describeError, UserError } from "../../domain/errors.ts";
import type { Addresses } from "../../domain/location.ts";
import { secretsIn } from "../../domain/workflow.ts";
import { type AuditRequest, type Check, rule, type Trouble } from "./check.ts";
import { type AuditedJob, type AuditedStep, auditedJobs, inputOf, pushCommand } from "./steps.ts";

export function secretChecks({ project, addresses }: AuditRequest): Check[] {
  const jobs = project ? auditedJobs(project) : [];
  const steps = jobs.flatMap((job) => job.steps);
  return [
    ...rule("workflows", "NCP-622", "every push has its token, and it is a secret", [
      ...steps.flatMap(inTheOpen),
      ...steps.flatMap((step) => without(step, addresses)),
      ...jobs.flatMap(scriptsWithout),
      ...differing(steps),
    ]),
    ...rule("workflows", "NCP-626", "no cache is named by a secret", steps.flatMap(secretNames)),
  ];
}

function inTheOpen({ step, known }: AuditedStep): Trouble[] {
  return (known?.secrets ?? []).flatMap((name): Trouble[] => {
    const value = inputOf(step, name);
    if (value === "" || value.includes("${{")) return [];
    // What it is must not be said: the file is read by others than the audit's summary.
    const message = `${name} of ${step.uses?.name} is written into the file, for everybody to read`;
    const mend = `revoke it, store a new one as a secret, and write ${name}: \${{ secrets.NAME }}`;
    return [{ message, mend, where: step.where }];
  });
}

function without({ step, known }: AuditedStep, addresses: Addresses): Trouble[] {
  const name = known?.secrets?.[0];
  if (
    !known ||
    name === undefined ||
    (known.secrets ?? []).some((one) => inputOf(step, one) !== "")
  ) {
    return [];
  }
  const off = known.off && inputOf(step, known.off[0]).toLowerCase() === known.off[1];
  const reads =
    known.role === "ours"
      ? inputOf(step, "mode") !== "warm" ||
        addresses.kindOf(inputOf(step, "cache"))?.token !== "needed to write"
      : known.pushes !== "needs a secret";
  if (off || reads) return [];
  return [
    {
      status: "warn",
      message: `${step.uses?.name} has no ${name}: it reads, and pushes nothing`,
      mend:
        known.off && known.role !== "ours"
          ? `${name}: \${{ secrets.NAME }}, or ${known.off[0]}: ${known.off[1]} to say that it is meant`
          : `${name}: \${{ secrets.NAME }}`,
      where: step.where,
    },
  ];
}

/** What each command reads its token from. */
const VARIABLES: readonly (readonly [RegExp, string])[] = [
  [/^cachix/, "CACHIX_AUTH_TOKEN"],
  [/^attic/, "ATTIC_TOKEN"],
];

function scriptsWithout({ steps }: AuditedJob): Trouble[] {
  return steps.flatMap(({ step }): Trouble[] => {
    const command = pushCommand(step.run);
    const variable = VARIABLES.find(([one]) => command !== undefined && one.test(command))?.[1];
    if (command === undefined || variable === undefined) return [];
    // Logged in before: by its action, or by the command itself.
    const login = steps.some(
      ({ step: one, known }) =>
        (known?.secrets ?? []).some((name) => inputOf(one, name) !== "") ||
        /cachix\s+authtoken|attic\s+login/.test(one.run),
    );
    if (login || step.environment.has(variable) || step.run.includes(variable)) return [];
    const message = `"${command}" runs without ${variable}`;
    return [
      { message, mend: `env: { ${variable}: \${{ secrets.${variable} }} }`, where: step.where },
    ];
  });
}

/** Two names for one cache's token: the one that does not exist is empty, and nothing says so. */
function differing(steps: readonly AuditedStep[]): Trouble[] {
  const first = new Map<string, string>();
  return steps.flatMap(({ step, known }): Trouble[] => {
    const token = known?.secrets?.[0];
    const named = known?.names?.[0];
    if (!known || token === undefined || named === undefined) return [];
    const cache = inputOf(step, named).replace(/^cachix:/, "");
    const [secret] = secretsIn(inputOf(step, token));
    if (cache === "" || secret === undefined) return [];
    const before = first.get(cache);
    if (before === undefined) first.set(cache, secret);
    if (before === undefined || before === secret) return [];
    const message = `the token of ${cache} is secrets.${secret} here and secrets.${before} elsewhere`;
    const mend = `write secrets.${before}, if that is the one that exists: the other one is empty`;
    return [{ status: "warn", message, mend, where: step.where }];
  });
}

function secretNames({ step, known }: AuditedStep): Trouble[] {
  return (known?.names ?? []).flatMap((name): Trouble[] => {
    const [secret] = secretsIn(inputOf(step, name));
    if (secret === undefined) return [];
    const message = `${name} of ${step.uses?.name} is secrets.${secret}: in a fork's run it is empty`;
    return [
      { message, mend: `write the name itself: it is public (${name}: NAME)`, where: step.where },
    ];
  });
}

export function tokenChecks({ job, survey, project }: AuditRequest): Check[] {
  const base = { group: "token" as const, code: "NCP-618" as const };
  const own = survey.substituters.find(({ role }) => role === "own");
  if (!own || job.cache?.token !== "needed to write") {
    return [{ ...base, status: "pass", message: `${job.cacheName} needs no token` }];
  }
  const trouble = own.state.kind === "reachable" ? own.state.info.trouble : own.state.error;
  const hint = trouble instanceof UserError ? trouble.hint : undefined;
  const mend = hint === undefined ? {} : { mend: hint };
  const refused =
    trouble instanceof UserError && (trouble.code === "NCP-303" || trouble.code === "NCP-105");
  if (trouble && refused) {
    return [{ ...base, status: "fail", message: describeError(trouble), ...mend }];
  }
  if (own.state.kind !== "reachable") {
    const message = "what the token may do could not be asked";
    return [{ ...base, code: "NCP-600", status: "unknown", message }];
  }
  if (project?.token !== "given") {
    return [
      {
        ...base,
        code: "NCP-600",
        status: "unknown",
        message: "no token was given, so none was tried",
        mend: `token: \${{ secrets.NAME }}: an audit writes nothing with it`,
      },
    ];
  }
  const { permission } = own.state.info;
  if (permission === "write") {
    return [{ ...base, status: "pass", message: `the token may read and write ${own.name}` }];
  }
  if (permission === "read") {
    const message = `the token may read ${own.name}, and not write`;
    return [{ ...base, status: "warn", message, mend: "make a token with write access" }];
  }
  const message = `${own.name} takes the token and does not say what it may do`;
  return [{ ...base, status: "pass", message }];
}
