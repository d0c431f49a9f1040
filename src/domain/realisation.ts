/**
 * Realisations: by what name a cache knows the output of a content-addressed derivation before anybody has built
 * it, and what it says of it. Source: nix/src/libstore/derivations.cc (`hashDerivationModulo`, `tryResolve`),
 * realisation.cc and build/drv-output-substitution-goal.cc, of 2.8, 2.26 and 2.34, each held against its requests.
 */

import { createHash } from "node:crypto";
import { storePathOf, unknownOutputs } from "./content-address.ts";
import { type Derivation, isFixedOutput } from "./derivation.ts";
import { encodeNix32 } from "./hash.ts";
import { hashPart, type StorePath, storeDirOf, storePathFromBaseName } from "./store-path.ts";

declare const brand: unique symbol;

/** `sha256:HEX!out`: a derivation's hash, and its output. The file is `realisations/ID.doi`. */
export type RealisationId = string & { readonly [brand]: "RealisationId" };

export interface Realisation {
  readonly path: StorePath;
  /** What Nix has to have realised first, as far as it looks at that. */
  readonly dependents: readonly RealisationId[];
}

/** One of this machine's own, and what `nix copy` writes of it into a cache. */
export interface MadeRealisation extends Realisation {
  readonly id: RealisationId;
  readonly text: string;
  /** Where what it depends on is; Nix wants a realisation of each of them, up to 2.26. */
  readonly dependentPaths: readonly StorePath[];
}

export type Realisations = readonly MadeRealisation[];

/** What a cache answered about one realisation. A failed question is not a miss. */
export type RealisationAnswer =
  | { readonly kind: "hit"; readonly realisation: Realisation }
  | { readonly kind: "miss" }
  | { readonly kind: "unknown"; readonly cause: Error };

/** Some hundred bytes, and as many again for each realisation that it depends on. */
export const REALISATION_MAX_BYTES = 1024 * 1024;

export function realisationFile(id: RealisationId): string {
  return `realisations/${id}.doi`;
}

/**
 * Reads the file. Throws where Nix ends, which it does in the middle of a run: what such a cache would have said
 * is not known. Its signatures no version looks at that fetches by it: what is fetched is checked as any path is.
 */
export function parseRealisation(text: string, id: RealisationId, storeDir: string): Realisation {
  const value: unknown = JSON.parse(text);
  const {
    id: named,
    outPath,
    dependentRealisations,
    signatures,
  } = (value ?? {}) as Record<string, unknown>;
  const path = typeof outPath === "string" ? storePathFromBaseName(outPath, storeDir) : undefined;
  // 2.34 does without the id, and ends at a signature that is none, which earlier ones pass over.
  if (named !== id || !path || !areSignatures(signatures)) {
    throw new Error(`${realisationFile(id)} is not a realisation of ${id}`);
  }
  const dependents = Object.keys((dependentRealisations ?? {}) as object);
  return { path, dependents: dependents.filter((one) => one !== id) as RealisationId[] };
}

/** Reads `nix realisation info --json`; what was never built, or has its path in its derivation, is left out. */
export function parseMade(text: string, storeDir: string): readonly MadeRealisation[] {
  const all = JSON.parse(text) as readonly Record<string, unknown>[];
  return all.flatMap((one) => {
    if (typeof one["id"] !== "string") return [];
    const id = one["id"] as RealisationId;
    const written = JSON.stringify(one);
    const paths = Object.values((one["dependentRealisations"] ?? {}) as Record<string, string>);
    const dependentPaths = paths.flatMap((name) => storePathFromBaseName(name, storeDir) ?? []);
    return [{ ...parseRealisation(written, id, storeDir), id, text: written, dependentPaths }];
  });
}

function areSignatures(value: unknown): boolean {
  if (value === undefined) return true;
  return (
    Array.isArray(value) && value.every((one) => typeof one === "string" && one.indexOf(":") > 0)
  );
}

/**
 * How a version reads realisations. `with dependents`: what one depends on has to be had by its realisation, too.
 * `alone`: the path is enough. `either`: nobody looked. From 2.35 on they are called otherwise, and not read.
 */
export type RealisationReading = "with dependents" | "alone" | "either";

export function realisationReading(version: string | undefined): RealisationReading | undefined {
  const [major = 0, minor = 0] = (version ?? "")
    .split(".")
    .map((part) => Number.parseInt(part, 10));
  if (major !== 2 || minor < 8 || minor > 34) return undefined;
  return minor <= 26 ? "with dependents" : minor === 34 ? "alone" : "either";
}

type Read = (path: StorePath) => Promise<Derivation>;

/** Names realisations: the hash of a derivation says what is built, and not by which derivations. */
export class RealisationNames {
  private readonly read: Read;
  private readonly inputs = new Map<StorePath, Promise<ReadonlyMap<string, string> | undefined>>();

  constructor(read: Read) {
    this.read = read;
  }

  /** Undefined where it has none: something impure or dynamic is below it. */
  async idOf(derivation: Derivation, output: string): Promise<RealisationId | undefined> {
    const hash = await this.hashOf(derivation, "masked");
    return hash === undefined ? undefined : idOf(hash, output);
  }

  private async hashOf(
    derivation: Derivation,
    outputs: "masked" | "as they are",
  ): Promise<string | undefined> {
    if (derivation.hasDynamicInputs || unknownOutputs(derivation) === "impure") return undefined;
    const names = new Map<string, Set<string>>();
    for (const [path, used] of derivation.inputs) {
      const hashes = await this.inputHashes(path);
      if (!hashes) return undefined;
      for (const name of used) {
        const hash = hashes.get(name);
        if (hash === undefined) return undefined;
        names.set(hash, (names.get(hash) ?? new Set()).add(name));
      }
    }
    return sha256(written(derivation, names, outputs));
  }

  /** By output; a fixed output's says nothing of how it is fetched. */
  private inputHashes(path: StorePath): Promise<ReadonlyMap<string, string> | undefined> {
    let hashes = this.inputs.get(path);
    if (!hashes) {
      hashes = this.hashesOf(path);
      this.inputs.set(path, hashes);
    }
    return hashes;
  }

  private async hashesOf(path: StorePath): Promise<ReadonlyMap<string, string> | undefined> {
    const derivation = await this.read(path);
    const outputs = [...derivation.outputs];
    if (isFixedOutput(derivation)) {
      return new Map(
        outputs.map(([name, { hashAlgorithm, hash, path: made }]) => [
          name,
          sha256(`fixed:out:${hashAlgorithm}:${hash}:${made}`),
        ]),
      );
    }
    const hash = await this.hashOf(derivation, "as they are");
    return hash === undefined ? undefined : new Map(outputs.map(([name]) => [name, hash]));
  }
}

function idOf(hash: string, output: string): RealisationId {
  return `sha256:${hash}!${output}` as RealisationId;
}

/** What a derivation is once its inputs are there: a floating one has a second name then, a deferred one its path. */
export interface Resolved {
  readonly id: RealisationId;
  readonly path: StorePath | undefined;
}

/** `made`: where the inputs' outputs are. Undefined where one of them is not known. */
export function resolve(
  derivation: Derivation,
  output: string,
  made: (input: StorePath, output: string) => StorePath | undefined,
): Resolved | undefined {
  const rewrites: [string, string][] = [];
  const sources = new Set(derivation.sources);
  for (const [input, names] of derivation.inputs) {
    for (const name of names) {
      const path = made(input, name);
      if (path === undefined) return undefined;
      sources.add(path);
      rewrites.push([placeholder(input, name), path]);
    }
  }
  const rewrite = (text: string) =>
    rewrites.reduce((all, [from, to]) => all.replaceAll(from, () => to), text);
  const resolved: Derivation = {
    ...derivation,
    inputs: new Map(),
    sources: [...sources].sort(),
    builder: rewrite(derivation.builder),
    args: derivation.args.map(rewrite),
    environment: new Map(
      [...derivation.environment].map(([name, value]) => [rewrite(name), rewrite(value)]),
    ),
  };
  const hash = sha256(written(resolved, new Map(), "masked"));
  const named = `${derivation.name}${output === "out" ? "" : `-${output}`}`;
  const isDeferred = derivation.outputs.get(output)?.hashAlgorithm === "";
  return {
    id: idOf(hash, output),
    path: isDeferred
      ? storePathOf(`output:${output}`, `sha256:${hash}`, storeDirOf(derivation.path), named)
      : undefined,
  };
}

/** What stands in a derivation for the path of an input's output that nobody knows yet. */
function placeholder(input: StorePath, output: string): string {
  const name = input.slice(input.lastIndexOf("/") + 34, -".drv".length);
  const made = output === "out" ? name : `${name}-${output}`;
  const text = `nix-upstream-output:${hashPart(input)}:${made}`;
  return `/${encodeNix32(createHash("sha256").update(text).digest())}`;
}

/** The derivation's text as Nix hashes it, with hashes in place of its input derivations. */
function written(
  { outputs, sources, system, builder, args, environment }: Derivation,
  inputs: ReadonlyMap<string, ReadonlySet<string>>,
  masked: "masked" | "as they are",
): string {
  const isMasked = masked === "masked";
  const list = (items: Iterable<string>) => `[${[...items].join(",")}]`;
  const all = [
    list(
      [...outputs]
        .sort(byName)
        .map(([name, { path, hashAlgorithm, hash }]) =>
          tuple(name, isMasked ? "" : (path ?? ""), hashAlgorithm, hash),
        ),
    ),
    list(
      [...inputs]
        .sort(byName)
        .map(([hash, names]) => `(${quoted(hash)},${list([...names].sort().map(quoted))})`),
    ),
    list(sources.map(quoted)),
    quoted(system),
    quoted(builder),
    list(args.map(quoted)),
    list(
      [...environment]
        .sort(byName)
        .map(([name, value]) => tuple(name, isMasked && outputs.has(name) ? "" : value)),
    ),
  ];
  return `Derive(${all.join(",")})`;
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function tuple(...parts: readonly string[]): string {
  return `(${parts.map(quoted).join(",")})`;
}

const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function quoted(text: string): string {
  return `"${text.replace(/["\\\n\r\t]/g, (char) => ESCAPES[char] ?? `\\${char}`)}"`;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
