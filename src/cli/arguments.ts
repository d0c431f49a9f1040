/** Reads the command line: what was typed becomes a command, or an error that says what would be right. */

import { resolve } from "node:path";
import { Command as Commander, CommanderError, Option } from "commander";
import { DEFAULTS, type Inputs } from "../action/inputs.ts";
import { UserError } from "../domain/errors.ts";
import type { Mode } from "../domain/job.ts";
import { fileUrl } from "../domain/location.ts";
import { didYouMean } from "../domain/suggest.ts";
import type { Environment } from "../host/environment.ts";
import { SHELLS, type Shell } from "./completion.ts";
import { SECRETS } from "./help.ts";
import {
  COMMANDS,
  type CommandName,
  FLAGS,
  type FlagName,
  INPUT_OPTIONS,
  OPTIONS,
  type OptionFacts,
  type OptionName,
} from "./options.ts";

export type Command =
  | { readonly kind: "help"; readonly asked: "yes" | "no"; readonly topic?: string }
  | { readonly kind: "version" }
  | { readonly kind: "completion"; readonly shell: Shell }
  | ({ readonly kind: "setup" } & Asked)
  | ({ readonly kind: "take back" } & Asked)
  /** An audit of the files alone. */
  | ({ readonly kind: "files" } & Asked)
  /** `why`: a check that tells of each target what differs from the default branch's build. */
  | ({ readonly kind: "run"; readonly shows: "the report" | "why" } & Asked);

interface Asked {
  readonly inputs: Inputs;
  readonly format: Format;
  readonly log: Detail;
}

/** `quiet`: no progress, and of the report what somebody should act on, and the result. */
export type Detail = "quiet" | "usual" | "verbose";

type Format = "text" | "json";

/** Throws a UserError for whatever cannot be meant. */
export function parseCommand(args: readonly string[], environment: Environment): Command {
  const help = helpAsked(args);
  if (help) return help;
  const { inputs: given, flags, words } = parsed(args);
  if (flags.has("version")) return { kind: "version" };
  const [word, ...rest] = words;
  if (word === undefined) return { kind: "help", asked: "no" };
  if (!isCommand(word)) {
    throw new UserError("NCP-640", `"${word}" is not a command.${didYouMean(word, COMMANDS)}`, {
      hint: `say one of ${COMMANDS.join(", ")}, or --help`,
    });
  }
  if (word === "completion") return { kind: "completion", shell: shellNamed(rest) };
  const format = flags.has("json") ? "json" : "text";
  const takeBack = flags.has("remove");
  if (takeBack && word !== "setup") {
    throw new UserError("NCP-640", `${word}: --remove belongs to setup`, {
      hint: "write setup --remove: it takes back what setup added to your Nix configuration",
    });
  }
  const log = detailOf(flags);
  if (flags.has("files-only")) {
    if (word === "audit" && rest.length === 0) {
      return { kind: "files", inputs: inputsOf(given, environment), format, log };
    }
    const why =
      word === "audit"
        ? `audit: --files-only has no targets, and "${rest[0]}" is one word too many`
        : `${word}: --files-only belongs to audit`;
    throw new UserError("NCP-640", why, {
      hint: "write audit --files-only: it looks at the project's files, evaluates nothing and asks no cache",
    });
  }
  if (word === "setup") {
    if (rest[0] !== undefined) {
      throw new UserError("NCP-640", `setup: "${rest[0]}" is one word too many`, {
        hint: "write --cache CACHE, or --substituters 'URL PUBLIC-KEY'",
      });
    }
    const inputs = inputsOf(given, environment);
    if (takeBack && (given.has("cache") || given.has("substituters"))) {
      throw new UserError("NCP-640", "setup --remove takes back all that setup added", {
        hint: "leave --cache and --substituters out; setup adds again what is to stay",
      });
    }
    if (!takeBack && inputs.cache === "none" && inputs.substituters.trim() === "") {
      throw new UserError("NCP-642", "setup: no cache is named", {
        hint: "write --cache cachix:NAME, or --substituters 'https://CACHE PUBLIC-KEY'",
      });
    }
    return { kind: takeBack ? "take back" : "setup", inputs, format, log };
  }
  const inputs = inputsOf(given, environment);
  const targets = rest.join("\n");
  if (word === "why") {
    if (targets === "" || inputs.cache === "none") {
      const lacks = targets === "" ? "for which target?" : "there is no cache to compare with";
      throw new UserError("NCP-140", `why: ${lacks}`, {
        hint: "write why TARGET --cache CACHE: what the default branch built is kept beside that cache",
      });
    }
    return {
      kind: "run",
      shows: "why",
      inputs: { ...inputs, mode: "check", targets },
      format,
      log,
    };
  }
  const mode: Mode = word;
  return { kind: "run", shows: "the report", inputs: { ...inputs, mode, targets }, format, log };
}

function isCommand(word: string): word is CommandName {
  return (COMMANDS as readonly string[]).includes(word);
}

/** `--help`, `--help --pin`, `--pin --help`, `help pin`: before all else, since what stands there need not be whole. */
function helpAsked(args: readonly string[]): Command | undefined {
  const end = args.indexOf("--");
  const before = end < 0 ? args : args.slice(0, end);
  const at = before.findIndex((arg) => arg === "--help" || arg === "-h");
  if (at < 0 && before[0] !== "help") return undefined;
  const behind = before[Math.max(0, at) + 1];
  const ahead = before[at - 1];
  const topic = behind ?? (ahead?.startsWith("-") ? ahead : undefined);
  return { kind: "help", asked: "yes", ...(topic === undefined ? {} : { topic }) };
}

function detailOf(flags: ReadonlySet<FlagName>): Detail {
  if (!flags.has("quiet")) return flags.has("verbose") ? "verbose" : "usual";
  if (!flags.has("verbose")) return "quiet";
  throw new UserError("NCP-640", "--quiet and --verbose contradict each other", {
    hint: "leave one of them out",
  });
}

type Given = ReadonlyMap<OptionName, string>;

interface Parsed {
  readonly inputs: Given;
  readonly flags: ReadonlySet<FlagName>;
  readonly words: readonly string[];
}

function parsed(args: readonly string[]): Parsed {
  const inputs = new Map<OptionName, string>();
  const flags = new Set<FlagName>();
  const program = new Commander()
    .argument("[words...]")
    .exitOverride()
    .configureOutput({ writeErr: () => undefined, writeOut: () => undefined })
    .showSuggestionAfterError(false)
    .helpOption(false);
  for (const name of OPTIONS) {
    const facts = INPUT_OPTIONS[name];
    if (facts.takes === undefined) {
      program.addOption(new Option(`--${name}`));
      program.on(`option:${name}`, () => inputs.set(name, "true"));
      continue;
    }
    program.addOption(new Option(`--${name} <${facts.takes}>`));
    program.on(`option:${name}`, (value: string) =>
      inputs.set(name, added(name, facts, inputs.get(name), value)),
    );
  }
  for (const name of FLAGS) {
    if (name === "help") continue;
    program.addOption(new Option(`--${name}`));
    program.on(`option:${name}`, () => flags.add(name));
  }
  try {
    program.parse(args, { from: "user" });
  } catch (error) {
    throw error instanceof CommanderError ? wrongUse(error) : error;
  }
  return { inputs, flags, words: program.args };
}

/** A list grows; what can be said once is not said twice, since one of the two would be lost. */
function added(
  name: OptionName,
  { again }: OptionFacts,
  before: string | undefined,
  value: string,
): string {
  if (value.startsWith("--")) throw lacksValue(name);
  if (before === undefined) return value;
  if (again === "adds up") return `${before}\n${value}`;
  throw new UserError("NCP-640", `--${name} is given twice: "${before}" and "${value}"`, {
    hint: `leave one of them out; --help --${name} tells its values`,
  });
}

function lacksValue(name: string): UserError {
  return new UserError("NCP-640", `--${name} needs a value, and there is none`, {
    hint: `--help --${name} tells its values`,
  });
}

function wrongUse({ code, message }: CommanderError): UserError {
  const [, option = ""] = /'-*([\w-]+)/.exec(message) ?? [];
  if (code === "commander.optionMissingArgument") return lacksValue(option);
  if (code === "commander.unknownOption") {
    const near = didYouMean(option, [...OPTIONS, ...FLAGS]);
    const flag = (FLAGS as readonly string[]).includes(option) || option === "force";
    const said = flag ? `--${option} takes no value` : `there is no option --${option}.${near}`;
    return new UserError("NCP-640", said, { hint: "--help lists all options" });
  }
  return new UserError("NCP-640", message.replace(/^error: /, ""), {
    hint: "--help lists all options",
  });
}

function inputsOf(given: Given, environment: Environment): Inputs {
  const cache = given.get("cache")?.trim();
  if (cache === "github") {
    throw new UserError("NCP-103", "--cache github: GitHub's cache is there for its jobs alone", {
      hint: "write file:///DIRECTORY or another kind of cache; without one, none is written to",
    });
  }
  if (cache !== undefined) refuseFolder("cache", cache, environment);
  for (const line of given.get("substituters")?.split("\n") ?? []) {
    refuseFolder("substituters", line.trim().split(/\s+/)[0] ?? "", environment);
  }
  const secrets = Object.fromEntries(
    Object.entries(SECRETS).map(([name, variable]) => [name, environment[variable] ?? ""]),
  );
  return { ...DEFAULTS, cache: "none", ...Object.fromEntries(given), ...secrets };
}

/** A shell completes folders, and a cache is named by a URL. */
function refuseFolder(name: OptionName, text: string, environment: Environment): void {
  if (!/^(\.{0,2}\/|~\/|\.{1,2}$)/.test(text)) return;
  const folder = resolve(text.replace(/^~(?=\/)/, environment["HOME"] ?? "~"));
  throw new UserError("NCP-103", `--${name} ${text}: a folder is named by its URL`, {
    hint: `write --${name} ${fileUrl(folder)}`,
  });
}

function shellNamed([name = "", ...more]: readonly string[]): Shell {
  const shell = SHELLS.find((one) => one === name);
  if (shell && more.length === 0) return shell;
  const said =
    name === ""
      ? "completion: for which shell?"
      : `completion: "${[name, ...more].join(" ")}" is not a shell it knows.`;
  throw new UserError("NCP-640", `${said}${didYouMean(name, SHELLS)}`, {
    hint: `write completion ${SHELLS.join(", completion ")}`,
  });
}
