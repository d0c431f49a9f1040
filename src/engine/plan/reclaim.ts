/** How disk space is reclaimed where it is not enough: in order of what it costs, and only as much as is lacking. */

import { describeError } from "../../domain/errors.ts";
import type { Job } from "../../domain/job.ts";
import type { FileSystem, ToolFolder, World } from "../../domain/ports.ts";
import type { StorePath } from "../../domain/store-path.ts";
import { MAY, type Reclaim, type WantedSpace } from "../step.ts";
import type { Survey } from "../survey.ts";
import { type DiskSpace, floorOn, lackOn, type Need, onFileSystems } from "./disk-space.ts";

/** What could be had; nothing is touched yet. */
export interface ReclaimOptions {
  /** Other places to build in. */
  readonly buildDirectories: readonly {
    readonly directory: string;
    readonly fileSystem: FileSystem;
  }[];
  readonly toolFolders: readonly ToolFolder[];
  readonly garbage: { readonly bytes: number; readonly keep: readonly StorePath[] } | undefined;
  /** Where builds cannot write, however much space is free there. */
  readonly unusable: "absent" | "not writable" | undefined;
  readonly notices: readonly string[];
}

export const NOTHING_TO_RECLAIM: ReclaimOptions = {
  buildDirectories: [],
  toolFolders: [],
  garbage: undefined,
  unusable: undefined,
  notices: [],
};

/** Looks for what could be reclaimed where space is lacking, and at nothing where it is not. */
export async function findReclaimable(
  job: Job,
  survey: Survey,
  world: World,
  diskSpace: DiskSpace,
  signal: AbortSignal,
): Promise<ReclaimOptions> {
  const { reclaimer, nix, disk } = world;
  if (!reclaimer || !nix) return NOTHING_TO_RECLAIM;
  const building = diskSpace.load.builds.length > 0;
  const state = building ? await reclaimer.usable(nix.buildDirectory()) : "usable";
  const unusable = state === "usable" ? undefined : state;
  const lacking = diskSpace.fileSystems.some((one) => lackOn(one, job.minFree, "with guesses") > 0);
  if ((!lacking && !unusable) || !MAY[job.mode].has("reclaim"))
    return { ...NOTHING_TO_RECLAIM, unusable };
  const notices: string[] = [];
  const attempt = async <T>(what: string, instead: T, look: () => Promise<T>): Promise<T> => {
    try {
      return await look();
    } catch (error) {
      signal.throwIfAborted();
      notices.push(`${what} cannot be looked at for space: ${describeError(error)}`);
      return instead;
    }
  };
  const movable = building && nix.setup.buildDirBy !== "nothing";
  const buildDirectories = await attempt("other build directories", [], async () => {
    const directories = movable ? await reclaimer.buildDirectories() : [];
    return Promise.all(
      directories.map(async (directory) => ({
        directory,
        fileSystem: await disk.fileSystem(directory),
      })),
    );
  });
  const asked = job.reclaim === "auto" && lacking;
  const toolFolders = asked
    ? await attempt("tool folders", [], () => reclaimer.toolFolders(signal))
    : [];
  // On a machine that stays, a stranger's pull request must not have others' paths deleted.
  const mayCollect = asked && (reclaimer.machine === "hosted" || survey.trust.kind === "write");
  const garbage = mayCollect
    ? await attempt("the store", undefined, async () => {
        const keep = neededPaths(survey);
        return { bytes: await nix.garbage(keep, signal), keep };
      })
    : undefined;
  return { buildDirectories, toolFolders, garbage, unusable, notices };
}

/** Every path of the targets that is here, and the derivations that are to be built. */
function neededPaths(survey: Survey): StorePath[] {
  return [...new Set([...survey.local, ...survey.facts.derivations.keys()])];
}

export interface AfterReclaims {
  readonly diskSpace: DiskSpace;
  readonly reclaims: readonly Reclaim[];
}

/**
 * The build directory first, which costs nothing; then tool folders, largest first; then garbage:
 * each only for a file system that still lacks disk space, with what rests on the rule counted in. Pure.
 */
export function planReclaims(
  diskSpace: DiskSpace,
  options: ReclaimOptions,
  minFree: number,
): AfterReclaims {
  const reclaims: Reclaim[] = [];
  let needs = diskSpace.needs;
  const places = new Map(diskSpace.places);
  const freed = new Map<string, number>();
  const now = () => onFileSystems(needs, places, freed);
  const lackThere = (id: string | undefined): number => {
    const there = now().find(({ fileSystem }) => fileSystem.id === id);
    return there ? lackOn(there, minFree, "with guesses") : 0;
  };
  const lackInAll = () => now().reduce((sum, one) => sum + lackOn(one, minFree, "with guesses"), 0);

  const wantedOn = (id: string): WantedSpace => {
    const there = now().find(({ fileSystem }) => fileSystem.id === id);
    const directory = there?.needs.find(({ writes }) => writes === "something")?.directory ?? "";
    return { directory, bytes: there ? there.bytesNeeded + floorOn(there, minFree) : 0 };
  };

  const from = needs.find(({ what }) => what === "build directory");
  if (from && (options.unusable || lackThere(places.get(from.directory)?.id) > 0)) {
    let best = options.unusable ? Number.POSITIVE_INFINITY : lackInAll();
    const before = needs;
    const emptiest = [...options.buildDirectories].sort(
      (a, b) => b.fileSystem.freeBytes - a.fileSystem.freeBytes,
    );
    let to: string | undefined;
    for (const { directory, fileSystem } of emptiest) {
      places.set(directory, fileSystem);
      needs = moved(before, directory);
      const lack = lackInAll();
      if (lack < best) [best, to] = [lack, directory];
    }
    needs = to === undefined ? before : moved(before, to);
    if (to !== undefined) reclaims.push({ kind: "build directory", from: from.directory, to });
  }
  for (const { path, bytes, fileSystem } of [...options.toolFolders].sort(
    (a, b) => b.bytes - a.bytes,
  )) {
    if (bytes === 0 || lackThere(fileSystem) === 0) continue;
    reclaims.push({ kind: "tool folder", path, bytes, wanted: wantedOn(fileSystem) });
    freed.set(fileSystem, (freed.get(fileSystem) ?? 0) + bytes);
  }
  const store = needs.find(({ what }) => what === "store");
  const storeId = store && places.get(store.directory)?.id;
  const { garbage } = options;
  const lack = lackThere(storeId);
  if (garbage && storeId !== undefined && lack > 0 && garbage.bytes > 0) {
    const bytes = Math.min(lack, garbage.bytes);
    reclaims.push({ kind: "garbage", bytes, wanted: wantedOn(storeId), keep: garbage.keep });
    freed.set(storeId, (freed.get(storeId) ?? 0) + bytes);
  }
  return { diskSpace: { ...diskSpace, needs, places, fileSystems: now() }, reclaims };
}

function moved(needs: readonly Need[], directory: string): Need[] {
  return needs.map((need) => (need.what === "build directory" ? { ...need, directory } : need));
}
