/** Owns a target that was found: what it is called, its derivation, or why there is none. */

import { outputPaths } from "../../domain/derivation.ts";
import type { Nix } from "../../domain/ports.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Target } from "../../domain/target.ts";
import type { Wanted } from "./judge.ts";

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
      buildable:
        derivation.system === "builtin" || nix.setup.buildable.includes(derivation.system)
          ? "here"
          : "elsewhere",
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
