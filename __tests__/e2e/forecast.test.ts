/** Owns the proof that a run says how long its builds take, and begins none that the job would end. */

import { execFileSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expect, test } from "@jest/globals";
import { startMachine } from "../../scripts/machine.ts";
import { runStage, type StageResult } from "../../scripts/runner.ts";
import { payload } from "../support/events.ts";

/** Nix from 2.26 on counts whole seconds. */
const SLEEP = execFileSync("sh", ["-c", "command -v sleep"], { encoding: "utf8" }).trim();

const FLAKE = (system: string, version: string) => `{
  outputs = { self }: {
    packages.${system} = rec {
      low = derivation { name = "low-${version}"; system = "${system}"; builder = "/bin/sh"; args = [ "-c" "${SLEEP} 2; echo ${version} > $out" ]; };
      high = derivation { name = "high-${version}"; system = "${system}"; builder = "/bin/sh"; inherit low; args = [ "-c" "${SLEEP} 2; echo $low ${version} > $out" ]; };
    };
  };
}`;

const WORKFLOW = ".github/workflows/ci.yml";

interface Report {
  readonly forecast: {
    readonly seconds: number;
    readonly took: number;
    readonly unmeasured: number;
  };
  readonly built: readonly unknown[];
}

test("what was learnt is held against what is left of the job, and afterwards against what it took", async () => {
  await using machine = await startMachine();
  const workspace = join(machine.root, "project");
  await mkdir(join(workspace, ".github", "workflows"), { recursive: true });
  const system = (await machine.nix("nix-instantiate", ["--eval", "-E", "builtins.currentSystem"]))
    .trim()
    .replaceAll('"', "");
  execFileSync("git", ["init", "-q"], { cwd: workspace });
  const run = async (
    version: string,
    minutes: number,
  ): Promise<StageResult & { report: Report }> => {
    await writeFile(join(workspace, "flake.nix"), FLAKE(system, version));
    await writeFile(
      join(workspace, WORKFLOW),
      `jobs:\n  build:\n    timeout-minutes: ${minutes}\n    runs-on: ubuntu-latest\n`,
    );
    execFileSync("git", ["add", "."], { cwd: workspace });
    const result = await runStage("main", {
      action: resolve("."),
      inputs: { mode: "warm", cache: `file://${join(machine.root, "cache")}`, "min-free": "1MB" },
      workspace,
      temp: join(machine.root, "temp"),
      eventName: "push",
      event: JSON.parse(payload("push")),
      environment: machine.environment,
      forged: {
        GITHUB_JOB: "build",
        GITHUB_WORKFLOW_REF: `owner/repository/${WORKFLOW}@refs/heads/main`,
      },
    });
    expect(result.exitCode).toBe(0);
    const report = JSON.parse(await readFile(result.outputs["report"] ?? "", "utf8")) as Report;
    return { ...result, report };
  };
  // Nothing is learnt yet, and so nothing is left out.
  const first = await run("1", 1);
  expect(first.report.built).toHaveLength(2);
  expect(first.report.forecast.unmeasured).toBe(2);

  const second = await run("2", 600);
  expect(second.report.built).toHaveLength(2);
  expect(second.report.forecast).toMatchObject({ unmeasured: 0 });
  expect(second.report.forecast.seconds).toBeGreaterThan(0);
  expect(second.report.forecast.took).toBeGreaterThan(0);
  expect(second.log).toMatch(/of the builds: said [\d.]+s, took [\d.]+s/);
  expect(second.summary).toMatch(/They were built in [\d.]+s \([\d.]+s was said\)/);
  // The builds slept four seconds; what Nix took beside them is learnt, too.
  const file = await readFile(join(machine.root, "cache/memos/build-figures.json"), "utf8");
  const { figures } = JSON.parse(file) as { figures: readonly { aroundSeconds?: number }[] };
  expect(figures.map(({ aroundSeconds }) => typeof aroundSeconds)).toEqual(["number", "number"]);

  // All of a minute is kept for what comes behind the builds.
  const third = await run("3", 1);
  expect(third.report.built).toEqual([]);
  expect(third.annotations.map(({ message }) => message).join("\n")).toContain("NCP-141");
  expect(third.log).toContain(`timeout-minutes of the job build in ${WORKFLOW}`);
  expect(third.log).toMatch(/not begun: (low-3, high-3|high-3, low-3)/);
});
