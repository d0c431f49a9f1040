/** Asks a file with a Nix expression, where there is no flake: as nix-build and nix-shell evaluate it. */

import type { EvaluationRequest, NixFile } from "../domain/evaluation.ts";
import { type AttrSegment, formatAttrPath } from "../domain/installable.ts";
import type { Environment } from "../host/environment.ts";

/** What names the file's own value to `nix eval`. The path is walked by our expression. */
export function fileArguments({ path }: NixFile): string[] {
  return ["--file", path, ""];
}

/** nixpkgs asks the environment whether a shell is meant (`lib.inNixShell`), other files an argument. */
export function fileEnvironment({ as }: NixFile): Environment {
  return as === "nix-shell" ? { IN_NIX_SHELL: "impure" } : {};
}

/**
 * A function of the language: Nix calls what is a function all of whose arguments have a default
 * (EvalState::autoCallFunction), in a file at every step, in a flake never. nix-shell has one argument more.
 * `x: …` and `{ }: …` look alike from here: the file itself is called for both, a member for neither.
 */
export function autoCall(file: NixFile | undefined, what: "the file" | "a member"): string {
  if (!file) return "(v: v)";
  const isShell = file.as === "nix-shell";
  return `(v: let
    has = builtins.functionArgs v;
    isSet = n: has.\${n}${isShell ? ' || n == "inNixShell"' : ""};
    more = ${isShell ? "if has ? inNixShell then { inNixShell = true; } else { }" : "{ }"};
    isMeant = ${what === "the file" ? "true" : "has != { }"};
  in if builtins.isFunction v && isMeant && builtins.all isSet (builtins.attrNames has) then v more else v)`;
}

/** The function applied to what stands at the path in the file. */
export function applyIn(file: NixFile, segments: readonly AttrSegment[], apply: string): string {
  const names = segments.map((one) => (one.kind === "name" ? nixString(one.name) : '"*"'));
  return `root: let at = v: n: ${autoCall(file, "a member")} (builtins.getAttr n v); in
    (${apply}) (builtins.foldl' at (${autoCall(file, "the file")} root) [ ${names.join(" ")} ])`;
}

/** The command that shows what we were not shown. */
export function askedBy({ file, flake }: EvaluationRequest, attrPath: string): string {
  if (!file) return `nix eval '${flake}#${attrPath}.drvPath'`;
  return `nix-instantiate ${file.path}${attrPath === "" ? "" : ` -A '${attrPath}'`}`;
}

/** nix-build builds whatever derivations are in a set; a target is one of them, or all by `*`. */
export function noDerivation({ file, attrPath }: EvaluationRequest): string {
  const message = "it is not a derivation";
  if (!file) return message;
  return `${message}; where it is a set, write ${formatAttrPath([...attrPath, { kind: "every" }])} file=${file.path}`;
}

/** A string literal in which nothing is interpolated. */
export function nixString(text: string): string {
  return `"${text
    .replace(/[\\"$]/g, "\\$&")
    .replace(/\n/g, "\\n")
    .replace(/\r/g, "\\r")}"`;
}
