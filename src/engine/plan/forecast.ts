/** How long the builds will take, by what they took last, and which of them can be finished before the job ends. Pure. */

import type { JobEnd } from "../../domain/ports.ts";
import { formatBytes, formatSeconds } from "../../domain/size.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Step } from "../step.ts";
import type { SurveyedDerivation } from "../survey/verdicts.ts";
import type { Survey } from "../survey.ts";
import type { Work } from "./work.ts";

/** What a plan knows of time. */
export interface Times {
  /** Builds that run side by side: as many as Nix begins, and no more than there are cores. */
  readonly slots: number;
  readonly now: number;
  /** Undefined where nobody says when the job ends. */
  readonly end: JobEnd | undefined;
}

export interface Forecast {
  /** Of all build steps; at least that, where some were never measured. */
  readonly seconds: number;
  /** Builds from source that were never measured. */
  readonly unmeasured: number;
  /** Bytes to download before them. */
  readonly download: number;
  readonly slots: number;
}

/** What the end of a job is kept free for: the last push, what reads it back, and the steps after this one. */
export function reserveOf({ minutes }: JobEnd): number {
  return Math.min(600, Math.max(60, minutes * 60 * 0.05));
}

/** Seconds that there are for building. */
export function budgetOf({ now, end }: Times): number | undefined {
  return end && Math.max(0, (end.at - now) / 1000 - reserveOf(end));
}

/** The builds of a plan with what each took last. */
export class BuildTimes {
  private readonly survey: Pick<Survey, "facts">;
  private readonly work: Pick<Work, "judgement" | "builds">;
  private readonly seconds: ReadonlyMap<StorePath, number>;
  /** Of the steps that they were last built in, what was beside the builds. */
  private readonly around: ReadonlyMap<StorePath, number>;
  readonly unmeasured: number;

  constructor(survey: Pick<Survey, "facts">, work: Pick<Work, "judgement" | "builds">) {
    this.survey = survey;
    this.work = work;
    const source = work.builds.filter(({ kind }) => kind === "source");
    this.seconds = new Map(source.map(({ drvPath, figures }) => [drvPath, figures?.seconds ?? 0]));
    this.around = new Map(
      source.flatMap(({ drvPath, figures }) =>
        figures?.aroundSeconds === undefined ? [] : [[drvPath, figures.aroundSeconds]],
      ),
    );
    // What died of a full disk never ran to its end.
    this.unmeasured = source.filter(({ figures }) => figures?.end !== undefined || !figures).length;
  }

  /** `wanted` and what has to be built below it, inputs first; without what is `done`. */
  below(wanted: Iterable<StorePath>, done: ReadonlySet<StorePath>): Set<StorePath> {
    const ordered = new Set<StorePath>();
    const visited = new Set<StorePath>(done);
    const stack: { readonly path: StorePath; readonly inputs: StorePath[] }[] = [];
    const enter = (path: StorePath) => {
      if (visited.has(path) || !this.work.judgement.build.has(path)) return;
      visited.add(path);
      stack.push({ path, inputs: this.inputs(path) });
    };
    for (const root of wanted) {
      enter(root);
      for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
        const input = top.inputs.pop();
        if (input !== undefined) enter(input);
        else ordered.add((stack.pop() ?? top).path);
      }
    }
    return ordered;
  }

  /** Seconds of a step that builds all of `paths`, inputs first, `slots` at a time: the builds, and Nix itself. */
  step(paths: ReadonlySet<StorePath>, slots: number): number {
    const around = [...paths].flatMap((path) => this.around.get(path) ?? []).sort((a, b) => a - b);
    return this.makespan(paths, slots) + (around[around.length >> 1] ?? 0);
  }

  /** Seconds until the last one is built; what else they need is there. */
  private makespan(paths: ReadonlySet<StorePath>, slots: number): number {
    const waiting = new Map<StorePath, number>();
    const dependents = new Map<StorePath, StorePath[]>();
    const ready: StorePath[] = [];
    for (const path of paths) {
      const inputs = this.inputs(path).filter((input) => paths.has(input));
      if (inputs.length === 0) ready.push(path);
      waiting.set(path, inputs.length);
      for (const input of inputs) {
        const list = dependents.get(input);
        if (list) list.push(path);
        else dependents.set(input, [path]);
      }
    }
    const running: { readonly path: StorePath; readonly end: number }[] = [];
    let now = 0;
    let next = 0;
    const finish = (path: StorePath) => {
      for (const dependent of dependents.get(path) ?? []) {
        const left = (waiting.get(dependent) ?? 0) - 1;
        waiting.set(dependent, left);
        if (left === 0) ready.push(dependent);
      }
    };
    while (next < ready.length || running.length > 0) {
      const path = running.length < Math.max(1, slots) ? ready[next] : undefined;
      if (path !== undefined) {
        next++;
        const seconds = this.seconds.get(path) ?? 0;
        if (seconds === 0) finish(path);
        else running.push({ path, end: now + seconds });
        continue;
      }
      const first = running.reduce((a, b) => (b.end < a.end ? b : a));
      running.splice(running.indexOf(first), 1);
      now = first.end;
      finish(first.path);
    }
    return now;
  }

  private inputs(path: StorePath): StorePath[] {
    return [...(this.survey.facts.derivations.get(path)?.inputs.keys() ?? [])];
  }
}

/** The steps with what each build takes, and all of them together. */
export function forecast(
  steps: readonly Step[],
  survey: Pick<Survey, "facts">,
  work: Work,
  { slots }: Pick<Times, "slots">,
): { readonly steps: Step[]; readonly forecast: Forecast | undefined } {
  const times = new BuildTimes(survey, work);
  const done = new Set<StorePath>();
  let seconds = 0;
  const timed = steps.map((step): Step => {
    if (step.do !== "build") return step;
    const paths = times.below(
      step.derivations.map(({ drvPath }) => drvPath),
      done,
    );
    for (const path of paths) done.add(path);
    const takes = times.step(paths, slots);
    seconds += takes;
    return { ...step, takes };
  });
  const { unmeasured } = times;
  const { downloadBytes: download } = work.load;
  const builds = steps.some((step) => step.do === "build");
  return {
    steps: timed,
    forecast: builds ? { seconds, unmeasured, download, slots } : undefined,
  };
}

/** What is built where not all can be finished, and in which order. */
export interface InTime {
  /** Each is pushed when it is built. */
  readonly rounds: readonly (readonly SurveyedDerivation[])[];
  readonly left: readonly SurveyedDerivation[];
}

/**
 * Of equal seconds all are worth the same to the next run, if they end: so what cannot end is not begun, what most
 * targets want comes first, then the longest that still fits. Undefined where all of it fits.
 */
export function inTime(survey: Pick<Survey, "facts">, work: Work, now: Times): InTime | undefined {
  const budget = budgetOf(now);
  if (budget === undefined) return undefined;
  const { slots } = now;
  const times = new BuildTimes(survey, work);
  const all = work.builds.filter(({ kind }) => kind === "source");
  const everything = times.below(work.judgement.build.keys(), new Set());
  if (times.step(everything, slots) <= budget) return undefined;
  const byPath = new Map(all.map((one) => [one.drvPath, one]));
  const byWorth = [...all].sort(
    (a, b) =>
      b.wantedBy.length - a.wantedBy.length ||
      (b.figures?.seconds ?? 0) - (a.figures?.seconds ?? 0) ||
      a.rank - b.rank,
  );
  let kept = new Set<StorePath>();
  for (const { drvPath } of byWorth) {
    if (kept.has(drvPath)) continue;
    const next = new Set([...kept, ...times.below([drvPath], kept)]);
    if (times.step(next, slots) <= budget) kept = next;
  }
  const ordered = [...kept].flatMap((path) => byPath.get(path) ?? []);
  // A round waits for its slowest: what that costs has to fit, too.
  const rounds: SurveyedDerivation[][] = [];
  const done = new Set<StorePath>();
  let seconds = 0;
  for (let at = 0; at < ordered.length; at += Math.max(1, slots)) {
    const round = ordered.slice(at, at + Math.max(1, slots));
    const paths = times.below(
      round.map(({ drvPath }) => drvPath),
      done,
    );
    seconds += times.step(paths, slots);
    if (seconds > budget) break;
    for (const path of paths) done.add(path);
    rounds.push(round);
  }
  return { rounds, left: all.filter(({ drvPath }) => !done.has(drvPath)) };
}

/** Under a second nobody plans by it. */
const FORECAST_FROM = 1;

/** `the builds take 38 min, 2 at a time, as they did last time; 1.2 GB to download first`; empty where nobody knows. */
export function forecastWords(forecast: Forecast | undefined): string {
  if (!forecast || forecast.unmeasured > 0 || forecast.seconds < FORECAST_FROM) return "";
  const { seconds, slots, download } = forecast;
  const first = download > 0 ? `; ${formatBytes(download)} to download first` : "";
  return `the builds take ${formatSeconds(seconds)}, ${slots} at a time, as they did last time${first}`;
}
