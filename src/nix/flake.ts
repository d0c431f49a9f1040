/** The flake of the working directory: whether there is one, what its lock pins, how Nix is asked for what is in it. */

import { dirname, join } from "node:path";
import type { EvaluationRequest } from "../domain/evaluation.ts";
import {
  type AttrSegment,
  formatAttrPath,
  formatInFile,
  formatSegment,
} from "../domain/installable.ts";
import { nearest } from "../domain/suggest.ts";
import { readIfThere } from "../host/disk.ts";

export interface Flake {
  readonly directory: string;
  /** Names of its inputs, as its lock file has them. */
  readonly inputs: ReadonlySet<string>;
}

/** The flake `directory` is in, looked for as Nix does: upwards, not past the repository's top. */
export async function findFlake(directory: string): Promise<Flake | undefined> {
  for (let at = directory; ; at = dirname(at)) {
    if ((await readIfThere(join(at, "flake.nix"))) !== undefined) {
      return { directory: at, inputs: await lockedInputs(at) };
    }
    const top = (await readIfThere(join(at, ".git", "HEAD"))) !== undefined;
    if (top || at === dirname(at)) return undefined;
  }
}

interface LockFile {
  readonly root?: unknown;
  readonly nodes?: Record<string, { inputs?: Record<string, unknown> } | undefined>;
}

async function lockedInputs(directory: string): Promise<ReadonlySet<string>> {
  const text = await readIfThere(join(directory, "flake.lock"));
  if (text === undefined) return new Set();
  try {
    const lock = JSON.parse(text) as LockFile;
    const root = typeof lock.root === "string" ? lock.nodes?.[lock.root] : undefined;
    return new Set(Object.keys(root?.inputs ?? {}));
  } catch {
    return new Set(); // Nix itself says what is wrong with it, at the first evaluation
  }
}

/** Whether a flake reference is a name to be looked up (`nixpkgs`, `nixpkgs/nixos-25.05`). */
export function isIndirect(flake: string): boolean {
  return /^(flake:)?[A-Za-z][0-9A-Za-z_-]*(\/[0-9A-Za-z_.-]+){0,2}$/.test(flake);
}

export function indirectName(flake: string): string {
  return flake.replace(/^flake:/, "").split("/")[0] ?? flake;
}

/** Nix reads the fragment as a part of an address: what an address cannot hold is encoded. */
export function encodeFragment(segments: readonly AttrSegment[]): string {
  return segments
    .map((segment) => {
      if (segment.kind !== "name") return formatSegment(segment);
      const plain = formatAttrPath([segment]);
      return plain.startsWith('"') ? `"${encodeURIComponent(segment.name)}"` : plain;
    })
    .join(".");
}

/** The input this flake's lock pins. What the lock names needs no registry, so none is fetched. */
export function fromLock(own: Flake, flake: string): string[] {
  const inLock = own.inputs.has(indirectName(flake));
  return [
    "--inputs-from",
    own.directory,
    ...(inLock ? ["--option", "flake-registry", "/no-registry"] : []),
  ];
}

/** What a flake's name means that no lock pins. */
export function ofRegistry(flake: string, own: Flake | undefined): string[] {
  if (!isIndirect(flake) || own?.inputs.has(indirectName(flake))) return [];
  const why = own
    ? `this flake's lock has no input "${indirectName(flake)}"`
    : "there is no flake here";
  return [
    `${flake}: ${why}, so the registry's is used: its store paths may not be those of your own builds`,
  ];
}

/** The names of a set, as Nix's eval cache has them; undefined, or why, where it has not. */
export type KnownNames = readonly string[] | string | undefined;

/** Whether what Nix's eval cache has shows that there is no such path: then nothing needs to be evaluated. */
export async function isLacking(
  names: (set: readonly string[]) => Promise<KnownNames>,
  segments: readonly AttrSegment[],
): Promise<boolean> {
  for (const [place, name] of plainNames(segments).entries()) {
    const known = await names(plainNames(segments.slice(0, place)));
    if (typeof known !== "object") return false;
    if (!known.includes(name)) return true;
  }
  return false;
}

/** Those before the first `*`. */
export function plainNames(segments: readonly AttrSegment[]): string[] {
  const end = segments.findIndex(({ kind }) => kind !== "name");
  const plain = end < 0 ? segments : segments.slice(0, end);
  return plain.flatMap((segment) => (segment.kind === "name" ? [segment.name] : []));
}

/** Applies a function to what stands at a path of a flake. */
export type Ask = <T>(
  flake: string,
  segments: readonly AttrSegment[],
  apply: string,
) => Promise<{ readonly value: T } | { readonly message: string }>;

type Place = Pick<EvaluationRequest, "flake" | "system" | "file">;

/** Installables near to the one that is missing; first nixpkgs' own, where it has that very name. */
export async function nearestNames(
  ask: Ask,
  place: Place,
  segments: readonly AttrSegment[],
): Promise<string[]> {
  const { flake, system, file } = place;
  const [first] = segments;
  if (first?.kind !== "name") return [];
  if (segments.length > 1 || file) {
    // The deepest set that is there: what stands behind it in the path is the name that is wrong.
    for (let at = segments.length - 1; at >= (file ? 0 : 1); at--) {
      const found = await nearestIn(ask, place, segments.slice(0, at), segments.slice(at));
      if (found) return found;
    }
    return [];
  }
  const found: string[] = [];
  if (flake !== "nixpkgs") {
    const is = 'p: (p.type or null) == "derivation"';
    const inNixpkgs = await ask<boolean>("nixpkgs", [first], is);
    if ("value" in inNixpkgs && inNixpkgs.value) found.push(`nixpkgs#${first.name}`);
  }
  for (const set of ["packages", "legacyPackages"]) {
    const place = [set, system].map((name): AttrSegment => ({ kind: "name", name }));
    const names = await ask<string[]>(flake, place, "builtins.attrNames");
    if (!("value" in names)) continue;
    found.push(...nearest(first.name, names.value).map((name) => `${flake}#${name}`));
  }
  return [...new Set(found)];
}

/** Undefined where `parent` is not there either. */
async function nearestIn(
  ask: Ask,
  { flake, file }: Place,
  parent: readonly AttrSegment[],
  [wrong, ...rest]: readonly AttrSegment[],
): Promise<string[] | undefined> {
  if (wrong?.kind !== "name") return undefined;
  const names = await ask<string[]>(flake, parent, "builtins.attrNames");
  if (!("value" in names)) return undefined;
  return nearest(wrong.name, names.value).map((name) => {
    const path: AttrSegment[] = [...parent, { kind: "name", name }, ...rest];
    const whole = formatAttrPath(path);
    return file ? formatInFile(whole, { kind: "default" }, file.path) : `${flake}#${whole}`;
  });
}

/** As many members may lack the same: an import from derivation, or a source, which Nix may try to get for minutes. */
const SAME_MOST = { import: 8, source: 2 };
/** That it could not get one, in the words of 2.8, 2.26 and 2.34. */
const SOURCE =
  /unable to download '[^']*'|git repository ['"][^'"]*['"]|Cannot find Git revision '[^']*'|program 'git' failed[^\n]*/i;

/** Counts what one member after the other lacks. */
export class Lacks {
  private readonly times = new Map<string, number>();

  /** Whether so many lacked the same that what the rest would say is known: each costs an evaluation. */
  isKnown({ message, needs }: { readonly message: string; readonly needs?: string }): boolean {
    const lack = needs ?? SOURCE.exec(message)?.[0];
    if (lack === undefined) return false;
    this.times.set(lack, (this.times.get(lack) ?? 0) + 1);
    return (this.times.get(lack) ?? 0) >= SAME_MOST[needs === undefined ? "source" : "import"];
  }
}
