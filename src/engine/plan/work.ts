/** What this machine has to do: the survey's other question, beside that of a fresh machine. Pure. */

import { BitSet } from "../../domain/bit-set.ts";
import type { Job } from "../../domain/job.ts";
import type { StorePath } from "../../domain/store-path.ts";
import { isHit } from "../../domain/verdict.ts";
import { MAY } from "../step.ts";
import { BuildGraph, type Builds } from "../survey/build-graph.ts";
import type { Facts } from "../survey/facts.ts";
import { type Judgement, judge, type Wanted, wantsOf } from "../survey/judge.ts";
import { isNowhere, isSilent } from "../survey/substituters.ts";
import { describeDerivations, type SurveyedDerivation } from "../survey/verdicts.ts";
import type { Survey, SurveyedTarget } from "../survey.ts";
import { bytesToDownload, bytesToFetch, type Load } from "./disk-space.ts";
import { type Estimate, estimates } from "./estimate.ts";

/** What this machine has to fetch and build: the survey's other question, for the disk space plan. */
export interface Work {
  readonly judgement: Judgement;
  /** Of the targets that it is for. */
  readonly names: ReadonlySet<string>;
  /** Of these derivations' targets, the names. */
  targetsOf(drvPaths: Iterable<StorePath>): ReadonlySet<string>;
  /** All of it, in parts that the same targets want: those that most of them want first. */
  parts(): readonly Part[];
  /** From source and downloads, heavy ones first. */
  readonly builds: readonly SurveyedDerivation[];
  readonly load: Load;
}

/** What is fetched and built for one and the same targets; `by` are their places among the names. */
export interface Part {
  readonly by: BitSet;
  readonly load: Load;
}

/** `kept`: the targets that fit on the disk; all of them unless said. */
export function workOf(job: Job, survey: Survey, kept?: ReadonlySet<string>): Work {
  const targets = survey.targets.filter(
    (target) =>
      (kept?.has(target.name) ?? true) &&
      (MAY[job.mode].has("build")
        ? hasToBeMade(job, survey, target)
        : target.buildable === "here" || isHit(target.verdict)),
  );
  const has = (path: StorePath) => survey.local.has(path);
  const wantedBy = new Map(targets.map((target) => [target.name, wantsOf(target)]));
  const { facts, figures, deep } = survey;
  const names = [...wantedBy.keys()];
  const below = deep.wanting(names).map(({ wanted, by }) => ({
    wanted: { kind: "derivation" as const, ...wanted },
    by,
  }));
  const all: Wanted[] = [...[...wantedBy.values()].flat(), ...below.map(({ wanted }) => wanted)];
  const judgement = judge(facts, all, has);
  const graph = new BuildGraph(facts, has);
  const tops = new Map([...wantedBy].map(([name, wanted]) => [name, graph.tops(wanted)]));
  const shared = below.map(({ wanted, by }) => ({ tops: graph.tops([wanted]), by }));
  const graphs: Builds = { graph, tops, shared };
  const described = describeDerivations(job, facts, survey.targets, graphs, figures);
  const builds = [...described.values()].filter(
    // A trivial build takes no space worth a word, unless somebody said that it does.
    ({ kind, space }) => kind !== "trivial" || space !== undefined,
  );
  const load: Load = {
    fetchBytes: bytesToFetch(facts, judgement.fetch),
    fetchPaths: judgement.fetch.size,
    downloadBytes: bytesToDownload(facts, judgement.fetch),
    builds: estimates(facts, builds),
  };
  return {
    judgement,
    names: new Set(names),
    targetsOf: (drvPaths) => {
      const found = new BitSet(names.length);
      for (const drvPath of drvPaths) {
        const by = described.get(drvPath)?.wanting;
        if (by) found.addAll(by);
      }
      return new Set(names.filter((_, place) => found.has(place)));
    },
    parts: () => partsOf(facts, graphs, load),
    builds,
    load,
  };
}

/** What no target tells apart is one part: there are seldom many more than targets. */
function partsOf(facts: Facts, { graph, tops, shared }: Builds, load: Load): Part[] {
  const targets = [...tops.values()];
  const wanting = graph.wanting(targets, shared);
  const estimateOf = new Map(load.builds.map((estimate) => [estimate.drvPath, estimate]));
  const found = new Map<string, { by: BitSet; builds: Estimate[]; fetch: StorePath[] }>();
  const partOf = (by: BitSet) => {
    const key = by.toString();
    const part = found.get(key) ?? { by, builds: [], fetch: [] };
    found.set(key, part);
    return part;
  };
  for (const [{ drvPath }, by] of wanting) {
    const part = partOf(by);
    const estimate = estimateOf.get(drvPath);
    // What is trivial to build takes no space.
    if (estimate) part.builds.push(estimate);
  }
  for (const [path, by] of graph.fetching(targets, wanting, shared)) partOf(by).fetch.push(path);
  return [...found.values()]
    .sort((a, b) => b.by.size - a.by.size)
    .map(({ by, builds, fetch }) => ({
      by,
      load: {
        builds,
        fetchPaths: fetch.length,
        fetchBytes: bytesToFetch(facts, fetch),
        downloadBytes: bytesToDownload(facts, fetch),
      },
    }));
}

/** Whether all that did not answer are caches that are not there at all: Nix passes over those. */
function onlyGone({ substituters }: Survey): boolean {
  const silent = substituters.filter((one) => isSilent(one) || one.count.failure);
  // Without a silent cache it is one path's answer that is open: Nix may well follow it.
  return (
    silent.length > 0 &&
    silent.every(
      ({ role, state }) => role === "upstream" && state.kind === "down" && isNowhere(state.error),
    )
  );
}

/** In a warming run: what no cache has whole. Where one did not answer, building would be a guess. */
export function hasToBeMade(job: Job, survey: Survey, target: SurveyedTarget): boolean {
  const { name, wanted, outputs, buildable, local } = target;
  const makeable = wanted?.kind === "path" ? local === "here" : buildable === "here";
  if (!wanted || !makeable) return false;
  // What an evaluation record answers for is served; only the derivation of a trivial root is not at hand.
  if (wanted.kind === "recalled" || wanted.kind === "evaluation") return false;
  if (job.force === "force" || survey.deep.lacks(name) || !outputs) return true;
  const built = new Set(["absent", "broken", ...(onlyGone(survey) ? ["unknown"] : [])]);
  return outputs.some((path) => built.has(survey.facts.availability.get(path) ?? "absent"));
}
