/** Owns the demo: the incident and its repair, through the bundled action, with real Nix. */

import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { quickstart, startMachine } from "./machine.ts";
import { runStage, type StageResult } from "./runner.ts";

const { values: options } = parseArgs({
  options: { cachix: { type: "boolean" }, cache: { type: "string" } },
});
if (options.cachix) await (await import("./demo-cachix.ts")).demoCachix();
else await demo();

async function demo(): Promise<void> {
  const out = resolve("demo-out");
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });

  await using machine = await startMachine();
  const workspace = await quickstart(machine, resolve("examples/quickstart"));
  const cache = options.cache ?? join(out, "cache");
  const targets = [
    ".#homeConfigurations.*.activationPackage",
    "nixpkgs#bws pin=bws priority=90 space=50MB closure=build",
  ].join("\n");

  async function step(name: string, inputs: Record<string, string>): Promise<StageResult> {
    console.log(`\n===== ${name} =====\n`);
    const result = await runStage("main", {
      action: resolve("."),
      inputs: { cache: `file://${cache}`, targets, "min-free": "100MB", heavy: "bws-*", ...inputs },
      workspace,
      temp: join(machine.root, "runner-temp"),
      eventName: "push",
      event: { repository: { default_branch: "main" } },
      environment: machine.environment,
    });
    console.log(result.log);
    await writeFile(join(out, `${name}.log`), result.log);
    await writeFile(join(out, `${name}.md`), result.summary);
    if (result.exitCode !== 0) {
      console.error(`${name} ended with ${result.exitCode}`);
      process.exit(1);
    }
    return result;
  }

  const before = await step("1-check", { mode: "check" });
  await step("2-warm", { mode: "warm" });
  await machine.forget();
  const after = await step("3-prefetch-on-another-machine", { mode: "prefetch" });

  console.log("\n===== what it came to =====\n");
  console.log(`before: ${cached(before)}; to build from source: ${names(before)}`);
  console.log(`after:  ${cached(after)}; to build from source: ${names(after)}`);
  console.log(`\nlogs, summaries and the cache are in ${out}`);
}

function cached(result: StageResult): string {
  const all = Object.keys(JSON.parse(result.outputs["store-paths"] ?? "{}")).length;
  return `${Math.round(Number(result.outputs["hit-rate"]) * all)} of ${all} targets cached`;
}

function names(result: StageResult): string {
  const missing = JSON.parse(result.outputs["missing"] ?? "[]") as { name: string }[];
  return missing.map(({ name }) => name).join(", ") || "nothing";
}
