/** Runs a command: the same engine, its words on a terminal instead of a job page. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { parseInputs, type Request } from "../action/inputs.ts";
import { describeError, systemTrouble, UserError } from "../domain/errors.ts";
import { codeOf, secretTexts, type Trust } from "../domain/job.ts";
import { withoutCredentials } from "../domain/location.ts";
import { VERSION } from "../domain/version.ts";
import { auditFindings, fileChecks } from "../engine/audit/audit.ts";
import type { Run } from "../engine/result.ts";
import { run } from "../engine/run.ts";
import { MAY } from "../engine/step.ts";
import { type Environment, processEnvironment } from "../host/environment.ts";
import { showTrace } from "../host/trace.ts";
import { auditLines } from "../report/audit-section.ts";
import { lastLine } from "../report/headline.ts";
import { allFindings, reportText } from "../report/json.ts";
import { whyLines } from "../report/rebuilds.ts";
import { findingLines, textReport } from "../report/text.ts";
import {
  type Command,
  type Format,
  OPTIONS,
  OTHER_COMMANDS,
  parseCommand,
  SECRETS,
} from "./arguments.ts";
import { beginFolder } from "./command-folder.ts";
import { completionScript } from "./completion.ts";
import {
  type Display,
  isLively,
  type Output,
  painter,
  plainLog,
  type Style,
  widthOf,
  wrap,
} from "./display.ts";
import { type CommandLine, remove, removeLines, setup, setupJson, setupLines } from "./setup.ts";

/** 0 fine, 1 findings or a failure, 2 a wrong command line. */
export type ExitCode = 0 | 1 | 2;

export async function main(args: readonly string[]): Promise<ExitCode> {
  const environment = processEnvironment();
  let command: Command;
  let request: Request | undefined;
  try {
    command = parseCommand(args, environment);
    request = "inputs" in command ? parseInputs(command.inputs) : undefined;
  } catch (error) {
    tell(error, args.includes("--json") ? "json" : "text");
    return 2;
  }
  switch (command.kind) {
    case "help":
      process.stdout.write(helpText());
      return command.asked === "yes" ? 0 : 2;
    case "version":
      process.stdout.write(`${VERSION}\n`);
      return 0;
    case "completion":
      process.stdout.write(
        completionScript(command.shell, { options: OPTIONS, commands: OTHER_COMMANDS }),
      );
      return 0;
    case "files":
      return request ? auditFiles(command.format, request, environment) : 2;
    case "setup":
    case "take back":
    case "run":
      return request ? work(command, request, environment) : 2;
    default:
      return command satisfies never;
  }
}

async function work(
  command: Extract<Command, { kind: "setup" | "take back" | "run" }>,
  request: Request,
  environment: Environment,
): Promise<ExitCode> {
  const controller = new AbortController();
  const interrupt = (name: NodeJS.Signals) => {
    // Whoever asks twice does not want to wait for what is being cleaned up.
    if (controller.signal.aborted) process.exit(1);
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
      const done = await remove(commandLine);
      shown.end();
      if (command.format === "json") print(done);
      else process.stdout.write(`${removeLines(done).join("\n")}\n`);
      return 0;
    }
    if (command.kind === "setup") {
      const done = await setup(request, commandLine);
      shown.end();
      if (command.format === "json") print(setupJson(done));
      else process.stdout.write(`${setupLines(done).join("\n")}\n`);
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
    });
    const done = await run(job, trust, composed.world, signal);
    // The display ends before the report begins: they may be one terminal.
    shown.end();
    if (command.format === "json") write(reportText(done));
    else if (command.shows === "why") showWhy(done, process.stdout);
    else showRun(done, process.stdout);
    return allFindings(done).some(({ level }) => level === "error") ? 1 : 0;
  } catch (error) {
    tell(error, command.format);
    return 1;
  } finally {
    await rm(rootsFolder, { recursive: true, force: true });
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Neither Nix nor a cache is asked: it works where there is no Nix, and where the flake does not evaluate. */
async function auditFiles(
  format: Format,
  { job }: Request,
  environment: Environment,
): Promise<ExitCode> {
  try {
    const { openProject } = await import("../compose.ts");
    const { files, addresses } = openProject(environment, process.cwd());
    const audit = { checks: fileChecks(await files.look([], NEVER), addresses), sizes: undefined };
    const findings = auditFindings(job, audit);
    if (format === "json") print({ audit, findings });
    else process.stdout.write(`${auditLines(audit).slice(1).join("\n")}\n`);
    return findings.some(({ level }) => level === "error") ? 1 : 0;
  } catch (error) {
    tell(error, format);
    return 1;
  }
}

/** It takes the time of reading some files. */
const NEVER = new AbortController().signal;

/** Loaded only where it is shown: a pipe needs no terminal's library, and many lines no display. */
async function openLog(environment: Environment, detail: "usual" | "verbose"): Promise<Display> {
  if (detail === "usual" && isLively(process.stderr, environment)) {
    const { display } = await import("./display.ts");
    return display(process.stderr, environment);
  }
  return {
    log: plainLog((line) => process.stderr.write(`${line}\n`), detail),
    end: () => undefined,
    [Symbol.dispose]: () => undefined,
  };
}

/** Whoever types the command may write where the cache lets them; pins are the default branch's. */
function commandLineTrust(asked: "auto" | "read-only"): Trust {
  if (asked === "read-only") {
    return { kind: "read-only", code: "strange", why: "--trust read-only was asked for" };
  }
  return { kind: "write", pins: "keep", why: "on the command line" };
}

/** What is not for the user is a fault of ours, and is told with its stack. */
function tell(thrown: unknown, format: "text" | "json"): void {
  const error = systemTrouble(thrown) ?? thrown;
  const known = error instanceof UserError;
  const code = known ? error.code : "NCP-649";
  const message = known
    ? describeError(error)
    : `a fault of nix-cache-preflight: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  const hint = known ? error.hint : "please report it, with this text and the command";
  if (format === "json") print({ error: { code, message, hint: hint ?? null } });
  const text = `error ${code}: ${message}\n${hint ? `  → ${hint}\n` : ""}`;
  process.stderr.write(withoutCredentials(text));
}

function print(report: unknown): void {
  write(JSON.stringify(report, null, 2));
}

function write(text: string): void {
  process.stdout.write(withoutCredentials(`${text}\n`));
}

/** How a line is painted, by what it begins with. */
const STYLES: readonly (readonly [RegExp, Style])[] = [
  [/^error\b/, "red"],
  [/^warning\b/, "yellow"],
  [/^notice\b/, "dim"],
  [/^ {2}→/, "cyan"],
  [/^ {2}\S.*: (missing|failed)/, "yellow"],
  [/^ {2}\S.*: (own|upstream|cached now)/, "green"],
];

function showRun(run: Run, output: Output): void {
  const paint = painter(output);
  const print = (line: string, style?: Style) => {
    const shown = output.isTTY ? wrap(line, widthOf(output)) : line;
    output.write(`${style === undefined ? shown : paint(style, shown)}\n`);
  };
  const [headline = "", ...lines] = textReport(run);
  print(headline, "bold");
  for (const line of [...lines, ...findingLines(run)]) {
    print(line, STYLES.find(([pattern]) => pattern.test(line))?.[1]);
  }
  print(lastLine(run));
}

function showWhy(run: Run, output: Output): void {
  for (const line of [...whyLines(run), ...findingLines(run)]) {
    output.write(`${output.isTTY ? wrap(line, widthOf(output)) : line}\n`);
  }
}

const WIDTH = 80;

export function helpText(): string {
  return `nix-cache-preflight COMMAND [TARGET …] [--OPTION VALUE …]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  why        why is a target in no cache that the default branch has built?
  audit      is what was pushed and pinned still there?
  setup      add --cache and --substituters to your Nix configuration, for good
             (setup --remove takes all of that back)
  completion bash|zsh|fish

TARGET: an installable (.#name, nixpkgs#bws), 'hello file=default.nix'; without
one, every package of the flake here. Attributes follow: 'nixpkgs#bws pin=bws'.
Options are the action's inputs, with its defaults, but for --cache (none):
${wrapped(OPTIONS.map((name) => `--${name}`))}
  --json (the report on standard output)  --version  --help
  --verbose (every request and every command of Nix, on standard error)
  --files-only (audit: the project's files alone; nothing is evaluated or asked)
Secrets: ${Object.values(SECRETS).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`;
}

function wrapped(words: readonly string[]): string {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(`  ${word}`);
  }
  return lines.join("\n");
}
