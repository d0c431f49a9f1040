/** Runs a command: the same engine, its words on a terminal instead of a job page. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { parseInputs, type Request } from "../action/inputs.ts";
import { describeError, reasonOf, systemTrouble, UserError } from "../domain/errors.ts";
import { codeOf, secretTexts, type Trust } from "../domain/job.ts";
import { withoutCredentials } from "../domain/location.ts";
import type { Log } from "../domain/ports.ts";
import { VERSION } from "../domain/version.ts";
import { MAY } from "../engine/step.ts";
import { type Environment, processEnvironment } from "../host/environment.ts";
import { showTrace } from "../host/trace.ts";
import { plainLine } from "../report/page.ts";
import { type Command, type Detail, parseCommand } from "./arguments.ts";
import { beginFolder } from "./command-folder.ts";
import { completionScript } from "./completion.ts";
import type { Display, Output } from "./display.ts";
import { helpText, topicText } from "./help.ts";
import type { CommandLine } from "./setup.ts";
import type { Sheet } from "./terminal-report.ts";

/** 0 fine, 1 findings or a failure, 2 a wrong command line; of a signal 128 and its number, as shells have it. */
export type ExitCode = 0 | 1 | 2 | 130 | 143;

/** What looks, acts and tells, loaded while Nix is asked: a version, help and completions need none of it. */
async function engine() {
  const [running, result, json, audit, text] = await Promise.all([
    import("../engine/run.ts"),
    import("../engine/result.ts"),
    import("../report/json.ts"),
    import("../report/audit-section.ts"),
    import("../report/text.ts"),
  ]);
  return { ...running, ...result, ...json, ...audit, ...text };
}

/** Words and lines for a terminal, and how wide a stream's sheet is. */
async function terminal() {
  const [display, report] = await Promise.all([
    import("./display.ts"),
    import("./terminal-report.ts"),
  ]);
  const sheetOf = (output: Output): Sheet => ({
    width: output.isTTY === true ? display.widthOf(output) : undefined,
    paint: display.painter(output),
  });
  return { ...display, ...report, sheetOf };
}

export async function main(args: readonly string[]): Promise<ExitCode> {
  const environment = processEnvironment();
  for (const stream of [process.stdout, process.stderr]) stream.on("error", endQuietly);
  let command: Command;
  let request: Request | undefined;
  try {
    command = parseCommand(args, environment);
    request = "inputs" in command ? parseInputs(command.inputs) : undefined;
  } catch (error) {
    await tell(error, args.includes("--json") ? "json" : "text");
    return 2;
  }
  switch (command.kind) {
    case "help":
      return help(command);
    case "version":
      process.stdout.write(`${VERSION}\n`);
      return 0;
    case "completion":
      process.stdout.write(completionScript(command.shell));
      return 0;
    case "files":
      return request ? auditFiles(command, request, environment) : 2;
    case "setup":
    case "take back":
    case "run":
      return request ? work(command, request, environment) : 2;
    default:
      return command satisfies never;
  }
}

/** Who reads a pipe may have enough, as `head` has after some lines; what is still to do goes on. */
function endQuietly(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE" && error.code !== "ERR_STREAM_DESTROYED") throw error;
}

async function help({ topic, asked }: Extract<Command, { kind: "help" }>): Promise<ExitCode> {
  try {
    const text = topic === undefined ? helpText(columnsOf(process.stdout)) : topicText(topic);
    process.stdout.write(text);
    return asked === "yes" ? 0 : 2;
  } catch (error) {
    await tell(error, "text");
    return 2;
  }
}

function columnsOf({ isTTY, columns }: Output): number {
  return isTTY === true ? (columns ?? 80) : 80;
}

async function work(
  command: Extract<Command, { kind: "setup" | "take back" | "run" }>,
  request: Request,
  environment: Environment,
): Promise<ExitCode> {
  const controller = new AbortController();
  let interrupted: 130 | 143 | undefined;
  const interrupt = (name: NodeJS.Signals) => {
    const code = name === "SIGINT" ? 130 : 143;
    // Whoever asks twice does not want to wait for what is being cleaned up.
    if (controller.signal.aborted) process.exit(code);
    interrupted = code;
    controller.abort(
      new UserError("NCP-501", `interrupted by ${name}`, {
        hint: "run it again: what was finished is kept, and it goes on from there",
      }),
    );
  };
  // Not `once`: the terminal's library ends the process where nobody else listens to a signal.
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  const { signal } = controller;
  const folder = await beginFolder(environment);
  const rootsFolder = join(folder, "roots");
  try {
    using shown = await openLog(environment, command.log);
    using _trace =
      command.log === "verbose"
        ? showTrace((line) => shown.log.debug(line), secretTexts(request.secrets))
        : undefined;
    const commandLine: CommandLine = { environment, folder, log: shown.log, signal };
    if (command.kind === "take back") {
      const { remove, removeLines } = await import("./setup.ts");
      const done = await remove(commandLine);
      shown.end();
      if (command.format === "json") print(done);
      else printLines(removeLines(done, (await terminal()).sheetOf(process.stdout)));
      return 0;
    }
    if (command.kind === "setup") {
      const { setup, setupJson, setupLines } = await import("./setup.ts");
      const done = await setup(request, commandLine);
      shown.end();
      if (command.format === "json") print(setupJson(done));
      else printLines(setupLines(done, (await terminal()).sheetOf(process.stdout)));
      return done.troubles.length > 0 ? 1 : 0;
    }
    const { job } = request;
    const { compose } = await import("../compose.ts");
    const trust = commandLineTrust(request.trust);
    await using composed = await compose({
      ...request,
      code: codeOf(trust),
      environment,
      workspace: join(process.cwd(), request.workingDirectory),
      folder,
      needs: "store and checkout",
      platform: process.platform,
      log: shown.log,
      signal,
      ...(MAY[job.mode].has("substitute") ? { rootsFolder } : {}),
      buildsToEvaluate:
        codeOf(trust) === "ours" && MAY[job.mode].has("substitute") ? "allowed" : "forbidden",
      // Where that fails, whoever waits for it hears of it.
      meanwhile: () => void engine().catch(() => undefined),
    });
    const { run, reportText, allFindings, whyLines } = await engine();
    const done = await run(job, trust, composed.world, signal);
    // The display ends before the report begins: they may be one terminal.
    shown.end();
    if (command.format === "json") write(reportText(done));
    else {
      const { findingBlocks, hung, runLines, sheetOf } = await terminal();
      const sheet = sheetOf(process.stdout);
      const how = command.log === "quiet" ? "quiet" : "all";
      printLines(
        command.shows === "why"
          ? [
              ...whyLines(done).map((line) => hung(plainLine(line), sheet, 2)),
              ...findingBlocks(done.result.findings, sheet),
            ]
          : runLines(done, sheet, how),
      );
    }
    return allFindings(done).some(({ level }) => level === "error") ? 1 : 0;
  } catch (error) {
    await tell(reasonOf(error, signal), command.format);
    return interrupted ?? 1;
  } finally {
    await rm(rootsFolder, { recursive: true, force: true });
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Neither Nix nor a cache is asked: it works where there is no Nix, and where the flake does not evaluate. */
async function auditFiles(
  { format, log }: Extract<Command, { kind: "files" }>,
  { job }: Request,
  environment: Environment,
): Promise<ExitCode> {
  try {
    const [{ openProject }, { auditFindings, fileChecks }] = await Promise.all([
      import("../compose.ts"),
      import("../engine/audit/audit.ts"),
    ]);
    const { files, addresses } = openProject(environment, process.cwd());
    const audit = { checks: fileChecks(await files.look([], NEVER), addresses), sizes: undefined };
    const findings = auditFindings(job, audit);
    if (format === "json") print({ audit, findings });
    else {
      const { auditHeadline, concluded } = await engine();
      const { auditBody, auditResult, findingBlocks, led, sheetOf } = await terminal();
      const sheet = sheetOf(process.stdout);
      const result = concluded([], findings);
      const lines = [
        ...(log === "quiet" ? [] : auditBody(audit, sheet)),
        ...findingBlocks(result.findings, sheet, audit),
      ];
      const last = auditResult(result.end, auditHeadline(result, audit), sheet);
      printLines(led(lines, last, sheet));
    }
    return findings.some(({ level }) => level === "error") ? 1 : 0;
  } catch (error) {
    await tell(error, format);
    return 1;
  }
}

/** It takes the time of reading some files. */
const NEVER = new AbortController().signal;

async function openLog(environment: Environment, detail: Detail): Promise<Display> {
  const without = (log: Log): Display => ({
    log,
    end: () => undefined,
    [Symbol.dispose]: () => undefined,
  });
  if (detail === "quiet") return without(SILENT);
  const { display, isLively, plainLog } = await terminal();
  return detail === "usual" && isLively(process.stderr, environment)
    ? display(process.stderr, environment)
    : without(plainLog((line) => process.stderr.write(`${line}\n`), detail));
}

const SILENT: Log = {
  group: () => undefined,
  endGroup: () => undefined,
  info: () => undefined,
  debug: () => undefined,
};

/** Whoever types the command may write where the cache lets them; pins are the default branch's. */
function commandLineTrust(asked: "auto" | "read-only"): Trust {
  if (asked === "read-only") {
    return { kind: "read-only", code: "strange", why: "--trust read-only was asked for" };
  }
  return { kind: "write", pins: "keep", why: "on the command line" };
}

/** What is not for the user is a fault of ours, and is told with its stack. */
async function tell(thrown: unknown, format: "text" | "json"): Promise<void> {
  const error = systemTrouble(thrown) ?? thrown;
  const known = error instanceof UserError;
  const code = known ? error.code : "NCP-649";
  const message = known
    ? describeError(error)
    : `a fault of nix-cache-preflight: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  const hint = known ? error.hint : "please report it, with this text and the command";
  if (format === "json") print({ error: { code, message, hint: hint ?? null } });
  const { problem, sheetOf } = await terminal();
  const [title = "", ...said] = message.split("\n");
  const lines = problem(
    { level: "error", title, code, lines: [], said, hint },
    sheetOf(process.stderr),
  );
  process.stderr.write(withoutCredentials(`${lines.join("\n")}\n`));
}

function print(report: unknown): void {
  write(JSON.stringify(report, null, 2));
}

function write(text: string): void {
  process.stdout.write(withoutCredentials(`${text}\n`));
}

function printLines(lines: readonly string[]): void {
  write(lines.join("\n"));
}
