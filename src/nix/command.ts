/** Owns running Nix's commands: which options every call has, and what its errors say. */

import { UserError } from "../domain/errors.ts";
import { childEnvironment, type Environment } from "../host/environment.ts";
import { type ExecResult, exec } from "../host/exec.ts";

/** Milliseconds. Questions to the store and evaluations are quick; a build may take the whole job. */
export const DEADLINES = { query: 120_000, evaluate: 1_800_000, build: 6 * 3_600_000 } as const;

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
}

export function nixCommand(environment: Environment, cwd: string): NixCommand {
  const env = childEnvironment(environment);
  const attempt: NixCommand["try"] = async (program, args, options) => {
    const all =
      program === "nix" ? ["--extra-experimental-features", "nix-command flakes", ...args] : args;
    try {
      return await exec(program, all, { cwd, env, ...options });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") throw noNix();
      throw error;
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

export function noNix(): UserError {
  return new UserError("NCP-201", "there is no Nix on this machine", {
    hint: "put a step that installs it before this one (uses: cachix/install-nix-action@v31), or set install-nix: true",
  });
}

/** Nix's own message out of its standard error: from the first `error:` on, without colours. */
export function nixMessage(stderr: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes are what is taken out
  const plain = stderr.replace(/\u001b\[[0-9;]*m/g, "");
  const lines = plain.split("\n").filter((line) => !line.startsWith("warning: "));
  const first = lines.findIndex((line) => line.startsWith("error:"));
  const message = (first < 0 ? lines : lines.slice(first)).join("\n").trim();
  if (message === "") return "it failed without a message";
  return message.replace(/^error:\s*/, "").slice(0, 8_000);
}
