/** Owns building while room is watched: near the floor nothing more is begun, and that is said once. */

import type { BuildFigures } from "../domain/build-figures.ts";
import { asError } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import { isFullDisk } from "../domain/full-disk.ts";
import type { Job } from "../domain/job.ts";
import type { DerivationOutputs, FileSystem, Nix, World } from "../domain/ports.ts";
import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import { derivationName, type StorePath } from "../domain/store-path.ts";

export interface BuildingParts {
  readonly job: Pick<Job, "minFree" | "failOn">;
  readonly world: Pick<World, "clock" | "disk" | "log" | "roomWatch">;
  readonly nix: Pick<Nix, "build" | "buildDirectory" | "setup">;
  readonly signal: AbortSignal;
  /** Told when something that was to be there will not be. */
  readonly onNotBuilt: () => void;
}

export class Building {
  readonly built: { name: string; seconds: number }[] = [];
  readonly figures: BuildFigures[] = [];
  private readonly failures: Finding[] = [];
  private readonly notBegun = new Set<StorePath>();
  private readonly parts: BuildingParts;
  private low: FileSystem | undefined;

  constructor(parts: BuildingParts) {
    this.parts = parts;
  }

  get findings(): readonly Finding[] {
    return [...this.failures, ...this.stopped()];
  }

  async build(derivations: readonly DerivationOutputs[]): Promise<void> {
    const { world, nix, signal, onNotBuilt } = this.parts;
    await this.look();
    if (this.low) {
      for (const { drvPath } of derivations) this.notBegun.add(drvPath);
      onNotBuilt();
      return;
    }
    const stop = new AbortController();
    using _watch = world.roomWatch?.watch(this.directories(), this.floor(), (fileSystem) => {
      this.tell(fileSystem);
      stop.abort();
    });
    const begun = world.clock.now();
    const result = await nix.build(derivations, { signal, stop: stop.signal });
    const seconds = (world.clock.now() - begun) / 1000;
    for (const drvPath of result.built) {
      const name = derivationName(drvPath);
      this.built.push({ name, seconds: result.figures.get(drvPath)?.seconds ?? seconds });
    }
    this.figures.push(...result.figures.values());
    for (const drvPath of result.stopped) this.notBegun.add(drvPath);
    if (result.stopped.length + result.failed.size > 0) onNotBuilt();
    for (const [drvPath, message] of result.failed)
      this.failures.push(this.failure(drvPath, message, result.figures.get(drvPath)));
    for (const [drvPath, took] of result.figures) this.say(drvPath, took);
  }

  private say(drvPath: StorePath, { buildBytes, outputBytes, seconds }: BuildFigures): void {
    this.parts.world.log.info(
      `${derivationName(drvPath)} took ${formatSeconds(seconds)}, ${formatBytes(buildBytes)} of the build directory and ${formatBytes(outputBytes)} of the store`,
    );
  }

  /** Whoever leaves `disk` out of fail-on wants it tried, come what may. */
  private floor(): number {
    const { minFree, failOn } = this.parts.job;
    return failOn.includes("disk") ? minFree : 0;
  }

  private directories(): string[] {
    const { nix } = this.parts;
    return [nix.setup.realStoreDir, nix.buildDirectory()];
  }

  /** Room may have come back in the meantime: each build asks anew. */
  private async look(): Promise<void> {
    this.low = undefined;
    for (const directory of this.directories()) {
      const { disk } = this.parts.world;
      const fileSystem = await disk.fileSystem(directory).catch((error) => {
        this.parts.world.log.debug(`${directory}: ${asError(error).message}`);
        return undefined;
      });
      if (fileSystem && fileSystem.freeBytes < this.floor()) return this.tell(fileSystem);
    }
  }

  private tell(fileSystem: FileSystem): void {
    this.low = fileSystem;
    const { mountPoint, freeBytes } = fileSystem;
    this.parts.world.log.info(
      `only ${formatBytes(freeBytes)} are free on ${mountPoint}: no further build is begun`,
    );
  }

  private stopped(): Finding[] {
    const names = [...this.notBegun].map(derivationName);
    if (names.length === 0) return [];
    const { minFree } = this.parts.job;
    const where = this.low ? ` on ${this.low.mountPoint}` : "";
    const shown = names.slice(0, 10).join(", ");
    const more = names.length > 10 ? ` and ${names.length - 10} more` : "";
    return [
      {
        kind: "disk",
        level: "error",
        code: "NCP-406",
        message: `${count(names.length, "build")} not begun, since less than ${formatBytes(minFree)} (min-free) was free${where}: ${shown}${more}`,
        hint: "what was built is kept: make room (reclaim: auto), or run it again with fewer targets",
      },
    ];
  }

  private failure(drvPath: StorePath, message: string, took: BuildFigures | undefined): Finding {
    const name = derivationName(drvPath);
    if (!isFullDisk(message)) {
      return {
        kind: "missing",
        level: "error",
        code: "NCP-206",
        message: `${name} was not built: ${message}`,
        hint: `see its log with: nix log ${drvPath}`,
      };
    }
    const had = took ? ` when its build directory held ${formatBytes(took.buildBytes)}` : "";
    return {
      kind: "disk",
      level: "error",
      code: "NCP-407",
      message: `${name} was not built: the disk was full${had}: ${message}`,
      hint: `builds are in ${this.parts.nix.buildDirectory()}; make room there and run it again, and say space= on its target so that it is foreseen`,
    };
  }
}
