/** Owns stand-ins for other kinds of Nix: this machine's own, that says of itself what another does. */

import { chmod, readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { folderOf } from "../../src/host/programs.ts";
import type { Folder } from "./folder.ts";

export type Kind = "lix" | "determinate" | "nix-2.3";

interface Fixture {
  readonly says: string;
  readonly nixVersion: string;
  /** What `config show` has of it; null is a setting that it does not have. STATE is NIX_STATE_DIR. */
  readonly settings?: Readonly<Record<string, object | null>>;
  readonly refuses?: string;
  /** What its `flake metadata --json` does not tell. */
  readonly untold?: readonly string[];
}

/** Reads the real settings from standard input, and prints the other's. */
const EDIT = `
const [settings, state] = process.argv.slice(1);
let text = "";
process.stdin.setEncoding("utf8").on("data", (part) => { text += part; }).on("end", () => {
  const real = JSON.parse(text);
  for (const [name, value] of Object.entries(JSON.parse(settings.replaceAll("STATE", state)))) {
    if (value === null) delete real[name]; else real[name] = { ...real[name], ...value };
  }
  console.log(JSON.stringify(real));
});`;

/** Reads JSON from standard input, and prints it without some names. */
const WITHOUT = `
const untold = process.argv.slice(1);
let text = "";
process.stdin.setEncoding("utf8").on("data", (part) => { text += part; }).on("end", () => {
  const told = JSON.parse(text);
  for (const name of untold) delete told[name];
  console.log(JSON.stringify(told));
});`;

/** A folder to put first on PATH. */
export async function otherNix(kind: Kind, folder: Folder, path: string): Promise<string> {
  const file = resolve("__tests__/fixtures/nix", `${kind}.json`);
  const {
    says,
    nixVersion,
    settings = {},
    refuses,
    untold = [],
  } = JSON.parse(await readFile(file, "utf8")) as Fixture;
  const real = folderOf("nix", path) ?? "/nowhere";
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const edit = [process.execPath, "--eval", EDIT, JSON.stringify(settings)].map(quoted).join(" ");
  const without = [process.execPath, "--eval", WITHOUT, ...untold].map(quoted).join(" ");
  const refusal = `echo ${quoted(refuses ?? "")} >&2; exit 1`;
  const show = `{ ${real}/nix "$@" 2> /dev/null || ${real}/nix --extra-experimental-features nix-command show-config --json; } | ${edit} "$NIX_STATE_DIR"`;
  const nix = await folder.write(
    `${kind}/nix`,
    `#!/bin/sh
case "$*" in
--version) echo ${quoted(says)} ;;
*"config show --json"*) ${refuses ? refusal : show} ;;
${untold.length > 0 ? `*"flake metadata --json"*) said=$(${real}/nix "$@") && echo "$said" | ${without} ;;` : ""}
*) ${refuses ? refusal : `exec ${real}/nix "$@"`} ;;
esac
`,
  );
  const instantiate = await folder.write(
    `${kind}/nix-instantiate`,
    `#!/bin/sh
case "$*" in
*nixVersion*) ${real}/nix-instantiate "$@" | sed 's/"version":"[^"]*"/"version":"${nixVersion}"/' ;;
*) exec ${real}/nix-instantiate "$@" ;;
esac
`,
  );
  await Promise.all([nix, instantiate].map((program) => chmod(program, 0o755)));
  return dirname(nix);
}

/** What later steps of the same machine have: the other Nix first. */
export function withOther(
  environment: Readonly<Record<string, string>>,
  bin: string,
): Record<string, string> {
  return { ...environment, PATH: [bin, environment["PATH"] ?? ""].join(":") };
}
