/** Owns auditing a project that a test makes up: real files, real git, the real YAML parser. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { InputName } from "../../src/action/inputs.ts";
import type { ProjectFacts } from "../../src/domain/workflow.ts";
import { checksOf } from "../../src/engine/audit/audit.ts";
import type { AuditRequest, Check } from "../../src/engine/audit/check.ts";
import { run } from "../../src/engine/run.ts";
import { type ProjectOptions, project } from "../../src/host/project.ts";
import { type Folder, temporaryFolder } from "./folder.ts";
import { type CacheOptions, job, memoryCache, memoryNix, SIGNAL, WRITE, world } from "./world.ts";

const exec = promisify(execFile);
// biome-ignore lint/style/noProcessEnv: git is where this process finds it
const ENVIRONMENT = { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent" };

export async function git(folder: Folder, ...args: readonly string[]): Promise<void> {
  await exec("git", args, { cwd: folder.path });
}

/** The facts of a repository that holds these files, all of them added. */
export async function projectFacts(
  files: Readonly<Record<string, string>>,
  options: Partial<ProjectOptions> = {},
): Promise<ProjectFacts> {
  await using folder = await temporaryFolder();
  for (const [name, content] of Object.entries(files)) await folder.write(name, content);
  await git(folder, "init", "--quiet");
  await git(folder, "add", "--all");
  return await look(folder.path, [], options);
}

export function look(
  workspace: string,
  keyFiles: readonly string[],
  options: Partial<ProjectOptions> = {},
): Promise<ProjectFacts> {
  return project({
    workspace,
    environment: ENVIRONMENT,
    nix: { substituters: [], publicKeys: [] },
    signatures: "require",
    token: "absent",
    ...options,
  }).look(keyFiles, SIGNAL);
}

export interface AuditedOptions {
  readonly inputs?: Partial<Record<InputName, string>>;
  readonly own?: CacheOptions;
  readonly ownUrl?: string;
  readonly change?: Partial<AuditRequest>;
}

/** Every check over those facts, with a survey of nothing. */
export async function checks(
  facts: ProjectFacts | undefined,
  { inputs = {}, own = {}, ownUrl, change = {} }: AuditedOptions = {},
): Promise<Check[]> {
  const here = world({ nix: memoryNix(), own: memoryCache("own", own) });
  const asked = job({ mode: "check", targets: "", ...inputs });
  const { survey } = await run(asked, WRITE, here, SIGNAL);
  return checksOf({
    job: asked,
    survey,
    verified: [],
    project: facts,
    ownUrl,
    pins: "none",
    addresses: here.addresses,
    sizes: undefined,
    now: Date.parse("2026-11-21T12:00:00Z"),
    ...change,
  });
}

/** A workflow of one job, on push. */
export function workflow(steps: string, { on = "push", more = "" } = {}): Record<string, string> {
  const indented = steps
    .trim()
    .split("\n")
    .map((line) => `      ${line}`)
    .join("\n");
  return {
    ".github/workflows/ci.yml": `on: ${on}\njobs:\n  build:\n    runs-on: ubuntu-latest\n${more}    steps:\n${indented}\n`,
  };
}
