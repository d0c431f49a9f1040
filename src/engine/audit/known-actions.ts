/**
 * What is known of the actions that install Nix, keep a Nix cache or take a job's code from
 * elsewhere: what they are for, what they are given, when they push. Sources: each action's action.yml,
 * 2026-11; what is retired: github.blog 2024-09-16 (v1 of GitHub's
 * cache service ended on 2025-04-15), nix-community/cache-nix-action#49.
 */

export type Role = "ours" | "cache" | "installer" | "files" | "builder" | "checkout" | "plain";

export interface KnownAction {
  readonly role: Role;
  /** As its action.yml spells them; undefined where they are not known. */
  readonly inputs?: readonly string[];
  /** Inputs that hold a secret. */
  readonly secrets?: readonly string[];
  /** Inputs that name a cache. */
  readonly names?: readonly string[];
  /** An input that turns pushing off, and what it is then. */
  readonly off?: readonly [string, string];
  /** `needs a secret`: without one it only reads. */
  readonly pushes?: "needs a secret" | "always";
  /** Where it keeps what it pushes. `github`: in GitHub's cache, which each branch has for itself. */
  readonly keeps?: "github" | "elsewhere";
  /** It has no token of its own, and asks GitHub for one: `id-token: write`. */
  readonly login?: "oidc";
  /** It takes what is built after it: before it nothing is seen. */
  readonly order?: "before builds";
  /** The first version that still works. */
  readonly since?: string;
}

const GITHUB_CACHE = {
  role: "cache",
  pushes: "always",
  keeps: "github",
  order: "before builds",
} as const;
const FILES: KnownAction = { role: "files", since: "3" };
const INSTALLER: KnownAction = { role: "installer" };

const OURS: KnownAction = {
  role: "ours",
  secrets: ["token", "signing-key"],
  names: ["cache"],
  off: ["push", "off"],
};

const KNOWN: Readonly<Record<string, KnownAction>> = {
  "actions/cache": FILES,
  "actions/cache/restore": FILES,
  "actions/cache/save": FILES,
  "actions/checkout": { role: "checkout" },
  "cachix/cachix-action": {
    role: "cache",
    secrets: ["authtoken", "signingkey"],
    names: ["name", "extrapullnames"],
    off: ["skippush", "true"],
    pushes: "needs a secret",
    order: "before builds",
  },
  "ryanccn/attic-action": {
    role: "cache",
    secrets: ["token"],
    names: ["cache", "endpoint"],
    off: ["skip-push", "true"],
    pushes: "needs a secret",
    order: "before builds",
  },
  "mic92/niks3-action": {
    role: "cache",
    names: ["server-url"],
    off: ["skip-push", "true"],
    pushes: "always",
    login: "oidc",
    order: "before builds",
  },
  "nix-community/cache-nix-action": { ...GITHUB_CACHE, off: ["save", "false"], since: "6" },
  "nix-community/cache-nix-action/restore": { role: "cache", keeps: "github", since: "6" },
  "nix-community/cache-nix-action/save": {
    role: "cache",
    pushes: "always",
    keeps: "github",
    since: "6",
  },
  "determinatesystems/magic-nix-cache-action": {
    ...GITHUB_CACHE,
    off: ["use-gha-cache", "false"],
    since: "10",
  },
  "determinatesystems/flakehub-cache-action": {
    role: "cache",
    pushes: "always",
    login: "oidc",
    order: "before builds",
  },
  "mic92/hestia": { ...GITHUB_CACHE, off: ["read-only", "true"] },
  "mic92/hestia-beta": { ...GITHUB_CACHE },
  "mic92/hestia/matrix": { role: "plain" },
  "swornsystems/nix-cache-action": GITHUB_CACHE,
  // A disk of the runner's host, which the next job there has again.
  "namespacelabs/nscloud-cache-action": { role: "cache", pushes: "always" },
  "nixbuild/nixbuild-action": { role: "builder", secrets: ["nixbuild_token", "nixbuild_ssh_key"] },
  "cachix/install-nix-action": INSTALLER,
  "determinatesystems/nix-installer-action": INSTALLER,
  "determinatesystems/determinate-nix-action": INSTALLER,
  "nixos/nix-installer-action": INSTALLER,
  "nixbuild/nix-quick-install-action": INSTALLER,
  "samueldr/lix-gha-installer-action": INSTALLER,
  "canidae-solutions/lix-quick-install-action": INSTALLER,
  "determinatesystems/flake-checker-action": { role: "plain" },
  "wimpysworld/nothing-but-nix": { role: "plain" },
  "determinatesystems/update-flake-lock": { role: "plain" },
};

/**
 * Which inputs they have, as each action.yml spells them: of every version that was read, so that one which
 * only an older version has is not called wrong. `node scripts/known-actions.ts` writes these lines.
 */
const KNOWN_INPUTS: Readonly<Record<string, string>> = {
  "actions/cache":
    "enableCrossOsArchive fail-on-cache-miss key lookup-only path restore-keys save-always upload-chunk-size",
  "actions/cache/restore":
    "enableCrossOsArchive fail-on-cache-miss key lookup-only path restore-keys",
  "actions/cache/save": "enableCrossOsArchive key path upload-chunk-size",
  "actions/checkout":
    "allow-unsafe-pr-checkout clean fetch-depth fetch-tags filter github-server-url lfs path persist-credentials ref reference repository set-safe-directory show-progress sparse-checkout sparse-checkout-cone-mode ssh-key ssh-known-hosts ssh-strict ssh-user submodules token",
  "cachix/cachix-action":
    "authToken cachixArgs cachixBin extraPullNames installCommand name pathsToPush pushFilter signingKey skipAddingSubstituter skipPush useDaemon",
  "cachix/install-nix-action":
    "enable_kvm extra_nix_config github_access_token install_options install_url nix_path set_as_trusted_user",
  "determinatesystems/determinate-nix-action":
    "_internal-obliterate-nix-on-uninstall _internal-strict-mode backtrace diagnostic-endpoint extra-conf force-no-systemd github-server-url github-token init kvm log-directives logger planner proxy reinstall source-binary source-branch source-checksums-sha256 source-checksums-url source-pr source-revision source-tag source-url summarize trust-runner-user",
  "determinatesystems/flakehub-cache-action":
    "_internal-strict-mode diagnostic-endpoint diff-store flakehub-api-server flakehub-cache-server flakehub-flake-name listen source-binary source-branch source-checksums-sha256 source-checksums-url source-pr source-revision source-tag source-url startup-notification-port",
  "determinatesystems/magic-nix-cache-action":
    "_internal-strict-mode diagnostic-endpoint diff-store flakehub-api-server flakehub-cache-server flakehub-flake-name listen source-binary source-branch source-pr source-revision source-tag source-url startup-notification-port upstream-cache use-flakehub use-gha-cache",
  "determinatesystems/nix-installer-action":
    "_internal-nix-package-url _internal-obliterate-nix-on-uninstall _internal-strict-mode backtrace channels check-flake determinate diagnostic-endpoint extra-args extra-conf flake-checker-send-telemetry flakehub force-docker-shim force-no-systemd github-server-url github-token init job-status kvm local-root log-directives logger mac-case-sensitive mac-encrypt mac-root-disk mac-volume-label modify-profile nix-build-group-id nix-build-group-name nix-build-user-base nix-build-user-count nix-build-user-prefix nix-installer-branch nix-installer-pr nix-installer-revision nix-installer-tag nix-installer-url nix-package-url planner pproxy proxy reinstall source-binary source-branch source-checksums-sha256 source-checksums-url source-pr source-revision source-tag source-url ssl-cert-file start-daemon summarize trust-runner-user",
  "mic92/hestia":
    "binary drain-timeout filter-drv-closures github-token listen no-closure read-only socket upstream-cache-filter upstream-cache-key-names version wait-head wait-manifest-version",
  "mic92/hestia/matrix": "attr-prefix flake nix-eval-jobs runner-map skip-unmapped-systems",
  "mic92/niks3-action":
    "cache-config-retries cache-config-timeout debug drain-timeout niks3-bin server-url skip-push substituter",
  "namespacelabs/nscloud-cache-action":
    "cache detect fail-on-cache-miss github-token path spacectl-enabled spacectl-version",
  "nix-community/cache-nix-action":
    "backend fail-on gc-max-store-size gc-max-store-size-linux gc-max-store-size-macos lookup-only nix paths paths-linux paths-macos primary-key purge purge-created purge-last-accessed purge-prefixes purge-primary-key restore-prefixes-all-matches restore-prefixes-first-match save token upload-chunk-size",
  "nixbuild/nix-quick-install-action":
    "enable_kvm github_access_token load_nixConfig nix_archives_url nix_conf nix_on_tmpfs nix_version",
  "nixos/nix-installer-action":
    "add-channel dogfood dogfood-path enable-kvm extra-conf installer-version logger no-init trust-runner-user verbosity",
  "ryanccn/attic-action":
    "cache endpoint exclude-paths include-paths inputs-from push-args skip-push skip-use token",
  "samueldr/lix-gha-installer-action": "extra_nix_config github_access_token lix_version",
  "swornsystems/nix-cache-action": "key restore-keys",
};

/** Every input of our own; a test holds it and action.yml together. */
const OUR_INPUTS = [
  "mode",
  "targets",
  "cache",
  "token",
  "signing-key",
  "substituters",
  "push",
  "push-filter",
  "push-inputs",
  "push-max",
  "pin",
  "pin-keep",
  "verify",
  "on-push-failure",
  "fail-on",
  "heavy",
  "min-free",
  "reclaim",
  "reuse-evaluation",
  "quota",
  "key-files",
  "key-prefix",
  "key-suffix",
  "trust",
  "force",
  "install-nix",
  "nix-version",
  "nix-sha256",
  "pass-env",
  "summary",
  "check-runs",
  "check-runs-token",
  "working-directory",
];

/** By the name of `uses:` in lower case; ours by whoever's fork it is. */
export function knownAction(name: string): KnownAction | undefined {
  if (/(?:^|\/)nix-cache-preflight$/.test(name)) return { ...OURS, inputs: OUR_INPUTS };
  if (!Object.hasOwn(KNOWN, name)) return undefined;
  const known = KNOWN[name];
  const inputs = Object.hasOwn(KNOWN_INPUTS, name) ? KNOWN_INPUTS[name]?.split(" ") : undefined;
  return known && (inputs ? { ...known, inputs } : known);
}

/** Ours as a reusable workflow. */
export function isOurWorkflow(name: string): boolean {
  return /\/nix-cache-preflight\/\.github\/workflows\//.test(name);
}

/** Somebody else's action whose name says that it brings Nix, Lix, or a program that does. */
export function looksLikeInstaller(name: string): boolean {
  return /(?:install|setup)[-_/]?(?:nix|lix|devenv|devbox|flox)|(?:nix|lix|devenv|devbox|flox)[-_/]?(?:quick-)?(?:install|setup)|nixci|\bnix-ci\b/.test(
    name,
  );
}

/** Actions that are known to do nothing with Nix. */
export function isAlien(name: string): boolean {
  return /^(?:actions|github|docker|codecov|softprops|peaceiris|peter-evans|pnpm|oven-sh|denoland|ruby|astral-sh|pypa|dtolnay|swatinem|taiki-e|mozilla-actions|amannn|arduino|golangci|gradle|google-github-actions|aws-actions|azure|hadolint|crazy-max|sigstore|anchore|aquasecurity|ossf|step-security|tj-actions|dorny|easimon|jlumbroso|endersonmenezes)\//.test(
    name,
  );
}
