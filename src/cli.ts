#!/usr/bin/env node
/** Owns the command at a desk: the same engine, its words on a terminal instead of a job page. */

import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { DEFAULTS, type InputName, parseInputs } from "./action/inputs.ts";
import { compose } from "./compose.ts";
import { describeError, UserError } from "./domain/errors.ts";
import { MODES, type Trust } from "./domain/job.ts";
import type { Log } from "./domain/ports.ts";
import { didYouMean } from "./domain/suggest.ts";
import { run } from "./engine/run.ts";
import { type Environment, processEnvironment } from "./host/environment.ts";
import { allFindings, jsonReport } from "./report/json.ts";
import { plainLine } from "./report/plain.ts";
import { findingLines, textReport } from "./report/text.ts";
import { closing } from "./report/words.ts";

/** Secrets come from the environment: an argument list can be read by every user of the machine. */
const SECRETS = {
  token: "NIX_CACHE_PREFLIGHT_TOKEN",
  "signing-key": "NIX_CACHE_PREFLIGHT_SIGNING_KEY",
} as const;

/** What makes no sense away from a runner. */
const RUNNER_ONLY = new Set<InputName>(["targets", "mode", "token", "signing-key", "install-nix"]);

const FLAGS = (Object.keys(DEFAULTS) as InputName[]).filter((name) => !RUNNER_ONLY.has(name));

const HELP = `nix-cache-preflight MODE [TARGET …] [--INPUT VALUE …]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?

TARGET is an installable (.#name, nixpkgs#bws, .#packages.SYSTEM.*), by default every
package of the flake here. Its attributes follow it in one word: 'nixpkgs#bws pin=bws'.

  --json     the report as JSON on standard output
  --help     this text

Every input of the action is an option, with the same values and defaults, but for
--cache, which is none unless given:
${wrapped(FLAGS.map((name) => `--${name}`))}
Secrets come from the environment: ${Object.values(SECRETS).join(", ")}.

Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`;

function wrapped(words: readonly string[]): string {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < 84) lines[lines.length - 1] += ` ${word}`;
    else lines.push(`  ${word}`);
  }
  return lines.join("\n");
}

interface Command {
  readonly inputs: Readonly<Record<InputName, string>>;
  readonly format: "text" | "json";
}

function parseCommand(args: readonly string[], environment: Environment): Command | "help" {
  const options = Object.fromEntries(FLAGS.map((name) => [name, { type: "string" as const }]));
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...options,
      json: { type: "boolean" as const },
      help: { type: "boolean" as const, short: "h" },
    },
  });
  if (values["help"] || positionals.length === 0) return "help";
  const [mode = "", ...targets] = positionals;
  if (!MODES.some((one) => one === mode)) {
    throw new UserError("NCP-101", `"${mode}" is not a mode.${didYouMean(mode, MODES)}`, {
      hint: `say one of ${MODES.join(", ")}, or --help`,
    });
  }
  const flags: Readonly<Record<string, string | boolean | undefined>> = values;
  const given = Object.fromEntries(
    FLAGS.flatMap((name) => {
      const value = flags[name];
      return typeof value === "string" ? [[name, value]] : [];
    }),
  );
  if (given["cache"]?.trim() === "github") {
    throw new UserError("NCP-103", "--cache github: GitHub's cache is there for its jobs alone", {
      hint: "write file:///DIRECTORY or another kind of cache; without one, none is written to",
    });
  }
  const secrets = Object.fromEntries(
    Object.entries(SECRETS).map(([name, variable]) => [name, environment[variable] ?? ""]),
  );
  return {
    inputs: { ...DEFAULTS, cache: "none", ...given, ...secrets, mode, targets: targets.join("\n") },
    format: values["json"] ? "json" : "text",
  };
}

/** Whoever types the command may write where the cache lets them; pins are the default branch's. */
function deskTrust(asked: "auto" | "read-only"): Trust {
  if (asked === "read-only") return { kind: "read-only", why: "--trust read-only was asked for" };
  return { kind: "write", pins: "keep", why: "at a desk" };
}

/** Nix goes on reading a private cache's netrc from there, so it is no temporary place. */
function stateFolder(environment: Environment): string {
  const home = environment["HOME"] ?? homedir();
  return join(
    environment["XDG_STATE_HOME"] || join(home, ".local", "state"),
    "nix-cache-preflight",
  );
}

const log: Log = {
  group: (title) => process.stderr.write(`${plainLine(title)}\n`),
  endGroup: () => undefined,
  info: (line) => process.stderr.write(`  ${plainLine(line)}\n`),
  debug: () => undefined,
};

async function cli(args: readonly string[]): Promise<0 | 1 | 2> {
  const controller = new AbortController();
  const interrupt = (name: NodeJS.Signals) =>
    controller.abort(new UserError("NCP-501", `interrupted by ${name}`));
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  const environment = processEnvironment();
  let command: Command | "help";
  let request: ReturnType<typeof parseInputs>;
  try {
    command = parseCommand(args, environment);
    if (command === "help") {
      process.stdout.write(HELP);
      return args.length === 0 ? 2 : 0;
    }
    request = parseInputs(command.inputs);
  } catch (error) {
    tell(error);
    return 2;
  }
  try {
    await using composed = await compose({
      ...request,
      environment,
      workspace: process.cwd(),
      folder: stateFolder(environment),
      platform: process.platform,
      log,
      signal: controller.signal,
    });
    const done = await run(
      request.job,
      deskTrust(request.trust),
      composed.world,
      controller.signal,
    );
    if (command.format === "json") {
      process.stdout.write(`${JSON.stringify(jsonReport(done), null, 2)}\n`);
    } else {
      for (const line of [...textReport(done), ...findingLines(done)])
        process.stdout.write(`${line}\n`);
      process.stdout.write(`${closing(done)}\n`);
    }
    return allFindings(done).some(({ level }) => level === "error") ? 1 : 0;
  } catch (error) {
    tell(error);
    return 1;
  }
}

function tell(error: unknown): void {
  const hint = error instanceof UserError && error.hint ? `\n  ${error.hint}` : "";
  const code = error instanceof UserError ? ` ${error.code}` : "";
  process.stderr.write(`error${code}: ${describeError(error)}${hint}\n`);
}

process.exitCode = await cli(process.argv.slice(2));
