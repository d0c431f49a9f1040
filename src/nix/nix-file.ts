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
 * A function of the language: Nix calls what is a function of a set (`{ … }: …`, not `x: …`) all of whose
 * arguments have a default, and first what `__functor` makes of a set (EvalState::autoCallFunction), in a file
 * at every step, in a flake never. nix-shell has one argument more. Only as XML does a function show its form.
 */
export function autoCall(file: NixFile | undefined): string {
  if (!file) return "(v: v)";
  const isShell = file.as === "nix-shell";
  return `(let
    ofSet = ${nixString(FUNCTION_OF_SET)};
    isOfSet = f: builtins.substring 0 (builtins.stringLength ofSet) (builtins.toXML f) == ofSet;
    call = v: let
      has = builtins.functionArgs v;
      isSet = n: has.\${n}${isShell ? ' || n == "inNixShell"' : ""};
      more = ${isShell ? "if has ? inNixShell then { inNixShell = true; } else { }" : "{ }"};
    in if builtins.isAttrs v && v ? __functor then call (v.__functor v)
      else if builtins.isFunction v && isOfSet v && builtins.all isSet (builtins.attrNames has) then v more
      else v;
  in call)`;
}

/** The same from Nix 2.8 to 2.34. */
const FUNCTION_OF_SET =
  "<?xml version='1.0' encoding='utf-8'?>\n<expr>\n  <function>\n    <attrspat";

/**
 * A function of the language: what stands at a step of an attribute path, as `{ value }`, or null. A number is a
 * place in a list to what reads files, and never to a flake (`findAlongAttrPath`, `AttrCursor::findAlongAttrPath`).
 */
export function stepInto(file: NixFile | undefined): string {
  const inSet = `if builtins.isAttrs v && builtins.hasAttr n v then { value = builtins.getAttr n v; } else null`;
  if (!file) return `(v: n: ${inSet})`;
  return `(v: n: if !(builtins.isList v) then (${inSet})
    else if builtins.match "[0-9]{1,9}" n == null then null
    else let i = builtins.fromJSON (builtins.head (builtins.match "0*([0-9]+)" n));
    in if i < builtins.length v then { value = builtins.elemAt v i; } else null)`;
}

/** The function applied to what stands at the path in the file. */
export function applyIn(file: NixFile, segments: readonly AttrSegment[], apply: string): string {
  const names = segments.map((one) => (one.kind === "name" ? nixString(one.name) : '"*"'));
  return `root: let
    into = ${stepInto(file)};
    at = v: n: let found = into v n; in ${autoCall(file)} (if found == null then builtins.getAttr n v else found.value);
  in (${apply}) (builtins.foldl' at (${autoCall(file)} root) [ ${names.join(" ")} ])`;
}

/** The command that shows what we were not shown. */
export function askedBy({ file, flake }: EvaluationRequest, attrPath: string): string {
  if (!file) return `nix eval '${flake}#${attrPath}.drvPath'`;
  return `nix-instantiate ${file.path}${attrPath === "" ? "" : ` -A '${attrPath}'`}`;
}

/** nix-build builds whatever derivations are in a set or a list; a target is one of them, or all by `*`. */
export function noDerivation({ file, attrPath }: EvaluationRequest, is: string): string {
  const message = "it is not a derivation";
  if (!file) return message;
  if (is === "lambda") {
    return `${message}, but a function that Nix does not call; call it in a file beside it (import ${file.path} { … }), and name that file`;
  }
  if (is !== "set" && is !== "list") return `${message}, but a ${is}`;
  return `${message}, but a ${is}; write ${formatAttrPath([...attrPath, { kind: "every" }])} file=${file.path} for what is in it`;
}

/** A string literal in which nothing is interpolated. */
export function nixString(text: string): string {
  return `"${text
    .replace(/[\\"$]/g, "\\$&")
    .replace(/\n/g, "\\n")
    .replace(/\r/g, "\\r")}"`;
}
