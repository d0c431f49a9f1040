/** Owns what this machine's Nix is: version, system, store, build directory. */

import { UserError } from "../domain/errors.ts";
import type { NixSetup } from "../domain/ports.ts";
import { type PublicKey, parsePublicKey } from "../domain/signature.ts";
import { readIfThere } from "../host/disk.ts";
import type { Environment } from "../host/environment.ts";
import { DEADLINES, type NixCommand } from "./command.ts";

export interface NixSettings {
  readonly substituters: readonly string[];
  readonly trustedPublicKeys: readonly PublicKey[];
  /** The same as written, with those that are no keys. */
  readonly publicKeyTexts: readonly string[];
  readonly requireSignatures: "require" | "accept any";
  readonly netrcFile: string | undefined;
}

export interface NixMachine {
  readonly setup: Omit<NixSetup, "flake">;
  readonly settings: NixSettings;
}

type Setting = string | number | boolean | readonly string[] | Readonly<Record<string, unknown>>;

/** Asks Nix about itself: two short processes, side by side. */
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
  const { storeDir, system, version } = JSON.parse(facts) as Record<string, string>;
  if (!storeDir || !system || !version) {
    throw new UserError("NCP-202", `Nix does not say where its store is: ${facts.slice(0, 200)}`);
  }
  const list = (name: string): string[] => {
    const value = settings.get(name);
    return Array.isArray(value)
      ? value.map(String)
      : String(value ?? "")
          .split(/\s+/)
          .filter(Boolean);
  };
  const text = (name: string): string => {
    const value = settings.get(name);
    return typeof value === "string" ? value : "";
  };
  return {
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
    },
    settings: {
      substituters: [...list("substituters")],
      trustedPublicKeys: list("trusted-public-keys").flatMap((key) => parsePublicKey(key) ?? []),
      publicKeyTexts: list("trusted-public-keys"),
      requireSignatures: settings.get("require-sigs") === false ? "accept any" : "require",
      netrcFile: text("netrc-file") || undefined,
    },
  };
}

const FACTS =
  "{ storeDir = builtins.storeDir; system = builtins.currentSystem; version = builtins.nixVersion; }";

async function readSettings(
  nix: NixCommand,
  options: { signal: AbortSignal; deadline: number },
): Promise<ReadonlyMap<string, Setting>> {
  // `config show` from 2.20 on; before that the same output under another name.
  let result = await nix.try("nix", ["config", "show", "--json"], options);
  if (result.code !== 0) result = await nix.try("nix", ["show-config", "--json"], options);
  if (result.code !== 0) {
    throw new UserError("NCP-202", `Nix does not show its configuration: ${result.stderr.trim()}`);
  }
  const parsed = JSON.parse(result.stdout) as Record<string, { value: Setting }>;
  return new Map(Object.entries(parsed).map(([name, { value }]) => [name, value]));
}

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
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  if (major > 2 || minor >= 30) {
    return `${environment["NIX_STATE_DIR"] ?? "/nix/var/nix"}/builds`;
  }
  return environment["TMPDIR"] || "/tmp";
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
