/** Owns wrappers that come before Nix on PATH and write down how they were called. */

import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Machine } from "../../scripts/machine.ts";

export interface Recorder {
  readonly environment: Readonly<Record<string, string>>;
  /** One line a call since the last time it was asked: `nix eval --json …`. */
  calls(): Promise<string[]>;
}

export async function recordNix(machine: Machine): Promise<Recorder> {
  const folder = join(machine.root, "recorder");
  const record = join(folder, "calls");
  await mkdir(folder, { recursive: true });
  for (const program of ["nix", "nix-store", "nix-instantiate"]) {
    const found = await promisify(execFile)("/bin/sh", ["-c", `command -v ${program}`], {
      env: machine.environment,
    });
    const file = join(folder, program);
    const lines = [
      "#!/bin/sh",
      // One line a call, whatever the arguments hold.
      `printf '%s\\n' "$(printf '%s ' ${program} "$@" | tr '\\n' ' ')" >> ${record}`,
      `exec ${found.stdout.trim()} "$@"`,
    ];
    await writeFile(file, `${lines.join("\n")}\n`);
    await chmod(file, 0o755);
  }
  return {
    environment: { ...machine.environment, PATH: `${folder}:${machine.environment["PATH"]}` },
    async calls() {
      const text = await readFile(record, "utf8").catch(() => "");
      await rm(record, { force: true });
      return text.split("\n").filter((line) => line !== "");
    },
  };
}

/** Of the calls, those that evaluate a flake's output, and not only the names of its sets. */
export function evaluations(calls: readonly string[]): string[] {
  return calls.filter(
    (call) =>
      /^nix .*\b(eval --json|path-info --derivation .*--log-format) /.test(call) &&
      !call.includes("#__none__") &&
      !call.includes(".__none__"),
  );
}
