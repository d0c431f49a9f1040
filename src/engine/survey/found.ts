/** A target as it was found: what it is called, what is wanted of it, and the name of its pin. */

import { createHash } from "node:crypto";
import { hindrance } from "../../domain/builders.ts";
import type { Pin } from "../../domain/cache.ts";
import { type Derivation, outputPaths } from "../../domain/derivation.ts";
import { UserError } from "../../domain/errors.ts";
import type { EvaluationResult } from "../../domain/evaluation.ts";
import type { Job } from "../../domain/job.ts";
import type { DerivationOutputs, Nix } from "../../domain/ports.ts";
import { count } from "../../domain/size.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Target } from "../../domain/target.ts";
import type { Wanted } from "./judge.ts";

export interface FoundTarget {
  /** What every report calls it, and nothing else: `.#homeConfigurations.alice.activationPackage`. */
  readonly name: string;
  /** How a target line names it; two systems of one name differ in their attributes alone. */
  readonly written: string;
  /** The line it came from. */
  readonly target: Target;
  readonly system: string;
  /** Undefined where it did not evaluate. */
  readonly wanted: Wanted | undefined;
  /** Undefined where they cannot be known before the build. Of a shell: of all its inputs. */
  readonly outputs: readonly StorePath[] | undefined;
  /** What `outputs` are called, in their order; none where they are of several derivations, or of none. */
  readonly outputNames: readonly string[];
  /** Whether this machine can build it. */
  readonly buildable: "here" | "elsewhere";
  /** Of its first output; the others' are made of it (`pinsOf`). Empty: it has none. */
  readonly pinName: string;
  /** What its evaluation had to build (imports from derivation), together with others of its line. */
  readonly imports: readonly DerivationOutputs[];
  readonly failure: { readonly message: string; readonly nearest: readonly string[] } | undefined;
}

export interface FoundTargets {
  readonly targets: readonly FoundTarget[];
  readonly notices: readonly string[];
}

export interface FoundLine extends FoundTargets {
  /** As the user wrote it. */
  readonly line: string;
}

export type Named = Pick<FoundTarget, "written" | "target" | "pinName"> & {
  readonly imports?: FoundTarget["imports"];
};

/** The target with what its derivation says; failed where that cannot be read. */
export async function withDerivation(
  named: Named,
  drvPath: StorePath,
  outputNames: readonly string[],
  nix: Nix,
): Promise<FoundTarget> {
  try {
    const derivation = await nix.derivation(drvPath);
    return {
      imports: [],
      ...named,
      name: named.written,
      system: derivation.system,
      wanted: { kind: "derivation", drvPath, outputNames },
      outputs: outputPaths(derivation, outputNames),
      outputNames,
      buildable: whereBuildable(derivation, nix),
      failure: undefined,
    };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return failedTarget(named.written, named.target, nix.setup.system, { message, nearest: [] });
  }
}

/**
 * What `nix develop` needs: the inputs of the derivation, and the shell that it starts. Its outputs
 * are never used. A store path of its own, to be pinned, it has none.
 */
export async function withShell(
  named: Named,
  drvPath: StorePath,
  bash: readonly DerivationOutputs[],
  nix: Nix,
): Promise<FoundTarget> {
  try {
    const derivation = await nix.derivation(drvPath);
    const inputs = [...derivation.inputs].map(
      ([input, outputNames]): DerivationOutputs => ({ drvPath: input, outputNames }),
    );
    const needs = [...inputs, ...bash];
    const outputs = await Promise.all(
      needs.map(async (one) => outputPaths(await nix.derivation(one.drvPath), one.outputNames)),
    );
    return {
      imports: [],
      ...named,
      name: named.written,
      pinName: "",
      system: derivation.system,
      wanted: { kind: "shell", drvPath, needs },
      outputs: outputs.every((paths) => paths !== undefined)
        ? [...new Set(outputs.flat())]
        : undefined,
      outputNames: [],
      buildable: whereBuildable(derivation, nix),
      failure: undefined,
    };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return failedTarget(named.written, named.target, nix.setup.system, { message, nearest: [] });
  }
}

function whereBuildable(derivation: Derivation, nix: Nix): "here" | "elsewhere" {
  return hindrance(derivation, nix.setup.builders) === undefined ? "here" : "elsewhere";
}

export function failedTarget(
  name: string,
  target: Target,
  system: string,
  failure: NonNullable<FoundTarget["failure"]>,
): FoundTarget {
  return {
    name,
    written: name,
    target,
    system,
    wanted: undefined,
    outputs: undefined,
    outputNames: [],
    buildable: "elsewhere",
    pinName: "",
    imports: [],
    failure,
  };
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
    if (target.pin.includes("*")) return pinOf(target.pin.replaceAll("*", matched.join("-")));
    return pinOf(matched.length > 0 ? `${target.pin}-${matched.join("-")}` : target.pin);
  }
  const path = attrPath === "" ? "default" : attrPath;
  return pinOf(path.includes(system) ? path : `${path}-${system}`);
}

const LENGTH_MOST = 200;

/** Where a character has to give way, a sum of the whole keeps two names two pins. */
export function pinOf(name: string): string {
  // The matrix hands the name on as `pin=`, where it has to begin like a name.
  const plain = name.replace(/[^0-9A-Za-z_.+-]+/g, "-").replace(/^(?![0-9A-Za-z_])/, "_");
  if (plain === name && plain.length <= LENGTH_MOST) return plain;
  const sum = createHash("sha256").update(name).digest("hex").slice(0, 8);
  return `${plain.slice(0, LENGTH_MOST - 9)}-${sum}`;
}

/** What a pin is to hold: nobody has said for how long. */
export type WantedPin = Pick<Pin, "name" | "storePath">;

/**
 * A pin for each output that the target wants: `name` for the first, `name^dev` for another. No target's
 * own pin has a `^` in it, so no two outputs share one.
 */
export function pinsOf({
  pinName: name,
  outputs = [],
  outputNames,
}: Pick<FoundTarget, "pinName" | "outputs" | "outputNames">): readonly WantedPin[] {
  if (name === "") return [];
  return outputs.flatMap((storePath, at): WantedPin[] => {
    if (at === 0) return [{ name, storePath }];
    const output = outputNames[at];
    return output === undefined ? [] : [{ name: `${name}^${pinOf(output)}`, storePath }];
  });
}

/**
 * A target is its installable, its system, its outputs, and whether what `nix develop` needs of it is meant. The
 * first line that names it keeps it: its attributes are the ones meant. Whatever else is dropped for that is told.
 */
export function eachOnce(lines: readonly FoundLine[], here: string): FoundTargets {
  const found = new Map<string, FoundTarget>();
  const dropped = new Map<string, string[]>();
  const systems = new Map<string, Set<string>>();
  const kinds = new Map<string, Set<string>>();
  for (const { line, targets } of lines) {
    for (const target of targets) {
      const asked = target.target.system ?? here;
      const kind = target.wanted?.kind ?? "";
      const id = `${asked} ${kind} ${target.written}`;
      const first = found.get(id);
      if (first) {
        const what = `"${line}": ${first.target.line === line ? "an earlier line that is the same" : `"${first.target.line}"`} names`;
        dropped.set(what, [...(dropped.get(what) ?? []), target.written]);
        continue;
      }
      found.set(id, target);
      for (const [all, one] of [
        [systems, asked],
        [kinds, kind],
      ] as const) {
        all.set(target.written, (all.get(target.written) ?? new Set()).add(one));
      }
    }
  }
  return {
    targets: [...found.values()].map((target): FoundTarget => {
      const { written } = target;
      const { system, develop } = target.target;
      const several = (of: typeof systems) => (of.get(written)?.size ?? 0) > 1;
      const words = [
        ...(several(systems) && system !== undefined ? [`system=${system}`] : []),
        ...(several(kinds) && develop !== undefined
          ? [`develop=${develop === "shell" ? "yes" : "no"}`]
          : []),
      ];
      return { ...target, name: [target.name, ...words].join(" ") };
    }),
    notices: [...dropped].map(
      ([what, [first, ...rest]]) =>
        `${what} ${first}${rest.length > 0 ? ` and ${rest.length} more` : ""} already, and its attributes count`,
    ),
  };
}

export function passedOverNotice(
  of: { readonly flake: string } | { readonly file: string },
  members: EvaluationResult["passedOver"],
): string[] {
  if (members.length === 0) return [];
  const byWhy = new Map<string, string[]>();
  for (const { attrPath, why } of members) byWhy.set(why, [...(byWhy.get(why) ?? []), attrPath]);
  const words = [...byWhy].map(([why, paths]) => {
    const shown = paths.slice(0, 5).join(", ");
    return `${why}: ${shown}${paths.length > 5 ? ` and ${paths.length - 5} more` : ""}`;
  });
  return [
    `${count(members.length, "member")} of ${"file" in of ? of.file : of.flake} skipped, as they cannot be evaluated here (${words.join("; ")})`,
  ];
}

/**
 * One pin would take the place of the other, and whoever reads it would not know. Other outputs of
 * one derivation say which they are.
 */
export function withPins(pin: Job["pin"], targets: readonly FoundTarget[]): readonly FoundTarget[] {
  const holders = new Map<string, FoundTarget>();
  return targets.map((target) => {
    if (target.pinName === "") return target;
    let named = target;
    const first = holders.get(target.pinName);
    if (first && areOutputsOfOne(first, target) && target.wanted?.kind === "derivation") {
      const which = target.wanted.outputNames.join("+");
      named = { ...target, pinName: pinOf(`${target.pinName}.${which}`) };
    }
    const other = holders.get(named.pinName);
    if (!other) holders.set(named.pinName, named);
    else if (pin === "auto" && (other.outputs?.[0] !== named.outputs?.[0] || !named.outputs)) {
      throw new UserError(
        "NCP-106",
        `targets: ${other.name} and ${named.name} would both be pinned as ${named.pinName}`,
        { hint: "give one of them another name with pin=, or take it away with !NAME" },
      );
    }
    return named;
  });
}

function areOutputsOfOne(one: FoundTarget, other: FoundTarget): boolean {
  return (
    one.wanted?.kind === "derivation" &&
    other.wanted?.kind === "derivation" &&
    one.wanted.drvPath === other.wanted.drvPath &&
    one.outputs?.[0] !== other.outputs?.[0]
  );
}
