/** Owns what builds took, once they are over: which were made, in what time, and how large they are. */

import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { type BuildFigures, figuresName } from "../domain/build-figures.ts";
import { baseName, derivationName, type StorePath } from "../domain/store-path.ts";
import type { NixCommand } from "./command.ts";
import type { Peak } from "./sample.ts";
import { pathInfos, validPaths } from "./store.ts";

export interface BuildPlace {
  readonly storeDir: string;
  readonly realStoreDir: string;
  readonly directory: string;
  /** Undefined where Nix builds there by itself. */
  readonly movedBy: "setting" | "environment" | undefined;
}

export interface Observed {
  readonly place: BuildPlace;
  /** When Nix said that it begins, in milliseconds since the epoch. */
  readonly begun: ReadonlyMap<StorePath, number>;
  readonly peaks: ReadonlyMap<StorePath, Peak>;
  /** Where the disk was full, where a build died of that. */
  readonly full: "store" | "build directory" | undefined;
  readonly outputs: (drvPath: StorePath) => Promise<readonly StorePath[]>;
}

/** What was begun and is made; and the figures of that and of what died of a full disk. */
export async function measure(
  nix: NixCommand,
  { place, begun, peaks, full, outputs }: Observed,
  signal: AbortSignal,
): Promise<{ made: StorePath[]; figures: Map<StorePath, BuildFigures> }> {
  const made: StorePath[] = [];
  const figures = new Map<StorePath, BuildFigures>();
  const outputsOf = new Map<StorePath, readonly StorePath[]>();
  for (const drvPath of begun.keys()) outputsOf.set(drvPath, await outputs(drvPath));
  const all = [...outputsOf.values()].flat();
  const valid = await validPaths(nix, all, signal);
  const infos = await pathInfos(nix, place.storeDir, [...valid], signal);
  const now = Date.now();
  for (const [drvPath, start] of begun) {
    const paths = outputsOf.get(drvPath) ?? [];
    const isMade = paths.every((path) => valid.has(path));
    // Of a content-addressed one nobody knows the path: that it was begun is all there is.
    if (isMade) made.push(drvPath);
    if (paths.length === 0 || (!isMade && !full)) continue;
    const peak = peaks.get(drvPath);
    const { bytes = 0, inodes } = peak ?? {};
    // What died of a full disk had taken all that was free.
    const allOf = (what: "store" | "build directory", free: number | undefined) =>
      !isMade && full === what ? (free ?? 0) : 0;
    const outputBytes = paths.reduce((sum, path) => sum + (infos.get(path)?.narSize ?? 0), 0);
    const end = isMade ? await finished(paths, place.realStoreDir, now) : now;
    figures.set(drvPath, {
      name: figuresName(derivationName(drvPath)),
      buildBytes: Math.max(bytes, allOf("build directory", peak?.free?.buildDirectory)),
      outputBytes: Math.max(outputBytes, allOf("store", peak?.free?.store)),
      seconds: Math.max(0, end - start) / 1000,
      takenAt: now,
      ...(inodes === undefined ? {} : { buildInodes: inodes }),
      ...(isMade ? {} : { end: "full disk" as const }),
    });
  }
  return { made, figures };
}

/** Nix gives an output its last touch when its build is over; several builds end in one call. */
async function finished(
  paths: readonly StorePath[],
  realStoreDir: string,
  now: number,
): Promise<number> {
  const times = await Promise.all(
    paths.map((path) =>
      lstat(join(realStoreDir, baseName(path))).then(
        ({ ctimeMs }) => ctimeMs,
        () => now,
      ),
    ),
  );
  return Math.min(now, Math.max(...times));
}
