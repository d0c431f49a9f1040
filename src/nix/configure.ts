/** Nix's configuration for the steps that follow: our caches added to what is there. */

import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { describeError, UserError } from "../domain/errors.ts";
import { plainAddress } from "../domain/location.ts";
import { writeWhole } from "../host/atomic.ts";
import { isMissing, readIfThere } from "../host/disk.ts";
import type { Environment } from "../host/environment.ts";
import { DEADLINES, type NixCommand } from "./command.ts";
import { readSettings } from "./machine.ts";

/** The file, or the folder it is in, is not this user's. */
const FORBIDDEN = new Set(["EACCES", "EPERM", "EROFS"]);
const BEGIN = "# >>> nix-cache-preflight: written by the action, replaced as a whole on each run";
const END = "# <<< nix-cache-preflight";
const NETRC_BEFORE = "# it holds the entries of ";

export interface NixConfiguration {
  readonly substituters: readonly string[];
  readonly publicKeys: readonly string[];
  /** A netrc file of ours, and the one it stands in for. */
  readonly netrc?: { readonly file: string; readonly before: string | undefined };
  /** Where builds are to write; what an earlier run of the job said stays unless said anew. */
  readonly buildDir?: string;
}

/**
 * The user's own nix.conf, which Nix reads after the system's. `NIX_USER_CONF_FILES` stands in for
 * it, and its first file has the last word. Source: Nix's src/libutil/config.cc and globals.cc.
 */
export function userConfigurationFile(environment: Environment): string {
  const [named] = (environment["NIX_USER_CONF_FILES"] ?? "").split(":").filter(Boolean);
  if (named !== undefined) return named;
  const home = environment["XDG_CONFIG_HOME"] || join(environment["HOME"] ?? "/root", ".config");
  return join(home, "nix", "nix.conf");
}

/**
 * Writes one marked block of `extra-…` settings, which add to what other files say: what is
 * `wanted` and not `known` to Nix from elsewhere. Run twice it writes the same file; with nothing
 * to add, the block goes.
 */
export async function writeConfiguration(
  file: string,
  wanted: NixConfiguration,
  known: NixConfiguration,
): Promise<"written" | "unchanged"> {
  const before = (await readIfThere(file)) ?? "";
  const after = withBlock(before, {
    ...lasting(before, wanted, known),
    ...(wanted.netrc ? { netrc: wanted.netrc } : {}),
    ...buildDirOf(wanted.buildDir ?? parseBlock(before).buildDir),
  });
  if (after === before) return "unchanged";
  try {
    await writeWhole(file, after);
  } catch (cause) {
    if (!FORBIDDEN.has((cause as NodeJS.ErrnoException).code ?? "")) throw cause;
    throw new UserError("NCP-352", `${file} cannot be written: ${describeError(cause)}`, {
      hint: "later steps do not know the caches; NIX_USER_CONF_FILES names another file",
      cause,
    });
  }
  return "written";
}

/** The netrc file Nix is told of elsewhere than in our block; `setting` is what it says of itself. */
export async function netrcBefore(
  file: string,
  setting: string | undefined,
): Promise<string | undefined> {
  const { netrc } = parseBlock((await readIfThere(file)) ?? "");
  return netrc && netrc.file === setting ? netrc.before : setting;
}

/** Throws where Nix, asked again, does not say what was written. */
export async function checkConfiguration(
  nix: NixCommand,
  file: string,
  wanted: NixConfiguration,
  signal: AbortSignal,
): Promise<void> {
  const settings = await readSettings(nix, { signal, deadline: DEADLINES.query });
  const lacking = [
    ...additions(wanted.substituters, settings.list("substituters"), []),
    ...additions(wanted.publicKeys, settings.list("trusted-public-keys"), []),
  ];
  if (lacking.length === 0) return;
  throw new UserError(
    "NCP-352",
    `${file}: Nix does not take what was added there: ${lacking.join(" ")}`,
    { hint: "something read after it replaces it: write extra-substituters there, which adds" },
  );
}

/** Takes `file` out of our block; what it stood in for counts again. */
export async function removeNetrcSetting(configuration: string, file: string): Promise<void> {
  const text = (await readIfThere(configuration)) ?? "";
  const { netrc, rest: _, ...kept } = parseBlock(text);
  if (netrc?.file === file) await writeWhole(configuration, withBlock(text, kept));
}

/** Those of `wanted` that Nix does not know but from our own block in `text`, which comes and goes. */
export function lasting(
  text: string,
  wanted: NixConfiguration,
  known: NixConfiguration,
): NixConfiguration {
  const ours = parseBlock(text);
  return {
    substituters: additions(wanted.substituters, known.substituters, ours.substituters),
    publicKeys: additions(wanted.publicKeys, known.publicKeys, ours.publicKeys),
  };
}

function additions(
  wanted: readonly string[],
  known: readonly string[],
  ours: readonly string[],
): string[] {
  const elsewhere = new Set(known.map(plainAddress));
  for (const value of ours) elsewhere.delete(plainAddress(value));
  return [...new Set(wanted)].filter((value) => !elsewhere.has(plainAddress(value)));
}

function buildDirOf(buildDir: string | undefined): Pick<NixConfiguration, "buildDir"> {
  return buildDir === undefined ? {} : { buildDir };
}

interface Block extends NixConfiguration {
  /** The file without it. */
  readonly rest: string;
}

function parseBlock(text: string): Block {
  const end = text.lastIndexOf(END);
  // The nearest beginning before it: behind one that lost its end are somebody else's lines.
  const begin = end < 0 ? -1 : text.lastIndexOf(BEGIN, end);
  if (begin < 0) return { rest: text, substituters: [], publicKeys: [] };
  const values = (name: string) =>
    new RegExp(`^extra-${name} = (.*)$`, "m").exec(text.slice(begin, end))?.[1]?.split(" ") ?? [];
  const netrc = /^netrc-file = (.*)$/m.exec(text.slice(begin, end))?.[1];
  const before = new RegExp(`^${NETRC_BEFORE}(.+)$`, "m").exec(text.slice(begin, end))?.[1];
  const buildDir = /^build-dir = (.*)$/m.exec(text.slice(begin, end))?.[1];
  return {
    ...buildDirOf(buildDir),
    ...(netrc === undefined ? {} : { netrc: { file: netrc, before } }),
    rest: text.slice(0, begin) + text.slice(end + END.length).replace(/^\n/, ""),
    substituters: values("substituters"),
    publicKeys: values("trusted-public-keys"),
  };
}

export function withBlock(before: string, configuration: NixConfiguration): string {
  const { rest } = parseBlock(before);
  const lines = [
    ...(configuration.substituters.length > 0
      ? [`extra-substituters = ${configuration.substituters.join(" ")}`]
      : []),
    ...(configuration.publicKeys.length > 0
      ? [`extra-trusted-public-keys = ${configuration.publicKeys.join(" ")}`]
      : []),
    ...netrcLines(configuration.netrc),
    ...(configuration.buildDir === undefined ? [] : [`build-dir = ${configuration.buildDir}`]),
  ];
  if (lines.length === 0) return rest;
  const gap = rest === "" || rest.endsWith("\n") ? "" : "\n";
  return `${rest}${gap}${[BEGIN, ...lines, END].join("\n")}\n`;
}

function netrcLines(netrc: NixConfiguration["netrc"]): string[] {
  if (!netrc) return [];
  // The next run reads the user's own file again, not our copy of it.
  const before = netrc.before === undefined ? [] : [`${NETRC_BEFORE}${netrc.before}`];
  return [...before, `netrc-file = ${netrc.file}`];
}

export interface Adopted {
  readonly file: string;
  /** What was not there before; both empty: nothing was written. */
  readonly added: NixConfiguration;
}

/**
 * Adds what is `wanted` and neither `known` to Nix nor in the file; `extra-…` adds to what other lines
 * and files say. A file that another program makes is left alone: the error holds the lines for it.
 */
export async function adopt(
  file: string,
  wanted: NixConfiguration,
  known: NixConfiguration,
  storeDir: string,
): Promise<Adopted> {
  const target = await realpath(file).catch((error) => {
    if (isMissing(error)) return file;
    throw error;
  });
  const before = (await readIfThere(target)) ?? "";
  const added = notWritten(before, lasting(before, wanted, known));
  const lines = linesOf(added);
  if (lines.length === 0) return { file: target, added };
  if (target.startsWith(`${storeDir}/`)) {
    throw notOurs(file, "it is made by home-manager or NixOS", lines);
  }
  const gap = before === "" || before.endsWith("\n") ? "" : "\n";
  const text = `${before}${gap}# added by nix-cache-preflight setup\n${lines.join("\n")}\n`;
  try {
    await writeWhole(target, text);
  } catch (cause) {
    throw notOurs(file, "it cannot be written", lines, cause);
  }
  return { file: target, added };
}

/** Nix may not have read the file yet, or a variable may hide it. */
function notWritten(
  text: string,
  { substituters, publicKeys }: NixConfiguration,
): NixConfiguration {
  const lines = text.split("\n").map((line) => line.replace(/#.*$/, "").trim());
  const words = (setting: string) =>
    new Set(
      lines
        .filter((line) => new RegExp(`^extra-${setting}\\s*=`).test(line))
        .flatMap((line) => line.slice(line.indexOf("=") + 1).split(/\s+/)),
    );
  const [urls, keys] = [words("substituters"), words("trusted-public-keys")];
  return {
    substituters: substituters.filter((url) => !urls.has(url)),
    publicKeys: publicKeys.filter((key) => !keys.has(key)),
  };
}

function linesOf({ substituters, publicKeys }: NixConfiguration): string[] {
  return [
    ...(substituters.length > 0 ? [`extra-substituters = ${substituters.join(" ")}`] : []),
    ...(publicKeys.length > 0 ? [`extra-trusted-public-keys = ${publicKeys.join(" ")}`] : []),
  ];
}

function notOurs(file: string, why: string, lines: readonly string[], cause?: unknown): UserError {
  return new UserError("NCP-641", `${file} is left as it is: ${why}`, {
    hint: `add these lines where it is made:\n${lines.join("\n")}`,
    cause,
  });
}
