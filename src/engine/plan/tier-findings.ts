/** Owns what is told of the caches: who is left out, who stopped answering, whose word does not count. Pure. */

import { describeError, UserError } from "../../domain/errors.ts";
import type { Finding } from "../../domain/finding.ts";
import type { Job } from "../../domain/job.ts";
import { count } from "../../domain/size.ts";
import type { SurveyedTier } from "../survey/tiers.ts";
import type { Survey } from "../survey.ts";

/** Whether this run itself builds what is missing, so that missing it is no failure yet. */
export type Intent = "builds" | "looks";

export function tierFindings(job: Job, survey: Survey, intent: Intent): Finding[] {
  // A push that cannot be is told before the hours of building that it would end.
  const pushes = intent === "builds" && job.push !== "off" && survey.trust.kind === "write";
  const ownLevel = pushes && job.onPushFailure === "error" ? "error" : "warning";
  return survey.tiers.flatMap((tier): Finding[] => {
    const { name, role, state, count: answers } = tier;
    if (state.kind === "down") {
      // Told together, with what would change it: engine/plan/standing.ts.
      if (state.error instanceof UserError && state.error.code === "NCP-351") return [];
      return [
        {
          kind: "tier",
          level: role === "own" ? ownLevel : "notice",
          message: `${name} is left out: ${describeError(state.error)}`,
          ...adviceOf(state.error),
        },
      ];
    }
    const found: Finding[] = [];
    const { trouble } = state.info;
    if (trouble) {
      found.push({
        kind: "tier",
        level: ownLevel,
        message: `${describeError(trouble)}: nothing is pushed or pinned, it is only read`,
        ...adviceOf(trouble),
      });
    }
    if (answers.failure) {
      found.push({
        kind: "tier",
        level: "warning",
        message: `${name} stopped answering: ${answers.unknown} of ${count(answers.asked, "path")} unknown there: ${describeError(answers.failure)}`,
        ...adviceOf(answers.failure),
      });
    }
    return [...found, ...refusals(tier)];
  });
}

function refusals({ name, role, count: { refused, corrupt } }: SurveyedTier): Finding[] {
  const [first] = refused;
  if (first === undefined) return [];
  const message = `${name}: ${count(refused.length, "answer")} not counted: ${first}`;
  if (corrupt === 0 || role === "own") return [{ kind: "tier", level: "warning", message }];
  return [
    {
      kind: "tier",
      level: "warning",
      code: "NCP-353",
      message,
      hint: "Nix would stop at such an answer: it is told nothing of this cache",
    },
  ];
}

function adviceOf(error: Error): Pick<Finding, "code" | "hint"> {
  if (!(error instanceof UserError)) return {};
  return { code: error.code, ...(error.hint === undefined ? {} : { hint: error.hint }) };
}
