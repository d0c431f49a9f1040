/** Owns the slow suite: every fault, every kill, every damaged input, and the figures of SECURITY.md. */

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How much of each; a caller may ask for less of it, or for other moments and inputs. */
// biome-ignore lint/style/noProcessEnv: this script is the caller's to steer
const { FUZZ = "100000", KILLS = "50", SEED = "20261121", ...others } = process.env;
/** Of the differential suite, by chance. */
const { WORLDS = "10000", ...inherited } = others;

interface Suite {
  readonly script: "test" | "test:nix";
  readonly pattern: string;
}

/** In this order; each is one line of figures. */
const SUITES: Readonly<Record<string, Suite>> = {
  events: { script: "test:nix", pattern: "e2e/read-only" },
  secrets: { script: "test:nix", pattern: "e2e/(cachix|environment)-secrets" },
  "untrusted words": { script: "test:nix", pattern: "e2e/untrusted" },
  "poisoned caches": { script: "test:nix", pattern: "e2e/poison" },
  kills: { script: "test:nix", pattern: "e2e/(interrupt|machine-faults)" },
  faults: { script: "test:nix", pattern: "e2e/faults" },
  "damaged caches": { script: "test:nix", pattern: "e2e/verify" },
  "workflows and Nodes": { script: "test:nix", pattern: "e2e/(workflows|old-node)" },
  decisions: { script: "test:nix", pattern: "__tests__/differential" },
  "damaged inputs": { script: "test", pattern: "__tests__/fuzz" },
};

const wanted = process.argv.slice(2);
const temporary = await mkdtemp(join(tmpdir(), "ncp-test-"));
let failed = 0;
try {
  for (const [name, suite] of Object.entries(SUITES)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    failed += await run(name, suite);
  }
} finally {
  await rm(temporary, { recursive: true, force: true });
}
console.log(`\nviolations: ${failed === 0 ? "none" : failed}`);
process.exitCode = failed === 0 ? 0 : 1;

/** Runs one suite and says what it came to; how many of its tests failed. */
async function run(name: string, { script, pattern }: Suite): Promise<number> {
  const report = join(temporary, "report.json");
  const begun = performance.now();
  const args = ["--testPathPatterns", pattern, "--json", "--outputFile", report];
  const code = await npm(["run", "--silent", script, "--", ...args]);
  const seconds = Math.round((performance.now() - begun) / 1000);
  const text = await readFile(report, "utf8").catch(() => undefined);
  await rm(report, { force: true });
  if (text === undefined) {
    console.log(`${name}: ended with ${code} and no report`);
    return 1;
  }
  const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites } = JSON.parse(text) as Record<
    string,
    number
  >;
  const bad = (numFailedTests ?? 0) + (numRuntimeErrorTestSuites ?? 0);
  const what =
    name === "damaged inputs"
      ? ` (${FUZZ} of each kind)`
      : name === "decisions"
        ? ` (${WORLDS} worlds by chance, against this machine's Nix)`
        : name === "kills"
          ? ` (${KILLS} of a run into a folder, as many and ${Math.ceil(Number(KILLS) * 0.4)} cancellations each followed by post, ${Math.round(Number(KILLS) / 2)} of one to Cachix, seed ${SEED})`
          : "";
  console.log(`\n${name}: ${numPassedTests} passed, ${bad} failed${what}, ${seconds} s`);
  return bad > 0 || code === 0 ? bad : 1;
}

function npm(args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn("npm", args, {
      stdio: ["ignore", "inherit", "inherit"],
      env: {
        ...inherited,
        FUZZ,
        KILLS,
        WORLDS,
        SEED,
        SLOW: "1",
        // What piles up while 100,000 inputs are read would end the process.
        NODE_OPTIONS: `${inherited["NODE_OPTIONS"] ?? ""} --max-old-space-size=512`.trim(),
      },
    });
    child.on("error", () => resolve(1));
    child.on("close", (code) => resolve(code ?? 1));
  });
}
