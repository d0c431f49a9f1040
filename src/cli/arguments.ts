/** Reads the command line: what was typed becomes a command, or an error that says what would be right. */

import { parseArgs } from "node:util";
import { DEFAULTS, type InputName, type Inputs } from "../action/inputs.ts";
import { UserError } from "../domain/errors.ts";
import { MODES, type Mode } from "../domain/job.ts";
import { didYouMean } from "../domain/suggest.ts";
import type { Environment } from "../host/environment.ts";
import { FLAGS, SHELLS, type Shell } from "./completion.ts";

/** Secrets come from the environment: an argument list can be read by every user of the machine. */
export const SECRETS = {
  token: "NIX_CACHE_PREFLIGHT_TOKEN",
  "signing-key": "NIX_CACHE_PREFLIGHT_SIGNING_KEY",
} as const;

/** What makes no sense away from a runner, or is said in another way. */
const NO_OPTION = new Set<InputName>([
  "targets",
  "mode",
  "token",
  "signing-key",
  "install-nix",
  "nix-version",
  "nix-sha256",
  "summary",
]);

/** The inputs that are options, named as in action.yml. */
export const OPTIONS = (Object.keys(DEFAULTS) as InputName[]).filter(
  (name) => !NO_OPTION.has(name),
);

export const OTHER_COMMANDS = ["why", "setup", "completion"] as const;
const COMMANDS: readonly string[] = [...MODES, ...OTHER_COMMANDS];

export type Command =
  | { readonly kind: "help"; readonly asked: "yes" | "no" }
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
  readonly log: "usual" | "verbose";
}

export type Format = "text" | "json";

/** Throws a UserError for whatever cannot be meant. */
export function parseCommand(args: readonly string[], environment: Environment): Command {
  const { values, positionals } = parsed(args);
  if (values["help"] === true) return { kind: "help", asked: "yes" };
  if (values["version"] === true) return { kind: "version" };
  const [word, ...rest] = positionals;
  if (word === undefined) return { kind: "help", asked: "no" };
  if (word === "help") return { kind: "help", asked: "yes" };
  if (!COMMANDS.includes(word)) {
    throw new UserError("NCP-640", `"${word}" is not a command.${didYouMean(word, COMMANDS)}`, {
      hint: `say one of ${COMMANDS.join(", ")}, or --help`,
    });
  }
  if (word === "completion") return { kind: "completion", shell: shellNamed(rest) };
  const format = values["json"] === true ? "json" : "text";
  const takeBack = values["remove"] === true;
  if (takeBack && word !== "setup") {
    throw new UserError("NCP-640", `${word}: --remove belongs to setup`, {
      hint: "write setup --remove: it takes back what setup added to your Nix configuration",
    });
  }
  const log = values["verbose"] === true ? "verbose" : "usual";
  if (values["files-only"] === true) {
    if (word === "audit" && rest.length === 0) {
      return { kind: "files", inputs: inputsOf(values, environment), format, log };
    }
    throw new UserError("NCP-640", "--files-only is for audit, without targets", {
      hint: "write audit --files-only: it looks at the project's files, evaluates nothing and asks no cache",
    });
  }
  if (word === "setup") {
    if (rest[0] !== undefined) {
      throw new UserError("NCP-640", `setup: "${rest[0]}" is one word too many`, {
        hint: "write --cache CACHE, or --substituters 'URL PUBLIC-KEY'",
      });
    }
    const inputs = inputsOf(values, environment);
    if (takeBack && (values["cache"] !== undefined || values["substituters"] !== undefined)) {
      throw new UserError("NCP-640", "setup --remove takes back all that setup added", {
        hint: "leave --cache and --substituters out; setup adds again what is to stay",
      });
    }
    return { kind: takeBack ? "take back" : "setup", inputs, format, log };
  }
  const inputs = inputsOf(values, environment);
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
  const mode = word as Mode;
  return { kind: "run", shows: "the report", inputs: { ...inputs, mode, targets }, format, log };
}

type Values = Readonly<Record<string, string | boolean | undefined>>;

function parsed(args: readonly string[]): { values: Values; positionals: readonly string[] } {
  const options = Object.fromEntries(OPTIONS.map((name) => [name, { type: "string" as const }]));
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        ...options,
        json: { type: "boolean" as const },
        remove: { type: "boolean" as const },
        "files-only": { type: "boolean" as const },
        verbose: { type: "boolean" as const },
        help: { type: "boolean" as const, short: "h" },
        version: { type: "boolean" as const },
      },
    });
  } catch (error) {
    const message = String(error).replace(/^TypeError[^:]*: /, "");
    const unknown = /^Unknown option '-*([^']*)'/.exec(message)?.[1];
    const known = [...OPTIONS, ...FLAGS];
    const near = unknown === undefined ? "" : didYouMean(unknown, known);
    const said = unknown === undefined ? message : `there is no option --${unknown}.${near}`;
    throw new UserError("NCP-640", said, { hint: "--help lists all options" });
  }
}

function inputsOf(values: Values, environment: Environment): Inputs {
  const given = Object.fromEntries(
    OPTIONS.flatMap((name) => {
      const value = values[name];
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
  return { ...DEFAULTS, cache: "none", ...given, ...secrets };
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
