/** Owns the caches' table: how each answered, and what it had. Pure. */

import { formatBytes } from "../domain/size.ts";
import type { Survey, SurveyedTier } from "../engine/survey.ts";
import { grid } from "./page.ts";
import { code } from "./plain.ts";

export function tiers(survey: Survey): string {
  if (survey.tiers.length === 0) return "";
  const bytes = bytesByTier(survey);
  const rows = survey.tiers.map((tier) => {
    const { name, role, state, count: answers } = tier;
    const reach =
      state.kind === "reachable" ? `${Math.round(state.milliseconds)} ms` : "not reachable";
    const priority = state.kind === "reachable" ? (state.info.priority ?? "") : "";
    const rate = answers.asked === 0 ? "" : `${Math.round((answers.hits / answers.asked) * 100)} %`;
    return [
      code(name),
      role,
      reach,
      String(priority),
      `${answers.hits} of ${answers.asked}`,
      rate,
      formatBytes(bytes.get(tier) ?? 0),
    ];
  });
  const columns = ["cache", "role", ">answers in", ">priority", ">hits", ">hit rate", ">serves"];
  return grid(columns, rows);
}

/** What each would give a fresh machine, unpacked: the first that has a path is the one that is asked. */
function bytesByTier({ tiers: all, facts }: Survey): Map<SurveyedTier, number> {
  const byName = new Map(all.map((tier) => [tier.name, tier]));
  const bytes = new Map<SurveyedTier, number>();
  for (const { own, upstream } of facts.answers.values()) {
    const served = own ?? upstream;
    const tier =
      served &&
      (byName.get(served.tier) ??
        all.find(({ name }) => served.tier.endsWith(`passed on by ${name}`)));
    if (tier) bytes.set(tier, (bytes.get(tier) ?? 0) + served.narInfo.narSize);
  }
  return bytes;
}
