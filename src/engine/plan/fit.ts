/** Fits the work into the disk space there is: reclaiming, then leaving targets out, then a slower pace. Pure. */

import { BitSet } from "../../domain/bit-set.ts";
import type { Finding } from "../../domain/finding.ts";
import type { Job } from "../../domain/job.ts";
import { count, formatBytes } from "../../domain/size.ts";
import { MAY, type Reclaim } from "../step.ts";
import type { Survey } from "../survey.ts";
import type { Pace } from "./build-order.ts";
import {
  buildsAtOnce,
  type Directories,
  type DiskSpace,
  fits,
  floorOn,
  type Load,
  lackOn,
  lacksInodes,
  needsFor,
  type SpaceOnFileSystem,
  spaceFor,
  usesWords,
} from "./disk-space.ts";
import { type BuildSums, type Estimate, sumOf, sumsOf } from "./estimate.ts";
import { NOTHING_TO_RECLAIM, planReclaims, type ReclaimOptions } from "./reclaim.ts";
import type { Work } from "./work.ts";

export interface Fitted {
  readonly diskSpace: DiskSpace;
  readonly reclaims: readonly Reclaim[];
  /** Undefined where all of it is done. */
  readonly cut: Cut | undefined;
  readonly verdict: "fits" | "nothing fits";
  readonly pace: Pace;
  /** Told beside the lack of disk space itself. */
  readonly findings: readonly Finding[];
}

export function fitWork(
  job: Job,
  survey: Survey,
  work: Work,
  measured: DiskSpace,
  directories: Directories,
  options: ReclaimOptions = NOTHING_TO_RECLAIM,
): Fitted {
  const level = job.failOn.includes("disk") ? "error" : "warning";
  const { diskSpace, reclaims } = planReclaims(measured, options, job.minFree);
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
  const pace = paceOf(diskSpace, directories.setup?.buildsAtOnce ?? 1, job.minFree);
  const whole = { diskSpace, reclaims, findings, pace };
  // Whoever leaves `disk` out of fail-on wants it tried, come what may.
  if (level !== "error") {
    return { ...whole, cut: undefined, verdict: "fits", pace: { kind: "at once" } };
  }
  if (homeless && MAY[job.mode].has("build")) {
    return { ...whole, cut: undefined, verdict: "nothing fits" };
  }
  if (fits(diskSpace.fileSystems, job.minFree))
    return { ...whole, cut: undefined, verdict: "fits" };
  const places = movedTo === undefined ? directories : { ...directories, buildDir: movedTo };
  const cut = cutToFit(job, survey, work, diskSpace, places);
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
 * as many derivations at a time as it builds side by side, and disk space is looked at in between.
 */
function paceOf(diskSpace: DiskSpace, buildsAtOnce: number, minFree: number): Pace {
  const tight = diskSpace.fileSystems.some(
    (one) =>
      one.needs.some(({ what, bytes }) => what.startsWith("build ") && bytes > 0) &&
      one.bytesAfter - one.bytesNeeded < floorOn(one, minFree),
  );
  return tight ? { kind: "rounds", of: Math.max(1, buildsAtOnce) } : { kind: "at once" };
}

export interface Cut {
  /** Names of the targets that fit on the disk. */
  readonly kept: ReadonlySet<string>;
  /** In the order of their priority. */
  readonly left: readonly string[];
}

/**
 * Takes target by target, by priority, as long as all that is known of them has its space. What several
 * want takes its space once. What a target has no space for, no other one has that wants the same and
 * more: none of those is gone through.
 */
function cutToFit(
  job: Job,
  survey: Survey,
  work: Work,
  diskSpace: DiskSpace,
  directories: Directories,
): Cut {
  const places = new Map([...work.names].map((name, place) => [name, place]));
  const byPriority = [...survey.targets]
    .sort((a, b) => b.target.priority - a.target.priority)
    .filter(({ name }) => places.has(name));
  const atOnce = buildsAtOnce(directories);
  let open = work.parts().map(({ by, load }) => ({ by, amount: amountOf(load, atOnce) }));
  let taken = amountOf({ fetchBytes: 0, fetchPaths: 0, downloadBytes: 0, builds: [] }, atOnce);
  const hopeless = new BitSet(places.size);
  const isWithin = ({ load, builds }: Amount) =>
    fits(spaceFor(diskSpace, needsFor(load, builds, directories)), job.minFree);
  const kept = new Set<string>();
  const left: string[] = [];
  for (const { name } of byPriority) {
    const place = places.get(name) ?? 0;
    if (hopeless.has(place)) {
      left.push(name);
      continue;
    }
    const mine: typeof open = [];
    let next = taken;
    let verdict: "fits" | "does not" = "fits";
    // Those that most targets want come first: what has no space for them is found out at once.
    for (const part of open) {
      if (!part.by.has(place)) continue;
      mine.push(part);
      next = sum(next, part.amount, atOnce);
      if (isWithin(next)) continue;
      verdict = "does not";
      break;
    }
    if (verdict === "fits") {
      kept.add(name);
      taken = next;
      open = open.filter(({ by }) => !by.has(place));
      continue;
    }
    left.push(name);
    const [first, ...others] = mine;
    if (!first) continue;
    const same = first.by.copy();
    for (const { by } of others) same.keepOnly(by);
    hopeless.addAll(same);
  }
  return { kept, left };
}

/** What a load takes, so that another one can be added at no more cost than for the first. */
interface Amount {
  readonly load: Omit<Load, "builds">;
  readonly builds: BuildSums;
}

function amountOf({ builds, ...load }: Load, atOnce: number): Amount {
  return { load, builds: sumsOf(builds, atOnce) };
}

function sum(a: Amount, b: Amount, atOnce: number): Amount {
  return {
    load: {
      fetchBytes: a.load.fetchBytes + b.load.fetchBytes,
      fetchPaths: a.load.fetchPaths + b.load.fetchPaths,
      downloadBytes: a.load.downloadBytes + b.load.downloadBytes,
    },
    builds: sumOf(a.builds, b.builds, atOnce),
  };
}

/**
 * One finding for each file system on which less than `minFree` would be left. What rests on the
 * rule alone is a warning at most: a guess must not end a job.
 */
export function lackOfSpace(
  diskSpace: DiskSpace,
  minFree: number,
  level: Finding["level"],
): Finding[] {
  return diskSpace.fileSystems.flatMap((one) => [
    ...lackOfBytes(diskSpace, one, minFree, level),
    ...lackOfInodes(one, level),
  ]);
}

/** `to build bws-1.0.0 and 2 more`, by what takes most; more that takes nothing is not counted. */
function whatFor({ load }: DiskSpace): string {
  const taking = ({ bytes, outputBytes }: Estimate) => bytes + outputBytes;
  const [most, ...others] = [...load.builds].sort((a, b) => taking(b) - taking(a));
  if (!most && load.fetchPaths === 0) return "for min-free";
  if (!most) return `to download ${count(load.fetchPaths, "store path")}`;
  const more = others.filter((one) => taking(one) > 0);
  return more.length === 0
    ? `to build ${most.name}`
    : `to build ${most.name} and ${more.length} more`;
}

function lackOfBytes(
  diskSpace: DiskSpace,
  one: SpaceOnFileSystem,
  minFree: number,
  level: Finding["level"],
): Finding[] {
  const { fileSystem, needs, bytesNeeded, bytesGuessed, bytesFreed } = one;
  const lack = lackOn(one, minFree, "with guesses");
  if (lack === 0) return [];
  const guessed = lackOn(one, minFree, "known alone") === 0;
  const uses = usesWords(needs);
  const freed = bytesFreed > 0 ? ` once ${formatBytes(bytesFreed)} are reclaimed` : "";
  const guess = bytesGuessed > 0 ? `; ${formatBytes(bytesGuessed)} of it a guess` : "";
  return [
    {
      kind: "disk",
      level: guessed && level === "error" ? "warning" : level,
      code: "NCP-401",
      cause: `disk ${fileSystem.id}`,
      title: `not enough disk space ${whatFor(diskSpace)}`,
      message: `not enough disk space on ${fileSystem.mountPoint}: this run needs ${formatBytes(bytesNeeded)} there (${uses}${guess}) and ${formatBytes(floorOn(one, minFree))} is to stay free, and ${formatBytes(fileSystem.freeBytes + bytesFreed)} is free${freed}`,
      hint: guessed
        ? "say space= on the target, or let it build once: the next plan uses what it took"
        : `make ${formatBytes(lack)} free on ${fileSystem.mountPoint} (reclaim: auto frees what it can), name fewer targets, or lower min-free or space=`,
    },
  ];
}

function lackOfInodes(one: SpaceOnFileSystem, level: Finding["level"]): Finding[] {
  const { fileSystem, inodesNeeded } = one;
  if (!lacksInodes(one)) return [];
  return [
    {
      kind: "disk",
      level,
      code: "NCP-403",
      cause: `inodes ${fileSystem.id}`,
      title: `${fileSystem.mountPoint} cannot hold so many files`,
      message: `not enough inodes on ${fileSystem.mountPoint}: this run needs ${count(inodesNeeded, "inode")} there, and ${count(fileSystem.freeInodes ?? 0, "inode")} ${fileSystem.freeInodes === 1 ? "is" : "are"} free`,
      hint: "bytes may be free and files still impossible: delete many small files there, or use a file system made with more inodes (mkfs.ext4 -N)",
    },
  ];
}

/** What was left out so that the rest has disk space. */
export function leftOut(names: readonly string[], level: Finding["level"]): Finding[] {
  if (names.length === 0) return [];
  const shown = names.slice(0, 20).join(", ");
  const more = names.length > 20 ? ` and ${names.length - 20} more` : "";
  return [
    {
      kind: "disk",
      level,
      code: "NCP-404",
      names,
      title: `${count(names.length, "target")} ${names.length === 1 ? "has" : "have"} no disk space here`,
      message: `${count(names.length, "target")} skipped, since there is not enough disk space, lowest priority first: ${shown}${more}`,
      hint: "give them a job of their own (the output matrix), or a higher priority= to those that matter",
    },
  ];
}

function unusableBuildDirectory(
  state: "absent" | "not writable",
  directory: string,
  moved: "moved" | "kept",
  level: Finding["level"],
): Finding {
  const what = state === "absent" ? "does not exist" : "cannot be written to";
  return {
    kind: "disk",
    level: moved === "moved" ? "warning" : level,
    code: "NCP-405",
    title: "the build directory cannot be used",
    message: `the build directory ${directory} ${what}${moved === "moved" ? "; this run builds elsewhere" : ""}`,
    hint: "make it, or set another build-dir (Nix 2.22 and later; before that TMPDIR)",
  };
}
