/** Owns the Nix expression that asks a whole attribute set in one evaluation. */

import type { AttrSegment } from "../domain/installable.ts";

/** What the expression gives for each name it reached. */
export type Member =
  | {
      readonly kind: "derivation";
      readonly drvPath: string;
      readonly outputs: readonly string[];
      /** What `nix build` takes when no output is named. */
      readonly install: readonly string[];
    }
  /** It threw; its message has to be asked for by itself. */
  | { readonly kind: "failed" }
  | { readonly kind: "absent" }
  | { readonly kind: "other" }
  | { readonly kind: "set"; readonly members: Readonly<Record<string, Member>> };

/**
 * A function of the value at the fixed part of the path. `tryEval` keeps a member that throws from
 * taking the others down; what it cannot catch (a missing attribute inside) fails the whole call.
 */
export function memberExpression(segments: readonly AttrSegment[]): string {
  return `root: let
  guard = v: let t = builtins.tryEval (builtins.deepSeq v v); in if t.success then t.value else { kind = "failed"; };
  leaf = p: if (p.type or null) == "derivation" then {
    kind = "derivation";
    drvPath = p.drvPath;
    outputs = p.outputs or [ "out" ];
    install = p.meta.outputsToInstall or [ (p.outputName or "out") ];
  } else { kind = "other"; };
  every = f: s: if builtins.isAttrs s
    then { kind = "set"; members = builtins.mapAttrs (n: v: guard (f v)) s; }
    else { kind = "other"; };
  at = n: f: s: if builtins.isAttrs s && builtins.hasAttr n s
    then f (builtins.getAttr n s)
    else { kind = "absent"; };
in guard (${nest(segments)} root)`;
}

function nest(segments: readonly AttrSegment[]): string {
  const [first, ...rest] = segments;
  if (!first) return "leaf";
  if (first.kind === "every") return `(every ${nest(rest)})`;
  return `(at ${nixString(first.name)} ${nest(rest)})`;
}

/** A string literal in which nothing is interpolated. */
export function nixString(text: string): string {
  return `"${text.replace(/[\\"$]/g, "\\$&").replace(/\n/g, "\\n")}"`;
}

/** A member found: the names its `*`s matched, and what is there. */
export interface Found {
  readonly segments: readonly AttrSegment[];
  readonly matched: readonly string[];
  readonly member: Exclude<Member, { kind: "set" }>;
}

/** Walks the answer beside the path it answers, so that every `*` gets its name. */
export function flatten(
  member: Member,
  before: readonly AttrSegment[],
  segments: readonly AttrSegment[],
  matched: readonly string[] = [],
): Found[] {
  if (member.kind !== "set") {
    return [{ segments: [...before, ...segments], matched, member }];
  }
  const star = segments.findIndex(({ kind }) => kind === "every");
  const passed = [...before, ...segments.slice(0, star)];
  return Object.entries(member.members).flatMap(([name, below]) =>
    flatten(below, [...passed, { kind: "name", name }], segments.slice(star + 1), [
      ...matched,
      name,
    ]),
  );
}
