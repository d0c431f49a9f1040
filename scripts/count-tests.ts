/** Owns one line for the shell: what a Jest report counts as `PASSED FAILED SKIPPED`. */

import { readFile } from "node:fs/promises";

const [code = "1", file = ""] = process.argv.slice(2);
const result = JSON.parse(await readFile(file, "utf8")) as {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numRuntimeErrorTestSuites: number;
};
const failed = result.numFailedTests + result.numRuntimeErrorTestSuites;
// A run that ended badly without a failed test, or that found no test, is not a good one.
const extra = failed === 0 && (code !== "0" || result.numPassedTests === 0) ? 1 : 0;
console.log(`${result.numPassedTests} ${failed + extra} ${result.numPendingTests}`);
