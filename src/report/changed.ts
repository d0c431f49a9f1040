/** Owns which targets a deployment has work with: new since their pin, and there to be fetched. Pure. */

import { MAY } from "../engine/modes.ts";
import type { Run } from "../engine/run.ts";

/** Names of targets, as the output `changed` lists them. */
export function changedTargets({ job, survey, outcome }: Run): string[] {
  const pinned = new Map(survey.pins?.map(({ name, storePath }) => [name, storePath]));
  const served = new Set(
    outcome.verified
      .filter(({ outcome: how }) => how === "verified" || how === "upstream only")
      .map(({ target }) => target),
  );
  // What this run was to bring into the cache and could not, nobody can fetch from there.
  const brings = MAY[job.mode].has("push") && survey.trust.kind === "write" && job.push !== "off";
  return survey.targets
    .filter(
      ({ name, outputs, pinName }) =>
        pinName !== "" &&
        outputs?.[0] !== undefined &&
        pinned.get(pinName) !== outputs[0] &&
        (!brings || served.has(name)),
    )
    .map(({ name }) => name);
}
