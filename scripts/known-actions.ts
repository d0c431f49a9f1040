/**
 * Renews what the audit knows of other people's actions: reads the action.yml of each at its newest tags and
 * at its default branch, and adds the inputs that are not in `known-actions.ts` yet. None is taken away: a
 * workflow may well use an older version. `--from DIRECTORY` reads OWNER/REPO[/PATH]/action.yml there.
 */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { describeError } from "../src/domain/errors.ts";

const FILE = "src/engine/audit/known-actions.ts";
const RAW = "https://raw.githubusercontent.com";
const DEADLINE = 20_000;
/** Tags that move with each release, the newest first; what an action does not have is passed over. */
const REFS = ["HEAD", ...Array.from({ length: 40 }, (_, n) => `v${40 - n}`)];

export type Inputs = Readonly<Record<string, readonly string[]>>;

const BEGIN = "const KNOWN_INPUTS: Readonly<Record<string, string>> = {\n";

/** The table as it stands in the source. */
export function readTable(source: string): Record<string, string[]> {
  const from = source.indexOf(BEGIN);
  if (from < 0) throw new Error(`${FILE} has no table that begins with ${BEGIN}`);
  const text = source.slice(from, source.indexOf("\n};", from));
  const rows = text.matchAll(/"([^"]+)":\s*"([^"]*)"/g);
  return Object.fromEntries(
    [...rows].map(([, name = "", inputs = ""]) => [name, inputs.split(" ")]),
  );
}

/** The source with that table in place of its own. */
export function writeTable(source: string, table: Inputs): string {
  const from = source.indexOf(BEGIN) + BEGIN.length;
  const rows = Object.entries(table)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inputs]) => {
      const line = `  "${name}": "${[...new Set(inputs)].sort().join(" ")}",`;
      return line.length <= 100 ? line : line.replace(": ", ":\n    ");
    });
  return `${source.slice(0, from)}${rows.join("\n")}${source.slice(source.indexOf("\n};", from))}`;
}

/** The inputs of an action.yml; undefined where it is none. */
export function inputsOf(text: string): string[] | undefined {
  const action = parse(text) as { readonly runs?: unknown; readonly inputs?: object } | null;
  return action?.runs === undefined ? undefined : Object.keys(action.inputs ?? {});
}

/** What `read` finds of each action, with what was known before. */
export async function renewed(
  table: Inputs,
  read: (action: string) => Promise<readonly string[]>,
): Promise<{ readonly table: Inputs; readonly told: readonly string[] }> {
  const told: string[] = [];
  const next: Record<string, readonly string[]> = {};
  for (const [name, before] of Object.entries(table)) {
    const texts = await read(name).catch((error) => {
      told.push(`${name}: ${describeError(error)}`);
      return [];
    });
    const found = [...new Set(texts.flatMap((text) => inputsOf(text) ?? []))];
    const added = found.filter((input) => !before.includes(input));
    if (texts.length === 0) told.push(`${name}: no action.yml was found; nothing is changed`);
    if (added.length > 0) told.push(`${name}: ${added.join(", ")}`);
    next[name] = [...before, ...added];
  }
  return { table: next, told };
}

async function fromGitHub(action: string): Promise<string[]> {
  const [owner, repository, ...path] = action.split("/");
  const texts: string[] = [];
  for (const ref of REFS) {
    for (const file of ["action.yml", "action.yaml"]) {
      const url = [RAW, owner, repository, ref, ...path, file].join("/");
      const answer = await fetch(url, { signal: AbortSignal.timeout(DEADLINE) });
      if (answer.ok) texts.push(await answer.text());
      else await answer.body?.cancel();
    }
  }
  return texts;
}

async function fromDirectory(directory: string, action: string): Promise<string[]> {
  const files = ["action.yml", "action.yaml"].map((file) => join(directory, action, file));
  const texts = await Promise.all(
    files.map((file) => readFile(file, "utf8").catch(() => undefined)),
  );
  return texts.filter((text) => text !== undefined);
}

if (import.meta.main) {
  const [option, directory] = process.argv.slice(2);
  const source = await readFile(FILE, "utf8");
  const read =
    option === "--from" && directory !== undefined
      ? (action: string) => fromDirectory(directory, action)
      : fromGitHub;
  const { table, told } = await renewed(readTable(source), read);
  await writeFile(FILE, writeTable(source, table));
  process.stdout.write(`${[...told, "look at what is new with git diff"].join("\n")}\n`);
}
