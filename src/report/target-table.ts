/** The targets' table: verdict, substituter, size and link of each, what is missing first. Pure. */

import { formatBytes } from "../domain/size.ts";
import type { StorePath } from "../domain/store-path.ts";
import { answeredBy, holderWords, isHit } from "../domain/verdict.ts";
import { isHad } from "../engine/outcome.ts";
import type { Run } from "../engine/run.ts";
import type { Survey, SurveyedTarget } from "../engine/survey.ts";
import { code, grid, linked, markdown } from "./page.ts";
import { provedTargets, reachWords, verdictWords } from "./words.ts";

/** Paths walked for all sizes together: 5,000 targets with 5,000 paths each would take minutes. */
const WALK_MOST = 500_000;

export function targets(run: Run): string {
  const { survey, job } = run;
  if (survey.targets.length === 0) return "";
  const ordered = [...survey.targets].sort((a, b) => rank(run, a) - rank(run, b));
  const sizes = new ClosureSizes(survey);
  const proved = provedTargets(run);
  const rows = ordered.map((target) => {
    const bytes = sizes.of(target);
    const words = verdictWords(survey, target.verdict, "short");
    const isNew = proved.has(target.name) && !isHit(target.verdict);
    return [
      isNew ? "✅" : sign(run, target),
      code(target.name),
      markdown(isNew ? `cached now; was ${words}` : words),
      isNew ? code(job.cacheName) : cacheCell(run, target),
      target.local === "here" ? "yes" : "",
      bytes === undefined ? "" : formatBytes(bytes),
    ];
  });
  return grid(["", "target", "on a fresh machine", "from", "here", ">size"], rows);
}

/** What a cache said it has and could not give comes with what is not known. */
function rank({ outcome }: Run, target: SurveyedTarget): number {
  const { kind } = target.verdict;
  const order = ["failed", "missing", "unknown", "own", "upstream"];
  return order.indexOf(isHit(target.verdict) && !isHad(outcome, target) ? "unknown" : kind);
}

function sign({ outcome }: Run, target: SurveyedTarget): string {
  const { verdict } = target;
  if (isHad(outcome, target)) return "✅";
  if (verdict.kind === "missing") return "🔨";
  return verdict.kind === "failed" ? "❌" : "❔";
}

/** The cache, as a link to what it says of the target's own path where that is one's to follow. */
function cacheCell({ survey }: Run, target: SurveyedTarget): string {
  const { verdict, outputs } = target;
  if (verdict.kind !== "own" && verdict.kind !== "upstream") return "";
  const [path] = outputs ?? [];
  const served = path && survey.facts.answers.get(path)?.served;
  return verdict.holders
    .map((holder) => {
      const name = answeredBy(holder);
      const cache = survey.substituters.find((one) => one.name === name);
      const isIts = served && answeredBy(served) === name;
      return linked(holderWords(holder), path && cache && isIts ? cache.page(path) : undefined);
    })
    .join(", ");
}

/** What targets take in a store with all they refer to, as caches state it. */
class ClosureSizes {
  private readonly survey: Survey;
  private left = WALK_MOST;

  constructor(survey: Survey) {
    this.survey = survey;
  }

  /** Undefined where no cache serves it, and where counting on would take too long. */
  of({ outputs, verdict }: SurveyedTarget): number | undefined {
    if (!outputs || !isHit(verdict) || this.left <= 0) return undefined;
    const seen = new Set<StorePath>(outputs);
    let bytes = 0;
    // A set that is added to is walked to its new end.
    for (const path of seen) {
      const answer = this.survey.facts.answers.get(path);
      const narInfo = answer?.served?.narInfo;
      bytes += narInfo?.narSize ?? 0;
      for (const reference of narInfo?.references ?? []) seen.add(reference);
      if (--this.left <= 0) return undefined;
    }
    return bytes === 0 ? undefined : bytes;
  }
}

export function substituters(survey: Survey): string {
  if (survey.substituters.length === 0) return "";
  const rows = survey.substituters.map((substituter) => {
    const { name, role, pins, state, count: answers } = substituter;
    const [latency, priority] =
      state.kind === "reachable"
        ? [`${Math.round(state.milliseconds)} ms`, String(state.priority)]
        : ["", ""];
    const rate = answers.asked === 0 ? "" : `${Math.round((answers.hits / answers.asked) * 100)} %`;
    return [
      code(name),
      role === "own" && pins === "none" ? "own, without pins" : role,
      reachWords(substituter),
      latency,
      priority,
      `${answers.hits} of ${answers.asked}`,
      rate,
      formatBytes(answers.bytes),
    ];
  });
  const columns = ["cache", "role", "", ">answers in", ">priority", ">hits", ">hit rate", ">size"];
  return grid(columns, rows);
}
