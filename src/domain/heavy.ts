/** The input `heavy`: what must never be built from source unnoticed. */

import { UserError } from "./errors.ts";
import { matchesGlob } from "./pattern.ts";
import { parseDuration, parseSize } from "./size.ts";

export type HeavyRule =
  | { readonly kind: "name"; readonly pattern: string }
  | { readonly kind: "size"; readonly bytes: number }
  | { readonly kind: "duration"; readonly seconds: number };

/** What is known of a build before it runs; undefined where nothing is. */
export interface Weight {
  readonly bytes: number | undefined;
  readonly seconds: number | undefined;
}

/** Reads names with `*`, `>500MB`, `>10m`, divided by commas or white space. */
export function parseHeavy(text: string): HeavyRule[] {
  return text
    .split(/[,\s]+/)
    .filter((word) => word !== "")
    .map((word): HeavyRule => {
      if (!word.startsWith(">")) {
        if (/^\d+(\.\d+)?([kmgt]i?b|s|m|min|h)$/i.test(word)) {
          throw new UserError("NCP-104", `heavy: "${word}" would be the name of a derivation`, {
            hint: `write >${word} for what is larger or longer than that`,
          });
        }
        if (/^[0-9A-Za-z+\-._?=*]+$/.test(word)) return { kind: "name", pattern: word };
        throw new UserError("NCP-104", `heavy: "${word}" is not a name, a size or a duration`, {
          hint: "write bws-*, >500MB or >10m",
        });
      }
      const value = word.slice(1);
      if (/^\d+(\.\d+)?(s|m|min|h)$/.test(value)) {
        return { kind: "duration", seconds: parseDuration(value, "heavy") };
      }
      return { kind: "size", bytes: parseSize(value, "heavy") };
    });
}

/**
 * Whether the user wrote it by name: then it is heavy whatever kind of build it is. `bws` means the
 * program and not its parts, whose names end in a word of their own: `bws-1.0.0-vendor`, `-source`.
 */
export function isNamedHeavy(rules: readonly HeavyRule[], name: string): boolean {
  const isPart = /-[A-Za-z]+$/.test(name);
  const names = rules.filter(
    (rule) =>
      rule.kind === "name" && (!isPart || rule.pattern.includes("*") || rule.pattern === name),
  );
  return isHeavy(names, name, { bytes: undefined, seconds: undefined });
}

/** A pattern without `*` matches the name with or without its version: `bws` is not `bws-docs-1.0.0`. */
export function isHeavy(rules: readonly HeavyRule[], name: string, weight: Weight): boolean {
  return rules.some((rule) => {
    switch (rule.kind) {
      case "name":
        return (
          matchesGlob(rule.pattern, name) ||
          (!rule.pattern.includes("*") && rule.pattern === withoutVersion(name))
        );
      case "size":
        return weight.bytes !== undefined && weight.bytes > rule.bytes;
      case "duration":
        return weight.seconds !== undefined && weight.seconds > rule.seconds;
      default:
        return rule satisfies never;
    }
  });
}

/** Source: nix/src/libstore/names.cc: the version begins behind the first dash no letter follows. */
function withoutVersion(name: string): string {
  const dash = name.search(/-(?![A-Za-z])/);
  return dash < 0 ? name : name.slice(0, dash);
}
