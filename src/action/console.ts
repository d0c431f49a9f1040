/** The runner's log: groups, annotations, masked secrets, and no line that the runner would take for a command. */

import * as core from "@actions/core";
import { describeError, reasonOf, systemTrouble, UserError } from "../domain/errors.ts";
import { type Secrets, secretTexts } from "../domain/job.ts";
import { credentialsIn, withoutCredentials } from "../domain/location.ts";
import type { Log } from "../domain/ports.ts";
import type { StepEnd } from "../engine/result.ts";
import { steadyWatch } from "../host/clock.ts";
import type { Environment } from "../host/environment.ts";
import { showTrace } from "../host/trace.ts";
import { type Annotation, errorAnnotation } from "../report/annotations.ts";
import { markdown, plainLine } from "../report/page.ts";
import type { Failure } from "../report/post-page.ts";
import type { Request } from "./inputs.ts";

export const log: Log = {
  group: (title) => core.startGroup(plainLine(title)),
  endGroup: () => core.endGroup(),
  info: (line) => {
    for (const one of line.split("\n")) core.info(plainLine(one));
  },
  debug: (line) => core.debug(plainLine(line)),
  watch: steadyWatch<Promise<string>>(
    // A line that cannot be written ends nothing.
    (line) => void line.then(core.info, () => undefined),
    // Loaded where it is needed: most runs are over before there is anything to say.
    async (...far) => (await import("../report/text.ts")).progressLine(...far),
  ),
};

export function annotate({ level, title, message, place }: Annotation): void {
  const text = message
    .split("\n")
    .map((line) => redacted(plainLine(line)))
    .join("\n");
  const properties = {
    title: redacted(plainLine(title)),
    ...(place ? { file: place.file, startLine: place.line } : {}),
  };
  if (level === "error") core.error(text, properties);
  else core.warning(text, properties);
}

/** Each with what finds it, however a page or a file had to write it. */
const hidden = new Map<string, RegExp>();

/** From now on the runner takes them out of every line, and we out of what it does not read. */
export function hide(values: readonly string[]): void {
  for (const value of values) {
    if (value === "" || hidden.has(value)) continue;
    hidden.set(value, anyFormOf(value));
    core.setSecret(value);
  }
}

/** For files and outputs: the runner masks the log alone. */
export function redacted(text: string): string {
  let shown = withoutCredentials(text);
  for (const form of hidden.values()) shown = shown.replace(form, "***");
  return shown;
}

/** Its signs as they are, or as Markdown, JSON and addresses have them, and broken where a page breaks a long name. */
function anyFormOf(value: string): RegExp {
  const signs = value.match(/\s+|\S/gu) ?? [];
  const forms = signs.map((sign) => {
    if (/^\s/.test(sign)) return "(?:\\s|\\\\[nrtf]|%20|%0[9AD])+";
    if (/^[0-9A-Za-z]$/.test(sign)) return sign;
    const forms = new Set([
      sign,
      markdown(sign),
      `&#${sign.codePointAt(0)};`,
      JSON.stringify(sign).slice(1, -1),
      encodeURIComponent(sign.toWellFormed()),
    ]);
    return `(?:${[...forms].map((form) => form.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|")})`;
  });
  return new RegExp(forms.join("(?:<wbr>)?"), "gu");
}

/** Before anything is printed. */
export function mask({ secrets, addresses }: Pick<Request, "secrets" | "addresses">): void {
  hide(secretTexts(secrets));
  hide(credentialsIn(addresses));
}

/** Whether the job is run with debug logging; the runner says so in this variable. */
export function isDebugging(environment: Environment): boolean {
  return environment["RUNNER_DEBUG"] === "1";
}

/** Every request and command into the debug log, where there is one. */
export function traceJob(
  { environment, secrets }: { readonly environment: Environment; readonly secrets: Secrets },
  to: Log = log,
): Disposable {
  if (!isDebugging(environment)) return { [Symbol.dispose]: () => undefined };
  return showTrace((line) => to.debug(line), secretTexts(secrets));
}

/** Adds to the job page; a page that cannot be written fails no job. */
export async function writeSummary(text: string): Promise<void> {
  if (text === "") return;
  await core.summary
    .addRaw(redacted(text))
    .write()
    .catch((error) => log.info(`the job summary was not written: ${describeError(error)}`));
}

/** What only tells of a run fails no job: where it cannot be done, that is a line. */
export async function spared<T>(
  failed: string,
  task: () => Promise<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  try {
    return await task();
  } catch (error) {
    signal.throwIfAborted();
    log.info(redacted(`${failed}: ${describeError(error)}`));
    return undefined;
  }
}

export function conclude(end: StepEnd): void {
  if (end === "fails") process.exitCode = core.ExitCode.Failure;
}

/** An error a user can act on is told in its own words; any other one is ours, with its stack. */
export async function guarded(task: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const interrupt = (name: NodeJS.Signals) => {
    controller.abort(
      new UserError("NCP-501", `interrupted by ${name}`, {
        hint: "run it again: what was finished is kept, and it goes on from there",
      }),
    );
  };
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  try {
    await task(controller.signal);
  } catch (thrown) {
    const error = reasonOf(thrown, controller.signal);
    // What was begun beside it is ended too.
    controller.abort(error);
    const known = error instanceof UserError ? error : systemTrouble(error);
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    await tellFailure({
      code: known?.code ?? "NCP-649",
      message: known ? describeError(known) : stack,
      hint: known ? known.hint : "please report it, with this text and the inputs",
    });
    process.exitCode = core.ExitCode.Failure;
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

/** In full in the log, in short beside it, and on the page: the step ended before it came to a result. */
async function tellFailure(failure: Failure): Promise<void> {
  const { code, message, hint } = failure;
  for (const line of [
    `error ${code}: ${message}`,
    ...(hint === undefined ? [] : [`  → ${hint}`]),
  ]) {
    log.info(redacted(line));
  }
  annotate(errorAnnotation(code, message, hint));
  const { failureLine, failurePage } = await import("../report/post-page.ts");
  await writeSummary(failurePage(failure));
  log.info(redacted(failureLine(failure)));
}

/** Loaded behind the first line: a wrong input is told without it, and sooner. */
export function world(): Promise<typeof import("../compose.ts")> {
  return import("../compose.ts");
}
