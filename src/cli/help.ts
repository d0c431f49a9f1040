/** The help: all options on one screen, or the values and the default of one. Pure. */

import { DEFAULTS } from "../action/inputs.ts";
import { UserError } from "../domain/errors.ts";
import { didYouMean } from "../domain/suggest.ts";
import {
  COMMANDS,
  type CommandName,
  FLAG_FACTS,
  FLAGS,
  type FlagName,
  type Group,
  INPUT_OPTIONS,
  OPTIONS,
  type OptionFacts,
  type OptionName,
} from "./options.ts";

export const NAME = "nix-cache-preflight";

/** Secrets come from the environment: an argument list can be read by every user of the machine. */
export const SECRETS = {
  token: "NIX_CACHE_PREFLIGHT_TOKEN",
  "signing-key": "NIX_CACHE_PREFLIGHT_SIGNING_KEY",
} as const;

export interface CommandFacts {
  readonly usage: string;
  /** What it does, as one line beside its name. */
  readonly means: string;
  /** The same where there are 40 columns. */
  readonly short: string;
}

export const COMMAND_FACTS: Readonly<Record<CommandName, CommandFacts>> = {
  check: {
    usage: "check [TARGET...]",
    means: "show what is cached and what would be built from source",
    short: "what is cached?",
  },
  prefetch: {
    usage: "prefetch [TARGET...]",
    means: "check, then download what is cached",
    short: "and download it",
  },
  warm: {
    usage: "warm [TARGET...]",
    means: "prefetch, then build the rest, push it, verify it and pin it",
    short: "build and push the rest",
  },
  audit: {
    usage: "audit [TARGET...] [--files-only]",
    means: "check that what was pushed is still there (--files-only: no Nix)",
    short: "is it all still there?",
  },
  why: {
    usage: "why TARGET... --cache URL",
    means: "show what differs from what the default branch built",
    short: "why is it not cached?",
  },
  setup: {
    usage: "setup --cache URL | setup --remove",
    means: "add the caches to your nix.conf (--remove: take them out)",
    short: "add caches to nix.conf",
  },
  completion: {
    usage: "completion bash|zsh|fish",
    means: "print a completion script for bash, zsh or fish",
    short: "for bash, zsh or fish",
  },
};

/** Each side of the screen. */
const LEFT: readonly Group[] = ["Caches", "Cache key", "Evaluation"];
const RIGHT: readonly Group[] = ["Limits", "Running", "Output"];
const LEFT_NAME = 21;
const RIGHT_NAME = 16;
const NARROW_NAME = 18;
/** Behind it the right side begins. */
const LEFT_WIDTH = 42;
/** From here on there are two sides. */
const WIDE = 80;

/** Flags that one command alone has: they stand beside it. */
const OF_ONE_COMMAND: readonly string[] = ["files-only", "remove"];

const ALL: ReadonlyMap<string, OptionFacts> = new Map<string, OptionFacts>([
  ...OPTIONS.map((name) => [name, INPUT_OPTIONS[name]] as const),
  ...FLAGS.map((name) => [name, FLAG_FACTS[name]] as const),
]);

export function helpText(columns: number): string {
  return `${(columns >= WIDE ? wide() : narrow()).join("\n")}\n`;
}

function wide(): string[] {
  const left = side(LEFT, LEFT_NAME);
  const right = side(RIGHT, RIGHT_NAME);
  const rows = Array.from({ length: Math.max(left.length, right.length) }, (_, at) =>
    `${(left[at] ?? "").padEnd(LEFT_WIDTH)}${right[at] ?? ""}`.trimEnd(),
  );
  return [
    `Usage: ${NAME} COMMAND [TARGET...] [OPTIONS]`,
    ...COMMANDS.map((name) => `  ${name.padEnd(11)} ${COMMAND_FACTS[name].means}`),
    "Targets: .#hello '.#packages.SYSTEM.*' (default: packages, checks, devShells)",
    "",
    ...rows,
    `Tokens are read from ${SECRETS.token} and ..._SIGNING_KEY.`,
    "Exit status: 0 fine, 1 an error, 2 a wrong command line, 130 interrupted.",
  ];
}

function narrow(): string[] {
  return [
    `Usage: ${NAME} COMMAND`,
    "       [TARGET...] [OPTIONS]",
    "",
    "Commands",
    ...COMMANDS.map((name) => ` ${name.padEnd(11)} ${COMMAND_FACTS[name].short}`),
    "",
    ...side([...LEFT, ...RIGHT], NARROW_NAME),
  ];
}

function side(groups: readonly Group[], width: number): string[] {
  return groups.flatMap((group) => [
    group,
    ...[...ALL]
      .filter(([name, facts]) => facts.group === group && !OF_ONE_COMMAND.includes(name))
      .map(([name, facts]) => {
        const whole = signature(name, facts);
        // What stands for the value is worth less than what it is for.
        const shown = whole.length > width ? `--${name}` : whole;
        return ` ${shown.padEnd(width)} ${facts.means}`;
      }),
  ]);
}

/** `--pin HOW`. */
export function signature(name: string, { takes }: OptionFacts): string {
  return `--${name}${takes === undefined ? "" : ` ${takes}`}`;
}

/** What `--help TOPIC` tells; throws where there is no such option or command. */
export function topicText(topic: string): string {
  const name = topic.replace(/^-+/, "");
  const facts = ALL.get(name);
  if (facts !== undefined) return `${optionLines(name, facts).join("\n")}\n`;
  const command = COMMANDS.find((one) => one === name);
  if (command !== undefined) return `${commandLines(command).join("\n")}\n`;
  const near = didYouMean(name, [...ALL.keys(), ...COMMANDS]);
  throw new UserError("NCP-640", `there is no option or command "${topic}".${near}`, {
    hint: "--help lists all of them",
  });
}

function optionLines(name: string, facts: OptionFacts): string[] {
  const value = defaultOf(name);
  return [
    `${signature(name, facts)}  ${facts.means}`,
    "",
    ...facts.values.map((line) => `  ${line}`),
    ...(value === undefined ? [] : ["", `Default: ${value}`]),
    ...(facts.takes === undefined || name === "help"
      ? []
      : [facts.again === "adds up" ? "It may be given more than once." : "It is given once."]),
  ];
}

function commandLines(name: CommandName): string[] {
  const { usage, means } = COMMAND_FACTS[name];
  return [`Usage: ${NAME} ${usage}`, "", `  ${means}`, "", "--help lists the options."];
}

/** As it would be typed; undefined where an option has none. */
export function defaultOf(name: string): string | undefined {
  if (name === "cache") return "none";
  if (name === "force" || !(name in DEFAULTS)) return undefined;
  const value: string = DEFAULTS[name as OptionName];
  const words = value.trim().split("\n").join(" ");
  return words === "" ? "nothing" : words;
}

/** Every option with what is said of it, for the man page. */
export function allOptions(): readonly (readonly [OptionName | FlagName, OptionFacts])[] {
  return [...ALL] as [OptionName | FlagName, OptionFacts][];
}
