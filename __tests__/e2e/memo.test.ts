/** Owns the proof that a run with unchanged sources evaluates nothing, and still finds what was lost. */

import { execFileSync } from "node:child_process";
import { appendFile, chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
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
    `#!/bin/sh\ncase " $* " in *" eval "*) echo eval >> ${calls};; esac\nexec ${real.toString().trim()} "$@"\n`,
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
}, 120_000);

test("a path that was deleted from the cache is found, and the run evaluates again", async () => {
  await using machine = await startMachine();
  const { run, evaluations, cache } = await site(machine);
  await run({ mode: "warm" });
  await evaluations();
  for (const name of await readdir(join(cache, "nar"))) await rm(join(cache, "nar", name));
  const second = await run({ mode: "check" });
  expect(await evaluations()).toBeGreaterThan(0);
  expect(second.outputs["any-missing"]).toBe("true");
}, 120_000);

test.each([
  ["a dirty tree", async ({ workspace }: Site) => appendFile(join(workspace, "flake.nix"), "\n")],
  [
    "another commit",
    async ({ workspace }: Site) => {
      await appendFile(join(workspace, "flake.nix"), "# another\n");
      git(workspace, "commit", "-qam", "another");
    },
  ],
  [
    "a record that was changed",
    async ({ cache }: Site) => {
      for (const name of await readdir(join(cache, "memos"))) {
        const file = join(cache, "memos", name);
        const bytes = await readFile(file);
        bytes[40] = (bytes[40] ?? 0) ^ 1;
        await writeFile(file, bytes);
      }
    },
  ],
  [
    "a record cut short",
    async ({ cache }: Site) => {
      for (const name of await readdir(join(cache, "memos"))) {
        await writeFile(join(cache, "memos", name), "short");
      }
    },
  ],
])(
  "%s has no memo",
  async (_, change) => {
    await using machine = await startMachine();
    const here = await site(machine);
    await here.run({ mode: "warm" });
    await here.evaluations();
    await change(here);
    const second = await here.run({ mode: "check" });
    expect(await here.evaluations()).toBeGreaterThan(0);
    expect(second.exitCode).toBe(0);
    expect(second.log).not.toContain("nothing was evaluated");
  },
  120_000,
);

test("force has no memo, other targets have another, and a read-only run leaves none", async () => {
  await using machine = await startMachine();
  const { run, evaluations, cache } = await site(machine);
  await run({ mode: "warm", trust: "read-only" });
  expect(await readdir(cache).catch(() => [])).toEqual([]);
  await run({ mode: "warm" });
  await evaluations();
  await run({ mode: "check", force: "true" });
  expect(await evaluations()).toBeGreaterThan(0);
  await run({ mode: "check", targets: "nixpkgs#bws" });
  expect(await evaluations()).toBeGreaterThan(0);
}, 120_000);
