/** The jobs as they would run: for each start and each caller, with what every name stands for then. Pure. */

import type { Addresses } from "../../domain/location.ts";
import {
  type Permissions,
  type ProjectFacts,
  type Scope,
  variable,
  type Workflow,
  type WorkflowJob,
} from "../../domain/workflow.ts";
import { contextOf, hasSecrets, type Start, startsOf } from "./events.ts";
import { isTrue, type Lookup, template } from "./expression.ts";
import { AuditedStep, allOf, type RunningJob } from "./steps.ts";
import {
  ANYTHING,
  type Answer,
  EMPTY,
  known,
  named,
  type Runs,
  unique,
  unknown,
  type Value,
} from "./value.ts";

/** Steps of all jobs together; a project with more is judged as far as that. */
const STEPS_MOST = 40_000;
const CALLS_MOST = 10;
/** Names that stand for names: what goes deeper is not followed. */
const DEPTH_MOST = 24;
/** Jobs that wait for jobs. */
const NEEDS_MOST = 200;

export interface Jobs {
  readonly all: readonly AuditedJob[];
  /** Jobs that are not judged, since there are too many. */
  readonly left: number;
}

export function auditedJobs({ workflows, repository }: ProjectFacts, { kindOf }: Addresses): Jobs {
  const files = workflows.flatMap((file) => (file.kind === "workflow" ? [file.workflow] : []));
  const byFile = new Map(files.map((workflow) => [`./${workflow.file}`, workflow]));
  const called = new Set(
    files.flatMap(({ jobs }) =>
      jobs.flatMap(({ calls }) => (calls && byFile.has(calls.name) ? [calls.name] : [])),
    ),
  );
  const all: AuditedJob[] = [];
  let steps = 0;
  let left = 0;
  const enter = (
    workflow: Workflow,
    start: Start,
    caller: AuditedJob | undefined,
    depth: number,
  ) => {
    const siblings = new Map<string, AuditedJob>();
    for (const job of workflow.jobs) {
      if (steps > STEPS_MOST) {
        left++;
        continue;
      }
      steps += job.steps.length + 1;
      const one = new AuditedJob(workflow, job, start, caller, siblings, repository, kindOf);
      siblings.set(job.id, one);
      all.push(one);
      const inner = job.calls && byFile.get(job.calls.name);
      if (inner && depth < CALLS_MOST) enter(inner, start, one, depth + 1);
    }
  };
  for (const workflow of files) {
    for (const start of startsOf(workflow, files)) enter(workflow, start, undefined, 0);
    const call = workflow.triggers.get("workflow_call");
    if (call && !called.has(`./${workflow.file}`)) {
      enter(
        workflow,
        { event: "workflow_call", who: "us", trigger: call, source: "" },
        undefined,
        0,
      );
    }
  }
  return { all, left };
}

export class AuditedJob implements RunningJob {
  readonly workflow: Workflow;
  readonly job: WorkflowJob;
  readonly start: Start;
  readonly caller: AuditedJob | undefined;
  readonly steps: readonly AuditedStep[];
  readonly kindOf: Addresses["kindOf"];
  private readonly siblings: ReadonlyMap<string, AuditedJob>;
  private readonly github: Lookup;
  private readonly values = new Map<Scope, Map<string, Value>>();
  private ran: Runs | undefined;
  private asked: readonly string[] | undefined;

  constructor(
    workflow: Workflow,
    job: WorkflowJob,
    start: Start,
    caller: AuditedJob | undefined,
    siblings: ReadonlyMap<string, AuditedJob>,
    repository: string | undefined,
    kindOf: Addresses["kindOf"],
  ) {
    this.kindOf = kindOf;
    this.workflow = workflow;
    this.job = job;
    this.start = start;
    this.caller = caller;
    this.siblings = siblings;
    this.github = contextOf(start, repository);
    this.steps = job.steps.map((step) => new AuditedStep(this, step));
  }

  /** What a text comes to in this job, read at `scope`. */
  value(text: string, scope: Scope = this.job.scope, depth = 0): Value {
    return text.includes("${{") ? template(text, this.lookup(scope, depth)) : known(text);
  }

  isTrue(condition: string, scope: Scope = this.job.scope): Runs {
    return condition.trim() === ""
      ? { is: "yes", why: [] }
      : isTrue(condition, this.lookup(scope, 0));
  }

  private lookup(scope: Scope, depth: number): Lookup {
    return (path) => {
      const [context, name = ""] = path;
      if (depth > DEPTH_MOST) return ANYTHING;
      switch (context?.toLowerCase()) {
        case "github":
          return this.github(path);
        case "secrets":
          return this.secret(path[1]);
        case "env":
          return this.kept(scope, `env.${name}`, () => this.variable(scope, name, depth));
        case "inputs":
          return this.kept(scope, `inputs.${name}`, () =>
            this.input(scope, name.toLowerCase(), depth),
          );
        case "matrix": {
          const values = this.job.matrix.get(name);
          return values && path.length === 2 ? known(...values) : unknown(`matrix.${name}`);
        }
        case "needs":
          return this.needed(path, depth);
        case "steps":
          return this.output(path);
        default:
          return unknown(path.map((part) => part ?? "*").join("."));
      }
    };
  }

  /** Reads each name once at each place: names that stand for names would multiply. */
  private kept(scope: Scope, name: string, read: () => Value): Value {
    const at = this.values.get(scope) ?? new Map<string, Value>();
    this.values.set(scope, at);
    const before = at.get(name);
    if (before) return before;
    at.set(name, ANYTHING);
    const value = read();
    at.set(name, value);
    return value;
  }

  private variable(scope: Scope, name: string, depth: number): Value {
    const bound = variable(scope, name);
    if (bound) return this.value(bound.text, bound.scope, depth + 1);
    const writers = this.job.steps.filter(
      ({ run }) => /GITHUB_ENV/.test(run) && run.includes(name),
    );
    return this.words(`env.${name}`, writers.map(({ run }) => run).join("\n"));
  }

  private input(scope: Scope, name: string, depth: number): Value {
    if (scope.inputs) {
      const bound = scope.inputs.get(name);
      return bound ? this.value(bound.text, bound.scope, depth + 1) : EMPTY;
    }
    const fallback = this.workflow.inputs.get(name);
    if (this.caller) {
      const given = this.caller.job.given.get(name);
      if (given !== undefined) return this.caller.value(given, this.caller.job.scope, depth + 1);
      return known(fallback ?? "");
    }
    const asked = ["workflow_dispatch", "workflow_call"].includes(this.start.event);
    return asked ? unknown(`the input ${name}`) : EMPTY;
  }

  /** `secrets.X`: the run's, or what the caller hands over. */
  secret(name: string | undefined): Value {
    if (name === undefined) return named("a secret", { secrets: ["*"], truth: "unknown" });
    const upper = name.toUpperCase();
    if (upper === "GITHUB_TOKEN") return named("GITHUB_TOKEN", { secrets: ["GITHUB_TOKEN"] });
    if (this.caller) {
      const { secrets, scope } = this.caller.job;
      if (secrets === "inherit") return this.caller.secret(name);
      const given = secrets.get(upper);
      return given === undefined ? EMPTY : this.caller.value(given, scope);
    }
    return hasSecrets(this.start) ? named(`secrets.${upper}`, { secrets: [upper] }) : EMPTY;
  }

  private needed(path: readonly (string | undefined)[], depth: number): Value {
    const [, id = "", what, output = ""] = path;
    if (what === "result") return known("success");
    const sibling = this.siblings.get(id);
    const text = what === "outputs" ? sibling?.job.outputs.get(output) : undefined;
    if (!sibling || text === undefined) return unknown(`needs.${id}.outputs.${output}`);
    return sibling.value(text, sibling.job.scope, depth + 1);
  }

  /** What a step says by its outputs: whose words they are shows in what it asks for. */
  private output(path: readonly (string | undefined)[]): Value {
    const [, id, what, output = ""] = path;
    if (what !== "outputs") return unknown(`steps.${id}.${what}`);
    const step = this.steps.find((one) => one.step.id === id);
    const name = `steps.${id}.outputs.${output}`;
    if (!step) return unknown(name);
    const text = [step.step.run, step.step.uses?.name, ...step.step.inputs.values()].join("\n");
    return this.words(name, `${text}\n${/head|pull/i.test(output) ? output : ""}`);
  }

  private words(name: string, text: string): Value {
    if (this.start.who === "us") return unknown(name);
    const head =
      /head\.?(?:sha|ref|repo|_sha|_ref)|headRef|\bpulls?\/|gh\s+pr\s|pull_request/i.test(text);
    return unknown(name, { stranger: head ? "commit" : "nothing", maybeStranger: true });
  }

  /** Whether the job runs when its workflow is started so; callers and jobs that it waits for count. */
  get runs(): Runs {
    return this.runsAt(0);
  }

  private runsAt(depth: number): Runs {
    const open: Runs = { is: "unknown", why: ["needs:"] };
    if (this.ran || depth > NEEDS_MOST) return this.ran ?? open;
    // A circle of `needs:` runs nowhere, and must not hang here.
    this.ran = open;
    const { condition, needs } = this.job;
    const waits = /\b(?:always|failure|cancelled)\s*\(/.test(condition)
      ? []
      : needs.flatMap((id) => this.siblings.get(id)?.runsAt(depth + 1) ?? []);
    this.ran = allOf([
      ...(this.caller ? [this.caller.runs] : []),
      this.isTrue(condition),
      ...waits,
    ]);
    return this.ran;
  }

  /** Environments that the job, or one that it waits for, stands in: each may ask a person first. */
  get approvals(): readonly string[] {
    return this.approvalsAt(0);
  }

  private approvalsAt(depth: number): readonly string[] {
    if (this.asked || depth > NEEDS_MOST) return this.asked ?? [];
    this.asked = [];
    const { environment, needs } = this.job;
    const value = environment === "" ? EMPTY : this.value(environment);
    const own = value.truth === "no" ? [] : [String(value.literals?.[0] ?? environment)];
    const before = needs.flatMap((id) => this.siblings.get(id)?.approvalsAt(depth + 1) ?? []);
    this.asked = unique([...own, ...before, ...(this.caller?.approvals ?? [])]);
    return this.asked;
  }

  /** Whether GitHub gives it a token to log in with elsewhere. */
  get idToken(): Answer {
    const said = this.job.permissions ?? this.workflow.permissions;
    const granted = (permissions: Permissions) =>
      permissions?.get("*") === "write" || permissions?.get("id-token") === "write";
    if (said && !granted(said)) return "no";
    if (this.caller) return this.caller.idToken;
    if (said) return "yes";
    // Nobody has it who does not ask; a workflow that others call has what they give.
    return this.start.event === "workflow_call" ? "unknown" : "no";
  }

  get cacheMode(): string {
    return this.job.cacheMode || this.caller?.cacheMode || "";
  }

  /** Labels of the machines that it may run on. */
  get runners(): readonly string[] {
    return this.job.runsOn.flatMap((label) => {
      const { literals } = this.value(label);
      return literals?.map(String) ?? [label];
    });
  }
}
