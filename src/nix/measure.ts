/** What builds took, once they are over: which were made, in what time, and how large they are. */

import { lstat, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type BuildFigures, busy, figuresName, type Span } from "../domain/build-figures.ts";
import { baseName, derivationName, type StorePath } from "../domain/store-path.ts";
import { disk, folderSize } from "../host/disk.ts";
import type { NixCommand } from "./command.ts";
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
  /** Whether other machines built, too: when those builds ended nobody sees. */
  readonly elsewhere: "some" | "none";
  readonly peaks: ReadonlyMap<StorePath, Peak>;
  /** Where the disk was full, where a build died of that. */
  readonly full: "store" | "build directory" | undefined;
  readonly outputs: (drvPath: StorePath) => Promise<readonly StorePath[]>;
}

export interface Measured {
  readonly made: StorePath[];
  readonly figures: Map<StorePath, BuildFigures>;
  /** Left out where not all that ran was seen. */
  readonly busySeconds?: number;
}

/** What was begun and is made; and the figures of that and of what died of a full disk. */
export async function measure(
  nix: NixCommand,
  { place, begun, elsewhere, peaks, full, outputs }: Observed,
  signal: AbortSignal,
): Promise<Measured> {
  const made: StorePath[] = [];
  const spans: Span[] = [];
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
    spans.push({ start, end });
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
  const isSeen = elsewhere === "none" && spans.length === begun.size;
  return { made, figures, ...(isSeen ? { busySeconds: busy(spans) / 1000 } : {}) };
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

export interface Peak {
  readonly bytes: number;
  /** Undefined where the directory could not be read. */
  readonly inodes: number | undefined;
  /** The most bytes that were free during the call: one that dies of a full disk had taken them. */
  readonly free: Free | undefined;
}

interface Free {
  readonly buildDirectory: number;
  readonly store: number;
}

/** Milliseconds between two looks; a look that takes long is followed by a longer pause. */
const BETWEEN = 200;
const PAUSE_PER_LOOK = 10;

interface Running {
  readonly drvPath: StorePath;
  readonly name: string;
  entry: string | undefined;
  bytes: number;
  inodes: number | undefined;
  free: Free | undefined;
}

/**
 * Looks at the folders that appear in the build directory. Nix before 2.30 names them after the
 * derivation (`nix-build-NAME.drv-0`), later ones by number (`nix-PID-N`), in the order of their
 * beginning. Source: nix/src/libstore, createTempDir of the local derivation goal.
 */
export class BuildSampler implements AsyncDisposable {
  private readonly directory: string;
  private readonly store: string;
  private readonly running: Running[] = [];
  private most: Free;
  private readonly before: Promise<ReadonlySet<string>>;
  private readonly over = new AbortController();
  private readonly looping: Promise<void>;
  private wake: () => void = () => undefined;

  constructor(directory: string, store: string) {
    this.directory = directory;
    this.store = store;
    // Now, before Nix begins: a build can fill a disk before anybody looks.
    this.most = { buildDirectory: freeNow(directory), store: freeNow(store) };
    this.before = readdir(directory).then(
      (names) => new Set(names),
      () => new Set(),
    );
    this.looping = this.loop();
  }

  begun(drvPath: StorePath): void {
    this.running.push({
      drvPath,
      name: derivationName(drvPath),
      entry: undefined,
      bytes: 0,
      inodes: undefined,
      free: undefined,
    });
    this.wake();
  }

  /** By derivation, of all that were begun. */
  peaks(): Map<StorePath, Peak> {
    const free = this.most;
    return new Map(
      this.running.map(({ drvPath, bytes, inodes }) => [drvPath, { bytes, inodes, free }]),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.over.abort();
    this.wake();
    await this.looping;
  }

  private async loop(): Promise<void> {
    const before = await this.before;
    while (!this.over.signal.aborted) {
      const begun = Date.now();
      // What is not seen is not known; no build waits or fails for it.
      if (this.running.length > 0) await this.look(before).catch(() => undefined);
      await this.pause(Math.max(BETWEEN, (Date.now() - begun) * PAUSE_PER_LOOK));
    }
  }

  private pause(milliseconds: number): Promise<void> {
    if (this.over.signal.aborted) return Promise.resolve();
    return new Promise((done) => {
      const timer = setTimeout(done, milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        done();
      };
    });
  }

  private async look(before: ReadonlySet<string>): Promise<void> {
    const names = (await readdir(this.directory)).filter((name) => !before.has(name));
    await this.assign(names);
    const there = new Set(names);
    const free = { buildDirectory: freeNow(this.directory), store: freeNow(this.store) };
    this.most = {
      buildDirectory: Math.max(this.most.buildDirectory, free.buildDirectory),
      store: Math.max(this.most.store, free.store),
    };
    for (const [index, one] of this.running.entries()) {
      one.free ??= free;
      if (one.entry === undefined || !there.has(one.entry)) continue;
      const size = await folderSize(join(this.directory, one.entry), this.over.signal);
      if (size.seen === "whole") {
        one.bytes = Math.max(one.bytes, size.bytes);
        one.inodes = Math.max(one.inodes ?? 0, size.inodes);
      } else if (index === this.running.length - 1) {
        // A build user's own folder: what the file system lost since the last build began.
        one.bytes = Math.max(one.bytes, one.free.buildDirectory - free.buildDirectory);
      }
    }
  }

  private async assign(names: readonly string[]): Promise<void> {
    const taken = new Set(this.running.map(({ entry }) => entry));
    const numbered: { name: string; born: number }[] = [];
    for (const name of names) {
      if (taken.has(name)) continue;
      const derivation = /^nix-build-(.+)\.drv-\d+$/.exec(name)?.[1];
      if (derivation !== undefined) {
        const one = this.running.find((run) => run.entry === undefined && run.name === derivation);
        if (one) one.entry = name;
      } else if (/^nix-\d+-\d+$/.test(name)) {
        const stats = await stat(join(this.directory, name)).catch(() => undefined);
        if (stats) numbered.push({ name, born: stats.birthtimeMs });
      }
    }
    numbered.sort((a, b) => a.born - b.born);
    for (const { name } of numbered) {
      const one = this.running.find(({ entry }) => entry === undefined);
      if (one) one.entry = name;
    }
  }
}

/** 0 where it cannot be asked: then nothing is learnt of it. */
function freeNow(path: string): number {
  return disk.freeNow(path)?.freeBytes ?? 0;
}
