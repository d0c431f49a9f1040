/** Installables: what a user names to be built, as Nix's own command line reads it. */

import { UserError } from "./errors.ts";
import { type StorePath, storePathFromBaseName } from "./store-path.ts";

/** One step of an attribute path: a name, `*` for every name there, or `SYSTEM` for the system asked for. */
export type AttrSegment =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "every" }
  | { readonly kind: "system" };

/** `^*`, `^bin,man`, or what the package itself installs. */
export type OutputSelection =
  | { readonly kind: "default" }
  | { readonly kind: "all" }
  | { readonly kind: "named"; readonly names: readonly string[] };

/**
 * What `^*` stands for: `out`, then the others by name. A `.drv` has them by name, the package as it was
 * written: in one order, what `pin=` names does not hang on which of the two was read.
 */
export function everyOutput(names: Iterable<string>): readonly string[] {
  const rest = new Set(names);
  return [...(rest.delete("out") ? ["out"] : []), ...[...rest].sort()];
}

export type Installable =
  | {
      readonly kind: "flake";
      readonly flake: string;
      readonly attrPath: readonly AttrSegment[];
      readonly outputs: OutputSelection;
    }
  | {
      readonly kind: "file";
      /** As Nix takes it: `default.nix`, `<nixpkgs>`. */
      readonly file: string;
      /** Empty: what the file itself gives. */
      readonly attrPath: readonly AttrSegment[];
      readonly outputs: OutputSelection;
    }
  | { readonly kind: "store path"; readonly path: StorePath }
  | {
      readonly kind: "derivation";
      readonly path: StorePath;
      readonly outputs: OutputSelection;
    };

/**
 * Reads `.#name`, `nixpkgs#bws^bin`, `.#packages.SYSTEM.*`, `/nix/store/…`, `/nix/store/….drv^out`; in a file,
 * what stands behind the `#` alone.
 */
export function parseInstallable(text: string, file?: string): Installable {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
  if (/[\u0000-\u001f\u007f]/.test(text)) {
    throw bad(text, "it holds a control character", "write it again by hand");
  }
  if (!text.isWellFormed()) throw bad(text, "it is no Unicode text", "write it again by hand");
  const { body, outputs } = splitOutputs(text);
  if (file !== undefined) return inFile(text, body, outputs, file);
  const store = asStorePath(body);
  if (store) {
    if (store.endsWith(".drv")) return { kind: "derivation", path: store, outputs };
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

function inFile(text: string, body: string, outputs: OutputSelection, file: string): Installable {
  if (file === "" || /^-|"/.test(file)) {
    throw bad(text, `file="${file}" is no file's name`, "write hello file=default.nix");
  }
  if (body.replaceAll(/"[^"]*"/g, "").includes("#")) {
    throw bad(
      text,
      "it names a flake, and file= a file",
      "write hello file=default.nix, without .#",
    );
  }
  if (body.startsWith("/")) {
    throw bad(text, "in a file is no store path", "leave out file=, or name an attribute");
  }
  const attrPath = body === "" || body === "." ? [] : parseAttrPath(body, text);
  return { kind: "file", file, attrPath, outputs };
}

function splitOutputs(text: string): { body: string; outputs: OutputSelection } {
  const caret = text.lastIndexOf("^");
  const behind = text.slice(caret + 1);
  // Behind the last ^ stands no attribute path any more, and inside quotes it is a part of a name.
  if (caret < 0 || /[#"]/.test(behind)) return { body: text, outputs: { kind: "default" } };
  const body = text.slice(0, caret);
  if (behind === "*") return { body, outputs: { kind: "all" } };
  const names = behind.split(",");
  if (!names.every((name) => /^[0-9A-Za-z_+.?=-]+$/.test(name))) {
    throw bad(text, `"^${behind}" names no outputs`, "write ^bin, ^bin,man or ^*");
  }
  return { body, outputs: { kind: "named", names } };
}

/** Of a file within a store path that path is meant, as Nix has it, whatever stands behind. */
function asStorePath(text: string): StorePath | undefined {
  if (!text.startsWith("/")) return undefined;
  const [, ...parts] = text.split("/");
  for (const [index, part] of parts.entries()) {
    const path = index > 0 && storePathFromBaseName(part, `/${parts.slice(0, index).join("/")}`);
    if (path) return path;
  }
  return undefined;
}

/**
 * Splits `a."b.c".*` as Nix does, `%` first: quotes hold a name together, and nothing stands for a
 * quote. A quoted `"*"` or `"SYSTEM"` is a name.
 */
function parseAttrPath(fragment: string, text: string): AttrSegment[] {
  const segments: AttrSegment[] = [];
  const path = decoded(fragment, text);
  if (path === "") return segments;
  let at = 0;
  for (let last = false; !last; at++) {
    let name = "";
    let quoted = false;
    for (; at < path.length && path[at] !== "."; at++) {
      if (path[at] !== '"') {
        name += path[at];
        continue;
      }
      const end = path.indexOf('"', at + 1);
      if (end < 0) throw bad(text, `"${fragment}" is not an attribute path`, "a quote is missing");
      name += path.slice(at + 1, end);
      quoted = true;
      at = end;
    }
    last = at >= path.length;
    if (name === "" && !quoted) {
      if (last)
        throw bad(text, "it ends in a dot", "name the attribute behind the dot, or write *");
      throw bad(text, `"${fragment}" is not an attribute path`, 'write a.b or a."with.dots"');
    }
    segments.push(segmentOf(name, quoted ? "quoted" : "plain", text));
  }
  return segments;
}

function segmentOf(name: string, how: "quoted" | "plain", text: string): AttrSegment {
  if (how === "plain") {
    if (name === "*") return { kind: "every" };
    if (name === "SYSTEM") return { kind: "system" };
    if (name.includes("*")) {
      throw bad(text, `"${name}" holds a *`, "a * stands for a whole name: .#packages.SYSTEM.*");
    }
  }
  return { kind: "name", name };
}

/** Nix reads what stands behind the # as a part of an address. */
function decoded(fragment: string, text: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch {
    throw bad(text, "a % in it stands for no character", "write %25 for a % itself");
  }
}

function bad(text: string, why: string, hint: string): UserError {
  return new UserError("NCP-102", `targets: "${text}" is not an installable: ${why}`, { hint });
}

/** What would end the fragment or the line, select outputs, or cannot be seen. */
const ENCODED = /[%^#]|(?! )[\p{C}\p{Z}]/gu;

/**
 * A name as Nix's attribute paths take it: quoted where it has to be. No path of Nix's can hold a
 * quote (`isNameable`).
 */
function formatAttrName(name: string): string {
  if (/^[A-Za-z_][0-9A-Za-z_'-]*$/.test(name) && name !== "SYSTEM") return name;
  return `"${name.replace(ENCODED, (char) => encodeURIComponent(char))}"`;
}

/** Whether an attribute path can say it: to Nix nothing stands for a quote. */
export function isNameable(name: string): boolean {
  return !name.includes('"') && name.isWellFormed();
}

export function formatSegment(segment: AttrSegment): string {
  switch (segment.kind) {
    case "every":
      return "*";
    case "system":
      return "SYSTEM";
    case "name":
      return formatAttrName(segment.name);
    default:
      return segment satisfies never;
  }
}

export function formatAttrPath(segments: readonly AttrSegment[]): string {
  return segments.map(formatSegment).join(".");
}

export function formatOutputs(outputs: OutputSelection): string {
  if (outputs.kind === "default") return "";
  return outputs.kind === "all" ? "^*" : `^${outputs.names.join(",")}`;
}

/** As a target line says it: `hello file=default.nix`, `file=shell.nix`. */
export function formatInFile(path: string, outputs: OutputSelection, file: string): string {
  const attribute = `${path}${formatOutputs(outputs)}`;
  const named = /\s/.test(file) ? `file="${file}"` : `file=${file}`;
  if (attribute === "") return named;
  return `${attribute.startsWith("^") ? "." : ""}${attribute} ${named}`;
}

export function hasWildcard(installable: Installable): boolean {
  return "attrPath" in installable && installable.attrPath.some(({ kind }) => kind === "every");
}
