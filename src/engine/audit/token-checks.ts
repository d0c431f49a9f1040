/** The secrets in workflow files: where one is needed it is there, is a secret, and does not fail for forks. Pure. */

import type { Addresses } from "../../domain/location.ts";
import { type Check, rule, type Trouble } from "./check.ts";
import { logsIn, pushOf, tokenVariable } from "./commands.ts";
import type { AuditedJob, Jobs } from "./jobs.ts";
import { type AuditedStep, secretsOf } from "./steps.ts";

export function secretChecks({ all }: Jobs, addresses: Addresses): Check[] {
  const steps = all.flatMap((job) => job.steps);
  const ours = all.filter(({ start, runs }) => start.who === "us" && runs.is !== "no");
  const own = ours.flatMap((job) => job.steps.filter((step) => step.runs.is !== "no"));
  const forked = new Set(
    all
      .filter(({ start, runs }) => start.who === "stranger" && runs.is !== "no")
      .filter(
        ({ start }) => start.event === "pull_request" || start.event === "pull_request_review",
      )
      .flatMap((job) => job.steps.map(({ step }) => step.where)),
  );
  const seen = steps.some(
    ({ known, commands }) => known?.secrets || commands.some((one) => pushOf(one)),
  );
  return [
    ...rule(
      "workflows",
      "NCP-622",
      seen ? "every push has its token, and it is a secret" : undefined,
      [
        ...steps.flatMap(inTheOpen),
        ...without(own, addresses),
        ...ours.flatMap(handedNothing),
        ...ours.flatMap(scriptsWithout),
        ...ours.flatMap(noLogin),
        ...differing(own),
        ...all.flatMap(failsForForks),
      ],
    ),
    ...rule(
      "workflows",
      "NCP-626",
      seen ? "no cache is named by a secret" : undefined,
      ours.flatMap((job) => secretNames(job, forked)),
    ),
  ];
}

function inTheOpen({ step, known }: AuditedStep): Trouble[] {
  return (known?.secrets ?? []).flatMap((name): Trouble[] => {
    const value = (step.inputs.get(name) ?? "").trim();
    if (value === "" || value.includes("${{")) return [];
    // What it is must not be said: the file is read by others than the audit's summary.
    const message = `${name} of ${step.uses?.name} is written into the file, for everybody to read`;
    const mend = `revoke it, store a new one as a secret, and write ${name}: \${{ secrets.NAME }}`;
    return [{ nature: "security", message, mend, where: step.where }];
  });
}

/** The caches that a step names, of its action's kind. */
function cacheOf(step: AuditedStep): string {
  const name = step.known?.names?.[0];
  return name === undefined ? "" : step.inputText(name).replace(/^cachix:/, "");
}

/**
 * A cache of others is read without a token. One that is given a token in another place is ours: where it
 * has none, nothing is pushed, and nothing says so.
 */
function without(steps: readonly AuditedStep[], { kindOf }: Addresses): Trouble[] {
  const given = new Map<string, string>();
  for (const step of steps) {
    if (hasToken(step) && cacheOf(step) !== "") given.set(cacheOf(step), step.step.where);
  }
  return steps.flatMap((step): Trouble[] => {
    const { known, step: written } = step;
    const name = known?.secrets?.[0];
    if (!known || name === undefined || known.role === "builder" || hasToken(step)) return [];
    const off = known.off && step.inputText(known.off[0]).toLowerCase() === known.off[1];
    if (off) return [];
    const elsewhere = given.get(cacheOf(step));
    const mend = `${name}: \${{ secrets.NAME }}`;
    if (known.role === "ours") {
      if (
        step.inputText("mode") !== "warm" ||
        kindOf(step.inputText("cache"))?.token !== "needed to write"
      )
        return [];
      const message = `${written.uses?.name} has no ${name}: it reads, and pushes nothing`;
      return [{ status: "warn", message, mend, where: written.where }];
    }
    if (known.pushes !== "needs a secret" || elsewhere === undefined || cacheOf(step) === "")
      return [];
    if (pushesByScript(steps, step)) return [];
    return [
      {
        status: "warn",
        kind: "no token",
        message: `${written.uses?.name} has no ${name} for ${cacheOf(step)}, as it has at ${elsewhere}: it reads, and pushes nothing`,
        mend: known.off
          ? `${mend}, or ${known.off[0]}: ${known.off[1]} to say that it is meant`
          : mend,
        where: written.where,
      },
    ];
  });
}

function hasToken({ known, step }: AuditedStep): boolean {
  return (known?.secrets ?? []).some((name) => (step.inputs.get(name) ?? "").trim() !== "");
}

/** A script of the same job that is handed a secret may well do it. */
function pushesByScript(steps: readonly AuditedStep[], { job }: AuditedStep): boolean {
  return steps.some(
    (one) =>
      one.job === job &&
      one.step.run !== "" &&
      (one.commands.some((command) => pushOf(command)) || secretsOf(one).length > 0),
  );
}

/** The token is named, and the caller of the workflow gives none. */
function handedNothing(job: AuditedJob): Trouble[] {
  const { caller } = job;
  if (!caller) return [];
  return job.steps.flatMap((step): Trouble[] => {
    if (step.runs.is === "no") return [];
    const names = (step.known?.secrets ?? []).filter((name) =>
      /\bsecrets\b/.test(step.step.inputs.get(name) ?? ""),
    );
    if (names.length === 0 || names.some((name) => step.input(name).truth !== "no")) return [];
    // GitHub's cache, or a folder, is written to without one.
    const cache = step.inputText("cache") || "github";
    if (step.known?.role === "ours" && job.kindOf(cache)?.token === "not needed") return [];
    const message = `the job ${caller.job.id} hands no secret to ${caller.job.calls?.name}: there ${names[0]} of ${step.step.uses?.name} is empty, and nothing is pushed`;
    return [
      {
        status: "warn",
        kind: `handed ${caller.job.where}`,
        message,
        mend: "secrets: inherit, or each one by its name, beside uses:",
        where: caller.job.where,
      },
    ];
  });
}

/** A script that pushes, in a job where nothing gives it a token. */
function scriptsWithout(job: AuditedJob): Trouble[] {
  return job.steps.flatMap((step): Trouble[] => {
    if (step.runs.is === "no") return [];
    return step.commands.flatMap((command): Trouble[] => {
      const tool = pushOf(command);
      if (tool === undefined || tool.startsWith("nix")) return [];
      const variable =
        tokenVariable(tool, command) ?? (tool.startsWith("attic") ? "ATTIC_TOKEN" : undefined);
      if (
        variable === undefined ||
        step.variableValue(variable) ||
        step.step.run.includes(variable)
      )
        return [];
      // Logged in before, by its action, by a command, or by a script that is handed a secret.
      const login = job.steps.some(
        (one) =>
          hasToken(one) ||
          secretsOf(one).length > 0 ||
          one.commands.some(logsIn) ||
          one.step.composite === "unread" ||
          one.step.run.includes(variable),
      );
      if (login || job.runners.includes("self-hosted")) return [];
      const message = `"${tool}" runs without ${variable}`;
      return [
        {
          message,
          mend: `env: { ${variable}: \${{ secrets.${variable} }} }`,
          where: step.step.where,
        },
      ];
    });
  });
}

/** What asks GitHub for a token gets one where the job says so. */
function noLogin(job: AuditedJob): Trouble[] {
  if (job.idToken === "yes") return [];
  return job.steps.flatMap((step): Trouble[] => {
    const { known, step: written } = step;
    if (known?.login !== "oidc" || step.runs.is === "no") return [];
    if (known.off && step.inputText(known.off[0]).toLowerCase() === known.off[1]) return [];
    const base = {
      kind: `oidc ${job.idToken}`,
      where: written.where,
      mend: "permissions: { id-token: write, contents: read } on the job, and on each that calls it",
    };
    const message = `${written.uses?.name} logs in with GitHub's token, and the job ${job.job.id} may not have one`;
    if (job.idToken === "no") return [{ ...base, message: `${message}: it cannot push` }];
    return [
      {
        ...base,
        status: "unknown",
        message: `${message}; to be known: what permissions its callers give`,
      },
    ];
  });
}

/** In a fork's run there is no secret: a push by a script fails there, and so does the job. */
function failsForForks(job: AuditedJob): Trouble[] {
  const { start, runs } = job;
  if (start.who !== "stranger" || start.event !== "pull_request" || runs.is !== "yes") return [];
  return job.steps.flatMap((step): Trouble[] => {
    if (step.runs.is !== "yes" || step.step.continueOnError.trim() === "true") return [];
    return step.commands.flatMap((command): Trouble[] => {
      const tool = pushOf(command);
      if (tool === undefined || command.failure === "swallowed") return [];
      const variable = tokenVariable(tool, command) ?? emptyLogin(job, tool);
      if (variable === undefined || looksFirst(step, variable)) return [];
      if (step.variableValue(variable)?.truth !== "no" && !tool.startsWith("attic")) return [];
      const message = `"${tool}" has no ${variable} in a fork's run: the job ${job.job.id} fails for every fork`;
      return [
        {
          status: "warn",
          kind: "forks",
          message,
          mend: "if: github.event_name != 'pull_request', on a step of its own for the push",
          where: step.step.where,
        },
      ];
    });
  });
}

/** The variable of a login whose token is empty in this run. */
function emptyLogin({ steps }: AuditedJob, tool: string): string | undefined {
  if (!tool.startsWith("attic")) return undefined;
  const tokens = steps.flatMap((step) =>
    step.runs.is === "no"
      ? []
      : step.commands.flatMap(({ words }) =>
          words[0] === "attic" && words[1] === "login" ? [{ step, word: words[4] ?? "" }] : [],
        ),
  );
  const names = tokens.map(({ step, word }) => {
    const name = /^\$\{?([A-Za-z_]\w*)\}?$/.exec(word)?.[1];
    if (name !== undefined) return step.variableValue(name)?.truth === "no" ? name : undefined;
    return word.startsWith("${{") && step.word(word).truth === "no" ? "token" : undefined;
  });
  return names.length > 0 && names.every((name) => name !== undefined) ? names[0] : undefined;
}

/** A script that asks whether there is one knows what to do without. */
function looksFirst({ commands }: AuditedStep, variable: string): boolean {
  return commands.some(
    ({ words }) =>
      /^(?:test|\[\[?)$/.test(words[0] ?? "") && words.some((word) => word.includes(variable)),
  );
}

/** Two names for one cache's token: the one that does not exist is empty, and nothing says so. */
function differing(steps: readonly AuditedStep[]): Trouble[] {
  const first = new Map<string, string>();
  return steps.flatMap((step): Trouble[] => {
    const token = step.known?.secrets?.[0];
    const cache = cacheOf(step);
    if (token === undefined || cache === "" || cache.includes("${{")) return [];
    const [secret] = step.input(token).secrets;
    if (secret === undefined) return [];
    const before = first.get(cache);
    if (before === undefined) first.set(cache, secret);
    if (before === undefined || before === secret) return [];
    const message = `the token of ${cache} is secrets.${secret} here and secrets.${before} elsewhere`;
    const mend = `write secrets.${before}, if that is the one that exists: the other one is empty`;
    return [{ status: "warn", message, mend, where: step.step.where }];
  });
}

/** A name that forks do not get: said where they run it. */
function secretNames(job: AuditedJob, forked: ReadonlySet<string>): Trouble[] {
  return job.steps.flatMap((step) =>
    (step.known?.names ?? []).flatMap((name): Trouble[] => {
      const [secret] = step.input(name).secrets;
      if (secret === undefined || !forked.has(step.step.where)) return [];
      const message = `${name} of ${step.step.uses?.name} is secrets.${secret}: in a fork's run it is empty`;
      const mend = `write the name itself: it is public (${name}: NAME)`;
      return [{ message, mend, where: step.step.where }];
    }),
  );
}
