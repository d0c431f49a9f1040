/** What later commands need not evaluate: has Nix keep what `nix run` reads, too, and tells what is kept. */

import { UserError } from "../domain/errors.ts";
import { formatAttrPath } from "../domain/installable.ts";
import { count } from "../domain/size.ts";
import { isAtLeast, type NixCommand } from "./command.ts";
import { type ChosenOutputs, EvalCache } from "./eval-cache.ts";
import { COMMON, type EvaluationDoor, NO_IMPORT } from "./eval-command.ts";
import {
  type EvalFill,
  MEMBERS_MOST,
  type NamedPath,
  NOBODY,
  type NotNamed,
  named,
} from "./eval-fill.ts";
import { encodeFragment } from "./flake.ts";

export interface LaterParts {
  readonly fill: EvalFill;
  readonly door: EvaluationDoor;
  readonly nix: NixCommand;
  readonly version: string;
  readonly system: string;
  /** Nix's setting. */
  readonly store: string;
  readonly outputs: ChosenOutputs;
  readonly patience: Patience;
}

/** Milliseconds for what `nix run` reads. */
export interface Patience {
  /** What took longer to evaluate is not evaluated once more. */
  readonly evaluation: number;
  /** That it takes at most, while caches are asked. */
  readonly more: number;
}

export const PATIENCE: Patience = { evaluation: 2_000, more: 600 };

/** As many are shown to be there. */
const SHOWN_MOST = 40;

/** Of what `nix develop` starts, beside the shell itself. */
const BASH = {
  kept: "",
  evaluated: "the bash it starts, for which it may fetch nixpkgs, ",
} as const;

/** Of what `nix build` finds, as `nix run` may not. */
const RUNS = { all: "", some: "nix run of some of them, ", none: "nix run, " } as const;

/** Why the members of a set are not asked for by their names. */
const NOT_NAMED: Readonly<Record<NotNamed, string>> = {
  "each apart": "this Nix would evaluate each member apart",
  "not before": "what is in it can be named only after it was evaluated",
  "too many": `it has more than ${MEMBERS_MOST} members, each of which would cost Nix a question`,
};

const AGAIN = "later commands evaluate again";

/** In words, after Nix was asked with evaluation forbidden; and what they do evaluate, and why. */
export async function tellLater(
  parts: LaterParts,
  bash: "kept" | "evaluated",
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { fill, door, version, patience } = parts;
  const { file, why, paths, missed, spent } = await fill.soFar(signal);
  if (why !== undefined) return [`${AGAIN}: ${why}`];
  const lines: string[] = [];
  const shells = paths.filter(([set]) => set === "devShells");
  const others = paths.filter(([set]) => set !== "devShells");
  // Below 2.11 it is evaluated three times more.
  const most = isAtLeast(version, 11) ? patience.evaluation : patience.evaluation / 4;
  const isCheap = spent !== "carried" && spent <= most && OF_THIS_MACHINE.test(parts.store);
  const budget = isCheap && door.imports === "none met" ? patience.more : 0;
  const runs =
    file === undefined ? [] : await keepForRun({ ...parts, file, budget }, paths, signal);
  for (const [some, commands, but] of [
    [others, "nix build and nix shell", RUNS[howMany(runs, others)]],
    [shells, "nix develop", BASH[bash]],
  ] as const) {
    if (some.length === 0) continue;
    const names = wordsFor(some.map((path) => fill.ways(path).at(-1) ?? path));
    const asked = some.slice(0, SHOWN_MOST).flatMap((path) => fill.ways(path));
    const isKept = await fill.alone(() => door.isKept(asked.map(named), signal));
    lines.push(
      isKept
        ? `later steps need no evaluation for ${commands} of ${names} (but for ${but}nix eval and --impure)`
        : `${AGAIN} ${names}: this Nix does not find in its eval cache what it has just put there`,
    );
  }
  if (runs.length > 0)
    lines.push(`later steps need no evaluation for nix run of ${wordsFor(runs)}`);
  for (const [reason, words] of Object.entries(NOT_NAMED)) {
    const names = [...missed].flatMap(([name, of]) => (of === reason ? [name] : []));
    if (names.length > 0) lines.push(`${AGAIN} ${list(names)}: ${words}`);
  }
  return lines;
}

function howMany(some: readonly unknown[], of: readonly unknown[]): keyof typeof RUNS {
  if (some.length === 0) return "none";
  return some.length === of.length ? "all" : "some";
}

function wordsFor(paths: readonly NamedPath[]): string {
  return list(paths.map((path) => `.#${formatAttrPath(named(path))}`));
}

function list(all: readonly string[]): string {
  const names = [...new Set(all)];
  const shown = names.slice(0, 5).join(", ");
  return names.length > 5 ? `${shown} and ${count(names.length - 5, "other")}` : shown;
}

interface RunParts extends LaterParts {
  /** Nix's eval cache of the flake. */
  readonly file: string;
  /** Milliseconds for all of them; 0: what is kept already is told, and nothing is evaluated. */
  readonly budget: number;
}

/** As many are asked for: each is a process of its own. */
const RUNS_MOST = 16;

/**
 * The names of the packages among them for which `nix run` needs no evaluation. It takes one installable a process,
 * reads `name`, `pname` and `meta.mainProgram` of it, has it built, and runs it. It is given a daemon to build with
 * that cannot be there: so it ends before it runs anything, having put what it read where Nix keeps that. What is an
 * app is run without a build: it is not asked for.
 */
async function keepForRun(
  parts: RunParts,
  paths: readonly NamedPath[],
  signal: AbortSignal,
): Promise<readonly NamedPath[]> {
  const { fill, version } = parts;
  const packages = await packagesAmong(parts, paths);
  const some = parts.budget > 0 ? packages.slice(0, RUNS_MOST) : [];
  if (some.length > 0) {
    await fill.alone(() => readAll(parts, some, signal));
    if (!isAtLeast(version, 11)) await fill.again(paths, signal);
  }
  return (await keptAmong(parts, packages)).map(({ name }) => name);
}

async function readAll(
  parts: RunParts,
  packages: readonly Package[],
  signal: AbortSignal,
): Promise<void> {
  const end = performance.now() + parts.budget;
  // Nix looks below the apps first: all of their names are to be known. Nobody asked for them: they are neither
  // waited for longer than that, nor built for.
  const apps = nameOf(["apps", parts.system, NOBODY]);
  await asked(parts, ["path-info", "--derivation", apps], parts.budget, signal);
  const sound = await withoutApps(parts, packages);
  // Below 2.11 Nix forgets all it kept, once, when it first looks at all members of a set for this.
  const rounds = isAtLeast(parts.version, 11) ? 1 : 2;
  // The store in which it was evaluated until now: to Nix, `auto` is the one of a machine without settings.
  const run = ["run", "--eval-store", parts.store, "--store", NO_DAEMON];
  for (let round = 0; round < rounds; round++) {
    for (const one of sound) {
      const left = end - performance.now();
      if (left <= 0 || (await keptAmong(parts, [one])).length > 0) continue;
      await asked(parts, [...run, nameOf(one.name)], left, signal);
    }
  }
  using cache = await EvalCache.open(parts.file, parts.outputs);
  cache?.forgetFailures();
}

function nameOf(path: NamedPath): string {
  return `.#${encodeFragment(named(path))}`;
}

interface Package {
  /** The whole of it: `packages`, SYSTEM, NAME. */
  readonly at: NamedPath;
  /** By which it is run: NAME. */
  readonly name: NamedPath;
}

async function packagesAmong(
  { fill, file, outputs, system }: RunParts,
  paths: readonly NamedPath[],
): Promise<readonly Package[]> {
  using cache = await EvalCache.open(file, outputs);
  return paths.flatMap((path) => {
    const at = fill.candidates(path).find((one) => cache?.has(one)) ?? [];
    const [set, of, ...name] = at;
    const isPackage = /^(?:legacyP|p)ackages$/.test(set ?? "") && of === system;
    return isPackage ? [{ at, name }] : [];
  });
}

/** What is built before it is run. */
async function withoutApps(
  parts: RunParts,
  packages: readonly Package[],
): Promise<readonly Package[]> {
  using cache = await EvalCache.open(parts.file, parts.outputs);
  return packages.filter(
    (one) =>
      cache && isNoApp(cache, parts, one) && cache.string([...one.at, "type"]) === "derivation",
  );
}

/** `nix run` looks among the flake's apps first, and an app need not be built before it is run. */
function isNoApp(cache: EvalCache, { system }: RunParts, { name }: Package): boolean {
  return cache.string(["apps", system, ...name]) === null;
}

async function keptAmong(
  parts: RunParts,
  packages: readonly Package[],
): Promise<readonly Package[]> {
  using cache = await EvalCache.open(parts.file, parts.outputs);
  return packages.filter((one) => cache && isNoApp(cache, parts, one) && isKept(cache, one.at));
}

/** What it reads: nix/src/nix/app.cc. */
function isKept(cache: EvalCache, path: NamedPath): boolean {
  const has = (...names: readonly string[]) => cache.string([...path, ...names]);
  if (has("type") !== "derivation") return false;
  if (["drvPath", "outPath", "outputName", "name"].some((name) => !has(name))) return false;
  const program = has("meta", "mainProgram");
  return program === null ? has("pname") !== undefined : program !== undefined;
}

/**
 * The address of a socket that nobody can make. Not `dummy://`: to build in that, Nix (2.8, 2.26) first deletes
 * from the real store folder what the dummy does not know.
 */
const NO_DAEMON = "unix:///dev/null/none";

/** Stores of this machine, whose names are no secrets. */
const OF_THIS_MACHINE = /^(?:auto$|daemon$|unix:|local\b|\/)/;

/** Throws for the signal alone: that there is none, or nothing can be built, is how it ends. */
async function asked(
  { nix }: RunParts,
  args: readonly string[],
  deadline: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    await nix.try("nix", [...args, ...COMMON, ...NO_IMPORT], { signal, deadline });
  } catch (error) {
    signal.throwIfAborted();
    // It takes too long.
    if (!(error instanceof UserError)) throw error;
  }
}
