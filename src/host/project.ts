/** Looks at the project: its workflows, where it configures caches, whether its locks are committed. */

import { dirname, join } from "node:path";
import type { CacheConfiguration, LockFile, Project, WorkflowFile } from "../domain/workflow.ts";
import { readIfThere } from "./disk.ts";
import { childEnvironment, type Environment } from "./environment.ts";
import { exec } from "./exec.ts";

export interface ProjectOptions {
  readonly workspace: string;
  readonly environment: Environment;
  readonly nix: Omit<CacheConfiguration, "where">;
  readonly signatures: "require" | "accept any";
  readonly token: "given" | "absent";
}

export function project(options: ProjectOptions): Project {
  const { workspace, nix, signatures, token } = options;
  return {
    async look(keyFiles, signal) {
      const top = await topOf(workspace);
      // Loaded by an audit alone: a YAML parser would cost every other run its start.
      const { readWorkflows } = await import("./workflow-files.ts");
      const [workflows, flake, locks] = await Promise.all([
        readWorkflows(top),
        readIfThere(join(workspace, "flake.nix")),
        lockFiles(options, keyFiles, signal),
      ]);
      return {
        workflows,
        signatures,
        token,
        locks,
        configurations: [
          { where: "Nix's configuration", ...nix },
          ...(flake === undefined ? [] : configured("flake.nix", flake)),
          ...workflows.flatMap(workflowConfigurations),
        ],
      };
    },
  };
}

/** Where `.github` and git are: on the command line the working folder may be below. */
async function topOf(workspace: string): Promise<string> {
  for (let at = workspace; ; at = dirname(at)) {
    if ((await readIfThere(join(at, ".git", "HEAD"))) !== undefined) return at;
    if (at === dirname(at)) return workspace;
  }
}

/** Inputs that become lines of nix.conf: install-nix-action, nix-installer-action, quick-install. */
const NIX_CONF_INPUTS = ["extra_nix_config", "extra-conf", "nix_conf"];

function workflowConfigurations(file: WorkflowFile): CacheConfiguration[] {
  if (file.kind !== "workflow") return [];
  return file.workflow.jobs.flatMap(({ steps }) =>
    steps.flatMap(({ where, inputs }) =>
      NIX_CONF_INPUTS.flatMap((name) => configured(where, inputs.get(name) ?? "")),
    ),
  );
}

/** `substituters` and keys of a nix.conf, or of a flake's `nixConfig`; an expression is not evaluated. */
function configured(where: string, text: string): CacheConfiguration[] {
  const plain = text.slice(0, 1024 * 1024).replace(/(^|\s)#[^\n]*/g, "$1");
  const words = (setting: string) =>
    [
      ...plain.matchAll(
        new RegExp(
          `\\b(?:extra-)?${setting}\\s*=\\s*(?:\\[([^\\]]*)\\]|"([^"]*)"|([^\\n;]*))`,
          "g",
        ),
      ),
    ]
      .flatMap(([, list, quoted, line]) => (list ?? quoted ?? line ?? "").split(/[\s"]+/))
      .filter((word) => word !== "" && !/[${}]|^(?:secrets|vars|env|inputs)\./.test(word));
  const substituters = words("(?:trusted-)?substituters");
  const publicKeys = words("trusted-public-keys");
  return substituters.length + publicKeys.length > 0 ? [{ where, substituters, publicKeys }] : [];
}

/** What locks what: the one without the other is built from whatever there is today. */
const LOCKED: readonly (readonly [string, string])[] = [
  ["flake.nix", "flake.lock"],
  ["Cargo.toml", "Cargo.lock"],
];

async function lockFiles(
  { workspace, environment }: ProjectOptions,
  keyFiles: readonly string[],
  signal: AbortSignal,
): Promise<LockFile[]> {
  const names = new Set(keyFiles);
  const missing: LockFile[] = [];
  for (const [source, lock] of LOCKED) {
    if ((await readIfThere(join(workspace, source))) === undefined) continue;
    if ((await readIfThere(join(workspace, lock))) === undefined) {
      missing.push({ name: lock, state: "missing" });
    } else names.add(lock);
  }
  const tracked = await trackedFiles(workspace, environment, [...names], signal);
  const present = [...names].map((name): LockFile => {
    if (!tracked) return { name, state: "unknown" };
    return { name, state: tracked.has(name) ? "committed" : "not committed" };
  });
  return [...missing, ...present];
}

const DEADLINE = 20_000;

/** Those that git has; undefined where there is no git, or nothing of it here. */
async function trackedFiles(
  workspace: string,
  environment: Environment,
  names: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlySet<string> | undefined> {
  if (names.length === 0) return new Set();
  try {
    const { code, stdout } = await exec("git", ["ls-files", "-z", "--", ...names], {
      cwd: workspace,
      env: { ...childEnvironment(environment), GIT_LITERAL_PATHSPECS: "1" },
      signal,
      deadline: DEADLINE,
    });
    return code === 0 ? new Set(stdout.split("\0").filter(Boolean)) : undefined;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
