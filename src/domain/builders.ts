/**
 * Owns who can build what: this machine and Nix's remote builders, and why neither can.
 * Source: nix/src/libstore/machines.cc and parsed-derivations.cc, `canBuildLocally`.
 */

import { type Derivation, requiredFeatures } from "./derivation.ts";

export interface RemoteBuilder {
  readonly systems: readonly string[];
  readonly features: readonly string[];
  /** It builds only what asks for each of them; it has them, too. */
  readonly mandatory: readonly string[];
}

export interface Builders {
  /** Its own system, and its extra platforms. */
  readonly systems: readonly string[];
  readonly features: readonly string[];
  /** `max-jobs = 0`: only remote builders build. */
  readonly jobs: "none" | "some";
  readonly remote: readonly RemoteBuilder[];
}

/** What keeps a derivation from being built, in words for the user; undefined where it can be built. */
export function hindrance(derivation: Derivation, builders: Builders): string | undefined {
  const { system } = derivation;
  const wanted = requiredFeatures(derivation);
  const isBuiltin = system === "builtin" || derivation.builder.startsWith("builtin:");
  const lacking = (has: readonly string[]) => wanted.filter((feature) => !has.includes(feature));
  const here = isBuiltin || builders.systems.includes(system);
  const may = isBuiltin || builders.jobs === "some";
  if (here && may && lacking(builders.features).length === 0) return undefined;
  const fit = builders.remote.filter(
    ({ systems }) => system === "builtin" || systems.includes(system),
  );
  const able = fit.some(
    ({ features, mandatory }) =>
      lacking([...features, ...mandatory]).length === 0 &&
      mandatory.every((feature) => wanted.includes(feature)),
  );
  if (able) return undefined;
  if (!here && fit.length === 0) return foreignSystem(system);
  const features = here ? lacking(builders.features) : wanted;
  if (features.length > 0) return `it wants the system feature ${features.join(", ")}`;
  if (here) return "max-jobs is 0, and no remote builder takes it";
  return `no remote builder for ${system} takes it`;
}

export function foreignSystem(system: string): string {
  return `it is for ${system}`;
}

/** How deep files of builders may name files of builders. */
const DEPTH = 8;

/**
 * Reads the setting `builders`: lines, or parts between `;`, each a builder or `@FILE`, whose lines are the
 * same. `read` gives a file's text, or undefined where there is none, which Nix passes over.
 */
export async function parseBuilders(
  text: string,
  thisSystem: string,
  read: (file: string) => Promise<string | undefined>,
  depth = DEPTH,
): Promise<RemoteBuilder[]> {
  const found: RemoteBuilder[] = [];
  for (const part of text.split(/[\n;]/)) {
    const line = (part.split("#", 1)[0] ?? "").trim();
    if (line === "") continue;
    if (line.startsWith("@")) {
      const inner = depth > 0 ? await read(line.slice(1).trim()) : undefined;
      if (inner !== undefined)
        found.push(...(await parseBuilders(inner, thisSystem, read, depth - 1)));
      continue;
    }
    const fields = line.split(/\s+/);
    const list = (index: number): string[] | undefined => {
      const field = fields[index];
      return field === undefined || field === "-" ? undefined : field.split(",").filter(Boolean);
    };
    if (!list(0)) continue;
    found.push({
      systems: list(1) ?? [thisSystem],
      features: list(5) ?? [],
      mandatory: list(6) ?? [],
    });
  }
  return found;
}
