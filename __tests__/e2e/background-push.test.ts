/** Owns the proof that what a job builds is pushed while it runs, and that a killed helper is noticed. */

import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { type Machine, quickstart, startMachine } from "../../scripts/machine.ts";
import { runStage, type StageResult, type StepRequest } from "../../scripts/runner.ts";
import { recordOf } from "./record.ts";

async function step(machine: Machine, inputs: Record<string, string> = {}): Promise<StepRequest> {
  return {
    action: resolve("."),
    inputs: {
      mode: "prefetch",
      cache: `file://${machine.root}/cache`,
      targets: ".#homeConfigurations.*.activationPackage",
      "min-free": "1MB",
      ...inputs,
    },
    workspace: await quickstart(machine, resolve("examples/quickstart")),
    temp: join(machine.root, "temp"),
    eventName: "push",
    event: { repository: { default_branch: "main" } },
    environment: machine.environment,
  };
}

async function buildBws(machine: Machine, { workspace }: StepRequest): Promise<string> {
  const args = ["build", "--no-link", "--json", "--no-write-lock-file"];
  const target = "path:../nixpkgs#legacyPackages.x86_64-linux.bws";
  const json = await machine.nix("nix", [...args, target], workspace);
  return (JSON.parse(json) as { outputs: { out: string } }[])[0]?.outputs.out ?? "";
}

async function isServed(machine: Machine, path: string): Promise<boolean> {
  const names = await readdir(join(machine.root, "cache")).catch((): string[] => []);
  return names.includes(`${path.slice(machine.storeDir.length + 1).slice(0, 32)}.narinfo`);
}

/** The step's record holds the process id; there is no other way to it. */
async function watcherOf(state: StageResult["state"]): Promise<number | undefined> {
  return (await recordOf(state)).watcher?.pid;
}

test("a path is in the cache before post begins, and post says so", async () => {
  await using machine = await startMachine();
  const request = await step(machine);
  const main = await runStage("main", request);
  expect(await watcherOf(main.state)).toBeGreaterThan(0);
  const path = await buildBws(machine, request);
  for (let tries = 0; tries < 100 && !(await isServed(machine, path)); tries++) await wait(200);
  expect(await isServed(machine, path)).toBe(true);
  const post = await runStage("post", { ...request, state: main.state });
  expect(post.exitCode).toBe(0);
  expect(post.log).toContain("pushed while the job ran: ");
}, 120_000);

test("a helper that was killed is noticed, and post pushes what is left", async () => {
  await using machine = await startMachine();
  const request = await step(machine);
  const main = await runStage("main", request);
  process.kill((await watcherOf(main.state)) ?? 0, "SIGKILL");
  const path = await buildBws(machine, request);
  const post = await runStage("post", { ...request, state: main.state });
  expect(post.exitCode).toBe(0);
  expect(post.log).toContain("the background push ended early");
  expect(await isServed(machine, path)).toBe(true);
}, 120_000);

test.each([
  ["a read-only run", { trust: "read-only" }],
  ["mode: check", { mode: "check" }],
  ["push: off", { push: "off" }],
])(
  "%s starts none",
  async (_, inputs) => {
    await using machine = await startMachine();
    const request = await step(machine, inputs);
    const main = await runStage("main", request);
    expect(main.exitCode).toBe(0);
    expect(await watcherOf(main.state)).toBeUndefined();
  },
  120_000,
);
