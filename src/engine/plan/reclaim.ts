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
 * Builds go where least is lacking when all is done, and of such places where least is deleted for it: to move
 * them costs nothing, and a place that is too small helps nobody. Then tool folders, largest first; then
 * garbage: each only for a file system that still lacks disk space, with what rests on the rule counted in. Pure.
 */
export function planReclaims(
  diskSpace: DiskSpace,
  options: ReclaimOptions,
  minFree: number,
): AfterReclaims {
  const stay = reclaimsFor(diskSpace, options, minFree);
  const from = diskSpace.needs.find(({ what }) => what === "build directory");
  const here = from && diskSpace.places.get(from.directory)?.id;
  const isTight = lackThere(diskSpace.fileSystems, here, minFree) > 0;
  if (!from || (!options.unusable && !isTight)) return stay;
  const emptiest = [...options.buildDirectories].sort(
    (a, b) => b.fileSystem.freeBytes - a.fileSystem.freeBytes,
  );
  const moves = emptiest.map(({ directory, fileSystem }): Way => {
    const places = new Map(diskSpace.places).set(directory, fileSystem);
    const needs = moved(diskSpace.needs, directory);
    const way = reclaimsFor({ ...diskSpace, needs, places }, options, minFree);
    const move: Reclaim = { kind: "build directory", from: from.directory, to: directory };
    return { ...way, reclaims: [move, ...way.reclaims] };
  });
  // The first of equals stays.
  const none = options.unusable ? { ...stay, lack: Number.POSITIVE_INFINITY } : stay;
  return moves.reduce<Way>((best, one) => (isBetter(one, best) ? one : best), none);
}

interface Way extends AfterReclaims {
  /** Bytes that are lacking in the end, on all file systems. */
  readonly lack: number;
  readonly deleted: number;
}

function isBetter(one: Way, other: Way): boolean {
  return one.lack === other.lack ? one.deleted < other.deleted : one.lack < other.lack;
}

function lackThere(all: DiskSpace["fileSystems"], id: string | undefined, minFree: number): number {
  const there = all.find(({ fileSystem }) => fileSystem.id === id);
  return there ? lackOn(there, minFree, "with guesses") : 0;
}

/** What is deleted for it, with builds where they are. */
function reclaimsFor(diskSpace: DiskSpace, options: ReclaimOptions, minFree: number): Way {
  const { needs, places } = diskSpace;
  const reclaims: Reclaim[] = [];
  const freed = new Map<string, number>();
  const now = () => onFileSystems(needs, places, freed);
  const wantedOn = (id: string): WantedSpace => {
    const there = now().find(({ fileSystem }) => fileSystem.id === id);
    const directory = there?.needs.find(({ writes }) => writes === "something")?.directory ?? "";
    return { directory, bytes: there ? there.bytesNeeded + floorOn(there, minFree) : 0 };
  };
  for (const { path, bytes, fileSystem } of [...options.toolFolders].sort(
    (a, b) => b.bytes - a.bytes,
  )) {
    if (bytes === 0 || lackThere(now(), fileSystem, minFree) === 0) continue;
    reclaims.push({ kind: "tool folder", path, bytes, wanted: wantedOn(fileSystem) });
    freed.set(fileSystem, (freed.get(fileSystem) ?? 0) + bytes);
  }
  const store = needs.find(({ what }) => what === "store");
  const storeId = store && places.get(store.directory)?.id;
  const { garbage } = options;
  const lack = lackThere(now(), storeId, minFree);
  if (garbage && storeId !== undefined && lack > 0 && garbage.bytes > 0) {
    const bytes = Math.min(lack, garbage.bytes);
    reclaims.push({ kind: "garbage", bytes, wanted: wantedOn(storeId), keep: garbage.keep });
    freed.set(storeId, (freed.get(storeId) ?? 0) + bytes);
  }
  const fileSystems = now();
  return {
    diskSpace: { ...diskSpace, fileSystems },
    reclaims,
    lack: fileSystems.reduce((sum, one) => sum + lackOn(one, minFree, "with guesses"), 0),
    deleted: [...freed.values()].reduce((sum, bytes) => sum + bytes, 0),
  };
}

function moved(needs: readonly Need[], directory: string): Need[] {
  return needs.map((need) => (need.what === "build directory" ? { ...need, directory } : need));
}
