/** Owns the generated parts of the documents: tables out of action.yml and the suite's deviations, between markers. */

import { readFile, writeFile } from "node:fs/promises";
import { parse } from "yaml";
import {
  COMES_TO,
  FAULT_KINDS,
  type FaultKind,
  NOWHERE,
  OF_ONE_KIND,
  SPOILT,
} from "../__tests__/caches/fault-table.ts";
import { DEVIATIONS } from "../__tests__/differential/deviations.ts";
import { allOptions, COMMAND_FACTS, defaultOf, NAME, SECRETS, signature } from "../src/cli/help.ts";
import { COMMANDS } from "../src/cli/options.ts";

interface ActionFile {
  readonly inputs: Record<string, { description: string; default?: string }>;
  readonly outputs: Record<string, { description: string }>;
}

type Phrases = Readonly<Record<string, string>>;

/** What the inputs are about, in the order in which a newcomer needs them, and each in a phrase. */
const GROUPS: readonly (readonly [about: string, phrases: Phrases])[] = [
  [
    "What to check",
    {
      mode: "how far to go",
      targets: "what you build",
      "working-directory": "where the flake is",
    },
  ],
  [
    "Caches",
    {
      cache: "the one to write to",
      token: "its secret",
      "signing-key": "to sign what is pushed",
      substituters: "others to download from",
      trust: "`read-only` writes nothing",
    },
  ],
  [
    "What is pushed and kept",
    {
      push: "all, targets or nothing",
      "push-filter": "names to keep out",
      "push-max": "sizes to keep out",
      "push-inputs": "the flake's inputs, too",
      pin: "whether to pin",
      "pin-keep": "for how long",
      verify: "how thoroughly",
    },
  ],
  [
    "What fails the step",
    {
      "fail-on": "which findings",
      "on-push-failure": "whether a failed push does",
      heavy: "builds to warn of",
      quota: "how much pins may take",
    },
  ],
  ["Disk space", { "min-free": "what must stay free", reclaim: "delete unused tools and garbage" }],
  [
    "Cache keys",
    {
      "key-files": "whose hash is the key",
      "key-prefix": "what the key begins with",
      "key-suffix": "what it ends with",
    },
  ],
  [
    "Evaluation and builds",
    {
      "reuse-evaluation": "take over an earlier job's",
      "pass-env": "variables for builds and fetches",
      force: "ask, build and push everything again",
    },
  ],
  [
    "Nix",
    {
      "install-nix": "install it",
      "nix-version": "which release",
      "nix-sha256": "its checksum",
    },
  ],
  [
    "The job's page",
    {
      summary: "full, short or off",
      "check-runs": "one for each target",
      "check-runs-token": "to make them with",
    },
  ],
];

/** README.md with all inputs, by what they are about. */
export async function renderReadme(): Promise<string> {
  const { inputs } = await actionFile();
  const grouped = GROUPS.flatMap(([, phrases]) => Object.keys(phrases));
  const nowhere = Object.keys(inputs).filter((name) => !grouped.includes(name));
  const unknown = grouped.filter((name) => !(name in inputs));
  if (nowhere.length > 0) throw new Error(`in no group of scripts/docs.ts: ${nowhere.join(", ")}`);
  if (unknown.length > 0) throw new Error(`no input of action.yml: ${unknown.join(", ")}`);
  const lines = GROUPS.map(([about, phrases]) => {
    const each = Object.entries(phrases).map(([name, phrase]) => `\`${name}\` (${phrase})`);
    return `- **${about}**: ${each.join(", ")}`;
  });
  return replace(await readFile("README.md", "utf8"), "input groups", lines.join("\n"));
}

/** docs/inputs.md with its tables made anew. */
export async function renderInputs(): Promise<string> {
  const action = await actionFile();
  const text = await readFile("docs/inputs.md", "utf8");
  return replace(replace(text, "inputs", inputTable(action)), "outputs", outputTable(action));
}

async function actionFile(): Promise<ActionFile> {
  return parse(await readFile("action.yml", "utf8")) as ActionFile;
}

function inputTable(action: ActionFile): string {
  const rows = Object.entries(action.inputs).map(([name, { description, default: value }]) => {
    const shown = (value ?? "")
      .trim()
      .split("\n")
      .filter(Boolean)
      .map((one) => `\`${one}\``);
    return `| \`${name}\` | ${cell(description)} | ${shown.join(", ")} |`;
  });
  return ["| input | meaning | default |", "|-|-|-|", ...rows].join("\n");
}

function outputTable(action: ActionFile): string {
  const rows = Object.entries(action.outputs).map(
    ([name, { description }]) => `| \`${name}\` | ${cell(description)} |`,
  );
  return ["| output | meaning |", "|-|-|", ...rows].join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function replace(text: string, name: string, content: string): string {
  const begin = `<!-- ${name} -->`;
  const end = `<!-- /${name} -->`;
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`there is no ${begin} … ${end}`);
  return `${text.slice(0, from + begin.length)}\n${content}\n${text.slice(to)}`;
}

/** docs/decisions.md with the table of what the differential suite lets differ. */
export async function renderDecisions(): Promise<string> {
  const rows = DEVIATIONS.map(
    ({ kind, why, ours, reason }) => `| ${kind} | ${cell(why)} | ${ours} | ${reason} |`,
  );
  const table = ["| of | where we part from Nix | we say | why |", "|-|-|-|-|", ...rows].join("\n");
  return replace(await readFile("docs/decisions.md", "utf8"), "deviations", table);
}

/** docs/faults.md with the tables that the suites are made of. */
export async function renderFaults(): Promise<string> {
  const kinds: readonly FaultKind[] = Object.values(FAULT_KINDS);
  const reasons = [...new Set(kinds.flatMap(({ cannotBe }) => Object.values(cannotBe)))];
  const heads = kinds.map(({ title, suite }) => `[${title}](${suiteAt(suite)})`);
  const rows = [...NOWHERE, ...SPOILT].map((fault) => {
    const cells = kinds.map(({ cannotBe }) => {
      const reason = cannotBe[fault];
      return reason === undefined ? "held" : `– (${reasons.indexOf(reason) + 1})`;
    });
    return `| ${[fault, COMES_TO[fault], ...cells].join(" | ")} |`;
  });
  const table = [
    `| ${["fault", "comes to", ...heads].join(" | ")} |`,
    `|-|-|${kinds.map(() => "-|").join("")}`,
    ...rows,
    "",
    ...reasons.map((reason, at) => `${at + 1}. It cannot be: ${reason}.`),
  ].join("\n");
  const more = [
    "| of | what it does | suite |",
    "|-|-|-|",
    ...OF_ONE_KIND.map(
      ([kind, what, suite]) => `| ${kind} | ${what} | [${suite}](${suiteAt(suite)}) |`,
    ),
  ].join("\n");
  const text = await readFile("docs/faults.md", "utf8");
  return replace(replace(text, "faults", table), "more", more);
}

/** docs/nix-cache-preflight.1, out of the same definitions as `--help`. */
export function renderManPage(): string {
  const options = allOptions().map(([name, facts]) => {
    const value = defaultOf(name);
    const lines = facts.values.map((line) => roff(line.replace(/ {2,}/, ": ")));
    return [
      ".TP",
      `.B ${roff(signature(name, facts))}`,
      `${roff(facts.means)}.`,
      ...lines.flatMap((line) => [".br", line]),
      ...(value === undefined ? [] : [".br", `Default: ${roff(value)}`]),
    ];
  });
  const commands = COMMANDS.flatMap((name) => [
    ".TP",
    `.B ${roff(COMMAND_FACTS[name].usage)}`,
    roff(COMMAND_FACTS[name].means),
  ]);
  const secrets = Object.entries(SECRETS).flatMap(([name, variable]) => [
    ".TP",
    `.B ${roff(variable)}`,
    `The ${name.replace("-", " ")} for the cache that is written to.`,
  ]);
  return [
    '.\\" Made by npm run docs.',
    `.TH ${NAME.toUpperCase()} 1`,
    ".SH NAME",
    roff(`${NAME} - what is in a binary cache, and what would be built from source`),
    ".SH SYNOPSIS",
    `.B ${roff(NAME)}`,
    ".I COMMAND",
    "[\\fITARGET\\fR...] [\\fIOPTIONS\\fR]",
    ".SH COMMANDS",
    ...commands,
    ".SH TARGETS",
    roff(
      "An installable of Nix's (.#hello, nixpkgs#bws), or an attribute with file=default.nix; * stands for every name. Without one: the packages, checks and devShells of the flake here; where it has none of these, its configurations.",
    ),
    ".SH OPTIONS",
    "An option that adds up may be given more than once; any other is refused a second time.",
    ...options.flat(),
    ".SH ENVIRONMENT",
    ...secrets,
    ".TP",
    ".B NO_COLOR",
    "Nothing is coloured.",
    ".SH EXIT STATUS",
    "0: fine. 1: an error, or what",
    ".B \\-\\-fail\\-on",
    "names. 2: a wrong command line. 130: interrupted.",
    "",
  ].join("\n");
}

/** What roff would take for a request or an escape, and hyphens that are to be copied. */
function roff(text: string): string {
  const plain = text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll("…", "...");
  return /^[.']/.test(plain) ? `\\&${plain}` : plain;
}

function suiteAt(name: string): string {
  return `../__tests__/caches/${name}`;
}

if (import.meta.main) {
  await writeFile("README.md", await renderReadme());
  await writeFile("docs/inputs.md", await renderInputs());
  await writeFile("docs/decisions.md", await renderDecisions());
  await writeFile("docs/faults.md", await renderFaults());
  await writeFile(`docs/${NAME}.1`, renderManPage());
}
