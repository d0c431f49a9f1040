/** Owns the proof that a run with unchanged sources evaluates nothing, and still finds what was lost. */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFile, chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { expect, test } from "@jest/globals";
import { type Machine, quickstart, startMachine } from "../../scripts/machine.ts";
import { runStage, type StageResult } from "../../scripts/runner.ts";

const TARGETS = ".#packages.SYSTEM.*\nnixpkgs#bws";

interface Site {
  readonly machine: Machine;
  readonly workspace: string;
  readonly cache: string;
  run(inputs?: Record<string, string>, eventName?: string): Promise<StageResult>;
  /** Evaluations since the last call of this function. */
  evaluations(): Promise<number>;
}

/** A git checkout, and a `nix` on PATH that writes down each evaluation. */
async function site(machine: Machine): Promise<Site> {
  const workspace = await quickstart(machine, resolve("examples/quickstart"));
  git(workspace, "init", "-q");
  git(workspace, "add", ".");
  git(workspace, "commit", "-qm", "home");
  const bin = join(machine.root, "bin");
  const calls = join(machine.root, "calls");
  await mkdir(bin);
  await writeFile(calls, "");
  const real = execFileSync("sh", ["-c", "command -v nix"], { env: machine.environment });
  await writeFile(
    join(bin, "nix"),
    `#!/bin/sh\ncase " $* " in *" eval "*|*" path-info --derivation .#"*) echo eval >> ${calls};; esac\nexec ${real.toString().trim()} "$@"\n`,
  );
  await chmod(join(bin, "nix"), 0o755);
  const environment = {
    ...machine.environment,
    PATH: `${bin}:${machine.environment["PATH"] ?? ""}`,
    RUNNER_DEBUG: "1",
  };
  const cache = join(machine.root, "cache");
  return {
    machine,
    workspace,
    cache,
    run: (inputs = {}, eventName = "push") =>
      runStage("main", {
        action: resolve("."),
        inputs: {
          mode: "prefetch",
          cache: `file://${cache}`,
          targets: TARGETS,
          "min-free": "1MB",
          ...inputs,
        },
        workspace,
        temp: join(machine.root, "temp"),
        eventName,
        event: { repository: { default_branch: "main" } },
        environment,
      }),
    evaluations: async () => {
      const count = (await readFile(calls, "utf8")).split("\n").length - 1;
      await writeFile(calls, "");
      return count;
    },
  };
}

function git(cwd: string, ...args: string[]): void {
  execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@localhost", ...args], { cwd });
}

test("after a verified run nothing is evaluated, and a fresh machine fetches all the same", async () => {
  await using machine = await startMachine();
  const { run, evaluations } = await site(machine);
  expect((await run({ mode: "warm" })).exitCode).toBe(0);
  expect(await evaluations()).toBeGreaterThan(0);

  await machine.forget();
  const second = await run();
  expect(second.log).toContain("nothing was evaluated");
  expect(await evaluations()).toBe(0);
  expect(second.exitCode).toBe(0);
  expect(second.outputs["hit"]).toBe("true");
  const paths = JSON.parse(second.outputs["store-paths"] ?? "{}") as Record<string, string>;
  const bws = paths["nixpkgs#bws"] ?? "";
  expect(bws).toContain("bws-1.0.0");
  expect(await machine.nix("nix-store", ["--check-validity", "--print-invalid", bws])).toBe("");
});

test("a path that was deleted from the cache is found, and the run evaluates again", async () => {
  await using machine = await startMachine();
  const { run, evaluations, cache } = await site(machine);
  await run({ mode: "warm" });
  await evaluations();
  for (const name of await readdir(join(cache, "nar"))) await rm(join(cache, "nar", name));
  await machine.forget();
  const second = await run({ mode: "check" });
  expect(await evaluations()).toBeGreaterThan(0);
  expect(second.outputs["any-missing"]).toBe("true");
});

test.each([
  ["a dirty tree", async ({ workspace }: Site) => appendFile(join(workspace, "flake.nix"), "\n")],
  [
    "another commit",
    async ({ workspace }: Site) => {
      await appendFile(join(workspace, "flake.nix"), "# another\n");
      git(workspace, "commit", "-qam", "another");
    },
  ],
])("%s has no evaluation record", async (_, change) => {
  await using machine = await startMachine();
  const here = await site(machine);
  await here.run({ mode: "warm" });
  await here.evaluations();
  await change(here);
  await machine.forget();
  const second = await here.run({ mode: "check" });
  expect(await here.evaluations()).toBeGreaterThan(0);
  expect(second.exitCode).toBe(0);
  expect(second.log).not.toContain("nothing was evaluated");
});

/** A record as this cache's runs write them, sealed by whoever can write a file: by a checksum alone. */
function sealed(key: string, content: string): Buffer {
  const packed = zstdCompressSync(content);
  return Buffer.concat([createHash("sha256").update(key).update(packed).digest(), packed]);
}

test.each<[string, (record: Buffer, key: string) => Buffer, RegExp]>([
  [
    "changed",
    (record) => {
      record[40] = (record[40] ?? 0) ^ 1;
      return record;
    },
    /its seal is not ours/,
  ],
  ["cut short", () => Buffer.from("short"), /its seal is not ours/],
  ["of another version", (_, key) => sealed(key, '{"version":99}'), /version/],
  [
    "forged: it says more than it may",
    (_, key) => sealed(key, '{"version":1,"targets":"all of them"}'),
    /./,
  ],
])("a record that is %s is ignored, said at debug level, and replaced", async (_, change, why) => {
  await using machine = await startMachine();
  const { run, evaluations, cache } = await site(machine);
  await run({ mode: "warm" });
  // Beside it lies what builds took, under a name that is no hash.
  const names = await readdir(join(cache, "memos"));
  const [key = "", ...others] = names.filter((name) => /^[0-9a-f]{64}$/.test(name));
  expect(others).toEqual([]);
  const file = join(cache, "memos", key);
  const record = await readFile(file);
  await writeFile(file, change(Buffer.from(record), key));
  await evaluations();
  // A fresh runner, as the next job has one: Nix's own configuration is part of the key.
  await machine.forget();
  const second = await run({ mode: "prefetch" });
  expect([second.exitCode, second.outputs["hit"]]).toEqual([0, "true"]);
  expect(await evaluations()).toBeGreaterThan(0);
  expect(second.raw).toMatch(
    new RegExp(`^::debug::evaluation record ${key} is ignored: .*${why.source}`, "m"),
  );
  expect(second.annotations.map(({ message }) => message).join("\n")).not.toContain("record");
  await machine.forget();
  const third = await run({ mode: "prefetch" });
  expect(third.raw).not.toContain("is ignored");
  expect(await evaluations()).toBe(0);
});

test("force has no evaluation record, other targets have another, and a read-only run leaves none", async () => {
  await using machine = await startMachine();
  const { run, evaluations, cache } = await site(machine);
  await run({ mode: "warm", trust: "read-only" });
  expect(await readdir(cache).catch(() => [])).toEqual([]);
  await run({ mode: "warm" });
  await evaluations();
  await machine.forget();
  await run({ mode: "check" });
  expect(await evaluations()).toBe(0);
  await machine.forget();
  await run({ mode: "check", force: "true" });
  expect(await evaluations()).toBeGreaterThan(0);
  await machine.forget();
  await run({ mode: "check", targets: "nixpkgs#bws" });
  expect(await evaluations()).toBeGreaterThan(0);
});
