/** Owns a job for the end-to-end tests: a machine, a workspace from a fixture, a cache, and steps. */

import { execFile } from "node:child_process";
import { cp, mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { lock, type Machine, type MachineOptions, startMachine } from "../../scripts/machine.ts";
import { runStage, type StageResult, type StepRequest } from "../../scripts/runner.ts";
import type { jsonReport } from "../../src/report/json.ts";

/** The folder of a fixture flake. */
export function flake(name: string): string {
  return resolve("__tests__/fixtures/flakes", name);
}

/** The incident: home configurations that want what only this nixpkgs has. */
export const HOME = resolve("examples/quickstart/home");
export const NIXPKGS = resolve("examples/quickstart/nixpkgs");

export type Report = ReturnType<typeof jsonReport>;
export type Inputs = Readonly<Record<string, string>>;
export type How = Partial<
  Pick<
    StepRequest,
    | "eventName"
    | "event"
    | "ref"
    | "environment"
    | "state"
    | "onLine"
    | "kill"
    | "workspace"
    | "cwd"
    | "temp"
    | "runner"
    | "user"
    | "through"
    | "node"
  >
>;

export interface Step extends StageResult {
  /** Throws where the stage wrote none. */
  report(): Report;
  /** Names of the derivations that Nix said it was building, in order, each as often as it was. */
  readonly building: readonly string[];
}

export interface TestJob extends AsyncDisposable {
  readonly machine: Machine;
  readonly workspace: string;
  /** The directory of the cache, which does not exist until something is pushed. */
  readonly cache: string;
  main(inputs?: Inputs, how?: How): Promise<Step>;
  post(inputs?: Inputs, how?: How): Promise<Step>;
}

export interface JobOptions extends MachineOptions {
  /** The folders to lock the flake's inputs to; each is copied to `inputs/NAME` of the machine. */
  readonly inputs?: Readonly<Record<string, string>>;
  /** Holds for every step, unless the step says otherwise. */
  readonly defaults?: Inputs;
}

/** Which Nix these tests run on: `2.26.3`. Stands in the name of every suite. */
export const NIX = (await promisify(execFile)("nix", ["--version"])).stdout
  .trim()
  .replace("nix (Nix) ", "Nix ");

/** 26 of 2.26.3. */
export const MINOR = Number(NIX.split(".")[1]);

/** A job whose workspace is a copy of the folder, or empty. */
export async function startJob(
  folder: string | undefined,
  options: JobOptions = {},
): Promise<TestJob> {
  const machine = await startMachine(options);
  const workspace = join(machine.root, "workspace");
  await mkdir(workspace);
  if (folder !== undefined) await cp(folder, workspace, { recursive: true });
  if (options.inputs) {
    const folders: Record<string, string> = {};
    for (const [name, source] of Object.entries(options.inputs)) {
      folders[name] = join(machine.root, "inputs", name);
      await cp(source, folders[name], { recursive: true });
    }
    await lock(machine, workspace, folders);
  }
  const cache = join(machine.root, "cache");
  const stage = async (name: "main" | "post", inputs: Inputs, how: How): Promise<Step> => {
    const result = await runStage(name, {
      action: resolve("."),
      inputs: {
        cache: `file://${cache}`,
        "min-free": "1MB",
        ...options.defaults,
        ...inputs,
      },
      workspace,
      temp: join(machine.root, "runner"),
      eventName: "push",
      event: { repository: { default_branch: "main" } },
      environment: machine.environment,
      ...how,
    });
    const text = await readFile(result.outputs["report"] ?? "", "utf8").catch(() => undefined);
    return {
      ...result,
      building: [...result.log.matchAll(/^building '[^']*\/[0-9a-z]{32}-(.*)\.drv'/gm)].map(
        ([, building = ""]) => building,
      ),
      report: () => {
        if (text === undefined) throw new Error(`there is no report; the log is\n${result.log}`);
        return JSON.parse(text) as Report;
      },
    };
  };
  return {
    machine,
    workspace,
    cache,
    main: (inputs = {}, how = {}) => stage("main", inputs, how),
    post: (inputs = {}, how = {}) => stage("post", inputs, how),
    [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose](),
  };
}

/** The event of a pull request from a fork: no step of it may write. */
export const FORK: How = {
  eventName: "pull_request",
  ref: "refs/pull/1/merge",
  event: {
    repository: { default_branch: "main" },
    pull_request: { head: { repo: { id: 2, fork: true } }, base: { repo: { id: 1 } } },
  },
};

/** Every file below `folder` with its size and time of change: equal listings, nothing written. */
export async function listing(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const lines = await Promise.all(
    names.map(async (name) => {
      const { size, mtimeMs, ino } = await stat(join(folder, name));
      return `${name} ${size} ${mtimeMs} ${ino}`;
    }),
  );
  return lines.sort();
}

/** What was pushed or pinned: without the records that a run leaves for later ones. */
export async function content(cache: string): Promise<string[]> {
  return (await written(cache)).filter((line) => !/^memos[ /]/.test(line));
}

/** As `listing`, without the empty folders that Nix makes wherever it looks for a cache. */
export async function written(cache: string): Promise<string[]> {
  const all = await listing(cache);
  return all.filter(
    (line) => !/^(log|nar|realisations|build-trace-v\d+|nix-cache-info) /.test(line),
  );
}

export interface CachedPath {
  readonly file: string;
  /** `HASH-NAME`. */
  readonly path: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly nar: string;
}

/** The narinfos of a cache. */
export async function cachedPaths(cache: string): Promise<CachedPath[]> {
  const names = await readdir(cache).catch(() => []);
  return Promise.all(
    names
      .filter((name) => name.endsWith(".narinfo"))
      .map(async (name) => {
        const file = join(cache, name);
        const lines = (await readFile(file, "utf8")).trimEnd().split("\n");
        const fields = Object.fromEntries(
          lines.map((line) => {
            const colon = line.indexOf(":");
            return [line.slice(0, colon), line.slice(colon + 1).trim()];
          }),
        );
        const path = (fields["StorePath"] ?? "").split("/").at(-1) ?? "";
        return { file, path, fields, nar: join(cache, fields["URL"] ?? "") };
      }),
  );
}

/** The same by the name of their store path, `bws-1.0.0`. */
export async function cached(cache: string): Promise<Map<string, CachedPath>> {
  return new Map((await cachedPaths(cache)).map((one) => [one.path.slice(33), one]));
}

/** Of the cache's pins: name to store path. */
export async function pins(cache: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of await readdir(join(cache, "pins")).catch(() => [])) {
    const pin = JSON.parse(await readFile(join(cache, "pins", name), "utf8")) as {
      name: string;
      revisions: { storePath: string }[];
    };
    found[pin.name] = pin.revisions[0]?.storePath ?? "";
  }
  return found;
}

/** What the step told the user, all levels, in full, with what to do about it: `error: …`. */
export function told(step: StageResult): string[] {
  const lines = step.log.split("\n");
  const found = lines.flatMap((line, at) => {
    const first = FINDING.exec(line);
    if (!first) return [];
    const after = lines.slice(at + 1);
    const end = after.findIndex(
      (next) => FINDING.test(next) || /^(Error|Warning|Nix cache)/.test(next),
    );
    const rest = after.slice(0, end < 0 ? 40 : end).filter((next) => next !== "");
    return [
      [`${first[1]}: ${first[2]}`, ...rest.map((next) => next.replace(/^ {2}→ /, ""))].join("\n"),
    ];
  });
  // What is known before there is a report stands beside the log alone.
  const others = step.annotations
    .map(({ level, message }) => `${level}: ${message}`)
    .filter((text) => {
      const [first = ""] = text.replace(/ \(NCP-\d+\)/, "").split("\n");
      return !found.some((one) => one.startsWith(first.slice(0, 40)));
    });
  return [...found, ...others];
}

const FINDING = /^(error|warning|notice)(?: NCP-\d+)?: (.*)$/;
