/** Owns cutting a plan that does not fit: what fits by priority is done, the rest is left out. Pure. */

import type { Job } from "../../domain/job.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Survey } from "../survey.ts";
import type { Estimate } from "./estimate.ts";
import { type Directories, fits, type Load, type Room, roomFor } from "./room.ts";
import type { Work } from "./work.ts";

export interface Cut {
  /** Names of the targets that have their room. */
  readonly kept: ReadonlySet<string>;
  /** In the order of their priority. */
  readonly left: readonly string[];
}

/** Takes target by target, by priority, as long as all that is known of them has its room. */
export function cutToFit(
  job: Job,
  survey: Survey,
  work: Work,
  room: Room,
  directories: Directories,
): Cut {
  const byPriority = [...survey.targets]
    .sort((a, b) => b.target.priority - a.target.priority)
    .filter(({ name }) => work.judgements.has(name));
  const byPath = new Map(work.load.builds.map((estimate) => [estimate.drvPath, estimate]));
  const kept = new Set<string>();
  const left: string[] = [];
  const taken = new Set<StorePath>();
  let load: Load = { fetchBytes: 0, fetchPaths: 0, downloadBytes: 0, builds: [] };
  for (const { name } of byPriority) {
    const judgement = work.judgements.get(name);
    if (!judgement) continue;
    // A path and a derivation that several targets want take their room once.
    const paths = [...judgement.fetch].filter((path) => !taken.has(path));
    const builds = [...judgement.build.keys()].filter((drvPath) => !taken.has(drvPath));
    const next = added(
      load,
      work,
      paths,
      builds.flatMap((drvPath) => byPath.get(drvPath) ?? []),
    );
    const fresh = paths.length + builds.length > 0;
    if (fresh && !fits(roomFor(room, next, directories).fileSystems, job.minFree)) {
      left.push(name);
      continue;
    }
    kept.add(name);
    load = next;
    for (const path of [...paths, ...builds]) taken.add(path);
  }
  return { kept, left };
}

function added(
  load: Load,
  work: Work,
  paths: readonly StorePath[],
  builds: readonly Estimate[],
): Load {
  let { fetchBytes, downloadBytes } = load;
  for (const path of paths) {
    const { nar, file } = work.sizeOf(path);
    fetchBytes += nar;
    downloadBytes += file;
  }
  return {
    fetchBytes,
    downloadBytes,
    fetchPaths: load.fetchPaths + paths.length,
    builds: builds.length === 0 ? load.builds : [...load.builds, ...builds],
  };
}
