/** What a run came to: one final state of each target, from what happened, and what stands above all. Pure. */

import { byCause, byImportance, type Finding } from "../domain/finding.ts";
import type { Job } from "../domain/job.ts";
import type { StorePath } from "../domain/store-path.ts";
import { isHit, isServed, type VerificationOutcome } from "../domain/verdict.ts";
import { isHad, type NotBuilt, type Outcome } from "./outcome.ts";
import type { Plan } from "./plan.ts";
import type { Changes } from "./rebuilds/changes.ts";
import { MAY } from "./step.ts";
import { needsOf } from "./survey/judge.ts";
import type { SurveyedDerivation } from "./survey/verdicts.ts";
import type { Survey, SurveyedTarget } from "./survey.ts";

/**
 * The most severe first; each target ends in exactly one.
 * - `no disk space`: it was not built, or not evaluated, for want of it.
 * - `unknown`: it could not be checked; never a miss.
 * - `built`: in no binary cache, built here, and by design not pushed (read-only, `push: off`, `push-max`, no cache)
 *   or not yet (its store path is known only now; the end of the job pushes it).
 */
export const FINAL_STATES = [
  "not evaluated",
  "build failed",
  "no disk space",
  "not pushed",
  "not verified",
  "unknown",
  "needs a build",
  "built",
  "now cached",
  "cached",
] as const;
export type FinalState = (typeof FINAL_STATES)[number];

/** How the step ends: it fails, passes and somebody should look, or passes. */
export type StepEnd = "fails" | "warns" | "passes";

export interface Result {
  /** Of each target by its name, the most severe first. */
  readonly states: ReadonlyMap<string, FinalState>;
  /** The most severe; undefined where there is no target. */
  readonly worst: FinalState | undefined;
  readonly end: StepEnd;
  /** One for each cause, the most important first; `notice`s are the log's. */
  readonly findings: readonly Finding[];
  /** The finding that takes the headline from the states, or stands behind theirs. */
  readonly lead: Finding | undefined;
}

/** What a run saw, meant and did. */
export interface Ran {
  readonly job: Job;
  readonly survey: Survey;
  readonly plan: Plan;
  readonly outcome: Outcome;
  /** Against what the default branch built; undefined where nothing was compared. */
  readonly changes: Changes | undefined;
  readonly begin: number;
  /** When looking and deciding were over, and doing began. */
  readonly looked: number;
  readonly end: number;
}

/** All of it with what it came to; the report turns it into words. */
export interface Run extends Ran {
  readonly result: Result;
}

/** Everything that a person or a machine is told of a run's end is read from this. */
export function resultOf(run: Ran): Result {
  const { notBuilt, built, verified, notPushed, keptOut } = run.outcome;
  const done: Done = {
    failed: new Map(notBuilt.map((one) => [one.drvPath, one.why])),
    made: new Set(built.map(({ drvPath }) => drvPath)),
    proofs: new Map(verified.map((one) => [one.target, one.outcome])),
    notPushed: new Set(notPushed),
    keptOut: new Set(keptOut),
  };
  const states = run.survey.targets.map(
    (target) => [target.name, stateOf(run, target, done)] as const,
  );
  return concluded(states, [...run.plan.findings, ...run.outcome.findings]);
}

export function concluded(
  states: readonly (readonly [string, FinalState])[],
  findings: readonly Finding[],
): Result {
  const ordered = [...states].sort((a, b) => severity(a[1]) - severity(b[1]));
  const told = byImportance(byCause(findings));
  const worst = ordered[0]?.[1];
  return {
    states: new Map(ordered),
    worst,
    end: endOf(told),
    findings: told,
    lead: leadOf(told, worst),
  };
}

function severity(state: FinalState): number {
  return FINAL_STATES.indexOf(state);
}

export function endOf(findings: readonly Finding[]): StepEnd {
  if (findings.some(({ level }) => level === "error")) return "fails";
  return findings.some(({ level }) => level === "warning") ? "warns" : "passes";
}

/** The state that a finding of a kind is about, and so how severe it is. */
function stateOfKind({ kind, code, level }: Finding): FinalState | undefined {
  switch (kind) {
    case "eval":
      return "not evaluated";
    case "disk":
      return "no disk space";
    case "push":
      return "not pushed";
    case "unverified":
      return code === "NCP-409" ? "unknown" : "not verified";
    case "cache":
      // Our own cache could not be written to, and the user said that this fails the step.
      return level === "error" ? "not pushed" : "unknown";
    case "missing":
    case "heavy":
      return code === "NCP-206" || code === "NCP-209" ? "build failed" : "needs a build";
    case "time":
      return "needs a build";
    case "pin":
    case "twin":
    case "system":
    case "trust":
    case "audit":
    case "notice":
      return undefined;
    default:
      return kind satisfies never;
  }
}

/**
 * An error as severe as the worst state, or more so, has the headline; else what that state came of.
 * A warning never has it for a state that no target is in.
 */
function leadOf(findings: readonly Finding[], worst: FinalState | undefined): Finding | undefined {
  const least = worst === undefined ? FINAL_STATES.length : severity(worst);
  const rank = (finding: Finding) => {
    const state = stateOfKind(finding);
    return state === undefined ? FINAL_STATES.length : severity(state);
  };
  const errors = findings.filter((one) => one.level === "error" && rank(one) <= least);
  const error = errors.sort((a, b) => rank(a) - rank(b))[0];
  const told = findings.filter(({ level }) => level !== "notice");
  if (error || worst !== undefined) return error ?? told.find((one) => rank(one) === least);
  return told.find(({ code }) => code === "NCP-207") ?? told[0];
}

/** What was done, so that each target finds its own at once. */
interface Done {
  readonly failed: ReadonlyMap<StorePath, NotBuilt["why"]>;
  readonly made: ReadonlySet<StorePath>;
  readonly proofs: ReadonlyMap<string, VerificationOutcome>;
  readonly notPushed: ReadonlySet<string>;
  readonly keptOut: ReadonlySet<string>;
}

function stateOf(
  { job, survey, plan, outcome }: Ran,
  target: SurveyedTarget,
  { failed, made, proofs, notPushed, keptOut }: Done,
): FinalState {
  const { name, verdict } = target;
  if (verdict.kind === "failed") return "not evaluated";
  const needs = needsOf(target.wanted);
  const reason = needs.map(({ drvPath }) => failed.get(drvPath)).find((why) => why !== undefined);
  const hit = isHit(verdict);
  if (reason !== undefined && !hit) return reason === "failed" ? "build failed" : "no disk space";
  const proof = proofs.get(name);
  if (notPushed.has(name)) return "not pushed";
  if (proof) {
    if (!isServed(proof)) return "not verified";
    return hit && isHad(outcome, target) ? "cached" : "now cached";
  }
  if (hit) return isHad(outcome, target) ? "cached" : "needs a build";
  if (keptOut.has(name)) return "built";
  if (needs.length > 0 && needs.every(({ drvPath }) => made.has(drvPath))) {
    return wasToBePushed(job, survey) ? "not pushed" : "built";
  }
  if (verdict.kind === "unknown") return "unknown";
  const builds = MAY[job.mode].has("build");
  return builds && plan.leftOut.includes(name) ? "no disk space" : "needs a build";
}

/** This run would have pushed what it built, had our cache taken it. */
function wasToBePushed({ push }: Job, { substituters, trust }: Survey): boolean {
  const own = substituters.find(({ role }) => role === "own");
  if (!own || push === "off" || trust.kind !== "write") return false;
  return own.state.kind === "down" || own.state.info.trouble !== undefined;
}

/** How many targets ended so. */
export function countOf({ states }: Pick<Result, "states">, ...of: readonly FinalState[]): number {
  return [...states.values()].filter((state) => of.includes(state)).length;
}

/** Names of the targets that ended so. */
export function namesOf(
  { states }: Pick<Result, "states">,
  ...of: readonly FinalState[]
): string[] {
  return [...states].flatMap(([name, state]) => (of.includes(state) ? [name] : []));
}

/** Cached before this run did anything, and shown by nothing since not to be. */
export function isCached(result: Pick<Result, "states">, name: string): boolean {
  return result.states.get(name) === "cached";
}

/** What would be, or was, built from source, the dearest first: by time, then size, then the targets that need it. */
export function sources({ survey, outcome }: Pick<Run, "survey" | "outcome">): SourceBuild[] {
  const took = new Map(outcome.built.map((one) => [one.drvPath, one]));
  return [...survey.derivations.values()]
    .filter(({ kind }) => kind === "source")
    .map((derivation) => {
      const built = took.get(derivation.drvPath);
      return {
        derivation,
        done: built === undefined ? ("not built" as const) : ("built" as const),
        seconds: built?.seconds ?? derivation.figures?.seconds,
        bytes: built?.bytes ?? derivation.figures?.outputBytes ?? derivation.space,
      };
    })
    .sort(
      (a, b) =>
        (b.seconds ?? 0) - (a.seconds ?? 0) ||
        (b.bytes ?? 0) - (a.bytes ?? 0) ||
        b.derivation.wantedBy.length - a.derivation.wantedBy.length,
    );
}

export interface SourceBuild {
  readonly derivation: SurveyedDerivation;
  readonly done: "built" | "not built";
  /** What this run took, or the last one. */
  readonly seconds: number | undefined;
  readonly bytes: number | undefined;
}

/** `4m 20s` that all of them took; undefined where one of them was never built. */
export function secondsOf(builds: readonly SourceBuild[]): number | undefined {
  if (builds.length === 0) return undefined;
  return builds.reduce<number | undefined>(
    (sum, { seconds }) => (sum === undefined || seconds === undefined ? undefined : sum + seconds),
    0,
  );
}

/** Of the end of a job: what became of the targets that it built. */
export function postResult(outcome: Outcome, targets: readonly string[]): Result {
  const states = targets.map((name): readonly [string, FinalState] => {
    if (outcome.notPushed.includes(name)) return [name, "not pushed"];
    if (outcome.keptOut.includes(name)) return [name, "built"];
    const proof = outcome.verified.find((one) => one.target === name);
    if (!proof) return [name, "not pushed"];
    return [name, isServed(proof.outcome) ? "now cached" : "not verified"];
  });
  return concluded(states, outcome.findings);
}
