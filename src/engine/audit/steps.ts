/** A step as it would run in its job: whether it does, what its inputs and words come to, which secrets it is handed. Pure. */

import type { Addresses } from "../../domain/location.ts";
import { NO_SCOPE, type Scope, variable, type WorkflowStep } from "../../domain/workflow.ts";
import { commandsOf, nixUse, pushOf, tokenVariable } from "./commands.ts";
import { isPrivileged, type Start } from "./events.ts";
import { type KnownAction, knownAction } from "./known-actions.ts";
import type { Command } from "./script.ts";
import { type Runs, textOf, unique, type Value } from "./value.ts";

/** The job that a step stands in, as far as the step asks. */
export interface RunningJob {
  readonly start: Start;
  readonly cacheMode: string;
  readonly kindOf: Addresses["kindOf"];
  value(text: string, scope?: Scope): Value;
  isTrue(condition: string, scope?: Scope): Runs;
}

export class AuditedStep {
  readonly job: RunningJob;
  readonly step: WorkflowStep;
  readonly known: KnownAction | undefined;
  private ran: Runs | undefined;
  private seen: readonly string[] | undefined;

  constructor(job: RunningJob, step: WorkflowStep) {
    this.job = job;
    this.step = step;
    this.known = step.uses && knownAction(step.uses.name);
  }

  get commands(): readonly Command[] {
    return commandsOf(this.step.run);
  }

  /** Whether it runs in a run of its job. */
  get runs(): Runs {
    this.ran ??= allOf(this.step.conditions.map(({ text, scope }) => this.job.isTrue(text, scope)));
    return this.ran;
  }

  /** An input, by its name in lower case. */
  input(name: string): Value {
    return this.job.value(this.step.inputs.get(name) ?? "", this.step.scope);
  }

  /** The input as text, where that is one text; else as written. */
  text(written: string): string {
    const { literals } = this.job.value(written, this.step.scope);
    return literals?.length === 1 ? String(literals[0] ?? "") : written;
  }

  inputText(name: string): string {
    return this.text(this.step.inputs.get(name) ?? "").trim();
  }

  /** A variable as the step sees it, where its text is known; undefined where the file sets none. */
  variable(name: string): string | undefined {
    const bound = variable(this.step.scope, name);
    if (!bound) return undefined;
    const { literals } = this.job.value(bound.text, bound.scope);
    return literals?.length === 1 ? String(literals[0] ?? "") : bound.text;
  }

  variableValue(name: string): Value | undefined {
    const bound = variable(this.step.scope, name);
    return bound && this.job.value(bound.text, bound.scope);
  }

  /** A word of a script, with the variables and expressions in it. */
  word(text: string): Value {
    const value = this.job.value(text, this.step.scope);
    const names = [...text.replace(/\$\{\{((?!\}\}).)*\}\}/g, "").matchAll(/\$\{?([A-Za-z_]\w*)/g)];
    const values = names.flatMap(([, name = ""]) => this.variableValue(name) ?? []);
    return values.length === 0 ? value : textOf([value, ...values]);
  }

  /** Secrets that it is handed in this run: by its inputs, its script, or a variable that it sees. */
  get secrets(): readonly string[] {
    this.seen ??= this.findSecrets();
    return this.seen;
  }

  private findSecrets(): string[] {
    const { inputs, run, scope } = this.step;
    const values = [...inputs.values(), run].map((text) => this.job.value(text, scope));
    const names = values.flatMap((value) => (value.truth === "no" ? [] : value.secrets));
    return unique([...names, ...scopeSecrets(this.job, scope)]);
  }
}

const ofScope = new WeakMap<RunningJob, Map<Scope, readonly string[]>>();

function scopeSecrets(job: RunningJob, scope: Scope): readonly string[] {
  if (scope === NO_SCOPE) return [];
  const memo = ofScope.get(job) ?? new Map<Scope, readonly string[]>();
  ofScope.set(job, memo);
  const before = memo.get(scope);
  if (before) return before;
  const own = [...scope.environment.values()].flatMap((text) => {
    const value = job.value(text, scope.above ?? NO_SCOPE);
    return value.truth === "no" ? [] : value.secrets;
  });
  const found = unique([...own, ...(scope.above ? scopeSecrets(job, scope.above) : [])]);
  memo.set(scope, found);
  return found;
}

export function allOf(conditions: readonly Runs[]): Runs {
  if (conditions.some(({ is }) => is === "no")) return { is: "no", why: [] };
  const open = conditions.filter(({ is }) => is === "unknown");
  return { is: open.length > 0 ? "unknown" : "yes", why: unique(open.flatMap(({ why }) => why)) };
}

/** Whether the step writes to a binary cache in this run. */
export function pushesNow(step: AuditedStep): Runs {
  if (step.runs.is === "no") return { is: "no", why: [] };
  return allOf([step.runs, byScript(step) ?? byAction(step)]);
}

function byScript(step: AuditedStep): Runs | undefined {
  const tools = step.commands.flatMap((command) => {
    const tool = pushOf(command);
    return tool === undefined ? [] : [{ tool, variable: tokenVariable(tool, command) }];
  });
  if (tools.length === 0) return undefined;
  const empty = tools.every(
    ({ variable: name }) => name !== undefined && step.variableValue(name)?.truth === "no",
  );
  return { is: empty ? "no" : "yes", why: [] };
}

const NO: Runs = { is: "no", why: [] };

function byAction(step: AuditedStep): Runs {
  const { known, job } = step;
  if (!known || !(known.role === "ours" || known.pushes)) return NO;
  if (known.off) {
    const [name, value] = known.off;
    const { literals, truth, why } = step.input(name);
    if (literals?.every((one) => String(one).toLowerCase() === value)) return NO;
    if (truth === "unknown" && !literals) return { is: "unknown", why };
  }
  if (known.role === "ours") {
    const mode = step.inputText("mode") || "prefetch";
    if (!/^(?:warm|prefetch|\$)/.test(mode) || step.inputText("trust") === "read-only") return NO;
    const cache = step.inputText("cache") || "github";
    if (job.kindOf(cache)?.token === "needed to write") return secretsOfCache(step, ["token"]);
    return cache === "github" ? toGitHub(step) : { is: cache === "none" ? "no" : "yes", why: [] };
  }
  if (known.pushes === "needs a secret") return secretsOfCache(step, known.secrets ?? []);
  if (known.keeps === "github") return toGitHub(step);
  // A fork's run gets no token to log in with.
  if (known.login && job.start.who === "stranger" && !isPrivileged(job.start)) return NO;
  return { is: "yes", why: [] };
}

/** GitHub gives what strangers start a token that only reads, unless `cache-mode` says otherwise. */
function toGitHub({ job }: AuditedStep): Runs {
  const mode = job.cacheMode;
  if (/^(?:read|none)$/.test(mode)) return NO;
  const reads = job.start.who === "stranger" && isPrivileged(job.start) && !/^write/.test(mode);
  return { is: reads ? "no" : "yes", why: [] };
}

function secretsOfCache(step: AuditedStep, names: readonly string[]): Runs {
  const values = names.map((name) => step.input(name));
  if (values.some(({ truth }) => truth === "yes")) return { is: "yes", why: [] };
  const open = values.filter(({ truth }) => truth === "unknown");
  return open.length === 0 ? NO : { is: "unknown", why: open.flatMap(({ why }) => why) };
}

/** Every action has the job's own token anyway. */
export function secretsOf(step: AuditedStep): string[] {
  return step.secrets.filter((name) => name !== "GITHUB_TOKEN");
}

/** Whether it builds with Nix something that a cache could have. */
export function usesNix({ steps }: { readonly steps: readonly AuditedStep[] }): boolean {
  return steps.some(
    (step) => step.runs.is !== "no" && step.commands.some((command) => isUse(nixUse(command))),
  );
}

function isUse(use: ReturnType<typeof nixUse>): boolean {
  return use === "builds" || use === "evaluates";
}
