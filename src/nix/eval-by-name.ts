/** Which names stand for what is to be evaluated, and what Nix's eval cache gives for each of them. */

import { access } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Evaluated, EvaluationRequest } from "../domain/evaluation.ts";
import {
  type AttrSegment,
  everyOutput,
  formatAttrPath,
  isNameable,
  type OutputSelection,
} from "../domain/installable.ts";
import { parseStorePath, type StorePath } from "../domain/store-path.ts";
import { isAtLeast } from "./command.ts";
import {
  EvalCache,
  evalCacheFile,
  fingerprint,
  type KeptDerivation,
  removeEvalCache,
} from "./eval-cache.ts";
import type { KeptFlake } from "./eval-command.ts";
import {
  type EvalFill,
  type EvalFillParts,
  MEMBERS_MOST,
  type NamedPath,
  NOBODY,
  type NotNamed,
  named,
} from "./eval-fill.ts";
import { type Flake, fromLock } from "./flake.ts";

export interface ByName {
  readonly derivations: readonly Evaluated[];
  /** What is to be asked otherwise: of a set, what is below these members of it. */
  readonly rest: "all" | "none" | readonly string[];
  /** The members of a set among them. */
  readonly left: readonly NamedPath[];
  /** Where none could be named: to be called where there is something all the same. */
  readonly otherwise?: () => void;
}

interface Member {
  readonly path: NamedPath;
  /** What the `*` matched. */
  readonly matched: readonly string[];
}

export interface ByNameParts {
  readonly fill: EvalFill;
  readonly storeDir: string;
  /** All that the derivation has, in their order. */
  readonly outputsOf: (drvPath: StorePath) => Promise<readonly string[]>;
}

/** Has Nix keep all that can be named before it is evaluated. */
export async function byName(
  { fill, storeDir, outputsOf }: ByNameParts,
  request: EvaluationRequest,
  segments: readonly AttrSegment[],
  signal: AbortSignal,
): Promise<ByName> {
  const members = await membersOf(fill, request, segments, signal);
  if (typeof members === "string") {
    const otherwise = () => fill.missed.set(`.#${formatAttrPath(request.attrPath)}`, members);
    return { derivations: [], rest: "all", left: [], otherwise };
  }
  const paths = members.map(({ path }) => path);
  const found = await fill.give(paths, signal);
  const derivations: Evaluated[] = [];
  const lacking: Member[] = [];
  for (const member of members) {
    const kept = found.get(member.path);
    const drvPath = kept && parseStorePath(kept.drvPath, storeDir);
    if (!kept || !drvPath) {
      lacking.push(member);
      continue;
    }
    const outputs = await outputsOf(drvPath);
    const outputNames = selectOutputs(request.outputs, { outputs, install: kept.install });
    const attrPath = formatAttrPath(named(member.path));
    derivations.push({ attrPath, matched: member.matched, drvPath, outputNames });
  }
  const left = lacking.flatMap(({ path, matched }) => (matched.length > 0 ? [path] : []));
  // What a set without members is, and why a name gives nothing, the other question tells.
  if (derivations.length === 0) return { derivations, rest: "all", left };
  const rest = [...new Set(lacking.flatMap(({ matched }) => matched.slice(0, 1)))];
  return { derivations, rest: rest.length === 0 ? "none" : rest, left };
}

const NIXPKGS = "nixpkgs";
const BASH = "bashInteractive";
const BASH_OF: KeptFlake = { flake: NIXPKGS, from: "its sets" };

/** Whether it asks for the bash that `nix develop` starts: that of the input which the flake calls nixpkgs. */
export function isBash({ flake, attrPath, file }: EvaluationRequest): boolean {
  const [first, ...rest] = attrPath;
  const isIt = first?.kind === "name" && first.name === BASH && rest.length === 0;
  return isIt && flake === NIXPKGS && !file;
}

export interface BashFillParts extends Omit<EvalFillParts, "carried"> {
  readonly flake: Flake;
  readonly storeDir: string;
  readonly outputsOf: ByNameParts["outputsOf"];
}

/**
 * Has Nix keep the bash that `nix develop` starts. It looks for it in nixpkgs itself, which has an eval cache of
 * its own; what else a target names of an input is asked otherwise, side by side.
 */
export class BashFill {
  /** What Nix calls the evaluation of nixpkgs, by the input's name; none where nothing was kept. */
  readonly names = new Map<string, string>();
  private readonly parts: BashFillParts;

  constructor(parts: BashFillParts) {
    this.parts = parts;
  }

  /** Undefined where it has to be asked otherwise: Nix before 2.11 finds nothing there again. */
  async give(request: EvaluationRequest, signal: AbortSignal): Promise<Evaluated | undefined> {
    const { version, system, flake, storeDir, outputsOf } = this.parts;
    const isOurs = isBash(request) && request.system === system && flake.inputs.has(NIXPKGS);
    if (!isOurs || !isAtLeast(version, 11)) return undefined;
    const kept = await this.fill(signal);
    const drvPath = kept && parseStorePath(kept.drvPath, storeDir);
    if (!kept || !drvPath) return undefined;
    const outputs = await outputsOf(drvPath);
    const outputNames = selectOutputs(request.outputs, { outputs, install: kept.install });
    return { attrPath: BASH, matched: [], drvPath, outputNames };
  }

  /** Whether `nix develop` finds it without an evaluation: Nix is asked. */
  isKept(signal: AbortSignal): Promise<boolean> {
    return this.parts.door.isKept([named([BASH])], signal, BASH_OF);
  }

  /** The names at its root come first, as in the flake itself; those of its packages are never asked for. */
  private async fill(signal: AbortSignal): Promise<KeptDerivation | undefined> {
    const { nix, version, environment, door, found, flake, outputs, system } = this.parts;
    const args = [NIXPKGS, ...fromLock(flake, NIXPKGS)];
    const name = await fingerprint(nix, version, signal, args);
    if (name === undefined) return undefined;
    const before = await evalCacheFile(name, version, environment);
    if (before !== undefined && found === "removed") await removeEvalCache(before);
    await door.keep([named([NOBODY])], signal, { ...BASH_OF, from: "its root" });
    await door.keep([named([BASH])], signal, BASH_OF);
    const file = await evalCacheFile(name, version, environment);
    using cache = file === undefined ? undefined : await EvalCache.open(file, outputs);
    const kept = cache?.derivation(["legacyPackages", system, BASH]) ?? cache?.derivation([BASH]);
    const isThere =
      kept && (await access(join(this.parts.realStoreDir, basename(kept.drvPath))).then(yes, no));
    if (!isThere) return undefined;
    this.names.set(NIXPKGS, name);
    return kept;
  }
}

const yes = () => true;
const no = () => false;

export function selectOutputs(
  selection: OutputSelection,
  of: { readonly outputs: readonly string[]; readonly install: readonly string[] },
): readonly string[] {
  if (selection.kind === "all") return everyOutput(of.outputs);
  return selection.kind === "named" ? selection.names : of.install;
}

/** Of what is before another `*` as many are looked into: each costs a process. */
const SETS_MOST = 16;

/** The path, or one for each member that its `*`s meet; why not, where they cannot each be asked for. */
async function membersOf(
  fill: EvalFill,
  request: EvaluationRequest,
  segments: readonly AttrSegment[],
  signal: AbortSignal,
): Promise<readonly Member[] | NotNamed> {
  let members: readonly Member[] = [{ path: [], matched: [] }];
  for (const [place, segment] of segments.entries()) {
    if (segment.kind === "name" && isNameable(segment.name)) {
      members = members.map(({ path, matched }) => ({ path: [...path, segment.name], matched }));
      continue;
    }
    if (segment.kind !== "every" || place === 0) return "not before";
    if (members.length > SETS_MOST) return "too many";
    const next: Member[] = [];
    for (const { path, matched } of members) {
      const names = await fill.members(path, signal);
      if (typeof names === "string") return names;
      if (!names.every(isNameable)) return "not before";
      next.push(...names.map((name) => ({ path: [...path, name], matched: [...matched, name] })));
    }
    members = next;
    if (members.length > MEMBERS_MOST) return "too many";
  }
  return members.filter(({ path }) => !request.skips?.(formatAttrPath(named(path))));
}
