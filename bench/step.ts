/** Owns one step of the bundled action, run and timed as a runner would run it. */

import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { runStage } from "../scripts/runner.ts";
import type { Bench } from "./site.ts";

/** Runs a stage of the bundled action; its milliseconds and what it said. */
export async function step(
  bench: Bench,
  stage: "main" | "post",
  inputs: Readonly<Record<string, string>>,
  state: Readonly<Record<string, string>> = {},
  workspace = bench.folder("workspace"),
  environment: Readonly<Record<string, string>> = {},
) {
  await mkdir(workspace, { recursive: true });
  const begun = performance.now();
  const result = await runStage(stage, {
    action: resolve("."),
    inputs: { "min-free": "10MB", "key-files": "", ...inputs },
    workspace,
    temp: bench.runnerTemp(stage === "main" ? "of a new job" : "of the last job"),
    eventName: "push",
    event: { repository: { default_branch: "main" } },
    environment: { ...bench.environment, ...environment },
    state,
  });
  const ms = performance.now() - begun;
  if (result.exitCode !== 0)
    throw new Error(`${stage} ended with ${result.exitCode}\n${result.log}`);
  return { ms, ...result };
}
