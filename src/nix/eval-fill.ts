/** Evaluates by filling Nix's eval cache, so that later commands find there what this run evaluated. */

import { access } from "node:fs/promises";
import { basename, join } from "node:path";
import type { AttrSegment } from "../domain/installable.ts";
import { limiter } from "../domain/limit.ts";
import type { Environment } from "../host/environment.ts";
import type { CarriedEvaluation } from "./carried-evaluation.ts";
import { isAtLeast, type NixCommand } from "./command.ts";
import {
  type ChosenOutputs,
  EvalCache,
  evalCacheFile,
  fingerprint,
  isSealed,
  type KeptDerivation,
  removeEvalCache,
} from "./eval-cache.ts";
import type { EvaluationDoor } from "./eval-command.ts";

export interface EvalFillParts {
  readonly door: EvaluationDoor;
  readonly nix: NixCommand;
  readonly version: string;
  readonly system: string;
  readonly realStoreDir: string;
  readonly outputs: ChosenOutputs;
  readonly environment: Environment;
  /** An eval cache proves nothing of what it says: whether one that is there already is believed. */
  readonly found: "believed" | "removed";
  /** What an earlier job had Nix keep, and is here now. */
  readonly carried: Pick<CarriedEvaluation, "kept" | "name"> | undefined;
}

/** Of the flake of the working directory; without `*` and SYSTEM. */
export type NamedPath = readonly string[];

/** As many that fail are each found and left out, at the price of a process; the rest is then asked otherwise. */
const FAILURES_MOST = 3;

/** As many members of a set are asked of Nix by name: each costs it some 7 ms, and of more no job builds all. */
export const MEMBERS_MOST = 400;

/** Why the members of a set are not asked for by their names. */
export type NotNamed = "each apart" | "not before" | "too many";

/** What a fill came to. */
export interface Filled {
  /** Nix's eval cache of the flake. */
  readonly file: string | undefined;
  /** Why Nix keeps nothing of this flake, where that is so. */
  readonly why: string | undefined;
  readonly paths: readonly NamedPath[];
  /** What could not be asked by name, and will be evaluated again by later commands; and why. */
  readonly missed: ReadonlyMap<string, NotNamed>;
  /** Milliseconds of evaluation. */
  readonly spent: number | "carried";
}

/** A name that no set has: to say so, Nix looks at all the names there are, and keeps them. */
export const NOBODY = "__none__";

/**
 * Nix 2.26 to 2.36 forget what they have kept below a set once they come to know all its names: each
 * is stored anew then, under another number (NixOS/nix#15288). So they are made to know the names first.
 */
const SEALS: readonly NamedPath[] = [
  [NOBODY],
  ["packages", NOBODY],
  ["devShells", NOBODY],
  ["checks", NOBODY],
  ["apps", NOBODY],
  [NOBODY],
];

export class EvalFill {
  private readonly parts: EvalFillParts;
  /** One process at a time: of two, one would store nothing. */
  private readonly turn = limiter(1);
  private readonly waiting = new Map<string, NamedPath>();
  private readonly given = new Map<string, KeptDerivation | undefined>();
  private file: Promise<string | undefined> | undefined;
  readonly missed = new Map<string, NotNamed>();
  /** Why Nix keeps nothing of this flake, where that is so. */
  private why: string | undefined;
  private spent = 0;

  constructor(parts: EvalFillParts) {
    this.parts = parts;
  }

  /** What Nix's eval cache holds of these now; what it does not has to be evaluated otherwise. */
  async give(
    paths: readonly NamedPath[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<NamedPath, KeptDerivation>> {
    await this.takeOver();
    for (const path of paths) {
      const key = keyOf(path);
      if (!this.given.has(key)) this.waiting.set(key, path);
    }
    await this.turn(async () => {
      await this.begun(signal);
      const all = [...this.waiting];
      this.waiting.clear();
      if (all.length > 0) await this.fill(all, signal);
    });
    return new Map(
      paths.flatMap((path) => {
        const kept = this.given.get(keyOf(path));
        return kept ? [[path, kept] as const] : [];
      }),
    );
  }

  /** The names of a set, or why they cannot each be asked for; what is in a derivation is no member. */
  async members(set: NamedPath, signal: AbortSignal): Promise<readonly string[] | NotNamed> {
    // Every name costs an evaluation of its own.
    if (!isAtLeast(this.parts.version, 11)) return "each apart";
    return this.turn(async () => {
      if (!(await this.begun(signal))) return "not before";
      const before = await this.names(set);
      if (!before) await this.parts.door.keep([named([...set, NOBODY])], signal);
      const names = before ?? (await this.names(set));
      return names?.includes("drvPath") ? [] : (names ?? "not before");
    });
  }

  private async names(set: NamedPath): Promise<readonly string[] | undefined> {
    using cache = await this.open();
    return cache?.names(set);
  }

  /** The same, of what was not come to before. */
  async again(paths: readonly NamedPath[], signal: AbortSignal): Promise<void> {
    for (const path of paths) this.given.delete(keyOf(path));
    if (paths.length > 0 && this.why === undefined) await this.give(paths, signal);
  }

  /** All that Nix keeps of what was asked. */
  kept(): ReadonlyMap<string, KeptDerivation> {
    return new Map([...this.given].flatMap(([key, one]) => (one ? [[key, one] as const] : [])));
  }

  /** What came of it, by now. */
  async soFar(signal: AbortSignal): Promise<Filled> {
    const isCarried = await this.takeOver();
    const isBegun = this.file !== undefined || isCarried;
    if (this.why !== undefined || !isBegun || !(await this.begun(signal))) {
      return { file: undefined, why: this.why, paths: [], missed: this.missed, spent: "carried" };
    }
    const paths = [...this.kept().keys()].map((key) => JSON.parse(key) as NamedPath);
    const spent = isCarried ? "carried" : this.spent;
    return { file: await this.file, why: undefined, paths, missed: this.missed, spent };
  }

  /** For what else is asked of this flake: one process at a time. */
  alone<T>(task: () => Promise<T>): Promise<T> {
    return this.turn(task);
  }

  /** The names under which a user may ask for it: the whole, and the short one. */
  ways(path: NamedPath): readonly NamedPath[] {
    const [set, system, ...rest] = path;
    const isShort = set === "packages" && system === this.parts.system && rest.length > 0;
    return isShort ? [path, rest] : [path];
  }

  /** Where Nix looks for such a path, in its order (nix/src/libcmd/installables.cc). */
  candidates(path: NamedPath): readonly NamedPath[] {
    const { system } = this.parts;
    if (path.length === 0) {
      return [
        ["packages", system, "default"],
        ["defaultPackage", system],
      ];
    }
    return [["packages", system, ...path], ["legacyPackages", system, ...path], path];
  }

  /** Where the file will be, once the names of the usual sets are known to Nix. */
  private async begun(signal: AbortSignal): Promise<boolean> {
    this.file ??= this.begin(signal);
    return (await this.file) !== undefined;
  }

  private async begin(signal: AbortSignal): Promise<string | undefined> {
    const { nix, version, environment, door, found } = this.parts;
    const carried = await this.takeOver();
    const known = await this.parts.carried?.name();
    const name = known ?? (await fingerprint(nix, version, signal));
    if (name === undefined) {
      this.why = "the flake is not in git, or not all of its inputs are locked";
      return undefined;
    }
    const before = await evalCacheFile(name, version, environment);
    // Whoever left it had sealed it, and had made Nix know the names of the sets.
    if (carried && before !== undefined) return before;
    if (before !== undefined && found === "removed") await removeEvalCache(before);
    let file = found === "removed" ? undefined : before;
    // Of devShells.SYSTEM.NAME nix develop looks for devShells.SYSTEM.devShells first.
    for (const path of [...SEALS, ["devShells", this.parts.system, NOBODY]]) {
      if (file !== undefined && (await isSealed(file, path.slice(0, -1)))) continue;
      await door.keep([named(path)], signal);
      file = await evalCacheFile(name, version, environment);
    }
    if (file === undefined) this.why = "this Nix keeps no eval cache of it, or none that we know";
    return file;
  }

  /** What was carried here is not asked for again; whether anything was. */
  private async takeOver(): Promise<boolean> {
    const kept = await this.parts.carried?.kept();
    for (const [key, one] of kept ?? []) if (!this.given.has(key)) this.given.set(key, one);
    return kept !== undefined;
  }

  private async fill(
    all: readonly (readonly [string, NamedPath])[],
    signal: AbortSignal,
  ): Promise<void> {
    let left = all;
    for (let failures = 0; left.length > 0; ) {
      if (!(await this.begun(signal))) break;
      const begun = performance.now();
      await this.parts.door.keep(
        left.map(([, path]) => named(path)),
        signal,
      );
      this.spent += performance.now() - begun;
      const got = await this.read(left);
      await this.forgetFailures();
      // It ends at the first that fails, so those before it are done.
      const bad = got.indexOf(undefined);
      const done = bad < 0 ? left.length : bad;
      for (const [index, [key]] of left.slice(0, done).entries()) this.given.set(key, got[index]);
      const failed = left[done];
      if (!failed) return;
      this.given.set(failed[0], undefined);
      left = left.slice(done + 1);
      if (++failures > FAILURES_MOST) break;
    }
    for (const [key] of left) this.given.set(key, undefined);
  }

  private async read(
    all: readonly (readonly [string, NamedPath])[],
  ): Promise<(KeptDerivation | undefined)[]> {
    using cache = await this.open();
    return await Promise.all(
      all.map(async ([, path]) => {
        const at = this.candidates(path).find((one) => cache?.has(one));
        const kept = at && cache?.derivation(at);
        const drv = kept && join(this.parts.realStoreDir, basename(kept.drvPath));
        // A row may be older than what the store still has.
        const isThere = drv !== undefined && (await access(drv).then(yes, no));
        return isThere ? kept : undefined;
      }),
    );
  }

  private async forgetFailures(): Promise<void> {
    using cache = await this.open();
    cache?.forgetFailures();
  }

  private async open(): Promise<EvalCache | undefined> {
    const file = await this.file;
    return file === undefined ? undefined : EvalCache.open(file, this.parts.outputs);
  }
}

const yes = () => true;
const no = () => false;

function keyOf(path: NamedPath): string {
  return JSON.stringify(path);
}

export function named(path: NamedPath): AttrSegment[] {
  return path.map((name) => ({ kind: "name", name }));
}
