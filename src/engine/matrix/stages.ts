/** The first stage: what several jobs would build, built once before them. Pure. */

import { BitSet } from "../../domain/bit-set.ts";
import type { StorePath } from "../../domain/store-path.ts";
import { idOf } from "../survey/below.ts";
import { type BuildNode, below, inputsFirst } from "../survey/build-graph.ts";
import { derivationOf } from "../survey/judge.ts";
import type { SurveyedDerivation } from "../survey/verdicts.ts";
import type { SurveyedTarget } from "../survey.ts";
import {
  grouped,
  JOB_SECONDS,
  type MatrixRequest,
  MissingGraph,
  TARGET_SECONDS,
  together,
  type Weights,
} from "./graph.ts";
import { type Group, runnerOf, targetLine } from "./shards.ts";

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
  request: MatrixRequest,
  targets: readonly SurveyedTarget[],
  weights: Weights,
): Set<StorePath> {
  const { derivations } = request;
  const isSource = (path: StorePath) => derivations.get(path)?.kind === "source";
  const chosen = foreignTo(request, targets);
  const wantedBy = wantersOf(request, targets);
  const { groupOf, lacks } = together(request, targets, isSource, () => "");
  for (const [key, group] of grouped(targets, groupOf)) {
    const wanted = [...(lacks.get(key) ?? [])].filter((path) => wantedBy.has(path));
    const shared = new Set(wanted.filter((path) => wantedBy.get(path) === "several"));
    const heavy = [...shared].some((path) => derivations.get(path)?.heavy === "heavy");
    if (heavy || savesTime(group, wanted, wantedBy, weights)) {
      for (const path of shared) chosen.add(path);
    }
  }
  return chosen;
}

/** Whose build wants each derivation; two names for one derivation are one job in any case. */
function wantersOf(
  { builds }: MatrixRequest,
  targets: readonly SurveyedTarget[],
): ReadonlyMap<StorePath, StorePath | "several"> {
  const wanters = new Map<StorePath, StorePath | "several">();
  const note = (path: StorePath, by: StorePath | "several") => {
    const before = wanters.get(path);
    wanters.set(path, before === undefined || before === by ? by : "several");
  };
  const tops: BuildNode[] = [];
  for (const { name, wanted } of targets) {
    const by = derivationOf(wanted);
    if (by === undefined) continue;
    for (const node of builds.tops.get(name)?.build ?? []) {
      tops.push(node);
      note(node.drvPath, by);
    }
  }
  for (const { drvPath, inputs } of inputsFirst(tops).toReversed()) {
    const by = wanters.get(drvPath);
    if (by !== undefined) for (const input of inputs) note(input.drvPath, by);
  }
  return wanters;
}

/** What the runners of those who want it cannot build. */
function foreignTo(
  { builds, derivations, system: here }: MatrixRequest,
  targets: readonly SurveyedTarget[],
): Set<StorePath> {
  const known = targets.filter(({ wanted }) => derivationOf(wanted) !== undefined);
  const foreign = new Set<StorePath>();
  for (const [system, mine] of grouped(known, (target) => target.system)) {
    for (const { drvPath } of below(
      mine.flatMap(({ name }) => builds.tops.get(name)?.build ?? []),
    )) {
      const derivation = derivations.get(drvPath);
      if (derivation?.kind === "source" && isForeign(derivation, system, here)) {
        foreign.add(drvPath);
      }
    }
  }
  return foreign;
}

/** No runner of the target's system builds it: a package set crossed on another machine. */
function isForeign(
  derivation: SurveyedDerivation,
  system: string,
  here: string | undefined,
): boolean {
  if (derivation.system === "builtin") return false;
  const own = runnerOf(derivation.system, here, "elsewhere");
  return own !== runnerOf(system, here, "elsewhere");
}

/** One job after the other, against the shared part and then the longest of the others. */
function savesTime(
  group: readonly SurveyedTarget[],
  wanted: readonly StorePath[],
  wantedBy: ReadonlyMap<StorePath, StorePath | "several">,
  weights: Weights,
): boolean {
  const seconds = new Map<StorePath | "several", number>();
  for (const path of wanted) {
    const by = wantedBy.get(path) ?? "several";
    seconds.set(by, (seconds.get(by) ?? 0) + weights.of(path));
  }
  const shared = seconds.get("several");
  if (shared === undefined) return false;
  seconds.delete("several");
  const longest = [...seconds.values()].reduce((most, rest) => Math.max(most, rest), 0);
  const one = TARGET_SECONDS * group.length + weights.sum(wanted);
  return one > JOB_SECONDS + shared + TARGET_SECONDS + longest + JOB_SECONDS;
}

function firstGroups(
  request: MatrixRequest,
  graph: MissingGraph,
  exits: readonly SurveyedDerivation[],
  targets: readonly SurveyedTarget[],
  done: ReadonlySet<SurveyedTarget>,
  weights: Weights,
): Group[] {
  const among = new Places(request, targets);
  const named = grouped(
    targets.filter((target) => done.has(target)),
    ({ wanted }) => derivationOf(wanted),
  );
  const parts = graph.parts(exits);
  return parts.map(({ members, built }): Group => {
    const leaders = new Map<SurveyedTarget, SurveyedDerivation[]>();
    const leading = among.none();
    const lines: string[] = [];
    for (const exit of members) {
      const itself = named.get(exit.drvPath) ?? [];
      const leader = among.leaderOf(exit, leading);
      lines.push(...itself.map((target) => targetLine(target)));
      const served = itself.some(
        ({ wanted }) =>
          wanted?.kind === "derivation" &&
          exit.outputNames.every((name) => wanted.outputNames.includes(name)),
      );
      if (served || !leader) continue;
      among.add(leader, leading);
      const led = leaders.get(leader);
      if (led) led.push(exit);
      else leaders.set(leader, [exit]);
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

/** The targets by their place in the survey, as a derivation knows those that want it. */
class Places {
  private readonly targets = new Map<number, SurveyedTarget>();
  private readonly places = new Map<SurveyedTarget, number>();
  private readonly end: number;
  private readonly all: BitSet;
  private readonly bySystem = new Map<string, BitSet>();

  constructor({ builds }: MatrixRequest, targets: readonly SurveyedTarget[]) {
    const places = new Map([...builds.tops.keys()].map((name, place) => [name, place]));
    this.end = places.size;
    this.all = this.none();
    for (const target of targets) {
      const place = places.get(target.name);
      if (place === undefined) continue;
      this.targets.set(place, target);
      this.places.set(target, place);
      const same = this.bySystem.get(target.system) ?? this.none();
      this.bySystem.set(target.system, same);
      this.add(target, same);
      this.add(target, this.all);
    }
  }

  none(): BitSet {
    return new BitSet(this.end);
  }

  add(target: SurveyedTarget, to: BitSet): void {
    const place = this.places.get(target);
    if (place !== undefined) to.add(place);
  }

  /** Whose line builds it: of those that want it, one that leads already, else one of its system, else any. */
  leaderOf({ wanting, system }: SurveyedDerivation, leading: BitSet): SurveyedTarget | undefined {
    const of = (within: BitSet | undefined) => (within ? wanting.first(1, within)[0] : undefined);
    const place = of(leading) ?? of(this.bySystem.get(system)) ?? of(this.all);
    return place === undefined ? undefined : this.targets.get(place);
  }
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
