/** Which names stand for what is to be evaluated, and what Nix's eval cache gives for each of them. */

import type { Evaluated, EvaluationRequest } from "../domain/evaluation.ts";
import {
  type AttrSegment,
  formatAttrPath,
  isNameable,
  type OutputSelection,
} from "../domain/installable.ts";
import { parseStorePath, type StorePath } from "../domain/store-path.ts";
import { type EvalFill, type NamedPath, named } from "./eval-fill.ts";

export interface ByName {
  readonly derivations: readonly Evaluated[];
  /** What is to be asked otherwise: of a set, these members of it. */
  readonly rest: "all" | "none" | readonly string[];
  /** The members of a set among them. */
  readonly left: readonly NamedPath[];
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
  if (!members) {
    fill.missed.add(`.#${formatAttrPath(request.attrPath)}`);
    return { derivations: [], rest: "all", left: [] };
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
  const rest = lacking.flatMap(({ matched }) => matched);
  return { derivations, rest: rest.length === 0 ? "none" : rest, left };
}

export function selectOutputs(
  selection: OutputSelection,
  of: { readonly outputs: readonly string[]; readonly install: readonly string[] },
): readonly string[] {
  if (selection.kind === "all") return of.outputs;
  return selection.kind === "named" ? selection.names : of.install;
}

/** The path, or one for each member that its one `*` meets; undefined where they cannot be told before. */
async function membersOf(
  fill: EvalFill,
  request: EvaluationRequest,
  segments: readonly AttrSegment[],
  signal: AbortSignal,
): Promise<readonly Member[] | undefined> {
  const names = segments.map((one) =>
    one.kind === "name" && isNameable(one.name) ? one.name : undefined,
  );
  const star = names.indexOf(undefined);
  const isName = (name: string | undefined) => name !== undefined;
  if (star < 0) return [{ path: names.filter(isName), matched: [] }];
  const before = names.slice(0, star).filter(isName);
  const behind = names.slice(star + 1).filter(isName);
  const isOnly = segments[star]?.kind === "every" && star + 1 + behind.length === names.length;
  if (!isOnly || before.length === 0) return undefined;
  const found = await fill.members(before, signal);
  if (!found?.every(isNameable)) return undefined;
  return found
    .map((name) => ({ path: [...before, name, ...behind], matched: [name] }))
    .filter(({ path }) => !request.skips?.(formatAttrPath(named(path))));
}
