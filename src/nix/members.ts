/** The question to an evaluation, an expression that no member of a set can break, and how its answer is read. */

import type { EvaluationRequest, EvaluationResult, NixFile } from "../domain/evaluation.ts";
import { type AttrSegment, isNameable } from "../domain/installable.ts";
import type { ChosenOutputs } from "./eval-cache.ts";
import { autoCall, nixString, stepInto } from "./nix-file.ts";

/** What the expression gives for each name it reached. */
export type Member =
  | {
      readonly kind: "derivation";
      readonly drvPath: string;
      readonly outputs: readonly string[];
      /** What `nix build` takes when no output is named. */
      readonly install: readonly string[];
    }
  /** It threw; its message has to be asked for by itself. `why`: what its own meta says against it. */
  | { readonly kind: "failed"; readonly why?: readonly string[] }
  | { readonly kind: "absent" }
  /** Neither; `is`: what the language calls it. */
  | { readonly kind: "other"; readonly is: string }
  /** As a list: JSON of a set with an `outPath` in it is that path alone. */
  | {
      readonly kind: "set";
      readonly members: readonly (readonly [name: string, member: Member])[];
      /** Names that no attribute path can say; null where they are no UTF-8. */
      readonly unnamed: readonly (string | null)[];
    };

/** A name that a `*` matched, or a place in a list, whose order is that of numbers. */
export type Place = string | number;

export interface MemberQuestion {
  /** Begins each line of the progress that the evaluation tells; no evaluated code knows it. */
  readonly mark: string;
  /** Of the last member that was dealt with: it goes on behind that. */
  readonly after: readonly Place[] | undefined;
  /** Of the first `*`: where only these are meant. */
  readonly only?: readonly string[] | undefined;
  /** How this version of Nix chooses outputs where none is named. */
  readonly outputs: ChosenOutputs;
  readonly file?: NixFile | undefined;
}

/**
 * A function of the value at the fixed part of the path. `tryEval` keeps a member that throws from
 * taking the others down. What it cannot catch (a missing attribute inside) ends the process; by
 * then each member before it has been told, and which one it was.
 */
export function memberExpression(
  segments: readonly AttrSegment[],
  { mark, after, only, outputs, file }: MemberQuestion,
): string {
  return `root: let
  inherit (builtins) all attrNames deepSeq elem elemAt filter foldl' genList getAttr head isAttrs isList length map match replaceStrings seq stringLength substring tail toJSON trace tryEval typeOf;
  ${UTF8}
  isNameable = n: replaceStrings [ "\\"" ] [ "" ] n == n && (match "[ -~]*" n != null || isUtf8 n);
  auto = ${autoCall(file)};
  into = ${stepInto(file)};
  guard = v: let t = tryEval (deepSeq v v); in if t.success then t.value else { kind = "failed"; why = [ ]; };
  against = p: let
    m = p.meta or { };
    licenses = let l = m.license or [ ]; in if isList l then l else [ l ];
    t = tryEval (let w = filter (r: r != null) [
      (if m.broken or false then "broken" else null)
      (if m.unfree or false || !(all (l: l.free or true) licenses) then "unfree" else null)
      (if m.insecure or false || (m.knownVulnerabilities or [ ]) != [ ] then "insecure" else null)
      (if m.unsupported or false then "for another platform" else null)
      (if m.available or true then null else "not available")
    ]; in deepSeq w w);
  in if t.success then t.value else [ ];
  leaf = path: p: if isAttrs p && (p.type or null) == "derivation" then
    (let
      d = {
        kind = "derivation";
        drvPath = p.drvPath;
        outputs = p.outputs or [ "out" ];
        install = ${INSTALL[file ? "by name" : outputs]};
      };
      t = tryEval (deepSeq d d);
    in if t.success then t.value else { kind = "failed"; why = against p; })
    else { kind = "other"; is = typeOf p; };
  isBehind = p: a: if a == [ ] then false else if p == [ ] then true
    else if head p == head a then isBehind (tail p) (tail a) else head a < head p;
  isOpen = p: ${after === undefined ? "true" : `isBehind p ${nixList(after)}`};
  isMeant = path: n: ${only === undefined ? "true" : `path != [ ] || elem n ${nixList(only)}`};
  every = f: path: s: if isAttrs s && (s.type or null) != "derivation"
    then {
      kind = "set";
      unnamed = map (n: if isUtf8 n then n else null) (filter (n: !(isNameable n)) (attrNames s));
      members = map (n: [ n (told f (path ++ [ n ]) (getAttr n s)) ])
        (filter (n: isNameable n && isMeant path n && isOpen (path ++ [ n ])) (attrNames s));
    }${file ? EVERY_PLACE : ""}
    else { kind = "other"; is = typeOf s; };
  told = f: path: v: trace "${mark}>\${toJSON path}" (let
    r = guard (f path (auto v));
  in deepSeq r (if r.kind == "set" then r else trace "${mark}<\${toJSON [ path r ]}" r));
  at = n: f: path: s: let found = into s n; in if found == null then { kind = "absent"; } else f path (auto found.value);
in guard (${nest(segments)} [ ] root)`;
}

/** What a file gives may be a list, as of nix-build; a flake's attribute path knows none. */
const EVERY_PLACE = `
    else if isList s then {
      kind = "set";
      unnamed = [ ];
      members = map (i: [ (toString i) (told f (path ++ [ i ]) (elemAt s i)) ])
        (filter (i: isOpen (path ++ [ i ])) (genList (i: i) (length s)));
    }`;

/** nix/src/libcmd/installable-flake.cc; before 2.9, and for nix-build, `outputName` alone counts. */
const INSTALL: Readonly<Record<MemberQuestion["outputs"], string>> = {
  "by name": '[ (p.outputName or "out") ]',
  "by meta": `let
          named = if p.outputSpecified or false then [ (p.outputName or "out") ] else [ ];
          meant = if p ? outputSpecified then named else p.meta.outputsToInstall or [ ];
        in if meant == [ ] then [ "out" ] else meant`,
};

/**
 * Of a name that is no UTF-8, which Nix allows, its JSON can make none, and fails as a whole. The
 * language knows no bytes: they are cut out of characters that are written with them.
 */
const UTF8 = `byte = i: s: substring i 1 s;
  x80 = byte 1 "\u0080"; x8F = byte 1 "\u008f"; x90 = byte 1 "\u0090"; x9F = byte 1 "\u009f"; xA0 = byte 1 "\u00a0"; xBF = byte 1 "\u00bf";
  xC2 = byte 0 "\u0080"; xDF = byte 0 "\u07c0"; xE0 = byte 0 "\u0800"; xED = byte 0 "\ud7ff"; xEF = byte 0 "\ufffd"; xF0 = byte 0 "\u{10000}"; xF4 = byte 0 "\u{100000}";
  isUtf8 = n: let
    more = need: lo: hi: { ok = true; inherit need lo hi; };
    bad = { ok = false; need = 0; };
    end = foldl' (st: i: let c = byte i n; in
      if !st.ok then st
      else if st.need > 0 then (if c < st.lo || st.hi < c then bad else more (st.need - 1) x80 xBF)
      else if c < x80 then st
      else if c < xC2 || xF4 < c then bad
      else if !(xDF < c) then more 1 x80 xBF
      else if !(xEF < c) then more 2 (if c == xE0 then xA0 else x80) (if c == xED then x9F else xBF)
      else more 3 (if c == xF0 then x90 else x80) (if c == xF4 then x8F else xBF)
    ) (more 0 x80 xBF) (genList (i: i) (stringLength n));
  in end.ok && end.need == 0;`;

function nest(segments: readonly AttrSegment[]): string {
  const [first, ...rest] = segments;
  if (!first) return "leaf";
  if (first.kind === "every") return `(every ${nest(rest)})`;
  return `(at ${nixString(first.kind === "name" ? first.name : "SYSTEM")} ${nest(rest)})`;
}

function nixList(places: readonly Place[]): string {
  return `[ ${places.map((one) => (typeof one === "number" ? one : nixString(one))).join(" ")} ]`;
}

/** What is to be built of each configuration in a set of them. */
const TOPLEVELS: Readonly<Record<string, readonly string[]>> = {
  nixosConfigurations: ["config", "system", "build", "toplevel"],
  homeConfigurations: ["activationPackage"],
  darwinConfigurations: ["system"],
};

/** `SYSTEM` stands for the system asked for; a bare `*` for every package; a set of configurations for what they build. */
export function meantBy({ attrPath, system, file }: EvaluationRequest): AttrSegment[] {
  const path = attrPath.map(
    (segment): AttrSegment =>
      segment.kind === "system" ? { kind: "name", name: system } : segment,
  );
  // In a file a name means what it says, and no more.
  if (file) return path;
  const [first, second, ...rest] = path;
  if (first?.kind === "every") return [...names("packages", system), ...path];
  if (first?.kind === "name" && second?.kind === "every" && rest.length === 0) {
    return [...path, ...names(...(TOPLEVELS[first.name] ?? []))];
  }
  return path;
}

function names(...all: readonly string[]): AttrSegment[] {
  return all.map((name) => ({ kind: "name", name }));
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
  return member.members.flatMap(([name, below]) =>
    flatten(below, [...passed, { kind: "name", name }], segments.slice(star + 1), [
      ...matched,
      name,
    ]),
  );
}

/** Names in the answer that no attribute path can say. */
export function unnamed(member: Member): (string | null)[] {
  if (member.kind !== "set") return [];
  return [...member.unnamed, ...member.members.flatMap(([, below]) => unnamed(below))];
}

/** The path with its `*`s replaced by what they matched, as far as that goes. */
export function filled(
  segments: readonly AttrSegment[],
  matched: readonly string[],
): readonly AttrSegment[] {
  let at = 0;
  return segments.map((segment): AttrSegment => {
    const name = segment.kind === "every" ? matched[at++] : undefined;
    return name === undefined ? segment : { kind: "name", name };
  });
}

/** What an evaluation told before it ended: who was done, and at whom it was. */
export class Progress {
  readonly done: { readonly matched: readonly string[]; readonly member: Member }[] = [];
  at: readonly string[] | undefined;
  /** The same, to go on behind it. */
  after: readonly Place[] | undefined;
  private readonly mark: string;

  constructor(mark: string) {
    this.mark = mark;
  }

  /** One message of Nix's. */
  read(message: string): void {
    const line = message.startsWith("trace: ") ? message.slice("trace: ".length) : message;
    if (!line.startsWith(this.mark)) return;
    const what = line[this.mark.length];
    const value: unknown = JSON.parse(line.slice(this.mark.length + 1));
    if (what === ">") {
      this.after = value as Place[];
      this.at = this.after.map(String);
    } else {
      const [matched, member] = value as [Place[], Member];
      this.done.push({ matched: matched.map(String), member });
    }
  }
}

/** Where a path stops to be one that Nix's command line can say. */
export function nameablePart(segments: readonly AttrSegment[]): readonly AttrSegment[] {
  const end = segments.findIndex(
    (segment) => segment.kind === "every" || (segment.kind === "name" && !isNameable(segment.name)),
  );
  return end < 0 ? segments : segments.slice(0, end);
}

/** Why nixpkgs refuses a package (pkgs/stdenv/generic/check-meta.nix), where it is that. */
export function refusal(message: string): string | undefined {
  const why =
    /^Package [^\n]*? (?:in [^\n]*? )?(is marked as broken|is marked as insecure|has an unfree license|is not (?:available|supported) on)[\s\S]*refusing to evaluate/m.exec(
      message,
    )?.[1];
  if (why === undefined) return undefined;
  if (why.startsWith("is not")) return "for another platform";
  return why.startsWith("has") ? "unfree" : why.replace("is marked as ", "");
}

export function oddNames(flake: string, odd: readonly (string | null)[]): string[] {
  if (odd.length === 0) return [];
  const first = odd.find((name) => name !== null);
  const example =
    first === undefined ? "a name that is no UTF-8" : JSON.stringify(first).slice(0, 80);
  return [
    `${flake}: ${odd.length} of the names that a * meets can be written in no attribute path (${example}): skipped`,
  ];
}

/** What is known of a part of what was asked; what was built on the way belongs to none. */
export type Part = Omit<EvaluationResult, "built">;

export const NOTHING: EvaluationResult = {
  derivations: [],
  failures: [],
  passedOver: [],
  notices: [],
  built: [],
};

export function merge(parts: readonly Part[]): Part {
  return {
    derivations: parts.flatMap(({ derivations }) => derivations),
    failures: parts.flatMap(({ failures }) => failures),
    passedOver: parts.flatMap(({ passedOver }) => passedOver),
    notices: parts.flatMap(({ notices }) => notices),
  };
}
