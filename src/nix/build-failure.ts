/** Owns why a build failed: Nix's words, and the end of the builder's log. */

import type { StorePath } from "../domain/store-path.ts";
import { DEADLINES, type NixCommand, nixErrors, nixMessage } from "./command.ts";

const LOG_LINES = 10;

/**
 * What Nix says of this derivation; of all that failed, where it was one of its dependencies. With
 * it the end of the builder's log, which Nix leaves out where it has shown the log before.
 */
export async function failureOf(
  nix: NixCommand,
  drvPath: StorePath,
  stderr: string,
  signal: AbortSignal,
): Promise<string> {
  const errors = nixErrors(stderr).filter((message) => !message.startsWith("build of '"));
  const own = errors.filter(
    (message) => message.includes(`'${drvPath}'`) && !/\bdependenc(y|ies)\b/.test(message),
  );
  const told = own.length > 0 ? own : errors;
  const builders = told.flatMap(
    (message) => /^(?:builder for|Cannot build) '([^']+\.drv)'/.exec(message)?.[1] ?? [],
  );
  const tails = await Promise.all(
    builders.slice(0, 3).map(async (path) => {
      const log = await nix.try("nix-store", ["--read-log", path], {
        signal,
        deadline: DEADLINES.query,
      });
      return log.stdout.trimEnd().split("\n").slice(-LOG_LINES);
    }),
  );
  const lines = tails.flat().filter((line) => line !== "");
  return [told.join("\n") || nixMessage(stderr), ...lines.map((line) => `> ${line}`)].join("\n");
}
