/** The flake of the working directory: whether there is one, what its lock pins, which caches it names. */

import { dirname, join } from "node:path";
import type { EvaluationRequest } from "../domain/evaluation.ts";
import { type AttrSegment, formatAttrPath } from "../domain/installable.ts";
import { parsePublicKey } from "../domain/signature.ts";
import { nearest } from "../domain/suggest.ts";
import { readIfThere } from "../host/disk.ts";
import type { Environment } from "../host/environment.ts";
import { nixConfigOf } from "../host/project.ts";
import { isAtLeast } from "./command.ts";
import { homeOf } from "./configure.ts";
import type { NixMachine, NixSettings } from "./machine.ts";

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

export interface FlakeCaches {
  readonly substituters: readonly string[];
  readonly publicKeys: readonly string[];
}

/**
 * What the flake's own `nixConfig` makes of Nix's settings: `settings` are those of commands on this flake
 * (of no others), `refused` is what Nix ignores, as nobody is there to be asked.
 */
export async function flakeCaches(
  { directory }: Flake,
  machine: NixMachine,
  environment: Environment,
): Promise<{ readonly settings: NixSettings; readonly refused: FlakeCaches }> {
  const { setup, settings } = machine;
  const config = nixConfigOf((await readIfThere(join(directory, "flake.nix"))) ?? "");
  const accepts = settings.flakeConfig === "accepted" ? "all" : await told(environment, setup);
  const refused = { substituters: [] as string[], publicKeys: [] as string[] };
  const named = (setting: string, before: readonly string[], left: string[]) => {
    let now = before;
    // In the order of their names, as Nix does: what adds comes first, and what replaces takes it away.
    for (const name of [`extra-${setting}`, setting]) {
      const value = config.get(name);
      if (value === undefined) continue;
      const words = value.split(/\s+/).filter(Boolean);
      if (accepts !== "all" && accepts[name]?.[value] !== true) left.push(...words);
      else now = name === setting ? words : [...now, ...words];
    }
    return [...new Set(now)];
  };
  const keys = named("trusted-public-keys", settings.publicKeyTexts, refused.publicKeys);
  const known = settings.trustedPublicKeys.map(({ text }) => text);
  // A key that the daemon does not take from this user makes no path good.
  const more = setup.untrusted ? [] : keys.filter((text) => !known.includes(text));
  const parsed = more.flatMap((text) => parsePublicKey(text) ?? []);
  const bad = more.find((text) => !settings.publicKeyTexts.includes(text) && !parsePublicKey(text));
  return {
    settings: {
      ...settings,
      substituters: named("substituters", settings.substituters, refused.substituters),
      trustedPublicKeys: [
        ...settings.trustedPublicKeys.filter(
          ({ text }) => !settings.publicKeyTexts.includes(text) || keys.includes(text),
        ),
        ...parsed,
      ],
      badKey:
        settings.badKey ??
        (bad === undefined ? undefined : `"${bad.split(":")[0]?.slice(0, 40)}" in flake.nix`),
    },
    refused,
  };
}

type Trusted = Readonly<Record<string, Readonly<Record<string, boolean>> | undefined>>;

/** What this user once told Nix of it: each setting with its whole value (`trusted-settings.json`). */
async function told(environment: Environment, { version }: NixMachine["setup"]): Promise<Trusted> {
  const own = isAtLeast(version, 25) ? environment["NIX_DATA_HOME"] : undefined;
  const data = environment["XDG_DATA_HOME"] || join(homeOf(environment, version), ".local/share");
  const text = await readIfThere(join(own || join(data, "nix"), "trusted-settings.json"));
  try {
    return (JSON.parse(text ?? "{}") ?? {}) as Trusted;
  } catch {
    return {};
  }
}

/** Whether a flake reference is a name to be looked up (`nixpkgs`, `nixpkgs/nixos-25.05`). */
export function isIndirect(flake: string): boolean {
  return /^(flake:)?[A-Za-z][0-9A-Za-z_-]*(\/[0-9A-Za-z_.-]+){0,2}$/.test(flake);
}

export function indirectName(flake: string): string {
  return flake.replace(/^flake:/, "").split("/")[0] ?? flake;
}

/** Applies a function to what stands at a path of a flake. */
export type Ask = <T>(
  flake: string,
  segments: readonly AttrSegment[],
  apply: string,
) => Promise<{ readonly value: T } | { readonly message: string }>;

type Place = Pick<EvaluationRequest, "flake" | "system">;

/** Installables near to the one that is missing; first nixpkgs' own, where it has that very name. */
export async function nearestNames(
  ask: Ask,
  { flake, system }: Place,
  segments: readonly AttrSegment[],
): Promise<string[]> {
  const [first] = segments;
  if (first?.kind !== "name") return [];
  if (segments.length > 1) {
    // The deepest set that is there: what stands behind it in the path is the name that is wrong.
    for (let at = segments.length - 1; at > 0; at--) {
      const found = await nearestIn(ask, flake, segments.slice(0, at), segments.slice(at));
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
  flake: string,
  parent: readonly AttrSegment[],
  [wrong, ...rest]: readonly AttrSegment[],
): Promise<string[] | undefined> {
  if (wrong?.kind !== "name") return undefined;
  const names = await ask<string[]>(flake, parent, "builtins.attrNames");
  if (!("value" in names)) return undefined;
  return nearest(wrong.name, names.value).map((name) => {
    const path: AttrSegment[] = [...parent, { kind: "name", name }, ...rest];
    return `${flake}#${formatAttrPath(path)}`;
  });
}
