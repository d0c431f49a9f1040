/** Evaluates: an installable with its `*`s becomes derivations, or Nix's own message. */

import { UserError } from "../domain/errors.ts";
import { type AttrSegment, formatAttrPath, type OutputSelection } from "../domain/installable.ts";
import type { Code } from "../domain/job.ts";
import { mapLimited } from "../domain/limit.ts";
import type {
  Evaluated,
  EvaluationFailure,
  EvaluationRequest,
  EvaluationResult,
} from "../domain/ports.ts";
import { parseStorePath } from "../domain/store-path.ts";
import { DEADLINES, type NixCommand, nixMessage } from "./command.ts";
import { type Flake, indirectName, isIndirect, nearestNames } from "./flake.ts";

export interface Evaluator {
  readonly nix: NixCommand;
  readonly storeDir: string;
  /** The system Nix assumes unless told otherwise. */
  readonly system: string;
  /** The flake of the working directory. */
  readonly flake: Flake | undefined;
  /** Strange code builds nothing while it is evaluated. */
  readonly code: Code;
}

/** Evaluations at once: each may take gigabytes of memory. */
const PARALLEL = 2;

export async function evaluate(
  evaluator: Evaluator,
  request: EvaluationRequest,
  signal: AbortSignal,
): Promise<EvaluationResult> {
  const { flake } = evaluator;
  const notices: string[] = [];
  if (!flake && request.flake === ".") {
    const name = formatAttrPath(request.attrPath) || ".";
    const message = "there is no flake.nix here (nor above, in this repository)";
    return { derivations: [], failures: [{ attrPath: name, message, nearest: [] }], notices };
  }
  if (isIndirect(request.flake) && !flake?.inputs.has(indirectName(request.flake))) {
    const why = flake
      ? `this flake's lock has no input "${indirectName(request.flake)}"`
      : "there is no flake here";
    notices.push(
      `${request.flake}: ${why}, so the registry's is used: its store paths may not be those of your own builds`,
    );
  }
  const run = new Evaluation(evaluator, request, signal);
  const { derivations, failures } = await run.set(withSystem(request));
  return { derivations, failures, notices };
}

/** `SYSTEM` as a whole name stands for the system asked for; a bare `*` for every package. */
function withSystem({ attrPath, system }: EvaluationRequest): AttrSegment[] {
  const path = attrPath.map(
    (segment): AttrSegment =>
      segment.kind === "name" && segment.name === "SYSTEM"
        ? { kind: "name", name: system }
        : segment,
  );
  if (path[0]?.kind !== "every") return path;
  return [{ kind: "name", name: "packages" }, { kind: "name", name: system }, ...path];
}

interface Answer {
  readonly derivations: Evaluated[];
  readonly failures: EvaluationFailure[];
}

class Evaluation {
  private readonly evaluator: Evaluator;
  private readonly request: EvaluationRequest;
  private readonly signal: AbortSignal;

  constructor(evaluator: Evaluator, request: EvaluationRequest, signal: AbortSignal) {
    this.evaluator = evaluator;
    this.request = request;
    this.signal = signal;
  }

  /** One evaluation for the whole path; where that fails, one for each name of its first `*`. */
  async set(segments: readonly AttrSegment[], matched: readonly string[] = []): Promise<Answer> {
    const star = segments.findIndex(({ kind }) => kind === "every");
    const fixed = star < 0 ? segments : segments.slice(0, star);
    const open = star < 0 ? [] : segments.slice(star);
    const whole = await this.eval<Member>(fixed, memberExpression(open));
    if ("value" in whole) {
      const found = flatten(whole.value, fixed, open, matched);
      return this.collect(found, star < 0);
    }
    if (star < 0) return this.failure(fixed, whole.message);
    const names = await this.eval<string[]>(fixed, "builtins.attrNames");
    if (!("value" in names)) return this.failure(fixed, whole.message);
    const parts = await mapLimited(names.value, PARALLEL, (name) =>
      this.set([...fixed, { kind: "name", name }, ...segments.slice(star + 1)], [...matched, name]),
    );
    return merge(parts);
  }

  private async collect(found: readonly Found[], named: boolean): Promise<Answer> {
    const parts = await mapLimited(found, PARALLEL, async ({ segments, matched, member }) => {
      const attrPath = formatAttrPath(segments);
      switch (member.kind) {
        case "derivation": {
          const drvPath = parseStorePath(member.drvPath, this.evaluator.storeDir);
          if (!drvPath) {
            return this.failure(segments, `its drvPath "${member.drvPath}" is no store path`);
          }
          const outputNames = selectOutputs(this.request.outputs, member);
          return { derivations: [{ attrPath, matched, drvPath, outputNames }], failures: [] };
        }
        case "failed": {
          // Ask for the message by itself; drvPath is what makes it throw.
          const again = await this.eval<string>(segments, "p: p.drvPath");
          const message = "message" in again ? again.message : "it failed once and then did not";
          return this.failure(segments, message);
        }
        case "absent":
          // A member of a set that lacks the rest of the path is not meant by the `*`.
          return named ? this.failure(segments, "it does not exist") : merge([]);
        case "other":
          return named ? this.failure(segments, "it is not a derivation") : merge([]);
        default:
          return member satisfies never;
      }
    });
    return merge(parts);
  }

  private async failure(segments: readonly AttrSegment[], message: string): Promise<Answer> {
    const attrPath = formatAttrPath(segments);
    const near = message.includes("does not provide attribute")
      ? await nearestNames((...question) => this.evalIn(...question), this.request, segments)
      : [];
    return { derivations: [], failures: [{ attrPath, message, nearest: near }] };
  }

  private eval<T>(
    segments: readonly AttrSegment[],
    apply: string,
  ): Promise<{ value: T } | { message: string }> {
    return this.evalIn(this.request.flake, segments, apply);
  }

  private async evalIn<T>(
    flake: string,
    segments: readonly AttrSegment[],
    apply: string,
  ): Promise<{ value: T } | { message: string }> {
    const { nix, system, flake: own, code } = this.evaluator;
    const args = [
      "eval",
      "--json",
      `${flake}#${formatAttrPath(segments)}`,
      "--apply",
      apply,
      // The checkout is not ours to change, and a flake may not configure the Nix that reads it.
      "--no-write-lock-file",
      "--option",
      "accept-flake-config",
      "false",
      // Evaluations of one flake at once share this cache, and one then reads what another has half
      // written: "attribute … is unexpectedly missing", of one that is there (garnix-io/issues#36).
      "--option",
      "eval-cache",
      "false",
      ...(code === "strange" ? ["--option", "allow-import-from-derivation", "false"] : []),
      ...(isIndirect(flake) && own ? lockedInputs(own, flake) : []),
      ...(this.request.system === system ? [] : ["--system", this.request.system]),
    ];
    const result = await nix.try("nix", args, {
      signal: this.signal,
      deadline: DEADLINES.evaluate,
    });
    if (result.code !== 0) return { message: nixMessage(result.stderr) };
    try {
      return { value: JSON.parse(result.stdout) as T };
    } catch (cause) {
      throw new UserError("NCP-205", `nix eval ${flake}: its answer is not JSON`, { cause });
    }
  }
}

/** The input this flake's lock pins. What the lock names needs no registry, so none is fetched. */
function lockedInputs(own: Flake, flake: string): string[] {
  const inLock = own.inputs.has(indirectName(flake));
  return [
    "--inputs-from",
    own.directory,
    ...(inLock ? ["--option", "flake-registry", "/no-registry"] : []),
  ];
}

function selectOutputs(
  selection: OutputSelection,
  member: { readonly outputs: readonly string[]; readonly install: readonly string[] },
): readonly string[] {
  if (selection.kind === "all") return member.outputs;
  return selection.kind === "named" ? selection.names : member.install;
}

function merge(parts: readonly Answer[]): Answer {
  return {
    derivations: parts.flatMap(({ derivations }) => derivations),
    failures: parts.flatMap(({ failures }) => failures),
  };
}

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
