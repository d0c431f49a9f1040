/** Owns the GC watch: is each target's closure still whole in our cache. Pure. */

import type { VerifiedTarget } from "../../domain/verdict.ts";
import { isHit } from "../../domain/verdict.ts";
import type { SurveyedTarget } from "../survey.ts";
import type { AuditRequest, Check } from "./check.ts";

const PUSH_AGAIN = "run this action with mode: warm on the default branch: it pushes what is lacking";

export function closureChecks({ survey, verified }: AuditRequest): Check[] {
  const outcomes = new Map(verified.map((one) => [one.target, one]));
  const own = survey.tiers.find(({ role }) => role === "own");
  const seen = new Set(survey.targets.map(({ name }) => name));
  const pins = verified.filter(({ target }) => !seen.has(target));
  return [
    ...survey.targets.map((target): Check => {
      const outcome = outcomes.get(target.name);
      if (outcome) return ofOutcome(outcome);
      if (own?.state.kind !== "reachable") return unasked(target);
      return ofVerdict(target);
    }),
    ...pins.map(ofOutcome),
  ];
}

function ofOutcome({ target, outcome, detail, paths }: VerifiedTarget): Check {
  const because = detail === undefined ? "" : `: ${detail}`;
  const base = { group: "closures" as const, code: "NCP-601" as const };
  switch (outcome) {
    case "verified":
      return { ...base, status: "pass", message: `${target} is whole, ${paths} paths` };
    case "upstream only":
      return { ...base, status: "pass", message: `${target} is another cache's${because}` };
    case "not yet visible":
    case "unknown":
      return {
        ...base,
        code: "NCP-600",
        status: "unknown",
        message: `${target} ${outcome}${because}`,
      };
    case "gone":
    case "rejected":
    case "mismatch":
      return { ...base, status: "fail", message: `${target} is ${outcome}${because}`, mend: PUSH_AGAIN };
    default:
      return outcome satisfies never;
  }
}

function unasked({ name }: SurveyedTarget): Check {
  const message = `${name}: our cache could not be asked`;
  return { group: "closures", code: "NCP-600", status: "unknown", message };
}

function ofVerdict({ name, verdict }: SurveyedTarget): Check {
  const base = { group: "closures" as const, code: "NCP-602" as const };
  if (isHit(verdict)) return { ...base, status: "pass", message: `${name} is another cache's` };
  if (verdict.kind === "missing") {
    return {
      ...base,
      status: "warn",
      message: `${name} was never pushed to our cache`,
      mend: PUSH_AGAIN,
    };
  }
  const why = verdict.kind === "failed" ? "it does not evaluate" : "a cache did not answer";
  return { ...base, code: "NCP-600", status: "unknown", message: `${name}: ${why}` };
}
