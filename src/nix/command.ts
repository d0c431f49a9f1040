/** Runs Nix's commands: which options every call has, and what its errors say. */

import { stat } from "node:fs/promises";
import { UserError } from "../domain/errors.ts";
import { withoutCredentials } from "../domain/location.ts";
import { clock } from "../host/clock.ts";
import { isMissing } from "../host/disk.ts";
import { childEnvironment, type Environment } from "../host/environment.ts";
import { type ExecResult, exec, type InputFile } from "../host/exec.ts";

/** Milliseconds. Questions to the store and evaluations are quick; a build may take the whole job. */
export const DEADLINES = {
  query: 120_000,
  import: 600_000,
  evaluate: 1_800_000,
  build: 6 * 3_600_000,
} as const;

export interface NixCommand {
  /** Runs it and gives what it printed; a failure is a UserError with Nix's own message. */
  run(program: NixProgram, args: readonly string[], options: RunOptions): Promise<string>;
  /** Runs it and leaves the judgement to the caller. */
  try(program: NixProgram, args: readonly string[], options: RunOptions): Promise<ExecResult>;
}

export type NixProgram = "nix" | "nix-store" | "nix-instantiate";

export interface RunOptions {
  readonly signal: AbortSignal;
  readonly deadline: number;
  readonly onErrorLine?: (line: string) => void;
  /** What its standard input gives, from the start where the process is tried again. */
  readonly input?: InputFile;
  /** More variables, for this process alone. */
  readonly environment?: Environment;
}

/**
 * Of two that make the database of a new store at once, one gives up instead of waiting (seen with 2.8).
 * What Nix ignores itself (`error (ignored): …`) is not meant.
 */
const BUSY = /^error: SQLite database '[^']*' is busy$/m;
const BUSY_TURNS = 10;
/** Milliseconds. */
const BUSY_WAIT = 200;

/** `named`: more variables, for what fetches: a credential helper of git's reads whatever it likes. */
export function nixCommand(
  environment: Environment,
  cwd: string,
  named: Environment = {},
): NixCommand {
  // Its question would stand behind our display, or wait for nobody.
  const env = { GIT_TERMINAL_PROMPT: "0", ...childEnvironment(environment, named) };
  const attempt: NixCommand["try"] = async (program, args, options) => {
    const all =
      program === "nix" ? ["--extra-experimental-features", "nix-command flakes", ...args] : args;
    try {
      for (let turn = 1; ; turn++) {
        const how = { cwd, ...options, env: { ...env, ...options.environment } };
        const heard = await exec(program, all, { ...how, ...masked(options) });
        const result = { ...heard, stderr: withoutCredentials(heard.stderr) };
        if (result.code === 0 || turn === BUSY_TURNS || !BUSY.test(result.stderr)) return result;
        await clock.sleep(BUSY_WAIT, options.signal);
      }
    } catch (error) {
      if (!isMissing(error)) throw error;
      // A program and a working folder that are not there give the same error.
      if (await isFolder(cwd)) throw noNix();
      throw new UserError("NCP-350", `${cwd}: there is no such folder to work in`, {
        hint: "put the checkout before this step, which is GITHUB_WORKSPACE, or correct working-directory",
      });
    }
  };
  return {
    try: attempt,
    run: async (program, args, options) => {
      const result = await attempt(program, args, options);
      if (result.code === 0) return result.stdout;
      const verb = args.find((arg) => /^[a-z-]/.test(arg)) ?? "";
      throw new UserError("NCP-202", `${program} ${verb}: ${nixMessage(result.stderr)}`);
    },
  };
}

/** What Nix says goes to logs and summaries, and it names caches by their whole address. */
function masked({ onErrorLine }: RunOptions): Pick<RunOptions, "onErrorLine"> {
  return onErrorLine ? { onErrorLine: (line) => onErrorLine(withoutCredentials(line)) } : {};
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Whether it is Nix 2.`least`, or newer. */
export function isAtLeast(version: string, least: number): boolean {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  return major > 2 || minor >= least;
}

export function noNix(): UserError {
  return new UserError("NCP-201", "there is no Nix on this machine", {
    hint: "put a step that installs it before this one (uses: cachix/install-nix-action@v31), or set install-nix: true",
  });
}

/** Nix's own messages out of its standard error, without colours, traces and advice on traces. */
export function nixErrors(stderr: string): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes are what is taken out
  const plain = stderr.replace(/\u001b\[[0-9;]*m/g, "");
  const lines = plain
    .split("\n")
    .filter((line) => !line.startsWith("warning: ") && !/^\s*\(.*--show-trace.*\)$/.test(line));
  const blocks = lines.join("\n").split(/^(?=error:)/m);
  const errors = blocks.filter((block) => block.startsWith("error:"));
  const told = (errors.length > 0 ? errors : blocks).map((block) => {
    // Newer versions put the trace before what happened, which then stands indented.
    const inner = block.lastIndexOf("\n       error: ");
    const message = inner < 0 ? block : block.slice(inner).replace(/^ {7}/gm, "");
    return message.trim().replace(/^error:\s*/, "");
  });
  return [...new Set(told.filter((message) => message !== ""))];
}

/** Nix says that git failed; why, git and ssh say before it, in lines of their own. */
const FETCHERS =
  /^(fatal: |remote: |ssh: |Host key verification failed|\S+: Permission denied|warning: Not a git repository)/;

export function nixMessage(stderr: string): string {
  const said = stderr.split("\n").filter((line) => FETCHERS.test(line));
  const all = [...nixErrors(stderr), ...new Set(said)];
  return [...new Set(all)].join("\n").slice(0, 8_000) || "it failed without a message";
}
