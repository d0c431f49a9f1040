/** Owns seeing what builds take of the build directory while they run. */

import { readdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { derivationName, type StorePath } from "../domain/store-path.ts";
import { folderSize } from "../host/folder-size.ts";

export interface Peak {
  readonly bytes: number;
  /** Undefined where the directory could not be read. */
  readonly inodes: number | undefined;
  /** Bytes that were free when it was begun; undefined where it was over too soon to see. */
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
  private readonly before: Promise<ReadonlySet<string>>;
  private readonly over = new AbortController();
  private readonly looping: Promise<void>;
  private wake: () => void = () => undefined;

  constructor(directory: string, store: string) {
    this.directory = directory;
    this.store = store;
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
    return new Map(
      this.running.map(({ drvPath, bytes, inodes, free }) => [drvPath, { bytes, inodes, free }]),
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
    const free = { buildDirectory: await freeOn(this.directory), store: await freeOn(this.store) };
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

async function freeOn(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}
