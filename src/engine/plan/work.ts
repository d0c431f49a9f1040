/** What this machine has to do: the survey's other question, beside that of a fresh machine. Pure. */

import type { Job } from "../../domain/job.ts";
import type { StorePath } from "../../domain/store-path.ts";
import { isHit } from "../../domain/verdict.ts";
import { MAY } from "../step.ts";
import { BuildGraph } from "../survey/build-graph.ts";
import { type Judgement, judge, type Wanted, wantsOf } from "../survey/judge.ts";
import { isNowhere, isSilent } from "../survey/substituters.ts";
import { describeDerivations, type SurveyedDerivation } from "../survey/verdicts.ts";
import type { Survey, SurveyedTarget } from "../survey.ts";
import { bytesToDownload, bytesToFetch, type Load } from "./disk-space.ts";
import { estimates } from "./estimate.ts";

/** What this machine has to fetch and build: the survey's other question, for the disk space plan. */
export interface Work {
  readonly judgement: Judgement;
  /** Of the targets that it is for. */
  readonly names: ReadonlySet<string>;
  /** The same for one target by itself. */
  judgementOf(name: string): Judgement;
  /** From source and downloads, heavy ones first. */
  readonly builds: readonly SurveyedDerivation[];
  readonly load: Load;
  /** Bytes of a path that is fetched: unpacked, and as it comes over the wire. */
  sizeOf(path: StorePath): { readonly nar: number; readonly file: number };
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
  const wantedBy = new Map(targets.map((target) => [target.name, wantedOf(target)]));
  const judgement = judge(survey.facts, [...wantedBy.values()].flat(), has);
  const { facts, figures } = survey;
  const graph = new BuildGraph(facts, has);
  const tops = new Map([...wantedBy].map(([name, wanted]) => [name, graph.tops(wanted)]));
  const described = describeDerivations(job, facts, survey.targets, { graph, tops }, figures);
  const builds = [...described.values()].filter(
    // A trivial build takes no space worth a word, unless somebody said that it does.
    ({ kind, space }) => kind !== "trivial" || space !== undefined,
  );
  return {
    judgement,
    names: new Set(wantedBy.keys()),
    judgementOf: (name) => judge(facts, wantedBy.get(name) ?? [], has),
    builds,
    load: {
      fetchBytes: bytesToFetch(facts, judgement.fetch),
      fetchPaths: judgement.fetch.size,
      downloadBytes: bytesToDownload(facts, judgement.fetch),
      builds: estimates(facts, builds),
    },
    sizeOf: (path) => ({
      nar: bytesToFetch(facts, [path]),
      file: bytesToDownload(facts, [path]),
    }),
  };
}

function wantedOf(target: SurveyedTarget): Wanted[] {
  return [
    ...wantsOf(target),
    ...target.deepMissing.map((deep): Wanted => ({ kind: "derivation", ...deep })),
  ];
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
  const { wanted, outputs, buildable, local, deepMissing } = target;
  const makeable = wanted?.kind === "path" ? local === "here" : buildable === "here";
  if (!wanted || !makeable) return false;
  // What an evaluation record answers for is served; only the derivation of a trivial root is not at hand.
  if (wanted.kind === "recalled" || wanted.kind === "evaluation") return false;
  if (job.force === "force" || deepMissing.length > 0 || !outputs) return true;
  const built = new Set(["absent", "broken", ...(onlyGone(survey) ? ["unknown"] : [])]);
  return outputs.some((path) => built.has(survey.facts.availability.get(path) ?? "absent"));
}
