/** Owns the one catch around each half of the action, its signals and its exit code. */

import * as core from "@actions/core";
import { describeError, UserError } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import { annotate } from "./console.ts";

export function conclude(findings: readonly Finding[]): void {
  if (findings.some(({ level }) => level === "error")) process.exitCode = core.ExitCode.Failure;
}

/** An error a user can act on is told in its own words; any other one is ours, with its stack. */
export async function guarded(task: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const interrupt = (name: NodeJS.Signals) => {
    controller.abort(
      new UserError("NCP-501", `interrupted by ${name}`, {
        hint: "what was finished is kept; running it again goes on from there",
      }),
    );
  };
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  try {
    await task(controller.signal);
  } catch (error) {
    // What was begun beside it is ended too.
    controller.abort(error);
    if (error instanceof UserError) {
      const hint = error.hint ? `\n${error.hint}` : "";
      annotate({ level: "error", title: error.code, message: `${describeError(error)}${hint}` });
    } else {
      const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
      annotate({
        level: "error",
        title: "NCP-649 A fault of nix-cache-preflight",
        message: `${stack}\nplease report it, with this text and the inputs`,
      });
    }
    process.exitCode = core.ExitCode.Failure;
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

/** Loaded behind the first line: a wrong input is told without it, and sooner. */
export function world(): Promise<typeof import("../compose.ts")> {
  return import("../compose.ts");
}
