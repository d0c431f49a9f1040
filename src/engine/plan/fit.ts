/** Owns fitting the work into the room there is: relief, then the cut, then the pace of building. Pure. */

import type { Finding } from "../../domain/finding.ts";
import type { Job } from "../../domain/job.ts";
import { MAY } from "../modes.ts";
import type { Reclaim } from "../step.ts";
import type { Survey } from "../survey.ts";
import type { Pace } from "./build-order.ts";
import { type Cut, cutToFit } from "./cut.ts";
import { NO_RELIEF, type ReliefOptions, relieve } from "./relief.ts";
import { type Directories, fits, type Room } from "./room.ts";
import { leftOut, unusableBuildDirectory } from "./room-findings.ts";
import type { Work } from "./work.ts";

export interface Fitted {
  readonly room: Room;
  readonly reclaims: readonly Reclaim[];
  /** Undefined where all of it is done. */
  readonly cut: Cut | undefined;
  readonly verdict: "fits" | "nothing fits";
  readonly pace: Pace;
  /** Told beside the lack of room itself. */
  readonly findings: readonly Finding[];
}

export function fitWork(
  job: Job,
  survey: Survey,
  work: Work,
  measured: Room,
  directories: Directories,
  options: ReliefOptions = NO_RELIEF,
): Fitted {
  const level = job.failOn.includes("disk") ? "error" : "warning";
  const { room, reclaims } = relieve(measured, options, job.minFree);
  const movedTo = reclaims.find((one) => one.kind === "build directory")?.to;
  const findings: Finding[] = options.notices.map((message) => ({
    kind: "notice",
    level: "notice",
    message,
  }));
  if (options.unusable) {
    const how = movedTo === undefined ? "kept" : "moved";
    findings.push(unusableBuildDirectory(options.unusable, directories.buildDir, how, level));
  }
  const homeless = options.unusable !== undefined && movedTo === undefined;
  const pace = paceOf(room, directories.setup?.buildsAtOnce ?? 1, job.minFree);
  const whole = { room, reclaims, findings, pace };
  // Whoever leaves `disk` out of fail-on wants it tried, come what may.
  if (level !== "error") {
    return { ...whole, cut: undefined, verdict: "fits", pace: { kind: "at once" } };
  }
  if (homeless && MAY[job.mode].has("build")) {
    return { ...whole, cut: undefined, verdict: "nothing fits" };
  }
  if (fits(room.fileSystems, job.minFree)) return { ...whole, cut: undefined, verdict: "fits" };
  const places = movedTo === undefined ? directories : { ...directories, buildDir: movedTo };
  const cut = cutToFit(job, survey, work, room, places);
  const some = cut.kept.size > 0 && MAY[job.mode].has("substitute");
  if (some) findings.push(...leftOut(cut.left, level));
  return {
    ...whole,
    findings,
    cut: some ? cut : undefined,
    verdict: some ? "fits" : "nothing fits",
  };
}

/**
 * Nix cannot be told to begin nothing more. Where twice of what is reckoned would not fit, it gets
 * as many derivations at a time as it builds side by side, and room is looked at in between.
 */
function paceOf(room: Room, buildsAtOnce: number, minFree: number): Pace {
  const tight = room.fileSystems.some(
    ({ needs, bytesNeeded, bytesAfter }) =>
      needs.some(({ what, bytes }) => what.startsWith("build ") && bytes > 0) &&
      bytesAfter - bytesNeeded < minFree,
  );
  return tight ? { kind: "rounds", of: Math.max(1, buildsAtOnce) } : { kind: "at once" };
}
