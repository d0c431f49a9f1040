/** Owns what is told of room: too little of it, what was left out for it, builds that cannot be. Pure. */

import type { Finding } from "../../domain/finding.ts";
import { count, formatBytes } from "../../domain/size.ts";
import { lackOn, lacksInodes, type Room, type RoomOnFileSystem } from "./room.ts";

/**
 * One finding for each file system on which less than `minFree` would be left. What rests on the
 * rule alone is a warning at most: a guess must not end a job.
 */
export function lackOfRoom(room: Room, minFree: number, level: Finding["level"]): Finding[] {
  return room.fileSystems.flatMap((one) => [
    ...lackOfBytes(one, minFree, level),
    ...lackOfInodes(one, level),
  ]);
}

function lackOfBytes(one: RoomOnFileSystem, minFree: number, level: Finding["level"]): Finding[] {
  const { fileSystem, needs, bytesNeeded, bytesGuessed, bytesFreed } = one;
  const lack = lackOn(one, minFree, "with guesses");
  if (lack === 0) return [];
  const guessed = lackOn(one, minFree, "known alone") === 0;
  const uses = needs.map(({ what, bytes }) => `${what} ${formatBytes(bytes)}`).join(", ");
  const freed = bytesFreed > 0 ? ` once ${formatBytes(bytesFreed)} are reclaimed` : "";
  const guess = bytesGuessed > 0 ? `; ${formatBytes(bytesGuessed)} of it a guess` : "";
  return [
    {
      kind: "disk",
      level: guessed && level === "error" ? "warning" : level,
      code: "NCP-401",
      message: `not enough room on ${fileSystem.mountPoint}: this run needs ${formatBytes(bytesNeeded)} there (${uses}${guess}) and ${formatBytes(minFree)} is to stay free, and ${formatBytes(fileSystem.freeBytes + bytesFreed)} is free${freed}`,
      hint: guessed
        ? "say space= on the target, or let it build once: the next plan uses what it took"
        : `make ${formatBytes(lack)} free there, name fewer targets, or lower min-free or space=; reclaim: auto makes what room it can`,
    },
  ];
}

function lackOfInodes(one: RoomOnFileSystem, level: Finding["level"]): Finding[] {
  const { fileSystem, inodesNeeded } = one;
  if (!lacksInodes(one)) return [];
  return [
    {
      kind: "disk",
      level,
      code: "NCP-403",
      message: `not enough inodes on ${fileSystem.mountPoint}: this run needs ${count(inodesNeeded, "inode")} there, and ${count(fileSystem.freeInodes ?? 0, "inode")} ${fileSystem.freeInodes === 1 ? "is" : "are"} free`,
      hint: "bytes may be free and files still impossible: delete many small files there, or use a file system made with more inodes (mkfs.ext4 -N)",
    },
  ];
}

/** What was left out so that the rest has room. */
export function leftOut(names: readonly string[], level: Finding["level"]): Finding[] {
  if (names.length === 0) return [];
  const shown = names.slice(0, 20).join(", ");
  const more = names.length > 20 ? ` and ${names.length - 20} more` : "";
  return [
    {
      kind: "disk",
      level,
      code: "NCP-404",
      message: `${count(names.length, "target")} left out for want of room, lowest priority first: ${shown}${more}`,
      hint: "give them a job of their own (the output matrix), or a higher priority= to those that matter",
    },
  ];
}

export function unusableBuildDirectory(
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
    message: `the build directory ${directory} ${what}${moved === "moved" ? "; this run builds elsewhere" : ""}`,
    hint: "make it, or set another build-dir (Nix 2.22 and later; before that TMPDIR)",
  };
}
