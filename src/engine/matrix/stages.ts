/** The first stage: what several jobs would build, built once before them. Pure. */

import type { StorePath } from "../../domain/store-path.ts";
import { idOf } from "../survey/below.ts";
import { derivationOf } from "../survey/judge.ts";
import type { SurveyedDerivation } from "../survey/verdicts.ts";
import type { SurveyedTarget } from "../survey.ts";
import {
  DisjointSets,
  grouped,
  JOB_SECONDS,
  type MatrixRequest,
  MissingGraph,
  TARGET_SECONDS,
  type Weights,
} from "./graph.ts";
import { type Group, runnerOf, sourceOf, targetLine } from "./shards.ts";

export interface Lifted {
  /** The jobs of the first stage. */
  readonly groups: readonly Group[];
  /** What the first stage builds: nothing of it is left for the second. */
  readonly covered: ReadonlySet<StorePath>;
  /** Targets that the first stage builds whole. */
  readonly done: ReadonlySet<SurveyedTarget>;
}

/** Undefined where one stage is as good. */
export function liftShared(
  request: MatrixRequest,
  targets: readonly SurveyedTarget[],
  weights: Weights,
): Lifted | undefined {
  const graph = new MissingGraph(request);
  const chosen = chooseShared(request, targets, weights);
  if (chosen.size === 0) return undefined;
  const covered = graph.below(chosen);
  const done = new Set(
    targets.filter(
      ({ wanted }) =>
        wanted?.kind === "derivation" &&
        covered.has(wanted.drvPath) &&
        request.derivations.get(wanted.drvPath)?.kind === "source",
    ),
  );
  // Everything is shared by all: a second stage would have nothing to do.
  if (done.size === targets.length) return undefined;
  const exits = graph.exits(targets, covered);
  return { groups: firstGroups(request, graph, exits, targets, done, weights), covered, done };
}

/**
 * Of targets that hang together by what they lack: what two of them or more lack, where a part of
 * it is heavy, or where it is faster so; and what the runner of a target cannot build.
 */
function chooseShared(
  { derivations, system }: MatrixRequest,
  targets: readonly SurveyedTarget[],
  weights: Weights,
): Set<StorePath> {
  const chosen = new Set<StorePath>();
  const sets = new DisjointSets<string>();
  for (const target of targets) {
    for (const path of sourceOf(target)) sets.join(`target ${target.name}`, path);
  }
  for (const group of grouped(targets, ({ name }) => sets.groupOf(`target ${name}`)).values()) {
    const wanting = new Map<StorePath, Set<StorePath>>();
    for (const target of group) {
      const drvPath = derivationOf(target.wanted);
      if (drvPath === undefined) continue;
      for (const path of sourceOf(target)) {
        // Two names for one derivation are one job in any case.
        wanting.set(path, (wanting.get(path) ?? new Set()).add(drvPath));
        if (isForeign(derivations.get(path), target, system)) chosen.add(path);
      }
    }
    const shared = new Set([...wanting].flatMap(([path, by]) => (by.size > 1 ? [path] : [])));
    const heavy = [...shared].some((path) => derivations.get(path)?.heavy === "heavy");
    if (heavy || savesTime(group, wanting.keys(), shared, weights)) {
      for (const path of shared) chosen.add(path);
    }
  }
  return chosen;
}

/** No runner of the target's system builds it: a package set crossed on another machine. */
function isForeign(
  derivation: SurveyedDerivation | undefined,
  target: SurveyedTarget,
  here: string | undefined,
): boolean {
  if (!derivation || derivation.system === "builtin") return false;
  const own = runnerOf(derivation.system, here, "elsewhere");
  return own !== runnerOf(target.system, here, "elsewhere");
}

/** One job after the other, against the shared part and then the longest of the others. */
function savesTime(
  group: readonly SurveyedTarget[],
  all: Iterable<StorePath>,
  shared: ReadonlySet<StorePath>,
  weights: Weights,
): boolean {
  if (shared.size === 0) return false;
  const rests = group.map(
    (target) => TARGET_SECONDS + weights.sum(sourceOf(target).filter((path) => !shared.has(path))),
  );
  const one = TARGET_SECONDS * group.length + weights.sum(all);
  const longest = rests.reduce((most, rest) => Math.max(most, rest), 0);
  return one > JOB_SECONDS + weights.sum(shared) + longest + JOB_SECONDS;
}

function firstGroups(
  request: MatrixRequest,
  graph: MissingGraph,
  exits: readonly SurveyedDerivation[],
  targets: readonly SurveyedTarget[],
  done: ReadonlySet<SurveyedTarget>,
  weights: Weights,
): Group[] {
  const byName = new Map(targets.map((target) => [target.name, target]));
  const parts = graph.parts(exits);
  return parts.map(({ members, built }): Group => {
    const leaders = new Map<SurveyedTarget, SurveyedDerivation[]>();
    const lines: string[] = [];
    for (const exit of members) {
      const wanting = exit.wantedBy.flatMap((name) => byName.get(name) ?? []);
      const itself = wanting.filter((target) => done.has(target) && isItself(target, exit));
      const [leader] = [
        ...wanting.filter((target) => leaders.has(target)),
        ...wanting.filter(({ system }) => system === exit.system),
        ...wanting,
      ];
      lines.push(...itself.map((target) => targetLine(target)));
      const served = itself.some(
        ({ wanted }) =>
          wanted?.kind === "derivation" &&
          exit.outputNames.every((name) => wanted.outputNames.includes(name)),
      );
      if (!served && leader) leaders.set(leader, [...(leaders.get(leader) ?? []), exit]);
    }
    for (const [leader, led] of leaders) lines.push(leaderLine(leader, led, request.system));
    const [first] = members;
    const system = first && first.system !== "builtin" ? first.system : (request.system ?? "");
    return {
      names: members.map(({ name }) => name),
      lines,
      system,
      buildable: "elsewhere",
      built,
      seconds: TARGET_SECONDS * lines.length + weights.sum(built),
    };
  });
}

function isItself({ wanted }: SurveyedTarget, { drvPath }: SurveyedDerivation): boolean {
  return wanted?.kind === "derivation" && wanted.drvPath === drvPath;
}

/**
 * What a machine without our store can evaluate: a target that needs it, and its name below that.
 * Its hash tells it from others of its name.
 */
function leaderLine(
  { written, target, system }: SurveyedTarget,
  led: readonly SurveyedDerivation[],
  here: string | undefined,
): string {
  const evaluated = target.system ?? here;
  const elsewhere = led.some((exit) => exit.system !== evaluated) || system !== evaluated;
  return [
    written,
    `derivation=${led.map(({ drvPath }) => idOf(drvPath)).join(",")}`,
    ...(target.priority === 50 ? [] : [`priority=${target.priority}`]),
    ...(evaluated !== undefined && (target.system !== undefined || elsewhere)
      ? [`system=${evaluated}`]
      : []),
  ].join(" ");
}
