/** Owns what this machine has to do: the survey's other question, beside that of a fresh machine. Pure. */

import type { Job } from "../domain/job.ts";
import type { StorePath } from "../domain/store-path.ts";
import { isHit } from "../domain/verdict.ts";
import { describeDerivations, type SurveyedDerivation } from "./derivations.ts";
import { type Judgement, judge, type Wanted } from "./judge.ts";
import { MAY } from "./modes.ts";
import { bytesToFetch } from "./room.ts";
import type { Survey, SurveyedTarget } from "./survey.ts";

/** What this machine has to fetch and build: the survey's other question, for the room plan. */
export interface Work {
  readonly judgement: Judgement;
  readonly fetchBytes: number;
  /** From source and downloads, heavy ones first. */
  readonly builds: readonly SurveyedDerivation[];
}

export function workOf(job: Job, survey: Survey): Work {
  const targets = MAY[job.mode].has("build")
    ? survey.targets.filter((target) => hasToBeMade(job, survey, target))
    : survey.targets.filter(({ buildable, verdict }) => buildable === "here" || isHit(verdict));
  const has = (path: StorePath) => survey.local.has(path);
  const wantedBy = new Map(targets.map((target) => [target.name, wantedOf(target)]));
  const judgement = judge(survey.facts, [...wantedBy.values()].flat(), has);
  const builds = new Map(
    [...wantedBy].map(([name, wanted]) => [name, judge(survey.facts, wanted, has).build]),
  );
  return {
    judgement,
    fetchBytes: bytesToFetch(survey.facts, judgement.fetch),
    builds: [...describeDerivations(job, survey.facts, survey.targets, builds).values()].filter(
      // A trivial build takes no room worth a word, unless somebody said that it does.
      ({ kind, space }) => kind !== "trivial" || space !== undefined,
    ),
  };
}

function wantedOf({ wanted, deepMissing }: SurveyedTarget): Wanted[] {
  return [
    ...(wanted ? [wanted] : []),
    ...deepMissing.map((deep): Wanted => ({ kind: "derivation", ...deep })),
  ];
}

/** In a warming run: what no cache has whole. Where one did not answer, building would be a guess. */
export function hasToBeMade(job: Job, survey: Survey, target: SurveyedTarget): boolean {
  const { wanted, outputs, buildable, local, deepMissing } = target;
  const makeable = wanted?.kind === "path" ? local === "here" : buildable === "here";
  if (!wanted || !makeable) return false;
  // What a memo answers for is served; only the derivation of a trivial root is not at hand.
  if (wanted.kind === "recalled") return false;
  if (job.force === "force" || deepMissing.length > 0 || !outputs) return true;
  return outputs.some((path) => {
    const availability = survey.facts.availability.get(path) ?? "absent";
    return availability === "absent" || availability === "broken";
  });
}
