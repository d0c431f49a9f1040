/** Owns the room plan: the bytes a run needs, on the file systems it really writes to. */

import type { Finding } from "../domain/finding.ts";
import type { Disk, FileSystem, NixSetup } from "../domain/ports.ts";
import { formatBytes } from "../domain/size.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { SurveyedDerivation } from "./derivations.ts";
import type { Facts } from "./facts.ts";

export interface Need {
  readonly what: "store" | "build directory" | "staging" | "workspace";
  readonly directory: string;
  readonly bytes: number;
}

export interface RoomOnFileSystem {
  readonly fileSystem: FileSystem;
  readonly needs: readonly Need[];
  readonly bytesNeeded: number;
  /** What is free when the run has taken what it needs; may be negative. */
  readonly bytesAfter: number;
}

export interface Room {
  readonly fileSystems: readonly RoomOnFileSystem[];
  /** Builds whose size nobody has said. */
  readonly unknownBuilds: number;
  readonly notices: readonly string[];
}

/** Bytes the store grows by when `paths` are fetched: their NarSize, which narinfo states. */
export function bytesToFetch(facts: Facts, paths: Iterable<StorePath>): number {
  let bytes = 0;
  for (const path of paths) {
    const answer = facts.answers.get(path);
    bytes += (answer?.own ?? answer?.upstream)?.narInfo.narSize ?? 0;
  }
  return bytes;
}

/** Bytes that fetching `paths` takes beside the store: as compressed, and never more than `most`. */
export function bytesToStage(facts: Facts, paths: Iterable<StorePath>, most: number): number {
  let bytes = 0;
  for (const path of paths) {
    const answer = facts.answers.get(path);
    const narInfo = (answer?.own ?? answer?.upstream)?.narInfo;
    bytes += narInfo?.fileSize ?? narInfo?.narSize ?? 0;
    if (bytes >= most) return most;
  }
  return bytes;
}

export async function measureRoom(
  disk: Disk,
  setup: NixSetup | undefined,
  workspace: string,
  fetchBytes: number,
  builds: readonly SurveyedDerivation[],
  staging?: { readonly directory: string; readonly bytes: number },
): Promise<Room> {
  // Builds run one beside the other, so what they take adds up.
  const known = builds.filter(({ space }) => space !== undefined);
  const buildBytes = known.reduce((sum, { space }) => sum + (space ?? 0), 0);
  const needs: Need[] = [
    ...(setup
      ? [
          { what: "store" as const, directory: setup.realStoreDir, bytes: fetchBytes },
          { what: "build directory" as const, directory: setup.buildDir, bytes: buildBytes },
        ]
      : []),
    ...(staging ? [{ what: "staging" as const, ...staging }] : []),
    { what: "workspace" as const, directory: workspace, bytes: 0 },
  ];
  const byId = new Map<string, { fileSystem: FileSystem; needs: Need[] }>();
  const notices: string[] = [];
  for (const need of needs) {
    try {
      const fileSystem = await disk.fileSystem(need.directory);
      const entry = byId.get(fileSystem.id);
      if (entry) entry.needs.push(need);
      else byId.set(fileSystem.id, { fileSystem, needs: [need] });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      notices.push(`the file system of the ${need.what} cannot be asked: ${why}`);
    }
  }
  return {
    fileSystems: [...byId.values()].map(({ fileSystem, needs: on }) => {
      const bytesNeeded = on.reduce((sum, { bytes }) => sum + bytes, 0);
      return { fileSystem, needs: on, bytesNeeded, bytesAfter: fileSystem.freeBytes - bytesNeeded };
    }),
    unknownBuilds: builds.length - known.length,
    notices,
  };
}

/** One finding for each file system on which less than `minFree` would be left. */
export function lackOfRoom(room: Room, minFree: number, level: Finding["level"]): Finding[] {
  return room.fileSystems
    .filter(({ bytesAfter }) => bytesAfter < minFree)
    .map(({ fileSystem, needs, bytesNeeded, bytesAfter }) => {
      const uses = needs.map(({ what, bytes }) => `${what} ${formatBytes(bytes)}`).join(", ");
      return {
        kind: "disk" as const,
        level,
        code: "NCP-401" as const,
        message: `not enough room on ${fileSystem.mountPoint}: this run needs ${formatBytes(bytesNeeded)} there (${uses}) and ${formatBytes(minFree)} is to stay free, and ${formatBytes(fileSystem.freeBytes)} is free`,
        hint: `make ${formatBytes(minFree - bytesAfter)} free there, name fewer targets, or lower min-free or space=`,
      };
    });
}
