/** Nix's configuration: the job's own file for the steps that follow, and the lines of `setup` in the user's. */

import { constants, statSync } from "node:fs";
import { access, realpath, rm } from "node:fs/promises";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { UserError } from "../domain/errors.ts";
import { plainAddress } from "../domain/location.ts";
import { writeWhole } from "../host/atomic.ts";
import { isMissing, readIfThere } from "../host/disk.ts";
import type { Environment } from "../host/environment.ts";
import { DEADLINES, isAtLeast, type NixCommand } from "./command.ts";
import { readSettings } from "./machine.ts";

export interface NixConfiguration {
  readonly substituters: readonly string[];
  readonly publicKeys: readonly string[];
  /** A netrc file of ours; it holds the entries of the one it stands in for. */
  readonly netrcFile?: string;
  /** Where builds are to write. */
  readonly buildDir?: string;
}

/** How the steps that follow learn of a file: a variable of the job, which ends with the job. */
export interface LaterSteps {
  /** A file in the runner's temporary folder that is the job's own. */
  readonly file: string;
  setVariable(name: string, value: string): void;
}

/** It stands in for the user's files, and its first one has the last word. */
const USER_FILES = "NIX_USER_CONF_FILES";

/**
 * The files of the user's that Nix reads, the first of which has the last word; one that is not there is
 * none to Nix. Source: Nix's src/libutil/users.cc and src/libstore/globals.cc; read off 2.8, 2.26 and 2.34.
 */
export function userConfigurationFiles(environment: Environment, version: string): string[] {
  const named = environment[USER_FILES];
  // Set and empty, it means none.
  if (named !== undefined) return named.split(":").filter(Boolean);
  const own = isAtLeast(version, 25) ? environment["NIX_CONFIG_HOME"] : undefined;
  const home = environment["XDG_CONFIG_HOME"] || join(homeOf(environment, version), ".config");
  const others = (environment["XDG_CONFIG_DIRS"] || "/etc/xdg").split(":").filter(Boolean);
  const folders = [own || join(home, "nix"), ...others.map((folder) => join(folder, "nix"))];
  return folders.map((folder) => join(folder, "nix.conf"));
}

/** The one of them that counts most. */
export function userConfigurationFile(environment: Environment, version: string): string {
  const [first] = userConfigurationFiles(environment, version);
  return first ?? join(homeOf(environment, version), ".config", "nix", "nix.conf");
}

/** From 2.10 on Nix takes no HOME that is another user's: in a container, the runner's. */
export function homeOf(environment: Environment, version: string): string {
  const home = environment["HOME"];
  if (home && !(isAtLeast(version, 10) && isSomebodyElses(home))) return home;
  try {
    return userInfo().homedir;
  } catch {
    return home ?? "/root";
  }
}

/**
 * Nix as of 2.20 ends where it cannot make the folder that it keeps what it fetched and evaluated in: a read-only
 * home, or one that is not there. Then this run gets one of ours, and a notice says what later steps need.
 */
export async function withCacheFolder(
  environment: Environment,
  ours: string,
): Promise<{ readonly environment: Environment; readonly notices: readonly string[] }> {
  const { NIX_CACHE_HOME: own, XDG_CACHE_HOME: all } = environment;
  const cache = own || join(all || join(homeOf(environment, "2.10"), ".cache"), "nix");
  if (await canBeMade(cache)) return { environment, notices: [] };
  const folder = join(ours, "cache");
  return {
    environment: { ...environment, XDG_CACHE_HOME: folder, NIX_CACHE_HOME: join(folder, "nix") },
    notices: [
      `Nix cannot write to ${cache}, where it keeps what it fetched and evaluated: this run has a folder of its own; later steps need one, too: echo "XDG_CACHE_HOME=$RUNNER_TEMP/cache" >> "$GITHUB_ENV"`,
    ],
  };
}

async function canBeMade(folder: string): Promise<boolean> {
  for (let at = folder; ; at = dirname(at)) {
    const error: NodeJS.ErrnoException | undefined = await access(
      at,
      constants.W_OK | constants.X_OK,
    ).catch((thrown) => thrown);
    if (!error) return true;
    if (error.code !== "ENOENT" || at === dirname(at)) return false;
  }
}

function isSomebodyElses(folder: string): boolean {
  const owner = statSync(folder, { throwIfNoEntry: false })?.uid;
  return owner !== undefined && owner !== process.geteuid?.();
}

/**
 * Writes what is `wanted` and not `known` to Nix into the job's own file, as `extra-…` settings, which add to
 * what other files say, and names it to later steps in front of the files that stood there. False where there
 * is nothing to add: then there is no file.
 */
export async function writeConfiguration(
  later: LaterSteps,
  before: readonly string[],
  wanted: NixConfiguration,
  known: Pick<NixConfiguration, "substituters" | "publicKeys">,
): Promise<boolean> {
  const lines = linesOf({
    ...wanted,
    substituters: additions(wanted.substituters, known.substituters),
    publicKeys: additions(wanted.publicKeys, known.publicKeys),
  });
  if (lines.length === 0) return false;
  await writeWhole(later.file, `${[JOB_HEAD, ...lines].join("\n")}\n`);
  later.setVariable(USER_FILES, filesOf(later, before));
  return true;
}

const JOB_HEAD = "# by nix-cache-preflight, for this job alone: it goes in the post step";

/** The job's own file has the last word. */
function filesOf({ file }: LaterSteps, before: readonly string[]): string {
  return [file, ...before.filter((one) => one !== file)].join(":");
}

/** Throws where Nix, asked as a later step would, does not say what was written. */
export async function checkConfiguration(
  nix: NixCommand,
  later: LaterSteps,
  before: readonly string[],
  wanted: NixConfiguration,
  signal: AbortSignal,
): Promise<void> {
  const settings = await readSettings(nix, {
    signal,
    deadline: DEADLINES.query,
    environment: { [USER_FILES]: filesOf(later, before) },
  });
  const lacking = [
    ...additions(wanted.substituters, settings.list("substituters")),
    ...additions(wanted.publicKeys, settings.list("trusted-public-keys")),
  ];
  if (lacking.length === 0) return;
  throw new UserError(
    "NCP-352",
    `${later.file}: Nix does not take what was added there: ${lacking.join(" ")}`,
    { hint: "something read after it replaces it: write extra-substituters there, which adds" },
  );
}

function additions(wanted: readonly string[], known: readonly string[]): string[] {
  const elsewhere = new Set(known.map(plainAddress));
  return [...new Set(wanted)].filter((value) => !elsewhere.has(plainAddress(value)));
}

const SETUP_HEAD = "# added by nix-cache-preflight setup";

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
  const added = notWritten(before, {
    substituters: additions(wanted.substituters, known.substituters),
    publicKeys: additions(wanted.publicKeys, known.publicKeys),
  });
  const lines = linesOf(added);
  if (lines.length === 0) return { file: target, added };
  if (target.startsWith(`${storeDir}/`)) {
    throw notOurs(file, "it is made by home-manager or NixOS", lines);
  }
  const gap = before === "" || before.endsWith("\n") ? "" : "\n";
  const text = `${before}${gap}${SETUP_HEAD}\n${lines.join("\n")}\n`;
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

function linesOf(configuration: NixConfiguration): string[] {
  const { substituters, publicKeys, netrcFile, buildDir } = configuration;
  return [
    ...(substituters.length > 0 ? [`extra-substituters = ${substituters.join(" ")}`] : []),
    ...(publicKeys.length > 0 ? [`extra-trusted-public-keys = ${publicKeys.join(" ")}`] : []),
    ...(netrcFile === undefined ? [] : [`netrc-file = ${netrcFile}`]),
    ...(buildDir === undefined ? [] : [`build-dir = ${buildDir}`]),
  ];
}

/** What earlier versions of the action left in the user's file. */
const OLD_BEGIN = "# >>> nix-cache-preflight";
const OLD_END = "# <<< nix-cache-preflight";

export interface TakenBack {
  readonly file: string;
  readonly removed: readonly string[];
}

/** Takes out what `setup` added, and what earlier versions of the action left; all other lines stay. */
export async function takeBack(file: string, storeDir: string): Promise<TakenBack> {
  const target = await realpath(file).catch((error) => {
    if (isMissing(error)) return file;
    throw error;
  });
  const text = (await readIfThere(target)) ?? "";
  const { kept, removed } = withoutOurs(text);
  if (removed.length === 0) return { file: target, removed };
  const undo = (why: string, cause?: unknown) =>
    new UserError("NCP-641", `${file} is left as it is: ${why}`, {
      hint: `take these lines out where it is made:\n${removed.join("\n")}`,
      cause,
    });
  if (target.startsWith(`${storeDir}/`)) throw undo("it is made by home-manager or NixOS");
  try {
    // A file that only we wrote into goes whole.
    if (kept === "" && target === file) await rm(target);
    else await writeWhole(target, kept);
  } catch (cause) {
    throw undo("it cannot be written", cause);
  }
  return { file: target, removed };
}

/** An old block without its end is not cut: what stands behind it may be somebody else's. */
export function withoutOurs(text: string): { readonly kept: string; readonly removed: string[] } {
  const removed: string[] = [];
  const kept: string[] = [];
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    if (line === SETUP_HEAD) {
      while (/^extra-(substituters|trusted-public-keys) = /.test(lines[at + 1] ?? ""))
        removed.push(lines[++at] ?? "");
      continue;
    }
    if (line.startsWith(OLD_BEGIN)) {
      const rest = lines.slice(at + 1);
      const end = rest.findIndex((one) => one.startsWith(OLD_END));
      const next = rest.findIndex((one) => one.startsWith(OLD_BEGIN));
      if (end >= 0 && (next < 0 || end < next)) {
        removed.push(...rest.slice(0, end).filter((one) => !one.startsWith("#")));
        at += end + 1;
        continue;
      }
    }
    kept.push(line);
  }
  return { kept: kept.join("\n"), removed };
}

function notOurs(file: string, why: string, lines: readonly string[], cause?: unknown): UserError {
  return new UserError("NCP-641", `${file} is left as it is: ${why}`, {
    hint: `add these lines where it is made:\n${lines.join("\n")}`,
    cause,
  });
}
