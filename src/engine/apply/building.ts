/** Builds while disk space is watched: near the floor nothing more is begun; before it, space is reclaimed. */

import type { BuildFigures } from "../../domain/build-figures.ts";
import { isFullDisk } from "../../domain/errors.ts";
import type { Finding } from "../../domain/finding.ts";
import { floorOf, type Job } from "../../domain/job.ts";
import type { BuildResult, Nix, World } from "../../domain/ports.ts";
import { count, formatBytes, formatSeconds } from "../../domain/size.ts";
import { derivationName, type StorePath } from "../../domain/store-path.ts";
import type { Built, NotBuilt, Reclaimed } from "../outcome.ts";
import { type Reclaim, reclaimWords, type Step, type WantedSpace } from "../step.ts";
import { Meter } from "./meter.ts";

type BuildStep = Extract<Step, { do: "build" }>;

export interface BuildingParts {
  readonly job: Pick<Job, "minFree" | "failOn">;
  /** When builds have to be done, in milliseconds since the epoch. */
  readonly until: number | undefined;
  readonly world: Pick<World, "clock" | "disk" | "log">;
  readonly nix: Pick<Nix, "build" | "buildDirectory" | "derivation" | "setup">;
  readonly signal: AbortSignal;
  /** Told when something that was to be there will not be. */
  readonly onNotBuilt: () => void;
}

export class Building {
  readonly built: (Omit<Built, "bytes"> & { outputs: readonly StorePath[] })[] = [];
  private readonly failed: NotBuilt[] = [];
  readonly figures: BuildFigures[] = [];
  private readonly failures: Finding[] = [];
  private readonly notBegun = new Set<StorePath>();
  private readonly late = new Set<StorePath>();
  private readonly parts: BuildingParts;
  /** Where disk space ran low, and what was to stay free there. */
  private low: { readonly directory: string; readonly floor: number } | undefined;

  constructor(parts: BuildingParts) {
    this.parts = parts;
  }

  get notBuilt(): readonly NotBuilt[] {
    const cut = [...this.notBegun].map((drvPath): NotBuilt => ({ drvPath, why: "cut" }));
    return [...this.failed, ...cut];
  }

  get findings(): readonly Finding[] {
    return [...this.failures, ...this.stopped(), ...this.tooLate()];
  }

  async build({ derivations, takes }: Pick<BuildStep, "derivations" | "takes">): Promise<void> {
    const { world, nix, signal, onNotBuilt } = this.parts;
    const isLate = this.isLate(takes);
    if (isLate || !this.mayBegin()) {
      for (const { drvPath } of derivations) (isLate ? this.late : this.notBegun).add(drvPath);
      onNotBuilt();
      return;
    }
    const begun = world.clock.now();
    const meter = new Meter("derivation");
    using _shown = world.log.watch?.("Build", meter.state);
    const result = await nix.build(derivations, {
      signal,
      mayBegin: () => this.mayBegin(),
      told: ({ path, state }) => (state === "done" ? meter.finish(path, 0) : meter.at(path, 0)),
    });
    const all = (world.clock.now() - begun) / 1000;
    for (const drvPath of result.built) {
      const { outputs } = await nix.derivation(drvPath);
      this.built.push({
        drvPath,
        name: derivationName(drvPath),
        // Nix's own word of an end comes late in older versions.
        seconds: result.figures.get(drvPath)?.seconds ?? result.seconds?.get(drvPath) ?? all,
        outputs: [...outputs.values()].flatMap(({ path }) => path ?? []),
      });
    }
    this.figures.push(...withAround(result, all));
    for (const drvPath of result.stopped) this.notBegun.add(drvPath);
    if (result.stopped.length + result.failed.size > 0) onNotBuilt();
    const { hookFailed } = result;
    if (hookFailed !== undefined)
      this.failures.push(hookFinding(hookFailed, [...result.failed.keys()]));
    for (const [drvPath, message] of result.failed) {
      this.failed.push({ drvPath, why: isFullDisk(message) ? "full disk" : "failed" });
      // What was not built since Nix stopped at the hook is told there.
      if (hookFailed?.startsWith(message.split("\n")[0] ?? "")) continue;
      this.failures.push(this.failure(drvPath, message, result.figures.get(drvPath)));
    }
    for (const [drvPath, took] of result.figures) this.say(drvPath, took);
  }

  /** Earlier builds took longer than they were to: what would be killed is not begun. */
  private isLate(takes: number | undefined): boolean {
    const { world, until } = this.parts;
    return until !== undefined && !!takes && world.clock.now() + takes * 1000 > until;
  }

  private tooLate(): Finding[] {
    const names = [...this.late].map(derivationName);
    if (names.length === 0) return [];
    const shown = names.slice(0, 10).join(", ");
    const more = names.length > 10 ? ` and ${names.length - 10} more` : "";
    return [
      {
        kind: "time",
        level: "warning",
        code: "NCP-142",
        message: `${count(names.length, "build")} not begun, since the job would have ended before it was done: ${shown}${more}`,
        hint: "what was built is kept; the next run goes on from there",
      },
    ];
  }

  private say(drvPath: StorePath, { buildBytes, outputBytes, seconds }: BuildFigures): void {
    this.parts.world.log.info(
      `${derivationName(drvPath)} took ${formatSeconds(seconds)}, ${formatBytes(buildBytes)} of the build directory and ${formatBytes(outputBytes)} of the store`,
    );
  }

  /** Disk space may come back as builds end: each one asks anew. */
  private mayBegin(): boolean {
    const { world, nix, job } = this.parts;
    // Whoever leaves `disk` out of fail-on wants it tried, come what may.
    if (!job.failOn.includes("disk")) return true;
    const places = [nix.setup.realStoreDir, nix.buildDirectory()].flatMap((directory) => {
      const now = world.disk.freeNow(directory);
      return now ? [{ directory, ...now }] : [];
    });
    const largest = { totalBytes: Math.max(0, ...places.map(({ totalBytes }) => totalBytes)) };
    for (const { directory, freeBytes, totalBytes } of places) {
      const floor = floorOf(totalBytes, largest, job.minFree);
      if (freeBytes >= floor) continue;
      this.low = { directory, floor };
      world.log.info(
        `only ${formatBytes(freeBytes)} are free in ${directory}: no further build is begun`,
      );
      return false;
    }
    return true;
  }

  private stopped(): Finding[] {
    const names = [...this.notBegun].map(derivationName);
    if (names.length === 0) return [];
    const { directory, floor } = this.low ?? {
      directory: undefined,
      floor: this.parts.job.minFree,
    };
    const where = directory === undefined ? "" : ` in ${directory}`;
    const shown = names.slice(0, 10).join(", ");
    const more = names.length > 10 ? ` and ${names.length - 10} more` : "";
    return [
      {
        kind: "disk",
        level: "error",
        code: "NCP-406",
        cause: `disk ${directory ?? ""}`,
        title: `${count(names.length, "build")} ${names.length === 1 ? "was" : "were"} not begun, disk space ran low`,
        names,
        message: `${count(names.length, "build")} not begun, since less than ${formatBytes(floor)} (min-free) was free${where}: ${shown}${more}`,
        hint: "what was built is kept: free disk space (reclaim: auto), or run it again with fewer targets",
      },
    ];
  }

  /** Of what failed by itself, for itself and for all that needed it. */
  private failure(drvPath: StorePath, message: string, took: BuildFigures | undefined): Finding {
    const root = failedFirst(message) ?? drvPath;
    const name = derivationName(root);
    const common = {
      level: "error" as const,
      cause: `build ${root}`,
      names: [derivationName(drvPath)],
    };
    if (!isFullDisk(message)) {
      return {
        ...common,
        kind: "missing",
        code: "NCP-206",
        title: `${name} failed to build`,
        message: `${name} was not built: ${message}`,
        hint: `see its log with: nix log ${root}`,
      };
    }
    const { nix } = this.parts;
    const had = took
      ? ` (it had ${formatBytes(took.buildBytes)} for building and ${formatBytes(took.outputBytes)} for its output)`
      : "";
    return {
      ...common,
      kind: "disk",
      code: "NCP-407",
      title: `${name} was not built, the disk was full`,
      message: `${name} was not built: the disk was full${had}: ${message}`,
      hint: `it builds in ${nix.buildDirectory()} and puts its output into ${nix.setup.realStoreDir}: free disk space there and run it again; what it had is kept, and the next plan foresees it`,
    };
  }
}

/** With what the step took beside them, where all of it was seen: what failed ran too, and has no figures. */
function withAround({ figures, busySeconds, failed, stopped }: BuildResult, all: number) {
  const found = [...figures.values()];
  if (busySeconds === undefined || failed.size + stopped.length > 0) return found;
  const aroundSeconds = Math.max(0, all - busySeconds);
  return found.map((one): BuildFigures => ({ ...one, aroundSeconds }));
}

/** The derivation that failed by itself, in the words of Nix 2.8 and of later ones. */
function failedFirst(message: string): StorePath | undefined {
  const found = /(?:builder for|Cannot build) '([^']+\.drv)'/.exec(message)?.[1];
  return found as StorePath | undefined;
}

/** Throws where it cannot be done. */
export async function carryOut(
  reclaim: Reclaim,
  world: World,
  nix: Nix,
  signal: AbortSignal,
): Promise<Reclaimed> {
  const { reclaimer } = world;
  if (!reclaimer) throw new Error("there is nothing to reclaim from");
  const what = reclaimWords(reclaim);
  switch (reclaim.kind) {
    case "build directory":
      await reclaimer.makeBuildDirectory(reclaim.to, signal);
      // On a machine that stays, the next job would be told to build in a folder that is gone.
      nix.buildIn(reclaim.to, reclaimer.machine === "hosted" ? "later steps too" : "this run");
      return { what, bytes: undefined };
    case "tool folder": {
      const { path, wanted } = reclaim;
      const free = () => world.disk.freeNow(wanted.directory)?.freeBytes;
      const before = free();
      if (isThere(wanted, before))
        return { what: `${path} is left: space lacks no more`, bytes: 0 };
      await reclaimer.remove(path, signal);
      const after = free();
      const known = before !== undefined && after !== undefined;
      return { what, bytes: known ? Math.max(0, after - before) : undefined };
    }
    case "garbage": {
      const free = world.disk.freeNow(reclaim.wanted.directory)?.freeBytes;
      if (isThere(reclaim.wanted, free)) {
        return { what: "garbage is left: space lacks no more", bytes: 0 };
      }
      return { what, bytes: await nix.collect(reclaim.keep, reclaim.bytes, signal) };
    }
    default:
      return reclaim satisfies never;
  }
}

function isThere({ bytes }: WantedSpace, free: number | undefined): boolean {
  return free !== undefined && free >= bytes;
}

/** What was deleted may have freed less than it took: links to the same file, snapshots, other writers. */
export function lackAfter(
  { wanted }: { readonly wanted: WantedSpace },
  world: World,
): Finding | undefined {
  const free = world.disk.freeNow(wanted.directory)?.freeBytes;
  if (free === undefined || isThere(wanted, free)) return undefined;
  return {
    kind: "disk",
    level: "warning",
    code: "NCP-408",
    message: `after reclaiming ${formatBytes(free)} is free in ${wanted.directory}, and ${formatBytes(wanted.bytes)} was to be`,
    hint: "the run goes on with the space there is",
  };
}

/** The hook is the machine's own, and so is what it did not do; Nix begins no build after it failed. */
function hookFinding(said: string, left: readonly StorePath[]): Finding {
  const [first] = left;
  const what =
    first === undefined
      ? "what was built is there, and what the hook does with it was not done"
      : `Nix stopped there: ${count(left.length, "derivation")} not built, ${derivationName(first)} for one`;
  return {
    kind: "missing",
    level: first === undefined ? "warning" : "error",
    code: "NCP-209",
    title: "the machine's post-build-hook failed",
    message: `the machine's post-build-hook failed; ${what}: ${said}`,
    // Short, so that an annotation has the hook's own words beside it.
    hint: "run it by hand with OUT_PATHS set: it is a setting of this machine's Nix",
  };
}
