/** The one door through which every evaluation goes: what it may fetch, what it may build, what it says. */

import * as z from "zod/mini";
import { UserError } from "../domain/errors.ts";
import type { NixFile } from "../domain/evaluation.ts";
import type { AttrSegment } from "../domain/installable.ts";
import { limiter } from "../domain/limit.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { Environment } from "../host/environment.ts";
import type { ExecResult } from "../host/exec.ts";
import { type CallSubstituters, substituterOptions } from "./build.ts";
import { DEADLINES, type NixCommand, nixMessage } from "./command.ts";
import { encodeFragment, type Flake, fromLock, isIndirect } from "./flake.ts";
import { applyIn, fileArguments } from "./nix-file.ts";

export interface EvaluationParts {
  readonly nix: NixCommand;
  readonly storeDir: string;
  /** The system Nix assumes unless told otherwise. */
  readonly system: string;
  /** The flake of the working directory. */
  readonly flake: Flake | undefined;
  /** Variables for the evaluation of a file, which reads its environment. */
  readonly forFiles: (file: NixFile) => Environment;
  /** Whether an import from derivation that no cache has may be built. */
  readonly builds: "allowed" | "forbidden";
  /** What it may fetch from; asked for only when there is something to fetch. */
  readonly substituters: (signal: AbortSignal) => Promise<CallSubstituters>;
  /** Whether all outputs of a derivation are in the store. */
  readonly isBuilt: (drvPath: StorePath, signal: AbortSignal) => Promise<boolean>;
}

export interface Question {
  readonly flake: string;
  readonly file?: NixFile | undefined;
  readonly segments: readonly AttrSegment[];
  /** A function of what stands there. */
  readonly apply: string;
  readonly system: string;
  /** Takes the messages of the evaluation that the answer is of: a call for each that was begun. */
  readonly begin?: (() => (message: string) => void) | undefined;
}

/** Of which flake paths are kept, and whether Nix looks for them in its usual sets, too. */
export type KeptFlake = { readonly flake: string; readonly from: "its sets" | "its root" };
const ITSELF: KeptFlake = { flake: ".", from: "its sets" };

export type Answer<T> =
  | { readonly value: T }
  | {
      readonly message: string;
      /** What it wanted built, where nothing may be. */
      readonly needs?: StorePath;
    };

const FORBIDDEN =
  /cannot build '([^'^!]+\.drv)[^']*' during evaluation because the option 'allow-import-from-derivation' is disabled/;
/** Told that it may build nothing, in the words of 2.8, 2.26 and 2.34. */
const UNBUILT = /unable to start any build|local builds are disabled/i;
const NAMED = /Cannot build '([^'^!]+\.drv)/;
const TRYING = /building of '([^'^!]+\.drv)[^']*' from \.drv file: (?:trying to build|wait)/g;

const NOTHING_IS_BUILT = ["--option", "max-jobs", "0", "--option", "builders", ""];
export const NO_IMPORT = ["--option", "allow-import-from-derivation", "false"];

export const COMMON = [
  ...["--log-format", "internal-json"],
  // The checkout is not ours to change, and a flake may not configure the Nix that reads it.
  "--no-write-lock-file",
  ...["--option", "accept-flake-config", "false"],
  // Evaluations side by side would collect each other's derivations, which nobody has rooted yet.
  ...["--option", "min-free", "0"],
];

/** Each may take gigabytes of memory. */
const PARALLEL = 2;

/**
 * An evaluation begins without waiting for any cache, and so with imports from derivation forbidden.
 * The first one that is met waits for the caches, and from then on all evaluations have them.
 */
export class EvaluationDoor {
  /** What evaluations had to build. */
  readonly built = new Set<StorePath>();
  /** Whether anything that was evaluated imports from a derivation. */
  imports: "none met" | "met" = "none met";
  private readonly parts: EvaluationParts;
  private readonly turn = limiter(PARALLEL);
  /** A download that failed was tried five times, of a host that says 429 for minutes: then once. */
  private more: readonly string[] = [];

  constructor(parts: EvaluationParts) {
    this.parts = parts;
  }

  async ask<T>(question: Question, signal: AbortSignal): Promise<Answer<T>> {
    const run = (options: readonly string[]) => this.run(question, options, signal);
    const { heard, refused, options } = await this.withImports(run, signal);
    const answer = answerOf<T>(question, heard);
    const isWanting = options !== undefined && UNBUILT.test(heard.message);
    if ("value" in answer || this.parts.builds === "allowed" || !isWanting) return answer;
    const needs = await this.wantedBy(question, heard.message, options, refused, signal);
    return { ...answer, ...(needs ? { needs } : {}) };
  }

  /**
   * Has Nix evaluate these of the flake of the working directory, in their order, and keep in its eval
   * cache what it finds. Ends at the first that it cannot, without saying which that was.
   */
  async keep(
    paths: readonly (readonly AttrSegment[])[],
    signal: AbortSignal,
    of: KeptFlake = ITSELF,
  ): Promise<void> {
    const run = async (options: readonly string[]) => {
      const args = ["path-info", "--derivation", ...this.names(paths, of), ...COMMON, ...options];
      return this.hear(args, new Listener(undefined), signal);
    };
    await this.withImports(run, signal);
  }

  /** Whether Nix has all of these in its eval cache: it is asked with evaluation forbidden. */
  async isKept(
    paths: readonly (readonly AttrSegment[])[],
    signal: AbortSignal,
    of: KeptFlake = ITSELF,
  ): Promise<boolean> {
    const args = ["path-info", "--derivation", ...this.names(paths, of)];
    const { code } = await this.parts.nix.try("nix", args, {
      signal,
      deadline: DEADLINES.evaluate,
      environment: { NIX_ALLOW_EVAL: "0" },
    });
    return code === 0;
  }

  private names(paths: readonly (readonly AttrSegment[])[], of: KeptFlake): string[] {
    const { flake: own } = this.parts;
    const dot = of.from === "its root" ? "." : "";
    return [
      ...paths.map((path) => `${of.flake}#${dot}${encodeFragment(path)}`),
      ...(isIndirect(of.flake) && own ? fromLock(own, of.flake) : []),
    ];
  }

  /** With the caches' help, once an import from derivation was met; `options` are those it then had. */
  private async withImports(
    run: (options: readonly string[]) => Promise<Heard>,
    signal: AbortSignal,
  ): Promise<{ heard: Heard; refused?: Heard; options?: readonly string[] }> {
    let refused: Heard | undefined;
    if (this.imports === "none met") {
      refused = await run(NO_IMPORT);
      if (!FORBIDDEN.test(refused.message)) return { heard: refused };
      this.imports = "met";
    }
    const caches = substituterOptions(await this.parts.substituters(signal));
    const { builds } = this.parts;
    const options = [...caches, ...(builds === "forbidden" ? NOTHING_IS_BUILT : [])];
    const heard = await run(options);
    for (const drvPath of heard.built) this.built.add(drvPath);
    return { heard, ...(refused ? { refused } : {}), options };
  }

  /** What could not be built: Nix names it from 2.34 on; before that it has to be asked otherwise. */
  private async wantedBy(
    question: Question,
    message: string,
    options: readonly string[],
    first: Heard | undefined,
    signal: AbortSignal,
  ): Promise<StorePath | undefined> {
    const mute = { ...question, begin: () => () => undefined };
    const refused = first ?? (await this.run(mute, NO_IMPORT, signal));
    const met = FORBIDDEN.exec(refused.message)?.[1] as StorePath | undefined;
    // The first one that is met is the one that is lacking, unless it has been fetched meanwhile.
    if (met && !(await this.parts.isBuilt(met, signal))) return met;
    const named = NAMED.exec(message)?.[1];
    if (named !== undefined) return named as StorePath;
    const loud = await this.run(mute, [...options, "-vvv"], signal);
    return ([...loud.all.matchAll(TRYING)].at(-1)?.[1] as StorePath | undefined) ?? met;
  }

  private async run(
    { flake, file, segments, apply, system, begin }: Question,
    more: readonly string[],
    signal: AbortSignal,
  ): Promise<Heard> {
    const { flake: own } = this.parts;
    const args = [
      "eval",
      "--json",
      ...(file ? fileArguments(file) : [`${flake}#${encodeFragment(segments)}`]),
      "--apply",
      file ? applyIn(file, segments, apply) : apply,
      ...COMMON,
      // Evaluations of one flake at once share this cache, and one then reads what another has half
      // written: "attribute … is unexpectedly missing", of one that is there (garnix-io/issues#36).
      ...["--option", "eval-cache", "false"],
      ...more,
      ...(isIndirect(flake) && own ? fromLock(own, flake) : []),
      ...(system === this.parts.system ? [] : ["--system", system]),
    ];
    return this.hear(args, new Listener(begin?.()), signal, file && this.parts.forFiles(file));
  }

  private hear(
    args: readonly string[],
    listener: Listener,
    signal: AbortSignal,
    environment: Environment = {},
  ): Promise<Heard> {
    return this.turn(async () => {
      const onErrorLine = (line: string) => listener.read(line);
      const how = { signal, deadline: DEADLINES.evaluate, environment, onErrorLine };
      const heard = listener.heard(await this.parts.nix.try("nix", [...args, ...this.more], how));
      const isAway = heard.message.includes("unable to download '");
      if (isAway) this.more = ["--option", "download-attempts", "1"];
      return heard;
    });
  }
}

function answerOf<T>({ flake }: Question, { result, message }: Heard): Answer<T> {
  if (result.code !== 0) return { message };
  try {
    return { value: JSON.parse(result.stdout) as T };
  } catch (cause) {
    throw new UserError("NCP-205", `nix eval ${flake}: its answer is not JSON`, { cause });
  }
}

const Line = z.object({
  action: z.string(),
  type: z.optional(z.number()),
  level: z.optional(z.number()),
  msg: z.optional(z.string()),
  fields: z.optional(z.array(z.union([z.string(), z.number()]))),
});

const BUILD = 105;
/** Errors and warnings. */
const LOUD = 1;
const KEPT = 256 * 1024;

interface Heard {
  readonly result: ExecResult;
  /** Nix's own message, where it failed. */
  readonly message: string;
  readonly all: string;
  readonly built: readonly StorePath[];
}

/** Reads `--log-format internal-json`, the same from 2.8 to 2.34 (`activities.ts`). */
class Listener {
  private readonly told: ((message: string) => void) | undefined;
  private readonly built: StorePath[] = [];
  private errors = "";
  private all = "";

  constructor(told: ((message: string) => void) | undefined) {
    this.told = told;
  }

  read(line: string): void {
    const parsed = line.startsWith("@nix ")
      ? Line.safeParse(json(line.slice("@nix ".length)))
      : undefined;
    if (!parsed?.success) {
      this.say(line, 0);
      return;
    }
    const { action, type, level = 0, msg, fields } = parsed.data;
    if (action === "msg" && msg !== undefined) this.say(msg, level);
    const [drvPath] = fields ?? [];
    if (action === "start" && type === BUILD && typeof drvPath === "string") {
      this.built.push(drvPath as StorePath);
    }
  }

  private say(text: string, level: number): void {
    this.all = `${this.all}${text}\n`.slice(-KEPT);
    if (level > LOUD) return;
    if (text.startsWith("trace: ")) this.told?.(text);
    else this.errors = `${this.errors}${text}\n`.slice(-KEPT);
  }

  heard(result: ExecResult): Heard {
    const message = result.code === 0 ? "" : nixMessage(this.errors);
    return { result, message, all: this.all, built: this.built };
  }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
