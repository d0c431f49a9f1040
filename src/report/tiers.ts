/** Owns the caches' table: how each answered, and what it had. Pure. */

import { formatBytes } from "../domain/size.ts";
import type { Survey } from "../engine/survey.ts";
import { grid } from "./page.ts";
import { code } from "./plain.ts";
import { reachWords } from "./words.ts";

export function tiers(survey: Survey): string {
  if (survey.tiers.length === 0) return "";
  const rows = survey.tiers.map((tier) => {
    const { name, role, pins, state, count: answers } = tier;
    const [latency, priority] =
      state.kind === "reachable"
        ? [`${Math.round(state.milliseconds)} ms`, String(state.priority)]
        : ["", ""];
    const rate = answers.asked === 0 ? "" : `${Math.round((answers.hits / answers.asked) * 100)} %`;
    return [
      code(name),
      role === "own" && pins === "none" ? "own, without pins" : role,
      reachWords(tier),
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
