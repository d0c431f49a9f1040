/** Owns derivations and path infos for tests, made by hand: a name is enough. */

import type { Derivation, DerivationOutput } from "../../src/domain/derivation.ts";
import type { NarInfo, PathInfo } from "../../src/domain/narinfo.ts";
import type { StorePath } from "../../src/domain/store-path.ts";
import { storePath, sum } from "./paths.ts";

export interface DerivationOptions {
  /** Derivations it needs, their `out` each. */
  readonly inputs?: readonly Derivation[];
  readonly kind?: "source" | "trivial" | "never substituted" | "fixed" | "floating";
  readonly outputs?: readonly string[];
  readonly system?: string;
  /** Tells two derivations of one name apart. */
  readonly variant?: string;
}

export const SYSTEM = "x86_64-linux";

export function derivation(name: string, options: DerivationOptions = {}): Derivation {
  const { inputs = [], kind = "source", outputs = ["out"], system = SYSTEM } = options;
  const made = (suffix: string) => {
    const path = storePath(`${name}${suffix}`);
    // Another hash, the same name: what a changed input does.
    return options.variant
      ? (path.replace(/\/[^/-]+-/, variantHash(options.variant, path)) as StorePath)
      : path;
  };
  const output = (one: string): DerivationOutput => ({
    path: kind === "floating" ? undefined : made(one === "out" ? "" : `-${one}`),
    hashAlgorithm: kind === "fixed" || kind === "floating" ? "r:sha256" : "",
    hash: kind === "fixed" ? sum(name) : "",
  });
  return {
    path: made(".drv"),
    name,
    system,
    builder: "/bin/sh",
    args: [],
    outputs: new Map(outputs.map((one) => [one, output(one)])),
    inputs: new Map(inputs.map((input) => [input.path, ["out"]])),
    sources: [],
    environment: new Map(
      kind === "trivial"
        ? [["preferLocalBuild", "1"]]
        : kind === "never substituted"
          ? [["allowSubstitutes", ""]]
          : [],
    ),
    hasDynamicInputs: false,
  };
}

function variantHash(variant: string, path: StorePath): string {
  const other = storePath(`${variant}-${path.slice(path.lastIndexOf("/") + 34)}`);
  return `/${other.slice(other.lastIndexOf("/") + 1, other.lastIndexOf("/") + 33)}-`;
}

/** The path of its `out`. */
export function out(of: Derivation, output = "out"): StorePath {
  const path = of.outputs.get(output)?.path;
  if (!path) throw new Error(`${of.name} has no known ${output}`);
  return path;
}

export function pathInfo(path: StorePath, references: readonly StorePath[] = []): PathInfo {
  return {
    storePath: path,
    narHash: sum(path),
    narSize: 1000,
    references: [...references].sort(),
    deriver: undefined,
  };
}

export function narInfo(path: StorePath, references: readonly StorePath[] = []): NarInfo {
  return {
    ...pathInfo(path, references),
    deriver: undefined,
    url: `nar/${sum(path)}.nar`,
    compression: "none",
    fileHash: undefined,
    fileSize: 1000,
    signatures: [],
    contentAddress: undefined,
  };
}
