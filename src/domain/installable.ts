/** Installables: what a user names to be built, as Nix's own command line reads it. */

import { UserError } from "./errors.ts";
import { type StorePath, storePathFromBaseName } from "./store-path.ts";

/** One step of an attribute path: a name, or `*` for every name there. */
export type AttrSegment =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "every" };

/** `^*`, `^bin,man`, or what the package itself installs. */
export type OutputSelection =
  | { readonly kind: "default" }
  | { readonly kind: "all" }
  | { readonly kind: "named"; readonly names: readonly string[] };

export type Installable =
  | {
      readonly kind: "flake";
      readonly flake: string;
      readonly attrPath: readonly AttrSegment[];
      readonly outputs: OutputSelection;
    }
  | { readonly kind: "store path"; readonly path: StorePath }
  | {
      readonly kind: "derivation";
      readonly path: StorePath;
      readonly outputs: OutputSelection;
    };

/** Reads `.#name`, `nixpkgs#bws^bin`, `.#packages.SYSTEM.*`, `/nix/store/…`, `/nix/store/….drv^out`. */
export function parseInstallable(text: string): Installable {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
  if (/[\u0000-\u001f\u007f]/.test(text)) {
    throw bad(text, "it holds a control character", "write it again by hand");
  }
  const { body, outputs } = splitOutputs(text);
  const store = asStorePath(body);
  if (store) {
    if (body.endsWith(".drv")) return { kind: "derivation", path: store, outputs };
    if (outputs.kind !== "default") {
      throw bad(text, "an output is selected of a path that is one already", "leave out the ^…");
    }
    return { kind: "store path", path: store };
  }
  if (text.startsWith("-")) throw bad(text, "it starts with a dash", "options cannot stand here");
  const hash = body.indexOf("#");
  const flake = hash < 0 ? body : body.slice(0, hash);
  const fragment = hash < 0 ? "" : body.slice(hash + 1);
  if (/[*\s]/.test(flake)) {
    throw bad(text, "the * stands outside an attribute path", "write .#packages.SYSTEM.*");
  }
  return {
    kind: "flake",
    flake: flake === "" ? "." : flake,
    attrPath: parseAttrPath(fragment, text),
    outputs,
  };
}

function splitOutputs(text: string): { body: string; outputs: OutputSelection } {
  const caret = text.lastIndexOf("^");
  if (caret < 0 || text.slice(caret).includes("#")) {
    return { body: text, outputs: { kind: "default" } };
  }
  const body = text.slice(0, caret);
  const selector = text.slice(caret + 1);
  if (selector === "*") return { body, outputs: { kind: "all" } };
  const names = selector.split(",");
  if (!names.every((name) => /^[0-9A-Za-z_+.-]+$/.test(name))) {
    throw bad(text, `"^${selector}" names no outputs`, "write ^bin, ^bin,man or ^*");
  }
  return { body, outputs: { kind: "named", names } };
}

function asStorePath(text: string): StorePath | undefined {
  const slash = text.lastIndexOf("/");
  if (slash <= 0 || !text.startsWith("/")) return undefined;
  return storePathFromBaseName(text.slice(slash + 1), text.slice(0, slash));
}

/** Splits `a."b.c".*`; a quoted name may hold dots, and `"*"` is a name. */
function parseAttrPath(fragment: string, text: string): AttrSegment[] {
  const segments: AttrSegment[] = [];
  if (fragment === "") return segments;
  const token = /(?:"([^"\\]*)"|([^."\s]+))(\.|$)/y;
  while (token.lastIndex < fragment.length) {
    const match = token.exec(fragment);
    if (!match) {
      throw bad(text, `"${fragment}" is not an attribute path`, 'write a.b or a."with.dots"');
    }
    const [, quoted, plain] = match;
    if (plain === "*") segments.push({ kind: "every" });
    else if (plain?.includes("*")) {
      throw bad(text, `"${plain}" holds a *`, "a * stands for a whole name: .#packages.SYSTEM.*");
    } else segments.push({ kind: "name", name: quoted ?? plain ?? "" });
    if (match[3] === "." && token.lastIndex === fragment.length) {
      throw bad(text, "it ends in a dot", "name the attribute behind the dot, or write *");
    }
  }
  return segments;
}

function bad(text: string, why: string, hint: string): UserError {
  return new UserError("NCP-102", `targets: "${text}" is not an installable: ${why}`, { hint });
}

/** A name as Nix's attribute paths take it: quoted where it has to be. */
export function formatAttrName(name: string): string {
  return /^[A-Za-z_][0-9A-Za-z_'-]*$/.test(name) ? name : `"${name}"`;
}

export function formatAttrPath(segments: readonly AttrSegment[]): string {
  return segments
    .map((segment) => (segment.kind === "every" ? "*" : formatAttrName(segment.name)))
    .join(".");
}

export function formatOutputs(outputs: OutputSelection): string {
  if (outputs.kind === "default") return "";
  return outputs.kind === "all" ? "^*" : `^${outputs.names.join(",")}`;
}

export function hasWildcard(installable: Installable): boolean {
  return installable.kind === "flake" && installable.attrPath.some(({ kind }) => kind === "every");
}
