/** The judgement: out of the facts, what would be built and what fetched. Pure. */

import { allowsSubstitutes, outputPaths } from "../../domain/derivation.ts";
import type { DerivationOutputs } from "../../domain/ports.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Facts } from "./facts.ts";

export type Wanted =
  | ({ readonly kind: "derivation" } & DerivationOutputs)
  | { readonly kind: "path"; readonly path: StorePath }
  /** What `nix develop` needs: the inputs of this derivation, which itself is not built. */
  | {
      readonly kind: "shell";
      readonly drvPath: StorePath;
      readonly needs: readonly DerivationOutputs[];
    }
  /** It could not be evaluated for want of these, which nothing may build; what comes behind is not known. */
  | { readonly kind: "evaluation"; readonly needs: readonly DerivationOutputs[] }
  /** From an evaluation record: what its derivations would fetch, and how many trivial ones there are. */
  | { readonly kind: "recalled"; readonly paths: readonly StorePath[]; readonly trivial: number };

/** The derivations at which the search begins. */
export function needsOf(wanted: Wanted | undefined): readonly DerivationOutputs[] {
  switch (wanted?.kind) {
    case "derivation":
      return [wanted];
    case "shell":
    case "evaluation":
      return wanted.needs;
    case "path":
    case "recalled":
    case undefined:
      return [];
    default:
      return wanted satisfies never;
  }
}

/** The derivation that was evaluated. */
export function derivationOf(wanted: Wanted | undefined): StorePath | undefined {
  return wanted?.kind === "derivation" || wanted?.kind === "shell" ? wanted.drvPath : undefined;
}

/** What a fresh machine has to have for a target, before and after it is evaluated. */
export function wantsOf(target: {
  readonly wanted: Wanted | undefined;
  readonly imports: readonly DerivationOutputs[];
}): Wanted[] {
  const imports = target.imports.map((one): Wanted => ({ kind: "derivation", ...one }));
  return target.wanted ? [target.wanted, ...imports] : [];
}

export interface Judgement {
  /** Derivations that would be built, with the outputs wanted of them; dependents first. */
  readonly build: ReadonlyMap<StorePath, ReadonlySet<string>>;
  /** Paths that would be fetched, closures included. */
  readonly fetch: ReadonlySet<StorePath>;
  /** Paths of which nobody can say. */
  readonly unknown: ReadonlySet<StorePath>;
  /** Paths that no cache has and no derivation here makes. */
  readonly lost: ReadonlySet<StorePath>;
}

/**
 * Decides as `nix build --dry-run` does: outputs that are here, or whole in some cache, end the
 * search; else the derivation is built, and its inputs are wanted. `has` says what is here: nothing
 * on a fresh machine.
 */
export function judge(
  facts: Facts,
  wanted: readonly Wanted[],
  has: (path: StorePath) => boolean,
): Judgement {
  const build = new Map<StorePath, Set<string>>();
  const fetch = new Set<StorePath>();
  const unknown = new Set<StorePath>();
  const lost = new Set<StorePath>();
  const seen = new Set<string>();
  const queue: Wanted[] = [...wanted];

  const fetchClosure = (root: StorePath) => {
    const stack = [root];
    for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
      if (fetch.has(path) || has(path) || facts.sources?.has(path)) continue;
      fetch.add(path);
      const answer = facts.answers.get(path);
      const served = answer?.served;
      for (const reference of served?.narInfo.references ?? []) {
        if (!fetch.has(reference)) stack.push(reference);
      }
    }
  };

  const settle = (paths: readonly StorePath[]): "settled" | "unknown" | "absent" => {
    const needed = paths.filter((path) => !has(path));
    const states = needed.map((path) => facts.availability.get(path) ?? "absent");
    if (states.every((state) => state === "whole")) {
      for (const path of needed) fetchClosure(path);
      return "settled";
    }
    if (states.includes("absent") || states.includes("broken")) return "absent";
    for (const path of needed) unknown.add(path);
    return "unknown";
  };

  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (next.kind === "shell" || next.kind === "evaluation") {
      queue.push(...next.needs.map((one): Wanted => ({ kind: "derivation", ...one })));
      continue;
    }
    if (next.kind !== "derivation") {
      for (const path of next.kind === "path" ? [next.path] : next.paths) {
        if (has(path)) continue;
        if (facts.substitution === "never" || settle([path]) === "absent") lost.add(path);
      }
      continue;
    }
    const { drvPath, outputNames } = next;
    const key = `${drvPath}!${outputNames.join(",")}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const derivation = facts.derivations.get(drvPath);
    if (!derivation) continue;
    const paths = outputPaths(derivation, outputNames);
    if (paths) {
      // What is here is used however it came to be here; only fetching is what a derivation may forbid.
      if (paths.every(has)) continue;
      if (allowsSubstitutes(derivation, facts.substitution) && settle(paths) !== "absent") continue;
    }
    const before = build.get(drvPath);
    build.set(drvPath, new Set([...(before ?? []), ...outputNames]));
    if (before) continue;
    for (const [input, names] of derivation.inputs) {
      queue.push({ kind: "derivation", drvPath: input, outputNames: names });
    }
  }
  return { build, fetch, unknown, lost };
}

/** On a fresh machine nothing is here. */
export function nothing(): boolean {
  return false;
}
