/** Evaluates: an installable with its `*`s becomes derivations, or Nix's own message. */

import { randomUUID } from "node:crypto";
import type {
  EvaluationFailure,
  EvaluationRequest,
  EvaluationResult,
} from "../domain/evaluation.ts";
import { type AttrSegment, formatAttrPath } from "../domain/installable.ts";
import { mapLimited } from "../domain/limit.ts";
import { parseStorePath, type StorePath } from "../domain/store-path.ts";
import { type BashFill, byName, selectOutputs } from "./eval-by-name.ts";
import type { Answer, EvaluationDoor, EvaluationParts } from "./eval-command.ts";
import { type EvalFill, named } from "./eval-fill.ts";
import {
  isLacking,
  type KnownNames,
  Lacks,
  nearestNames,
  ofRegistry,
  plainNames,
} from "./flake.ts";
import {
  type Found,
  filled,
  flatten,
  type Member,
  type MemberQuestion,
  meantBy,
  memberExpression,
  merge,
  NOTHING,
  nameablePart,
  oddNames,
  type Part,
  Progress,
  refusal,
  unnamed,
} from "./members.ts";
import { askedBy, noDerivation } from "./nix-file.ts";

export interface Evaluator extends Pick<EvaluationParts, "storeDir" | "flake" | "system"> {
  readonly door: EvaluationDoor;
  /** Undefined where nothing that was evaluated before may be believed. */
  readonly fill: EvalFill | undefined;
  readonly ofBash: BashFill | undefined;
  /** Of a set of the flake here. */
  readonly names: (set: readonly string[], signal: AbortSignal) => Promise<KnownNames>;
  readonly outputs: MemberQuestion["outputs"];
  /** All that the derivation has, in their order. */
  readonly outputsOf: (drvPath: StorePath) => Promise<readonly string[]>;
}

/** Evaluations at once: each may take gigabytes of memory. */
const PARALLEL = 2;
/** As many members that throw are asked for their message, each in an evaluation of its own. */
const MESSAGES_MOST = 24;

export async function evaluate(
  evaluator: Evaluator,
  request: EvaluationRequest,
  signal: AbortSignal,
): Promise<EvaluationResult> {
  const { flake } = evaluator;
  if (!flake && request.flake === ".") {
    const attrPath = formatAttrPath(request.attrPath) || ".";
    const message = "there is no flake.nix here (nor above, in this repository)";
    return { ...NOTHING, failures: [{ attrPath, message, nearest: [] }] };
  }
  const before = new Set(evaluator.door.built);
  const run = new Evaluation(evaluator, request, signal);
  const part = await run.all(meantBy(request));
  const built = [...evaluator.door.built].filter((path) => !before.has(path));
  return { ...part, notices: [...ofRegistry(request.flake, flake), ...part.notices], built };
}

/** A member that ended its evaluation, and that evaluation's message. */
type Ended = Pick<Found, "segments" | "matched"> & {
  readonly failure: { message: string; needs?: StorePath };
};

class Evaluation {
  private readonly evaluator: Evaluator;
  private readonly request: EvaluationRequest;
  private readonly signal: AbortSignal;

  constructor(evaluator: Evaluator, request: EvaluationRequest, signal: AbortSignal) {
    this.evaluator = evaluator;
    this.request = request;
    this.signal = signal;
  }

  /** What Nix can keep for later commands is evaluated so that it does; the rest by a question of ours. */
  async all(segments: readonly AttrSegment[]): Promise<Part> {
    const { fill, ofBash, flake, system } = this.evaluator;
    const bash = await ofBash?.give(this.request, this.signal);
    if (bash) return { ...NOTHING, derivations: [bash] };
    const isHere = this.request.flake === "." && this.request.system === system;
    const { absent, look } = this.request;
    const names = async (set: readonly string[]) =>
      flake && isHere ? this.evaluator.names(set, this.signal) : undefined;
    if (absent && (await isLacking(names, segments))) return NOTHING;
    if (look) return this.names(segments, await names(plainNames(segments)));
    if (!fill || !flake || !isHere) return this.set(segments);
    const given = await byName({ ...this.evaluator, fill }, this.request, segments, this.signal);
    const { derivations, rest, left } = given;
    if (rest === "none") return { ...NOTHING, derivations };
    const asked = await this.set(segments, rest === "all" ? undefined : rest);
    if (asked.derivations.length > 0) given.otherwise?.();
    const known = new Set(derivations.map(({ attrPath }) => attrPath));
    const others = asked.derivations.filter(({ attrPath }) => !known.has(attrPath));
    // What was not come to, as too many others failed, is known to be sound now.
    const sound = new Set(others.map(({ attrPath }) => attrPath));
    const again = left.filter((path) => sound.has(formatAttrPath(named(path))));
    await fill.again(again, this.signal);
    return { ...asked, derivations: [...derivations, ...others] };
  }

  /** Of a set, none of whose members is evaluated; `known` where Nix's eval cache has its names. */
  private async names(segments: readonly AttrSegment[], known: KnownNames): Promise<Part> {
    const apply = "s: if builtins.isAttrs s then builtins.attrNames s else [ ]";
    const isKnown = typeof known === "object";
    const answer = isKnown ? { value: known } : await this.ask<string[]>(segments, apply);
    if (!("value" in answer)) return this.failure(segments, answer);
    const passedOver = answer.value.map((attrPath) => ({ attrPath, why: "it is not looked at" }));
    return { ...NOTHING, passedOver };
  }

  /**
   * One evaluation for the whole path, and one more for each member at which it ended: what it told
   * until then is not asked again.
   */
  private async set(segments: readonly AttrSegment[], only?: readonly string[]): Promise<Part> {
    const { file } = this.request;
    const fixed = file ? [] : nameablePart(segments);
    const open = segments.slice(fixed.length);
    const found: Found[] = [];
    const ended: Ended[] = [];
    const odd: (string | null)[] = [];
    const lacks = new Lacks();
    const mark = `preflight-${randomUUID()}`;
    const { outputs } = this.evaluator;
    for (let after: MemberQuestion["after"]; ; ) {
      let progress = new Progress(mark);
      const question = memberExpression(open, { mark, after, only, outputs, file });
      const answer = await this.ask<Member>(fixed, question, () => {
        progress = new Progress(mark);
        return (message) => progress.read(message);
      });
      if ("value" in answer) {
        found.push(...flatten(answer.value, fixed, open));
        odd.push(...unnamed(answer.value));
        break;
      }
      const { at } = progress;
      // Not one of its members: the set itself is not there, or cannot be looked at.
      if (!at) {
        const isNamed = fixed.length < segments.length && open[0]?.kind === "name";
        if (ended.length === 0) return this.failure(isNamed ? segments : fixed, answer);
        ended.push({ segments, matched: [], failure: answer });
        break;
      }
      for (const { matched, member } of progress.done) {
        if (member.kind !== "set")
          found.push({ segments: this.at(fixed, open, matched), matched, member });
      }
      // The last one was done by then: it is not what ended it.
      if (String(progress.done.at(-1)?.matched) === String(at)) {
        ended.push({ segments, matched: [], failure: answer });
        break;
      }
      ended.push({ segments: this.at(fixed, open, at), matched: at, failure: answer });
      after = progress.after;
      if (!lacks.isKnown(answer)) continue;
      ended.push({ segments, matched: [], failure: answer });
      break;
    }
    const how = segments.every(({ kind }) => kind !== "every") ? "named" : "of a set";
    return merge([
      await this.collect(found, segments, how),
      ...(await Promise.all(ended.map((one) => this.ended(one, how)))),
      { ...NOTHING, notices: oddNames(this.request.flake, odd) },
    ]);
  }

  private at(
    fixed: readonly AttrSegment[],
    open: readonly AttrSegment[],
    matched: readonly string[],
  ): readonly AttrSegment[] {
    return [...fixed, ...filled(open, matched)];
  }

  private async ended({ segments, failure }: Ended, how: Meant): Promise<Part> {
    const attrPath = formatAttrPath(segments);
    if (this.request.skips?.(attrPath)) return NOTHING;
    const against = how === "of a set" ? refusal(failure.message) : undefined;
    if (against !== undefined) return { ...NOTHING, passedOver: [{ attrPath, why: against }] };
    return this.failure(segments, failure);
  }

  private async collect(
    found: readonly Found[],
    asked: readonly AttrSegment[],
    how: Meant,
  ): Promise<Part> {
    let messages = 0;
    const parts = await mapLimited(found, PARALLEL, async (one): Promise<Part> => {
      const { segments, matched, member } = one;
      const attrPath = formatAttrPath(segments);
      if (this.request.skips?.(attrPath)) return NOTHING;
      switch (member.kind) {
        case "derivation": {
          const drvPath = parseStorePath(member.drvPath, this.evaluator.storeDir);
          if (!drvPath) {
            const message = `its drvPath "${member.drvPath}" is no store path`;
            return this.failure(segments, { message });
          }
          const outputNames = selectOutputs(this.request.outputs, member);
          return { ...NOTHING, derivations: [{ attrPath, matched, drvPath, outputNames }] };
        }
        case "failed": {
          const [why] = member.why ?? [];
          if (how === "of a set" && why !== undefined) {
            return { ...NOTHING, passedOver: [{ attrPath, why }] };
          }
          if (messages++ >= MESSAGES_MOST) {
            const message = `it throws; ${askedBy(this.request, attrPath)} tells why`;
            return this.failure(segments, { message });
          }
          return this.ended({ segments, matched, failure: await this.whyFailed(segments) }, how);
        }
        case "absent":
          // A member of a set that lacks the rest of the path is not meant by the `*`.
          return how === "named"
            ? this.failure(segments, { message: "it does not exist" })
            : NOTHING;
        case "other":
          if (how === "named")
            return this.failure(segments, { message: noDerivation(this.request, member.is) });
          // What the `*` itself was to look into is no set.
          if (matched.length > 0 || asked.length === 0) return NOTHING;
          return this.failure(segments, {
            message: "what the * is to look into is no set of names",
          });
        default:
          return member satisfies never;
      }
    });
    return merge(parts);
  }

  /** Asks for the message by itself; drvPath is what makes it throw. */
  private async whyFailed(
    segments: readonly AttrSegment[],
  ): Promise<{ message: string; needs?: StorePath }> {
    const again = await this.ask<string>(segments, "p: p.drvPath");
    return "message" in again ? again : { message: "it failed once and then did not" };
  }

  private async failure(
    segments: readonly AttrSegment[],
    { message, needs }: { readonly message: string; readonly needs?: StorePath },
  ): Promise<Part> {
    const attrPath = formatAttrPath(segments);
    const absent =
      message.includes("does not provide attribute") || message === "it does not exist";
    const near =
      absent && this.request.absent !== "is nothing"
        ? await nearestNames(
            (flake, path, apply) => this.ask(path, apply, undefined, flake),
            this.request,
            segments,
          )
        : [];
    const failure: EvaluationFailure = {
      attrPath,
      message,
      nearest: near,
      ...(absent ? { kind: "absent" as const } : {}),
      ...(needs ? { needs } : {}),
    };
    return { ...NOTHING, failures: [failure] };
  }

  private ask<T>(
    segments: readonly AttrSegment[],
    apply: string,
    begin?: () => (message: string) => void,
    flake = this.request.flake,
  ): Promise<Answer<T>> {
    const { system, file } = this.request;
    const { door } = this.evaluator;
    return door.ask<T>({ flake, segments, apply, system, file, begin }, this.signal);
  }
}

type Meant = "named" | "of a set";
