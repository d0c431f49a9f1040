/** The command `setup`: caches added to the user's Nix configuration, and what came of it. */

import type { Request } from "../action/inputs.ts";
import type { SetUp, TakenBack } from "../compose-setup.ts";
import { describeError } from "../domain/errors.ts";
import type { Log } from "../domain/ports.ts";
import { count } from "../domain/size.ts";
import type { Environment } from "../host/environment.ts";
import { plainLine } from "../report/page.ts";
import { problem, type Sheet, verbLine } from "./terminal-report.ts";

/** What a command works with, wherever it was typed. */
export interface CommandLine {
  readonly environment: Environment;
  readonly folder: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export async function setup(request: Request, commandLine: CommandLine): Promise<SetUp> {
  const { setUp } = await import("../compose-setup.ts");
  commandLine.log.group("Set up");
  try {
    return await setUp({
      ...request,
      ...commandLine,
      code: "ours",
      workspace: process.cwd(),
      platform: process.platform,
    });
  } finally {
    commandLine.log.endGroup();
  }
}

/** `setup --remove`. */
export async function remove(commandLine: CommandLine): Promise<TakenBack> {
  const { takeBackSetUp } = await import("../compose-setup.ts");
  return takeBackSetUp({ ...commandLine, workspace: process.cwd() });
}

export function removeLines({ file, removed }: TakenBack, sheet: Sheet): string[] {
  const last =
    removed.length === 0
      ? `nothing to take back: ${file} holds no line of ours`
      : `${count(removed.length, "line")} taken out of ${file}`;
  return [
    ...removed.map((line) => verbLine("Removed", plainLine(line), sheet)),
    verbLine("Finished", plainLine(last), sheet),
  ];
}

/** What was written, line by line; a second run says that all was there. */
export function setupLines({ file, caches, added, troubles }: SetUp, sheet: Sheet): string[] {
  const { substituters, publicKeys } = added;
  const isNew = substituters.length + publicKeys.length > 0;
  const last = isNew
    ? `${count(substituters.length, "substituter")} and ${count(publicKeys.length, "key")} added to ${file}`
    : `nothing to add: ${file} is as it should be`;
  return [
    ...substituters.map((url) => verbLine("Added", `substituter ${plainLine(url)}`, sheet)),
    ...publicKeys.map((key) => verbLine("Added", `key ${plainLine(key)}`, sheet)),
    ...caches
      .filter(({ url }) => !substituters.includes(url))
      .map(({ url }) => verbLine("Kept", `substituter ${plainLine(url)}, which was there`, sheet)),
    ...troubles.flatMap((error) => {
      const [title = "", ...said] = describeError(error).split("\n");
      const { code, hint } = error;
      return ["", ...problem({ level: "error", title, code, lines: [], said, hint }, sheet)];
    }),
    ...(troubles.length > 0 ? [""] : []),
    verbLine("Finished", plainLine(last), sheet),
  ];
}

export function setupJson({ file, caches, added, troubles }: SetUp) {
  return {
    file,
    caches,
    added,
    errors: troubles.map((error) => ({
      code: error.code,
      message: describeError(error),
      hint: error.hint ?? null,
    })),
  };
}
