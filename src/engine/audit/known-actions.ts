/**
 * Owns what is known of the actions that install Nix or keep a Nix cache. An input that an action
 * does not have is a warning that nobody reads: `push: false` on cachix-action pushes everything.
 * Sources: each action's action.yml, 2026-11; the retired versions: github.blog 2024-09-16 (v1 of
 * GitHub's cache service ended on 2025-04-15), nix-community/cache-nix-action#49.
 */

export interface KnownAction {
  readonly role: "ours" | "cache" | "installer" | "files";
  /** Undefined where they change too often to be listed here. */
  readonly inputs?: readonly string[];
  /** Inputs that hold a secret. */
  readonly secrets?: readonly string[];
  /** Inputs that name a cache. */
  readonly names?: readonly string[];
  /** An input that turns pushing off, and what it is then. */
  readonly off?: readonly [string, string];
  /** `needs a secret`: without one it only reads. */
  readonly pushes?: "needs a secret" | "always";
  /** The first version that still works. */
  readonly since?: string;
}

/** Every input of action.yml; a test holds the two together. */
const OURS: KnownAction = {
  role: "ours",
  inputs: [
    "mode",
    "targets",
    "cache",
    "token",
    "signing-key",
    "substituters",
    "push",
    "push-filter",
    "pin",
    "pin-keep",
    "verify",
    "on-push-failure",
    "fail-on",
    "heavy",
    "min-free",
    "reclaim",
    "quota",
    "key-files",
    "key-prefix",
    "key-suffix",
    "trust",
    "force",
    "install-nix",
    "pass-env",
  ],
  secrets: ["token", "signing-key"],
  names: ["cache"],
  off: ["push", "off"],
};

const FILES: KnownAction = {
  role: "files",
  inputs: [
    "path",
    "key",
    "restore-keys",
    "upload-chunk-size",
    "enablecrossosarchive",
    "fail-on-cache-miss",
    "lookup-only",
    "save-always",
  ],
  since: "3",
};

const CACHE_NIX: KnownAction = { role: "cache", pushes: "always", since: "6" };
const INSTALLER: KnownAction = { role: "installer" };

const KNOWN: Readonly<Record<string, KnownAction>> = {
  "actions/cache": FILES,
  "actions/cache/restore": FILES,
  "actions/cache/save": FILES,
  "cachix/cachix-action": {
    role: "cache",
    inputs: [
      "name",
      "extrapullnames",
      "authtoken",
      "signingkey",
      "skippush",
      "usedaemon",
      "pathstopush",
      "pushfilter",
      "skipaddingsubstituter",
      "cachixargs",
      "cachixbin",
      "installcommand",
    ],
    secrets: ["authtoken", "signingkey"],
    names: ["name", "extrapullnames"],
    off: ["skippush", "true"],
    pushes: "needs a secret",
  },
  "ryanccn/attic-action": {
    role: "cache",
    inputs: [
      "endpoint",
      "cache",
      "inputs-from",
      "include-paths",
      "exclude-paths",
      "push-args",
      "skip-push",
      "token",
      "skip-use",
    ],
    secrets: ["token"],
    names: ["cache", "endpoint"],
    off: ["skip-push", "true"],
    pushes: "needs a secret",
  },
  "mic92/niks3-action": {
    role: "cache",
    inputs: [
      "server-url",
      "substituter",
      "skip-push",
      "niks3-bin",
      "cache-config-timeout",
      "cache-config-retries",
      "drain-timeout",
      "debug",
    ],
    names: ["server-url"],
    off: ["skip-push", "true"],
    pushes: "always",
  },
  "nix-community/cache-nix-action": {
    ...CACHE_NIX,
    inputs: [
      "primary-key",
      "restore-prefixes-first-match",
      "restore-prefixes-all-matches",
      "lookup-only",
      "fail-on",
      "nix",
      "save",
      "paths",
      "paths-macos",
      "paths-linux",
      "backend",
      "gc-max-store-size",
      "gc-max-store-size-macos",
      "gc-max-store-size-linux",
      "purge",
      "purge-primary-key",
      "purge-prefixes",
      "purge-last-accessed",
      "purge-created",
      "upload-chunk-size",
      "token",
    ],
    off: ["save", "false"],
  },
  "nix-community/cache-nix-action/restore": { role: "cache", since: "6" },
  "nix-community/cache-nix-action/save": CACHE_NIX,
  "determinatesystems/magic-nix-cache-action": { role: "cache", pushes: "always", since: "10" },
  "determinatesystems/flakehub-cache-action": { role: "cache", pushes: "always" },
  "mic92/hestia": { role: "cache", pushes: "always" },
  "swornsystems/nix-cache-action": {
    role: "cache",
    inputs: ["key", "restore-keys"],
    pushes: "always",
  },
  "cachix/install-nix-action": {
    role: "installer",
    inputs: [
      "extra_nix_config",
      "github_access_token",
      "install_url",
      "install_options",
      "nix_path",
      "enable_kvm",
      "set_as_trusted_user",
    ],
  },
  "determinatesystems/nix-installer-action": INSTALLER,
  "determinatesystems/determinate-nix-action": INSTALLER,
  "nixos/nix-installer-action": INSTALLER,
  "nixbuild/nix-quick-install-action": INSTALLER,
};

/** By the name of `uses:` in lower case; ours by whoever's fork it is. */
export function knownAction(name: string): KnownAction | undefined {
  if (/(?:^|\/)nix-cache-preflight$/.test(name)) return OURS;
  return Object.hasOwn(KNOWN, name) ? KNOWN[name] : undefined;
}

/** Ours as a reusable workflow. */
export function isOurWorkflow(name: string): boolean {
  return /\/nix-cache-preflight\/\.github\/workflows\//.test(name);
}
