/** What this machine's Nix is: version, system, store, build directory, and whether we are a trusted user. */

import { userInfo } from "node:os";
import { join } from "node:path";
import { parseBuilders } from "../domain/builders.ts";
import type { Substitution } from "../domain/derivation.ts";
import { UserError } from "../domain/errors.ts";
import type { NixSetup, Untrusted } from "../domain/ports.ts";
import { type PublicKey, parsePublicKey, parseSigningKey } from "../domain/signature.ts";
import { readIfThere } from "../host/disk.ts";
import type { Environment } from "../host/environment.ts";
import { DEADLINES, type NixCommand, type RunOptions } from "./command.ts";
import { BEAR_ON_EVALUATION } from "./record-key.ts";
import {
  asksDaemon,
  type Builder,
  buildDir,
  builderOf,
  makesBuildDir,
  refuseTooOld,
  resolveStore,
  stateFolder,
} from "./variants.ts";

export interface NixSettings {
  /** Which store Nix works on: `auto`, `daemon`, a folder or an address. */
  readonly store: string;
  readonly substituters: readonly string[];
  readonly trustedPublicKeys: readonly PublicKey[];
  /** What is no key among them, in words: Nix ends at the first signature that it checks. */
  readonly badKey: string | undefined;
  /** The same as written, with those that are no keys. */
  readonly publicKeyTexts: readonly string[];
  readonly requireSignatures: "require" | "accept any";
  readonly netrcFile: string | undefined;
  /** Hosts that Nix has an access token for. */
  readonly tokenHosts: ReadonlySet<string>;
  readonly postBuildHook: string | undefined;
  /** Whether what a flake's `nixConfig` says holds without a question (`accept-flake-config`). */
  readonly flakeConfig: "accepted" | "asked about";
  /** Whose certificates Nix accepts; undefined where this version has no such setting. */
  readonly certificates: string | undefined;
  /** Those that an evaluation may depend on. */
  readonly evaluation: readonly string[];
}

export interface NixMachine {
  readonly setup: Omit<NixSetup, "flake" | "inputs">;
  readonly settings: NixSettings;
  readonly builder: Builder;
  /** `on`: no build sees more of this machine than Nix shows it; `relaxed` is off for who asks for it. */
  readonly sandbox: "on" | "off";
  /** What becomes of a build directory that is not there. */
  readonly absentBuildDir: "made by Nix" | "an error";
}

/** Asks Nix about itself: short processes, side by side. */
export async function readMachine(
  nix: NixCommand,
  environment: Environment,
  signal: AbortSignal,
): Promise<NixMachine> {
  const options = { signal, deadline: DEADLINES.query };
  const asked = readSettings(nix, options);
  // Awaited below: one that is too old does not show its settings, and that is not what is wrong with it.
  asked.catch(() => undefined);
  const args = ["--eval", "--json", "--strict", "-E", FACTS];
  const facts = await nix.run("nix-instantiate", args, options);
  const { storeDir, system, version } = JSON.parse(facts) as Record<string, string>;
  if (!storeDir || !system || !version) {
    throw new UserError("NCP-202", `Nix does not say where its store is: ${facts.slice(0, 200)}`);
  }
  refuseTooOld(version);
  const settings = await asked;
  const store = await resolveStore(settings.text("store"), environment);
  // Not beside the others: two at once that make a new store's database get in each other's way.
  const { untrusted, roots = settings } = await findUntrusted(nix, environment, store, signal);
  const { list, text } = settings;
  const builder = await builderOf(store, text("build-users-group"), environment);
  // A key that only this user's files name is none to the daemon.
  const keys = untrusted?.publicKeys ?? list("trusted-public-keys");
  const realStore = realStoreDir(store, storeDir);
  const root = realStore.endsWith(storeDir) ? realStore.slice(0, -storeDir.length) : "";
  const trusted = await trustedKeys(keys, untrusted ? [] : list("secret-key-files"));
  return {
    builder,
    sandbox: settings.has("sandbox", true) ? "on" : "off",
    absentBuildDir: makesBuildDir(version, settings.unset("build-dir"))
      ? "made by Nix"
      : "an error",
    setup: {
      version,
      system,
      builders: {
        systems: [...new Set([system, ...list("extra-platforms")])],
        features: list("system-features"),
        jobs: text("max-jobs") === "0" ? "none" : "some",
        // Without its build hook Nix turns to nobody.
        remote:
          settings.knows("build-hook") && list("build-hook").length === 0
            ? []
            : await parseBuilders(text("builders"), system, readMachinesFile),
      },
      substitution: substitutionOf(settings),
      storeDir,
      realStoreDir: realStore,
      buildDir: buildDir(version, text("build-dir"), {
        // A daemon has its own, which nobody tells: a service has none.
        ...(builder === "daemon" ? {} : environment),
        NIX_STATE_DIR: stateFolder(root || undefined, environment),
      }),
      buildDirBy: buildDirBy(builder, settings, untrusted ? "untrusted" : "trusted"),
      buildsAtOnce: settings.amount("max-jobs") ?? 1,
      ...(untrusted ? { untrusted } : {}),
    },
    settings: {
      store: settings.text("store") || "auto",
      substituters: [...list("substituters")],
      trustedPublicKeys: trusted.keys,
      badKey: trusted.bad,
      publicKeyTexts: keys,
      // A daemon leaves it to nobody whom it does not trust.
      requireSignatures: roots.has("require-sigs", false) ? "accept any" : "require",
      netrcFile: text("netrc-file") || undefined,
      tokenHosts: new Set(settings.keys("access-tokens").map((key) => key.split("/")[0] ?? key)),
      postBuildHook: text("post-build-hook") || undefined,
      flakeConfig: settings.has("accept-flake-config", true) ? "accepted" : "asked about",
      certificates: text("ssl-cert-file") || undefined,
      evaluation: BEAR_ON_EVALUATION.map((name) => `${name}=${list(name).sort().join(" ")}`),
    },
  };
}

const FACTS =
  "{ storeDir = builtins.storeDir; system = builtins.currentSystem; version = builtins.nixVersion; }";

/**
 * Where the store folder really is: `store = /chroot` and `root=` put it below another root, `real=` says it
 * outright. 2.34 shows `local:///chroot` and `local://?root=/chroot`.
 */
export function realStoreDir(store: string, storeDir: string): string {
  const [place = "", query = ""] = store.split("?", 2);
  const options = new URLSearchParams(query);
  const real = options.get("real");
  if (real) return withoutSlash(real);
  const named = /^(?:local:\/\/)?(\/.*)$/.exec(place)?.[1];
  const root = named ?? options.get("root");
  return root ? `${withoutSlash(root)}${storeDir}` : storeDir;
}

function withoutSlash(path: string): string {
  return path.replace(/\/+$/, "");
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

/** One that cannot be read names no builder that we know of; Nix will say so. */
const readMachinesFile = (file: string) => readIfThere(file).catch(() => undefined);

function substitutionOf({ has }: Settings): Substitution {
  if (has("substitute", false)) return "never";
  return has("always-allow-substitutes", true) ? "always" : "where allowed";
}

/**
 * The keys Nix trusts: those that are named, then the public halves of its own. A file that this user may not
 * read is none of this user's keys. `bad`: what is no key; Nix ends at the first signature that it checks.
 */
async function trustedKeys(
  named: readonly string[],
  secretKeyFiles: readonly string[],
): Promise<{ readonly keys: readonly PublicKey[]; readonly bad: string | undefined }> {
  const keys: PublicKey[] = [];
  let bad: string | undefined;
  for (const text of named) {
    const key = parsePublicKey(text);
    if (key) keys.push(key);
    // Who takes the wrong file has a secret key here: its name is enough to find it by.
    else bad ??= `"${text.split(":")[0]?.slice(0, 40)}" in trusted-public-keys`;
  }
  for (const file of secretKeyFiles) {
    const text = await readIfThere(file).catch(() => undefined);
    if (text === undefined) continue;
    try {
      keys.push(parseSigningKey(text).publicKey);
    } catch {
      bad ??= `${file} in secret-key-files`;
    }
  }
  return { keys, bad };
}

export interface Settings {
  /** A list, or a text of words as older versions print it; empty where there is no such setting. */
  list(name: string): string[];
  text(name: string): string;
  has(name: string, value: boolean): boolean;
  /** Of what maps names to values. */
  keys(name: string): string[];
  /** What it is where nobody sets it, as far as Nix tells. */
  unset(name: string): string;
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
  const parsed = JSON.parse(result.stdout) as Record<
    string,
    { readonly value: Setting; readonly defaultValue?: Setting }
  >;
  const settingOf = (name: string): Setting | undefined => parsed[name]?.value;
  return {
    list(name) {
      const value = settingOf(name);
      if (Array.isArray(value)) return value.map(String);
      const words = String(value ?? "").split(/\s+/);
      return words.filter(Boolean);
    },
    text(name) {
      const value = settingOf(name);
      return typeof value === "string" || typeof value === "number" ? String(value) : "";
    },
    keys: (name) => Object.keys(Object(settingOf(name))),
    has: (name, value) => settingOf(name) === value,
    unset(name) {
      const value = parsed[name]?.defaultValue;
      return typeof value === "string" ? value : "";
    },
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
 * Nothing where there is no daemon, or one that trusts this user. `store` is the setting. A short
 * process where there is a daemon, and two more where it does not trust.
 */
async function findUntrusted(
  nix: NixCommand,
  environment: Environment,
  store: string,
  signal: AbortSignal,
): Promise<{ readonly untrusted?: Untrusted; readonly roots?: Settings }> {
  if (!(await asksDaemon(store, environment))) return {};
  const options = { signal, deadline: DEADLINES.query };
  // A question about a path: settings are sent before it, and no cache is asked.
  const path = `${environment["NIX_STORE_DIR"] || "/nix/store"}/${"0".repeat(32)}-x`;
  const question = ["--check-validity", "--print-invalid", path];
  const args = ["--option", "extra-substituters", PROBE, ...question];
  const { stderr } = await nix.try("nix-store", args, options);
  if (!stderr.includes(REFUSED)) return {};
  // The daemon knows root's file alone: neither the user's files nor the environment.
  const roots = await readSettings(nix, {
    ...options,
    environment: { NIX_USER_CONF_FILES: "", NIX_CONFIG: "" },
  });
  const untrusted = {
    user: userName(),
    file: join(environment["NIX_CONF_DIR"] || "/etc/nix", "nix.conf"),
    substituters: [...roots.list("substituters"), ...roots.list("trusted-substituters")],
    publicKeys: roots.list("trusted-public-keys"),
  };
  return { untrusted, roots };
}

/** A user without an entry in passwd is known by number, to Nix as well. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "this user");
  }
}
