/** Owns running whole workflows: act in host mode, on a machine of its own, with stand-ins for foreign actions. */

import { execFile, spawn } from "node:child_process";
import { access, cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { parse } from "yaml";
import { type Machine, startMachine } from "../../scripts/machine.ts";

const run = promisify(execFile);

/** The program, or undefined where it cannot be installed. */
export const ACT: string | undefined = await run("./scripts/setup-tools").then(
  async ({ stdout }) => {
    const program = join(stdout.trim(), "act");
    return access(program).then(
      () => program,
      () => undefined,
    );
  },
  () => undefined,
);

/** What a step left, as act tells it. */
export interface StepDone {
  /** The job's id with its place in the matrix: `build-1`. */
  readonly job: string;
  readonly step: string;
  readonly stage: string;
  readonly result: string;
}

export interface WorkflowRun {
  readonly exitCode: number | undefined;
  /** What the job page would show of all jobs, masks applied. */
  readonly log: string;
  readonly steps: readonly StepDone[];
  /** Outputs of every step, by job id and step id: `plan/preflight/matrix`. */
  readonly outputs: Readonly<Record<string, string>>;
  /** Commands that act passes on as annotations: `warning: …`. */
  readonly summaries: readonly string[];
}

export interface Site extends AsyncDisposable {
  readonly machine: Machine;
  /** The repository whose workflows run. */
  readonly repository: string;
  /** Writes into the repository and commits all of it. */
  commit(files?: Readonly<Record<string, string>>): Promise<void>;
  run(request: RunRequest): Promise<WorkflowRun>;
}

export interface RunRequest {
  /** `.github/workflows/ci.yml`, in the repository. */
  readonly workflow: string;
  readonly eventName: string;
  /** The payload, or the name of a recorded one. */
  readonly event: string | object;
  readonly job?: string;
  readonly matrix?: string;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly variables?: Readonly<Record<string, string>>;
  /** A folder with programs that come before the machine's. */
  readonly programs?: string;
}

/** Foreign actions cannot be fetched here; each has a folder in fixtures/actions with what it leaves behind. */
const STAND_INS = resolve("__tests__/fixtures/actions");
const OURS = "nix-cache-preflight/nix-cache-preflight";

/** A site whose repository is a copy of `folder`, or empty. */
export async function startSite(folder?: string): Promise<Site> {
  const machine = await startMachine();
  const repository = join(machine.root, "repository");
  await mkdir(repository);
  if (folder !== undefined) await cp(folder, repository, { recursive: true });
  const git = (...args: string[]) =>
    run("git", ["-c", "user.name=t", "-c", "user.email=t@localhost", ...args], {
      cwd: repository,
      env: machine.environment,
    });
  await git("init", "--quiet", "--initial-branch=main");
  // What a release holds of us, and no more: act copies the folder for each step.
  const action = join(machine.root, "action");
  for (const name of ["action.yml", "dist", ".github"]) {
    await cp(name, join(action, name), { recursive: true });
  }
  let runs = 0;
  return {
    machine,
    repository,
    async commit(files = {}) {
      for (const [name, text] of Object.entries(files)) {
        await mkdir(join(repository, name, ".."), { recursive: true });
        await writeFile(join(repository, name), text);
      }
      await git("add", "--all");
      await git("commit", "--quiet", "--allow-empty", "--message", "change");
    },
    async run(request) {
      runs++;
      const own = join(machine.root, `act-${runs}`);
      await mkdir(own);
      const eventFile = join(own, "event.json");
      await writeFile(eventFile, await payload(request.event));
      const secrets = join(own, "secrets");
      const lines = Object.entries(request.secrets ?? {}).map(
        ([name, value]) => `${name}=${value}`,
      );
      await writeFile(secrets, lines.join("\n"), { mode: 0o600 });
      const used = await foreign(repository, join(action, ".github", "workflows"));
      const args = [
        request.eventName,
        ...["--workflows", request.workflow, "--eventpath", eventFile, "--secret-file", secrets],
        ...["--env-file", "/nowhere", "--var-file", "/nowhere", "--input-file", "/nowhere"],
        ...["--json", "--action-offline-mode", "--no-cache-server", "--defaultbranch", "main"],
        ...["--action-cache-path", join(own, "actions"), "--concurrent-jobs", "1"],
        ...["ubuntu-latest", "ubuntu-24.04", "ubuntu-24.04-arm", "self-hosted"].flatMap((on) => [
          "-P",
          `${on}=-self-hosted`,
        ]),
        ...used.flatMap((one) => ["--local-repository", `${one}=${standIn(one, action)}`]),
        ...(request.job ? ["--job", request.job] : []),
        ...(request.matrix ? ["--matrix", request.matrix] : []),
        ...options("--env", request.environment),
        ...options("--var", request.variables),
      ];
      const { PATH = "" } = machine.environment;
      const path = request.programs ? `${request.programs}:${PATH}` : PATH;
      return read(await start(args, repository, { ...machine.environment, PATH: path }));
    },
    [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose](),
  };
}

function options(flag: string, values: Readonly<Record<string, string>> = {}): string[] {
  return Object.entries(values).flatMap(([name, value]) => [flag, `${name}=${value}`]);
}

/** Everything below `uses:` that is not a path: `owner/name@ref`, each once. */
async function foreign(repository: string, called: string): Promise<string[]> {
  const found = new Set<string>();
  for (const folder of [join(repository, ".github", "workflows"), called]) {
    for (const name of await readdir(folder)) {
      for (const uses of usesOf(parse(await readFile(join(folder, name), "utf8")))) {
        const [, action, ref] = /^([^/.]+\/[^/@]+)(?:\/[^@]*)?@(.+)$/.exec(uses) ?? [];
        // act itself does what a checkout does.
        if (action && ref && action !== "actions/checkout") found.add(`${action}@${ref}`);
      }
    }
  }
  return [...found];
}

/** Every `uses:` in a parsed workflow. */
export function usesOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(usesOf);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === "uses" && typeof inner === "string" ? [inner] : usesOf(inner),
  );
}

function standIn(uses: string, action: string): string {
  const name = uses.slice(0, uses.indexOf("@"));
  return name === OURS ? action : join(STAND_INS, name);
}

async function payload(event: string | object): Promise<string> {
  if (typeof event === "object") return JSON.stringify(event);
  return readFile(resolve("__tests__/fixtures/events", `${event}.json`), "utf8");
}

function start(
  args: readonly string[],
  cwd: string,
  environment: Readonly<Record<string, string>>,
): Promise<{ exitCode: number | undefined; text: string }> {
  if (ACT === undefined) throw new Error("there is no act here");
  const program = ACT;
  return new Promise((done, fail) => {
    // The job's steps inherit this: the machine's environment and nothing else of ours.
    const child = spawn(program, args, {
      cwd,
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let text = "";
    const take = (chunk: Buffer) => {
      text += chunk;
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("error", fail);
    child.on("close", (code) => done({ exitCode: code ?? undefined, text }));
  });
}

/** Lines of act 0.2.89 with `--json`. */
interface Line {
  readonly jobID?: string;
  readonly job?: string;
  readonly matrix?: Readonly<Record<string, unknown>>;
  readonly stepID?: readonly string[];
  readonly step?: string;
  readonly stage?: string;
  readonly stepResult?: string;
  readonly command?: string;
  readonly name?: string;
  readonly arg?: string;
  readonly content?: string;
  readonly msg?: string;
}

function read({ exitCode, text }: { exitCode: number | undefined; text: string }): WorkflowRun {
  const steps: StepDone[] = [];
  const outputs: Record<string, string> = {};
  const summaries: string[] = [];
  const log: string[] = [];
  for (const row of text.split("\n")) {
    if (!row.startsWith("{")) {
      log.push(row);
      continue;
    }
    const line = JSON.parse(row) as Line;
    log.push((line.msg ?? "").trimEnd());
    if (line.stepResult !== undefined) {
      const { job = "", step = "", stage = "", stepResult: result } = line;
      steps.push({ job, step, stage, result });
    }
    if (line.command === "set-output" && line.name !== undefined) {
      outputs[[line.jobID, ...(line.stepID ?? []), line.name].join("/")] = line.arg ?? "";
    }
    if (line.command === "summary") summaries.push(line.content ?? line.msg ?? "");
  }
  return { exitCode, log: log.join("\n"), steps, outputs, summaries };
}
