/** Owns the runner's log: groups, annotations, and no line that the runner would take for a command. */

import * as core from "@actions/core";
import { describeError, UserError } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import { credentialsIn, withoutCredentials } from "../domain/location.ts";
import type { Log } from "../domain/ports.ts";
import { steadyWatch } from "../host/clock.ts";
import type { Annotation } from "../report/annotations.ts";
import { plainLine } from "../report/page.ts";
import { progressLine } from "../report/text.ts";
import type { Request } from "./inputs.ts";

export const log: Log = {
  group: (title) => core.startGroup(plainLine(title)),
  endGroup: () => core.endGroup(),
  info: (line) => {
    for (const one of line.split("\n")) core.info(plainLine(one));
  },
  debug: (line) => core.debug(plainLine(line)),
  watch: steadyWatch((line) => core.info(line), progressLine),
};

export function annotate({ level, title, message }: Annotation): void {
  const text = message
    .split("\n")
    .map((line) => redacted(plainLine(line)))
    .join("\n");
  const properties = { title: plainLine(title) };
  if (level === "error") core.error(text, properties);
  else if (level === "warning") core.warning(text, properties);
  else core.notice(text, properties);
}

/** Shorter ones stand in any log: masking them would hide other words. */
const MASKED_FROM = 12;

const hidden = new Set<string>();

/** From now on the runner takes them out of every line, and we out of what it does not read. */
export function hide(values: readonly string[]): void {
  for (const value of values) {
    if (hidden.has(value)) continue;
    hidden.add(value);
    core.setSecret(value);
  }
}

/** For files and outputs: the runner masks the log alone. */
export function redacted(text: string): string {
  let shown = withoutCredentials(text);
  for (const value of hidden) shown = shown.replaceAll(value, "***");
  return shown;
}

/** Before anything is printed. */
export function mask({ secrets, addresses }: Pick<Request, "secrets" | "addresses">): void {
  hide([secrets.token, secrets.signingKey].filter((secret) => secret !== undefined));
  // A bucket's token is KEYID:SECRET, and each part is a secret without the other.
  hide((secrets.token?.split(":").slice(1) ?? []).filter((part) => part.length >= MASKED_FROM));
  // The base64 part alone is just as secret as the key with its name.
  hide((secrets.signingKey?.split(":").slice(1, 2) ?? []).filter((bare) => bare !== ""));
  hide(credentialsIn(addresses));
}

/** Adds to the job page; a page that cannot be written fails no job. */
export async function writeSummary(text: string): Promise<void> {
  if (text === "") return;
  await core.summary
    .addRaw(redacted(text))
    .write()
    .catch((error) => log.info(`the job summary was not written: ${describeError(error)}`));
}

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
