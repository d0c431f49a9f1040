/**
 * Owns content addresses: what a path's name says of its content, so that nobody need vouch for it.
 * Source: nix/src/libstore/content-address.cc (text) and store-api.cc (`makeFixedOutputPath`, `makeTextPath`).
 */

import { hash } from "node:crypto";
import type { Derivation } from "./derivation.ts";
import { encodeNix32, parsePrefixedSum, type Sum, sumOf } from "./hash.ts";
import { namePart, type StorePath, storeDirOf, storePathFromBaseName } from "./store-path.ts";

export interface ContentAddress {
  /** `text`: a file with references, such as a `.drv`; `flat`: one file; `recursive`: its NAR. */
  readonly method: "text" | "flat" | "recursive";
  readonly sum: Sum;
}

/**
 * Why nobody knows a derivation's outputs before it is built. `floating`: named by their content; a cache
 * may know them by its `realisations/`. `deferred`: built of such. `dynamic`: built of derivations that are
 * built themselves. `impure`: made anew each time, so that no cache has them.
 */
export type UnknownOutputs = "floating" | "deferred" | "dynamic" | "impure";

export function unknownOutputs({
  outputs,
  hasDynamicInputs,
}: Pick<Derivation, "outputs" | "hasDynamicInputs">): UnknownOutputs | undefined {
  const open = [...outputs.values()].filter(({ path }) => path === undefined);
  if (open.length === 0) return undefined;
  if (open.some(({ hash }) => hash === "impure")) return "impure";
  if (open.some(({ hashAlgorithm }) => hashAlgorithm !== "")) return "floating";
  return hasDynamicInputs ? "dynamic" : "deferred";
}

/** Reads `text:sha256:SUM`, `fixed:ALGORITHM:SUM` or `fixed:r:ALGORITHM:SUM`. */
export function parseContentAddress(text: string): ContentAddress | undefined {
  const [, prefix, recursive, algorithm = "", rest = ""] =
    /^(text|fixed):(r:)?([^:]*):(.*)$/s.exec(text) ?? [];
  const sum = sumOf(algorithm, rest);
  if (!sum) return undefined;
  if (prefix === "fixed") return { method: recursive ? "recursive" : "flat", sum };
  return recursive || algorithm !== "sha256" ? undefined : { method: "text", sum };
}

/**
 * What a path's `CA` is worth. `good`: it is this path's, and its name vouches for the content. `other`: it is
 * not; Nix does not take the path then, whoever signed it. `impossible`: Nix knows no such path, and stops.
 * `of itself`: the same, but for 2.8, which takes it for another's.
 */
export function contentAddressOf(info: {
  readonly storePath: StorePath;
  readonly references: readonly StorePath[];
  readonly contentAddress: string | undefined;
}): "none" | "good" | "other" | "impossible" | "of itself" {
  const address = info.contentAddress && parseContentAddress(info.contentAddress);
  if (!address) return "none";
  if (info.references.includes(info.storePath)) {
    const isAlone = info.references.length === 1;
    if (address.method === "text" || (isAlone && !isSource(address))) return "of itself";
  }
  const path = addressedPath(address, info);
  if (path === undefined) return "impossible";
  return path === info.storePath ? "good" : "other";
}

/** The base name of a source whose NAR has this sum, as Nix fetches an input of a flake: `HASH-source`. */
export function sourceName(narHash: string, storeDir: string): string | undefined {
  const sum = parsePrefixedSum(narHash);
  if (sum?.algorithm !== "sha256") return undefined;
  const type = `source:sha256:${Buffer.from(sum.bytes).toString("hex")}:${storeDir}:source`;
  return `${folded(type)}-source`;
}

/** Of a file that Nix made of a text, such as a `.drv`: its path, and the address that its name follows from. */
export function textPath(
  name: string,
  content: Uint8Array,
  references: readonly StorePath[],
  storeDir: string,
): { readonly storePath: StorePath; readonly contentAddress: string } | undefined {
  const sum = hash("sha256", content);
  const type = ["text", ...[...references].sort()].join(":");
  const storePath = storePathOf(type, `sha256:${sum}`, storeDir, name);
  return storePath && { storePath, contentAddress: `text:sha256:${sum}` };
}

function addressedPath(
  { method, sum }: ContentAddress,
  {
    storePath,
    references,
  }: { readonly storePath: StorePath; readonly references: readonly StorePath[] },
): StorePath | undefined {
  const others = references.filter((path) => path !== storePath).sort();
  const itself = others.length < references.length;
  const hex = Buffer.from(sum.bytes).toString("hex");
  if (method === "text") return made(storePath, ["text", ...others].join(":"), `sha256:${hex}`);
  if (isSource({ method, sum })) {
    const type = ["source", ...others, ...(itself ? ["self"] : [])].join(":");
    return made(storePath, type, `sha256:${hex}`);
  }
  // Such a path has no references: Nix knows no name for one that has.
  if (references.length > 0) return undefined;
  const prefix = method === "recursive" ? "r:" : "";
  const inner = sha256(`fixed:out:${prefix}${sum.algorithm}:${hex}:`).toString("hex");
  return made(storePath, "output:out", `sha256:${inner}`);
}

/** The one kind of content that may refer to itself. */
function isSource({ method, sum }: ContentAddress): boolean {
  return method === "recursive" && sum.algorithm === "sha256";
}

/** The path in the same store and of the same name that such content has. */
function made(path: StorePath, type: string, sum: string): StorePath | undefined {
  return storePathOf(type, sum, storeDirOf(path), namePart(path));
}

/** Source: nix/src/libstore/store-api.cc, `makeStorePath`. */
export function storePathOf(
  type: string,
  sum: string,
  storeDir: string,
  name: string,
): StorePath | undefined {
  const base = `${folded(`${type}:${sum}:${storeDir}:${name}`)}-${name}`;
  return storePathFromBaseName(base, storeDir);
}

/** The 32 characters of a store path's name that follow from what it is. */
function folded(text: string): string {
  const bytes = Buffer.alloc(20);
  let index = 0;
  for (const byte of sha256(text)) {
    bytes[index] = (bytes[index] ?? 0) ^ byte;
    index = (index + 1) % 20;
  }
  return encodeNix32(bytes);
}

function sha256(text: string): Buffer {
  return hash("sha256", text, "buffer");
}
