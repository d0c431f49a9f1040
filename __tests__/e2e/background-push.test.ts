/** Owns the proof that what a job builds is pushed while it runs, and that a killed helper is noticed. */

import { execFile } from "node:child_process";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { type Machine, quickstart, startMachine } from "../../scripts/machine.ts";
import { runStage, type StageResult, type StepRequest } from "../../scripts/runner.ts";
import { leftBackground } from "../../src/action/job-folder.ts";
import { sealFor } from "../../src/action/state.ts";
import { isRunning, type ProcessIdentity } from "../../src/host/processes.ts";
import { cached, flake, NIX, startJob, told } from "./job.ts";
import { recordOf } from "./record.ts";

/** Main does not wait for it to begin. */
async function begun(folder: string): Promise<ProcessIdentity> {
  for (;;) {
    const found = await leftBackground(folder);
    if (found) return found;
    await wait(20);
  }
}

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
});

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
});

test.each([
  ["a read-only run", { trust: "read-only" }],
  ["mode: check", { mode: "check" }],
  ["push: off", { push: "off" }],
])("%s starts none", async (_, inputs) => {
  await using machine = await startMachine();
  const request = await step(machine, inputs);
  const main = await runStage("main", request);
  expect(main.exitCode).toBe(0);
  expect(await watcherOf(main.state)).toBeUndefined();
});

describe(`whose job is over, on ${NIX}`, () => {
  test("a background push ends with the process that ran the job's steps, though nothing is emptied and post never came", async () => {
    await using job = await startJob(flake("members"));
    const temp = join(job.machine.root, "runner");
    const request = {
      action: resolve("."),
      inputs: {
        cache: `file://${job.cache}`,
        mode: "prefetch",
        targets: ".#good",
        "min-free": "1MB",
      },
      workspace: job.workspace,
      temp,
      eventName: "push",
      event: { repository: { default_branch: "main" } },
      environment: job.machine.environment,
    };
    const runner = `
      import { runStage } from ${JSON.stringify(resolve("scripts/runner.ts"))};
      const { exitCode } = await runStage("main", ${JSON.stringify(request)});
      process.exitCode = exitCode;
    `;
    const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", runner];
    await promisify(execFile)(process.execPath, args);
    const left = await begun(join(temp, "nix-cache-preflight", "1"));
    // The end of this loop is what is shown.
    while (await isRunning(left)) await wait(50);
  });

  test("that of a main that was killed before it could say so is ended by post, and nothing of later jobs is pushed", async () => {
    await using job = await startJob(flake("members"), {
      defaults: { mode: "prefetch", targets: ".#good" },
    });
    const folder = join(job.machine.root, "runner", "nix-cache-preflight", "1");
    const main = await job.main();
    const left = await begun(folder);
    // As a main leaves it that was killed right after the start: its record names no such process.
    const pointer = JSON.parse(main.state["preflight"] ?? "") as { file: string };
    const record = JSON.parse(await readFile(join(folder, pointer.file), "utf8")) as object;
    const text = JSON.stringify({ ...record, watcher: undefined });
    await writeFile(join(folder, "state-9.json"), text);
    const seal = sealFor({
      secrets: { token: undefined, signingKey: undefined },
      environment: { GITHUB_REPOSITORY: "owner/repository" },
      job: { cacheName: `file://${job.cache}` },
      folder,
    }).of(text);
    const state = { preflight: JSON.stringify({ ...pointer, file: "state-9.json", seal }) };
    const post = await job.post({}, { state });
    expect([post.exitCode, told(post)]).toEqual([0, []]);
    // It has said that it is done, and ends; the end of this loop is what is shown.
    while (await isRunning(left)) await wait(20);
    await expect(stat(folder)).rejects.toThrow("ENOENT");
    await job.machine.nix("nix", ["build", "--no-link", ".#other"], job.workspace);
    expect([...(await cached(job.cache)).keys()]).not.toContain("other-1");
  });
});
