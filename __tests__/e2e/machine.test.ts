/** Owns that a test's machine leaves nothing behind: no folder, and no process that makes one anew. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { startMachine } from "../../scripts/machine.ts";
import { NIX } from "./job.ts";

test(`what a killed run left at work is ended with its machine, on ${NIX}`, async () => {
  const machine = await startMachine();
  const file = join(machine.root, "slow.nix");
  const begun = join(machine.root, "begun");
  await writeFile(
    file,
    `derivation { name = "slow"; system = builtins.currentSystem; builder = "/bin/sh";
       args = [ "-c" "echo > ${begun}; while :; do /bin/sleep 0.1; done" ]; }`,
  );
  const left: ChildProcess = spawn("nix-build", ["--no-out-link", file], {
    env: machine.environment,
    stdio: "ignore",
    detached: true,
  });
  const ended = once(left, "exit");
  while (!(await readdir(machine.root)).includes("begun")) await wait(20);
  await machine[Symbol.asyncDispose]();
  await ended;
  // Whatever it does on its way out, it does before this.
  await expect(stat(machine.root)).rejects.toThrow("ENOENT");
});
