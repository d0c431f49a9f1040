/** Owns the whole test run: each check once, and one line at the end that counts them all. */

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { supplyChain } from "./supply-chain.ts";

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

const total: Count = { passed: 0, failed: 0, skipped: 0 };
const temporary = await mkdtemp(join(tmpdir(), "ncp-test-"));

try {
  await check("lint", ["npm", "run", "--silent", "check"]);
  await check("types", ["npm", "run", "--silent", "typecheck"]);
  await check("dist", ["node", "scripts/check-dist.ts"]);
  console.log("\n== workflows and packages");
  for await (const [name, answer] of supplyChain()) {
    if (answer !== "skipped") tell(name, answer === "good");
    else {
      console.log(`skipped: ${name}`);
      total.skipped++;
    }
  }
  for (const suite of ["test", "test:nix"]) await jest(suite);
} finally {
  await rm(temporary, { recursive: true, force: true });
}
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
process.exitCode = total.failed > 0 ? 1 : 0;

async function check(name: string, command: readonly string[]): Promise<void> {
  console.log(`\n== ${name}`);
  tell(name, (await run(command)) === 0);
}

async function jest(suite: string): Promise<void> {
  console.log(`\n== npm run ${suite}`);
  const report = join(temporary, `${suite.replace(":", "-")}.json`);
  const code = await run(["npm", "run", "--silent", suite, "--", "--json", "--outputFile", report]);
  const text = await readFile(report, "utf8").catch(() => undefined);
  if (text === undefined) return tell(suite, false);
  const result = JSON.parse(text) as {
    numPassedTests: number;
    numFailedTests: number;
    numPendingTests: number;
    numRuntimeErrorTestSuites: number;
  };
  total.passed += result.numPassedTests;
  total.failed += result.numFailedTests + result.numRuntimeErrorTestSuites;
  total.skipped += result.numPendingTests;
  // A suite that dies without a failed test must not count as well.
  if (code !== 0 && result.numFailedTests + result.numRuntimeErrorTestSuites === 0)
    tell(suite, false);
}

function tell(name: string, good: boolean): void {
  console.log(`${good ? "ok" : "FAILED"}: ${name}`);
  if (good) total.passed++;
  else total.failed++;
}

function run([command = "", ...args]: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", () => resolve(1));
    child.on("close", (code) => resolve(code ?? 1));
  });
}
