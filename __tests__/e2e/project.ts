/** Owns a project as a user has it: a flake, our examples as its workflows, and a loopback Cachix. */

import { cp, readdir, readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { parse } from "yaml";
import { lock } from "../../scripts/machine.ts";
import { type CachixServer, startCachix } from "../servers/cachix.ts";
import { type RunRequest, type Site, startSite, type WorkflowRun } from "./act.ts";

export const TOKEN = "eyJhbGciOiJIUzI1NiJ9.d2hvbGUtd29ya2Zsb3c.seen-nowhere";

/** The four that a workflow of any project gets most. */
export const EVENTS = {
  push: { eventName: "push", event: "push" },
  "own pull request": { eventName: "pull_request", event: "pull_request-own-branch" },
  "fork pull request": { eventName: "pull_request", event: "pull_request-fork" },
  schedule: { eventName: "schedule", event: "schedule" },
} as const;

export type EventName = keyof typeof EVENTS;

export interface Project extends Site {
  readonly server: CachixServer;
  /** Runs an example of this repository as a project that copied it would; the token is given in any case. */
  example(name: string, event: EventName, more?: Partial<RunRequest>): Promise<WorkflowRun>;
}

/** `more` are further workflows, by file name. A project with three home configurations, whose workflows are our examples, on a loopback Cachix. */
export async function startProject(more: Readonly<Record<string, string>> = {}): Promise<Project> {
  const site = await startSite(resolve("examples/quickstart/home"));
  const { machine, repository } = site;
  const nixpkgs = join(machine.root, "nixpkgs");
  await cp(resolve("examples/quickstart/nixpkgs"), nixpkgs, { recursive: true });
  await lock(machine, repository, { nixpkgs });
  const server = await startCachix({
    name: "acme",
    storeDir: machine.storeDir,
    tokens: { [TOKEN]: "Write" },
  });
  const files: Record<string, string> = {};
  const given = (await examples()).map(
    async (name) => [name, await readFile(join("examples", name), "utf8")] as const,
  );
  for (const [name, text] of [...(await Promise.all(given)), ...Object.entries(more)]) {
    // Who copies an example writes their cache's name there, and the systems they have; this
    // project's cache is on loopback, and it has this machine's system alone.
    files[`.github/workflows/${name}`] = text
      .replaceAll("cachix:my-cache", `cachix:${server.name}?host=${server.origin}`)
      .replace(/^ +\.#packages\.(aarch64-linux|aarch64-darwin|x86_64-darwin)\..*\n/gm, "");
  }
  await site.commit(files);
  return {
    ...site,
    server,
    example: (name, event, more = {}) =>
      site.run({
        workflow: `.github/workflows/${name}`,
        // GitHub gives a fork's pull request none.
        secrets: event === "fork pull request" ? {} : { CACHIX_AUTH_TOKEN: TOKEN },
        ...EVENTS[event],
        ...more,
      }),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await site[Symbol.asyncDispose]();
    },
  };
}

export async function examples(): Promise<string[]> {
  // Deploying needs hosts to deploy to: deploy.test.ts has them.
  return (await readdir("examples")).filter(
    (name) => /\.ya?ml$/.test(name) && name !== "deploy.yml",
  );
}

/** Steps that did not succeed, and a log to read where there are any. */
export function failed(run: WorkflowRun): string[] {
  const bad = run.steps
    .filter(({ result }) => result === "failure")
    .map(({ job, stage, step }) => `${job}: ${stage} ${step}`);
  if (run.exitCode !== 0) bad.push(`exit ${run.exitCode}`, run.log);
  return bad;
}

/** Jobs that got to run a step of their own. */
export function jobs(run: WorkflowRun): string[] {
  return [...new Set(run.steps.map(({ job }) => basename(job).trim()))].sort();
}

/** What the cache holds, by name and version. */
export function held({ server, machine }: Project): string[] {
  return [...server.state.own.values()]
    .map(({ storePath }) => storePath.slice(machine.storeDir.length + 34))
    .sort();
}

export function pinned({ server }: Project): string[] {
  return [...server.state.pins.byName.keys()].sort();
}

export function triggers(workflow: string): EventName[] {
  const { on } = parse(workflow) as { on: Record<string, unknown> };
  return (Object.keys(EVENTS) as EventName[]).filter((name) => EVENTS[name].eventName in on);
}
