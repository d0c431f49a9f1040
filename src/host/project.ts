/** Looks at the project: its workflows, where it configures caches, whether its locks are committed. */

import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { JobEnd } from "../domain/ports.ts";
import type { CacheConfiguration, LockFile, Project } from "../domain/workflow.ts";
import { readIfThere } from "./disk.ts";
import { childEnvironment, type Environment, isHosted } from "./environment.ts";
import { needsLock, nixConfigOf } from "./flake-text.ts";
import { runGit } from "./programs.ts";

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
      const [workflows, flake, locks, repository] = await Promise.all([
        readWorkflows(top),
        readIfThere(join(workspace, "flake.nix")),
        lockFiles(options, keyFiles, signal),
        repositoryName(top, options.environment),
      ]);
      return {
        workflows,
        ...(repository === undefined ? {} : { repository }),
        signatures,
        token,
        locks,
        configurations: [
          { where: "Nix's configuration", ...nix },
          ...(flake === undefined ? [] : flakeConfiguration(flake)),
        ],
      };
    },
  };
}

/** GitHub's own bound on a job of a hosted runner. */
const HOSTED_MINUTES = 360;

/**
 * When GitHub ends the job: by `timeout-minutes` in its workflow file, else by its own bound on hosted runners. A job
 * begins when its event file is written.
 */
export async function jobEnd(
  workspace: string,
  environment: Environment,
): Promise<JobEnd | undefined> {
  const { GITHUB_JOB: job = "", GITHUB_EVENT_PATH: event = "" } = environment;
  const file = /^[^/]+\/[^/]+\/(\.github\/workflows\/[^/@]+)@/.exec(
    environment["GITHUB_WORKFLOW_REF"] ?? "",
  )?.[1];
  if (job === "" || file === undefined) return undefined;
  const begun = await stat(event).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
  if (begun === undefined) return undefined;
  const { writtenTimeout } = await import("./workflow-files.ts");
  const written = await writtenTimeout(await topOf(workspace), file, job);
  if (written === undefined) return undefined;
  const minutes = written === "" && isHosted(environment) ? HOSTED_MINUTES : Number(written);
  // An expression is known to GitHub alone.
  if (!(minutes > 0)) return undefined;
  const why =
    written === ""
      ? "GitHub's bound on hosted jobs"
      : `timeout-minutes of the job ${job} in ${file}`;
  return { at: begun + minutes * 60_000, minutes, why };
}

/** Where `.github` and git are: on the command line the working folder may be below. */
async function topOf(workspace: string): Promise<string> {
  for (let at = workspace; ; at = dirname(at)) {
    if ((await readIfThere(join(at, ".git", "HEAD"))) !== undefined) return at;
    if (at === dirname(at)) return workspace;
  }
}

/** `owner/name` on GitHub: the runner says it, and at other places git's configuration does. */
async function repositoryName(top: string, environment: Environment): Promise<string | undefined> {
  const said = environment["GITHUB_REPOSITORY"];
  if (said !== undefined && said !== "") return said;
  const config = (await readIfThere(join(top, ".git", "config"))) ?? "";
  const remote = /\[remote "origin"\]\s*\n(?:(?!\[)[^\n]*\n)*?\s*url\s*=\s*(\S+)/.exec(config)?.[1];
  return /github\.com[:/]([\w.-]+\/[\w.-]+?)(?:\.git)?$/.exec(remote ?? "")?.[1];
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
    const text = await readIfThere(join(workspace, source));
    if (text === undefined) continue;
    if ((await readIfThere(join(workspace, lock))) !== undefined) names.add(lock);
    else {
      const needed = source === "flake.nix" ? needsLock(text) : "yes";
      if (needed !== "no")
        missing.push({ name: lock, state: needed === "yes" ? "missing" : "unknown" });
    }
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
    const { code, stdout } = await runGit(["ls-files", "-z", "--", ...names], {
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

function flakeConfiguration(source: string): CacheConfiguration[] {
  const config = nixConfigOf(source);
  const words = (setting: string) =>
    [config.get(setting), config.get(`extra-${setting}`)].flatMap((text = "") =>
      text.split(/\s+/).filter(Boolean),
    );
  const substituters = words("substituters");
  const publicKeys = words("trusted-public-keys");
  if (substituters.length + publicKeys.length === 0) return [];
  return [{ where: "flake.nix", substituters, publicKeys }];
}
