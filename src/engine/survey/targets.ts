/** Turns the job's target lines into derivations, one evaluation for a whole set. */

import { hindrance } from "../../domain/builders.ts";
import { outputPaths } from "../../domain/derivation.ts";
import { asError, UserError } from "../../domain/errors.ts";
import { formatOutputs, type Installable, type OutputSelection } from "../../domain/installable.ts";
import type { Job } from "../../domain/job.ts";
import { mapLimited } from "../../domain/limit.ts";
import type { DerivationOutputs, Nix, World } from "../../domain/ports.ts";
import { derivationName, type StorePath } from "../../domain/store-path.ts";
import { parseTarget, type Target } from "../../domain/target.ts";
import { type Below, below, idOf } from "./below.ts";
import type { Wanted } from "./judge.ts";

export interface FoundTargets {
  readonly targets: readonly FoundTarget[];
  readonly notices: readonly string[];
}

export async function findTargets(
  job: Job,
  world: World,
  signal: AbortSignal,
): Promise<FoundTargets> {
  const { nix } = world;
  if (!nix) return { targets: [], notices: [] };
  const lines = job.targets.length > 0 ? job.targets : everyPackage(nix);
  const notices: string[] = [];
  if (lines.length === 0) {
    notices.push("there is no flake here and no target is named: there is nothing to look for");
  }
  const parts = await mapLimited(lines, 2, async (target) => {
    const { targets, notices } = await findTarget(target, nix, signal);
    if (target.derivations.length === 0) return { targets, notices };
    const inside = await within(targets, target, nix, signal);
    return { targets: inside.targets, notices: [...notices, ...inside.notices] };
  });
  const found = new Map<string, FoundTarget>();
  for (const part of parts) {
    notices.push(...part.notices);
    // The first line that names a target keeps it: its attributes are the ones meant.
    for (const target of part.targets) if (!found.has(target.name)) found.set(target.name, target);
  }
  return { targets: [...found.values()], notices: [...new Set(notices)] };
}

function everyPackage(nix: Nix): readonly Target[] {
  return nix.setup.flake === "here" ? [parseTarget(".#packages.SYSTEM.*")] : [];
}

async function findTarget(target: Target, nix: Nix, signal: AbortSignal): Promise<FoundTargets> {
  const { installable } = target;
  const system = target.system ?? nix.setup.system;
  switch (installable.kind) {
    case "store path":
      return { targets: [fromStorePath(target, installable.path, nix)], notices: [] };
    case "derivation":
      return { targets: [await fromDerivation(target, installable, nix)], notices: [] };
    case "flake": {
      const { flake, attrPath, outputs } = installable;
      const answer = await nix.evaluate({ flake, attrPath, outputs, system }, signal);
      const nameOf = (path: string) =>
        path === "" ? target.text : `${flake}#${path}${formatOutputs(outputs)}`;
      const targets = await Promise.all(
        answer.derivations.map((evaluated) =>
          withDerivation(
            {
              name: nameOf(evaluated.attrPath),
              target,
              pinName: pinName(target, evaluated.attrPath, evaluated.matched, system),
            },
            evaluated.drvPath,
            evaluated.outputNames,
            nix,
          ),
        ),
      );
      const failed = answer.failures.map(({ attrPath, message, nearest }) =>
        failedTarget(nameOf(attrPath), target, system, { message, nearest }),
      );
      return { targets: [...targets, ...failed], notices: answer.notices };
    }
    default:
      return installable satisfies never;
  }
}

function fromStorePath(target: Target, path: StorePath, nix: Nix): FoundTarget {
  return {
    name: target.text,
    target,
    system: nix.setup.system,
    wanted: { kind: "path", path },
    outputs: [path],
    buildable: "elsewhere",
    pinName: target.pin ?? derivationName(path),
    failure: undefined,
  };
}

async function fromDerivation(
  target: Target,
  installable: Extract<Installable, { kind: "derivation" }>,
  nix: Nix,
): Promise<FoundTarget> {
  const { path, outputs } = installable;
  const named = {
    name: target.text,
    target,
    pinName: target.pin ?? derivationName(path),
  };
  try {
    const derivation = await nix.derivation(path);
    const names = selectedOutputs(outputs, [...derivation.outputs.keys()]);
    return await withDerivation(named, path, names, nix);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return failedTarget(target.text, target, nix.setup.system, { message, nearest: [] });
  }
}

/** A `.drv` says nothing of what is installed by default: all its outputs, as Nix takes them. */
function selectedOutputs(selection: OutputSelection, all: readonly string[]): readonly string[] {
  return selection.kind === "named" ? selection.names : all;
}

/**
 * `pin=` with its `*` replaced; without one, the attribute path and, where that does not say it,
 * the system: two jobs of a matrix must not move each other's pin.
 */
export function pinName(
  target: Target,
  attrPath: string,
  matched: readonly string[],
  system: string,
): string {
  if (target.pin !== undefined) {
    if (target.pin.includes("*")) return clean(target.pin.replaceAll("*", matched.join("-")));
    return clean(matched.length > 0 ? `${target.pin}-${matched.join("-")}` : target.pin);
  }
  const path = attrPath === "" ? "default" : attrPath;
  return clean(path.includes(system) ? path : `${path}-${system}`);
}

function clean(name: string): string {
  const plain = name.replace(/[^0-9A-Za-z_.+-]+/g, "-");
  // The matrix hands the name on as `pin=`, where it has to begin like a name.
  return plain.replace(/^(?![0-9A-Za-z_])/, "_").slice(0, 200);
}

export interface FoundTarget {
  /** What every report calls it: `.#homeConfigurations.alice.activationPackage`. */
  readonly name: string;
  /** The line it came from. */
  readonly target: Target;
  readonly system: string;
  /** Undefined where it did not evaluate. */
  readonly wanted: Wanted | undefined;
  /** Undefined where they cannot be known before the build. */
  readonly outputs: readonly StorePath[] | undefined;
  /** Whether this machine can build it. */
  readonly buildable: "here" | "elsewhere";
  readonly pinName: string;
  readonly failure: { readonly message: string; readonly nearest: readonly string[] } | undefined;
}

/** The target with what its derivation says; failed where that cannot be read. */
export async function withDerivation(
  named: { readonly name: string; readonly target: Target; readonly pinName: string },
  drvPath: StorePath,
  outputNames: readonly string[],
  nix: Nix,
): Promise<FoundTarget> {
  try {
    const derivation = await nix.derivation(drvPath);
    return {
      ...named,
      system: derivation.system,
      wanted: { kind: "derivation", drvPath, outputNames },
      outputs: outputPaths(derivation, outputNames),
      buildable: hindrance(derivation, nix.setup.builders) === undefined ? "here" : "elsewhere",
      failure: undefined,
    };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return failedTarget(named.name, named.target, nix.setup.system, { message, nearest: [] });
  }
}

export function failedTarget(
  name: string,
  target: Target,
  system: string,
  failure: NonNullable<FoundTarget["failure"]>,
): FoundTarget {
  return {
    name,
    target,
    system,
    wanted: undefined,
    outputs: undefined,
    buildable: "elsewhere",
    pinName: "",
    failure,
  };
}

/** `derivation=`: what is called so below each of the line's targets, in its place. */
export async function within(
  found: readonly FoundTarget[],
  target: Target,
  nix: Nix,
  signal: AbortSignal,
): Promise<{ readonly targets: readonly FoundTarget[]; readonly notices: readonly string[] }> {
  const notices: string[] = [];
  const targets: FoundTarget[] = [];
  for (const root of found) {
    if (root.wanted?.kind !== "derivation") {
      targets.push(root);
      continue;
    }
    const answers = await search(nix, root.wanted, target, signal);
    if (answers instanceof Error) {
      const failure = { message: answers.message, nearest: [] };
      targets.push(failedTarget(root.name, target, root.system, failure));
      continue;
    }
    const several = answers.flatMap(({ derivations }) => derivations).length > 1;
    for (const { asked, derivations, nearest, notice } of answers) {
      const name = `${root.name} derivation=${asked}`;
      if (notice !== undefined) notices.push(`${name}: ${notice}`);
      if (derivations.length === 0) {
        const message = `no derivation below ${root.name} is called ${asked}`;
        targets.push(failedTarget(name, target, root.system, { message, nearest }));
      }
      for (const { drvPath, outputNames } of derivations) {
        const shown = derivations.length > 1 ? `${root.name} derivation=${idOf(drvPath)}` : name;
        // Whoever wants it pinned says so: it is on the way to something that has a pin of its own.
        const pin = target.pin === undefined ? "" : root.pinName;
        const own = derivationName(drvPath).replace(/[^0-9A-Za-z_.+-]/g, "-");
        const pinName = pin !== "" && several ? `${pin}-${own}`.slice(0, 200) : pin;
        targets.push(
          await withDerivation({ name: shown, target, pinName }, drvPath, outputNames, nix),
        );
      }
    }
  }
  return { targets, notices };
}

/** A damaged `.drv` below one target is no end of the others. */
async function search(
  nix: Nix,
  root: DerivationOutputs,
  target: Target,
  signal: AbortSignal,
): Promise<Below[] | Error> {
  try {
    return await below(nix, root.drvPath, target.derivations, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    return asError(error);
  }
}
