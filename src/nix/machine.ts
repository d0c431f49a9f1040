/** Owns what this machine's Nix is: version, system, store, build directory. */

import { access, constants, stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { UserError } from "../domain/errors.ts";
import type { NixSetup, Untrusted } from "../domain/ports.ts";
import { type PublicKey, parsePublicKey } from "../domain/signature.ts";
import { readIfThere } from "../host/disk.ts";
import type { Environment } from "../host/environment.ts";
import { DEADLINES, type NixCommand, type RunOptions } from "./command.ts";

export interface NixSettings {
  readonly substituters: readonly string[];
  readonly trustedPublicKeys: readonly PublicKey[];
  /** The same as written, with those that are no keys. */
  readonly publicKeyTexts: readonly string[];
  readonly requireSignatures: "require" | "accept any";
  readonly netrcFile: string | undefined;
  /** A program of the machine's own, which Nix runs after each build. */
  readonly postBuildHook: string | undefined;
}

export interface NixMachine {
  readonly setup: Omit<NixSetup, "flake">;
  readonly settings: NixSettings;
  readonly builder: Builder;
  /** `on`: no build sees more of this machine than Nix shows it. */
  readonly sandbox: "on" | "off";
}

/** Who runs builds: this process's user, build users for root, or a daemon with them. */
export type Builder = "ourselves" | "build users" | "daemon";

/** Asks Nix about itself: short processes, side by side. */
export async function readMachine(
  nix: NixCommand,
  environment: Environment,
  signal: AbortSignal,
): Promise<NixMachine> {
  const options = { signal, deadline: DEADLINES.query };
  const [facts, settings] = await Promise.all([
    nix.run("nix-instantiate", ["--eval", "--json", "--strict", "-E", FACTS], options),
    readSettings(nix, options),
  ]);
  // Not beside the others: two at once that make a new store's database get in each other's way.
  const untrusted = await findTrustedUser(nix, environment, settings.text("store"), signal);
  const { storeDir, system, version } = JSON.parse(facts) as Record<string, string>;
  if (!storeDir || !system || !version) {
    throw new UserError("NCP-202", `Nix does not say where its store is: ${facts.slice(0, 200)}`);
  }
  const { list, text } = settings;
  const builder = await builderOf(text("store"), text("build-users-group"), environment);
  // A key that only this user's files name is none to the daemon.
  const keys = untrusted?.publicKeys ?? list("trusted-public-keys");
  return {
    builder,
    // `relaxed` is off for whatever derivation asks for it.
    sandbox: settings.has("sandbox", true) ? "on" : "off",
    setup: {
      version,
      system,
      buildable: [
        ...new Set([
          system,
          ...list("extra-platforms"),
          ...(await builderSystems(text("builders"))),
        ]),
      ],
      storeDir,
      realStoreDir: realStoreDir(text("store"), storeDir),
      buildDir: buildDir(version, text("build-dir"), environment),
      buildDirBy: buildDirBy(builder, settings, untrusted ? "untrusted" : "trusted"),
      buildsAtOnce: settings.amount("max-jobs") ?? 1,
      ...(untrusted ? { untrusted } : {}),
    },
    settings: {
      substituters: [...list("substituters")],
      trustedPublicKeys: keys.flatMap((key) => parsePublicKey(key) ?? []),
      publicKeyTexts: keys,
      requireSignatures: settings.has("require-sigs", false) ? "accept any" : "require",
      netrcFile: text("netrc-file") || undefined,
      postBuildHook: text("post-build-hook") || undefined,
    },
  };
}

const FACTS =
  "{ storeDir = builtins.storeDir; system = builtins.currentSystem; version = builtins.nixVersion; }";

/** `store = /chroot` puts the store folder below another root. */
function realStoreDir(store: string, storeDir: string): string {
  const root = /^(?:local\?root=)?(\/[^?]*)/.exec(store)?.[1];
  return root ? `${root.replace(/\/+$/, "")}${storeDir}` : storeDir;
}

/**
 * Where a build writes. 2.30 and later: `build-dir`, by default below Nix's own state; before that
 * the setting where there is one (2.22 on), else the TMPDIR of the process that builds.
 */
export function buildDir(version: string, setting: string, environment: Environment): string {
  if (setting !== "") return setting;
  if (makesBuildDir(version)) {
    return `${environment["NIX_STATE_DIR"] ?? "/nix/var/nix"}/builds`;
  }
  return environment["TMPDIR"] || "/tmp";
}

/** 2.30 and later make a build directory that is not there; earlier ones fail. */
export function makesBuildDir(version: string): boolean {
  return isAtLeast(version, 30);
}

/** Whether it is Nix 2.`least`, or newer. */
export function isAtLeast(version: string, least: number): boolean {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  return major > 2 || minor >= least;
}

/** As Nix's `auto`: the store itself where its state can be written, else the daemon. */
async function builderOf(
  store: string,
  buildUsersGroup: string,
  environment: Environment,
): Promise<Builder> {
  if (store === "daemon" || store.startsWith("unix:")) return "daemon";
  const state = environment["NIX_STATE_DIR"] ?? "/nix/var/nix";
  const there = await stat(state).catch(() => undefined);
  const writable =
    !there ||
    (await access(state, constants.W_OK).then(
      () => true,
      () => false,
    ));
  if ((store === "" || store === "auto") && !writable) return "daemon";
  return process.getuid?.() === 0 && buildUsersGroup !== "" ? "build users" : "ourselves";
}

/** A daemon takes the setting from users it trusts, and its TMPDIR from nobody. */
function buildDirBy(
  builder: Builder,
  settings: Settings,
  user: "trusted" | "untrusted",
): NixSetup["buildDirBy"] {
  const hasSetting = settings.knows("build-dir");
  if (builder === "daemon" && (!hasSetting || user === "untrusted")) return "nothing";
  return hasSetting ? "setting" : "environment";
}

/** Systems of the remote builders, from the setting or the file it names. */
async function builderSystems(builders: string): Promise<string[]> {
  const text = builders.startsWith("@")
    ? ((await readIfThere(builders.slice(1)).catch(() => undefined)) ?? "")
    : builders;
  return text
    .split(/[\n;]/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .flatMap((line) => line.split(/\s+/)[1]?.split(",") ?? [])
    .filter((system) => system !== "" && system !== "-");
}

export interface Settings {
  /** A list, or a text of words as older versions print it; empty where there is no such setting. */
  list(name: string): string[];
  text(name: string): string;
  has(name: string, value: boolean): boolean;
  /** Whether this version has such a setting, set or not. */
  knows(name: string): boolean;
  /** A whole number above 0. */
  amount(name: string): number | undefined;
}

type Setting = string | number | boolean | readonly string[] | Readonly<Record<string, unknown>>;

export async function readSettings(nix: NixCommand, options: RunOptions): Promise<Settings> {
  // `config show` from 2.20 on; before that the same output under another name.
  let result = await nix.try("nix", ["config", "show", "--json"], options);
  if (result.code !== 0) result = await nix.try("nix", ["show-config", "--json"], options);
  if (result.code !== 0) {
    throw new UserError("NCP-202", `Nix does not show its configuration: ${result.stderr.trim()}`);
  }
  const parsed = JSON.parse(result.stdout) as Record<string, { value: Setting }>;
  const settingOf = (name: string): Setting | undefined => parsed[name]?.value;
  return {
    list(name) {
      const value = settingOf(name);
      return Array.isArray(value)
        ? value.map(String)
        : String(value ?? "")
            .split(/\s+/)
            .filter(Boolean);
    },
    text(name) {
      const value = settingOf(name);
      return typeof value === "string" ? value : "";
    },
    has: (name, value) => settingOf(name) === value,
    knows: (name) => name in parsed,
    amount(name) {
      const value = Number(settingOf(name));
      return Number.isInteger(value) && value > 0 ? value : undefined;
    },
  };
}

/** Reserved for names that do not exist; nobody is ever asked for it. */
const PROBE = "http://nix-cache-preflight.invalid";
/** The one refusal that 2.8 to 2.34 all tell: of a setting, 2.8 ignores it without a word. */
const REFUSED = "ignoring untrusted substituter";

/**
 * Undefined where there is no daemon, or one that trusts this user. `store` is the setting. A short
 * process where there is a daemon, and two more where it does not trust.
 */
export async function findTrustedUser(
  nix: NixCommand,
  environment: Environment,
  store: string,
  signal: AbortSignal,
): Promise<Untrusted | undefined> {
  if (!(await asksDaemon(store, environment))) return undefined;
  const options = { signal, deadline: DEADLINES.query };
  // A question about a path: settings are sent before it, and no cache is asked.
  const path = `${environment["NIX_STORE_DIR"] || "/nix/store"}/${"0".repeat(32)}-x`;
  const question = ["--check-validity", "--print-invalid", path];
  const args = ["--option", "extra-substituters", PROBE, ...question];
  const { stderr } = await nix.try("nix-store", args, options);
  if (!stderr.includes(REFUSED)) return undefined;
  // The daemon knows root's file alone: neither the user's files nor the environment.
  const roots = await readSettings(nix, {
    ...options,
    environment: { NIX_USER_CONF_FILES: "", NIX_CONFIG: "" },
  });
  return {
    user: userName(),
    file: join(environment["NIX_CONF_DIR"] || "/etc/nix", "nix.conf"),
    substituters: [...roots.list("substituters"), ...roots.list("trusted-substituters")],
    publicKeys: roots.list("trusted-public-keys"),
  };
}

/** As Nix decides it: `auto` is the daemon for whoever may not write to Nix's state. */
async function asksDaemon(store: string, environment: Environment): Promise<boolean> {
  if (store !== "auto" && store !== "") return !/^(local\b|\/)/.test(store);
  return access(
    environment["NIX_STATE_DIR"] || "/nix/var/nix",
    constants.R_OK | constants.W_OK,
  ).then(
    () => false,
    () => true,
  );
}

/** A user without an entry in passwd is known by number, to Nix as well. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "this user");
  }
}
