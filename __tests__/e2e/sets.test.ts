/** Sets and shells: what stands in a flake beside packages, and what evaluation itself needs. */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { cached, FORK, flake, NIX, type Step, startJob, type TestJob, told } from "./job.ts";

const SETS = flake("sets");

function kinds(step: Step): Record<string, string> {
  const verdicts = JSON.parse(step.outputs["verdicts"] ?? "{}") as Record<string, { kind: string }>;
  return Object.fromEntries(Object.entries(verdicts).map(([name, { kind }]) => [name, kind]));
}

async function check(job: TestJob, targets: string, inputs = {}): Promise<Step> {
  return job.main({ mode: "check", targets, ...inputs });
}

async function names(job: TestJob): Promise<string[]> {
  return [...(await cached(job.cache)).keys()].sort();
}

describe(`sets, on ${NIX}`, () => {
  test("with derivations, paths and odd names in them give their members, and break nothing", async () => {
    await using job = await startJob(SETS);
    const jobs = await check(job, ".#hydraJobs.*.*\n.#withPath.*");
    expect(kinds(jobs)).toEqual({
      ".#hydraJobs.tool.x86_64-linux": "missing",
      ".#withPath.tool": "missing",
    });
    const odd = await check(job, ".#names.*");
    expect(kinds(odd)).toEqual({
      '.#names."with space"': "missing",
      '.#names."SYSTEM"': "missing",
    });
    expect(told(odd).join("\n")).toMatch(/can be written in no attribute path \("quote\\""\)/);
    const entries = JSON.parse(odd.outputs["matrix"] ?? "").include as { targets: string }[];
    const back = await check(job, entries.map(({ targets }) => targets).join("\n"));
    expect(kinds(back)).toEqual(kinds(odd));
  });

  test("pass over what its own meta refuses, with a count; named, it fails", async () => {
    await using job = await startJob(SETS);
    const step = await check(job, ".#refusing.*\n!docs");
    expect(kinds(step)).toEqual({ ".#refusing.good": "missing", ".#refusing.other": "failed" });
    expect(told(step).join("\n")).toContain(
      "2 members of . skipped, as they cannot be evaluated here (broken: refusing.broken; unfree: refusing.unfree)",
    );
    expect(kinds(await check(job, ".#refusing.broken"))).toEqual({ ".#refusing.broken": "failed" });
    expect(told(await check(job, ".#refusing.good\n!nothing")).join("\n")).toContain(
      '"!nothing" takes no target away',
    );
  });

  test("of configurations mean what they build; a line that is merged is told", async () => {
    await using job = await startJob(SETS);
    const step = await check(job, ".#nixosConfigurations.*\n.#chain.top\n.#chain.top priority=1");
    expect(kinds(step)).toEqual({
      ".#nixosConfigurations.desk.config.system.build.toplevel": "missing",
      ".#chain.top": "missing",
    });
    expect(told(step).join("\n")).toContain(
      '".#chain.top priority=1": ".#chain.top" names .#chain.top already',
    );
  });

  test("one installable for two systems is two targets", async () => {
    await using job = await startJob(SETS);
    const step = await check(job, ".#chain.top\n.#chain.top system=aarch64-linux");
    expect(Object.keys(kinds(step))).toEqual([".#chain.top", ".#chain.top system=aarch64-linux"]);
  });

  test("what is built and what nix develop needs of it are two targets", async () => {
    await using job = await startJob(SETS);
    const step = await check(job, ".#chain.top\n.#chain.top develop=yes\n.#chain.top develop=no");
    expect(Object.keys(kinds(step))).toEqual([".#chain.top", ".#chain.top develop=yes"]);
    expect(told(step).join("\n")).toContain('".#chain.top develop=no": ".#chain.top" names');
  });

  test("without targets are what the flake has; what was not looked at is told", async () => {
    await using job = await startJob(SETS);
    const step = await check(job, "");
    expect(step.exitCode).toBe(0);
    expect(Object.keys(kinds(step))).toEqual([".#devShells.x86_64-linux.default"]);
    expect(told(step).join("\n")).toContain(
      "not looked at, as no target is named: .#nixosConfigurations.*",
    );
    const none = await job.main({ mode: "check" }, { workspace: join(job.machine.root, "home") });
    expect(none.outputs).toMatchObject({ hit: "false", "hit-rate": "0" });
    expect(told(none).join("\n")).toContain("nothing was looked at");
  });
});

describe(`imports from derivation, on ${NIX}`, () => {
  const targets = ".#imports.*";

  test.each([
    ["a check", { mode: "check" }, {}],
    ["a stranger's pull request", { mode: "warm" }, FORK],
  ])("%s builds none, and names what evaluation wanted", async (_, inputs, how) => {
    await using job = await startJob(SETS);
    const step = await job.main({ targets, ...inputs }, how);
    expect(step.exitCode).toBe(0);
    expect(kinds(step)).toEqual({ ".#imports.planned": "missing", ".#imports.plain": "missing" });
    expect(step.outputs["missing"]).toContain("plan-1");
    expect((await readdir(job.machine.storeDir)).filter((name) => /-plan-1$/.test(name))).toEqual(
      [],
    );
  });

  test("a warming run builds it, tells, and pushes it; then a check fetches it", async () => {
    await using job = await startJob(SETS);
    const warm = await job.main({ mode: "warm", targets });
    expect(warm.exitCode).toBe(0);
    expect(told(warm).join("\n")).toContain("built by evaluation: plan-1");
    expect(warm.report().builtByEvaluation).toEqual([expect.stringMatching(/-plan-1\.drv$/)]);
    expect(await names(job)).toEqual(["plain-1", "plan-1", "planned-1"]);
    await job.machine.forget();
    const again = await job.main({ mode: "check", targets });
    expect(kinds(again)).toEqual({ ".#imports.planned": "own", ".#imports.plain": "own" });
    expect(again.report().builtByEvaluation).toEqual([]);
  });
});

test(`of a shell on ${NIX} the inputs are warmed, fetched and judged, and it is never built`, async () => {
  await using job = await startJob(SETS);
  const targets = ".#devShells.SYSTEM.default";
  const warm = await job.main({ mode: "warm", targets });
  expect([warm.exitCode, warm.building]).toEqual([0, ["tool-1"]]);
  expect(await names(job)).toEqual(["tool-1"]);
  await job.machine.forget();
  const fetched = await job.main({ mode: "prefetch", targets });
  expect(kinds(fetched)).toEqual({ ".#devShells.x86_64-linux.default": "own" });
  expect((await readdir(job.machine.storeDir)).some((name) => /-tool-1$/.test(name))).toBe(true);
  const package_ = await check(job, `${targets} develop=no`);
  expect(JSON.parse(package_.outputs["missing"] ?? "")).toMatchObject([{ name: "shell-1" }]);
});

test(`what a run fetched on ${NIX} stays until the job ends, and no longer`, async () => {
  await using job = await startJob(SETS);
  const targets = ".#chain.top";
  await job.main({ mode: "warm", targets });
  await job.machine.forget();
  const main = await job.main({ mode: "prefetch", targets });
  const kept = async () => {
    await job.machine.nix("nix-store", ["--gc"]);
    const all = await readdir(job.machine.storeDir);
    return all.filter((name) => /-(top|base)-1(\.drv)?$/.test(name)).length;
  };
  expect(await kept()).toBe(4);
  await job.post({ mode: "prefetch", targets }, { state: main.state });
  expect(await kept()).toBe(0);
});

test(`on ${NIX} Nix's own collection in the middle takes nothing that is still needed`, async () => {
  const configuration =
    "min-free = 1000000000000\nmax-free = 2000000000000\nmin-free-check-interval = 0";
  await using job = await startJob(SETS, { configuration });
  const step = await job.main({ mode: "warm", targets: ".#chain.base\n.#chain.top\n.#imports.*" });
  expect([step.exitCode, told(step).filter((line) => line.startsWith("error"))]).toEqual([0, []]);
  expect(await names(job)).toEqual(["base-1", "plain-1", "plan-1", "planned-1", "top-1"]);
});
