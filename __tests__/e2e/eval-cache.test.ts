/** Owns the proof that later commands evaluate nothing of what the step evaluated, and are told no lie. */

import { execFile } from "node:child_process";
import { appendFile, mkdir, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { lock } from "../../scripts/machine.ts";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { MINOR, NIX, startJob, type TestJob } from "./job.ts";
import { evaluations, recordNix } from "./recorder.ts";

const FLAKE = `{
  inputs.dep.url = "path:/nowhere";
  outputs = { self, dep }: let
    inherit (dep.lib) mk system;
    throws = throw "as it does, on purpose";
  in {
    packages.\${system} = { default = mk "default"; ok = mk "ok"; other = mk "other"; };
    checks.\${system}.tested = mk "tested";
    devShells.\${system}.default = mk "shell";
    nixosConfigurations.host.config.system.build.toplevel = mk "toplevel";
    some.\${system} = {
      bad = throws;
      good = mk "good";
      lost = mk "lost" // { drvPath = { }.nothing; };
      well = mk "well";
    };
    many.\${system} = builtins.listToAttrs (builtins.genList (n: {
      name = "n\${toString n}";
      value = if builtins.elem n [ 1 3 4 5 6 7 ] then throws else mk "many-\${toString n}";
    }) 12);
  };
}`;

const DEP = `{
  outputs = _: {
    lib.system = "SYSTEM";
    lib.mk = name: derivation {
      inherit name;
      system = "SYSTEM";
      builder = "/bin/bash";
      outputs = [ "out" ];
      args = [ "-c" "echo \${name} > $out" ];
    };
  };
}`;

const DEFAULTS = { mode: "check", "fail-on": "disk" };

/** A checkout in git of a flake with an input, which is in a folder that can be moved away. */
async function startEvaluation(): Promise<TestJob> {
  const job = await startJob(undefined, { defaults: DEFAULTS });
  const { machine, workspace } = job;
  const system = await systemOf(job);
  const dep = join(machine.root, "dep");
  await mkdir(dep);
  await writeFile(join(dep, "flake.nix"), DEP.replaceAll("SYSTEM", system));
  await writeFile(join(workspace, "flake.nix"), FLAKE);
  await lock(machine, workspace, { dep });
  await commit(job);
  return job;
}

async function systemOf({ machine }: TestJob): Promise<string> {
  return machine.nix("nix", ["eval", "--impure", "--raw", "--expr", "builtins.currentSystem"]);
}

async function commit({ machine, workspace }: TestJob): Promise<void> {
  const who = ["-c", "user.name=t", "-c", "user.email=t@localhost"];
  await machine.nix("git", ["init", "--quiet"], workspace);
  await machine.nix("git", ["add", "."], workspace);
  await machine.nix("git", [...who, "commit", "--quiet", "--message", "it"], workspace);
}

/** What a later step sees of a command that may not evaluate; the error's words where it would have to. */
async function served(
  { machine, workspace }: TestJob,
  command: string,
  environment: Readonly<Record<string, string>> = { NIX_ALLOW_EVAL: "0" },
): Promise<string> {
  try {
    const { stdout, stderr } = await promisify(execFile)("nix", command.split(" "), {
      cwd: workspace,
      env: { ...machine.environment, ...environment },
    });
    return stdout + stderr;
  } catch (error) {
    return String(error);
  }
}

const NOT_ALLOWED = "evaluation is not allowed";

/** The one file of Nix's eval cache. */
async function evalCache({ machine }: TestJob): Promise<string> {
  const folder = join(machine.environment["HOME"] ?? "", ".cache/nix");
  const names = await readdir(folder, { recursive: true });
  const files = names.filter((name) => /eval-cache-v\d+\/[0-9a-f]{64}\.sqlite$/.test(name));
  expect(files).toHaveLength(1);
  return join(folder, files[0] ?? "");
}

test(`what the step evaluated by name, later commands evaluate no more, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  const system = await systemOf(job);
  const targets = [
    ".#ok",
    `.#packages.${system}.default`,
    `.#checks.${system}.tested`,
    `.#devShells.${system}.default`,
    ".#nixosConfigurations.host.config.system.build.toplevel",
  ];
  expect(await served(job, "build --dry-run .#ok")).toContain(NOT_ALLOWED);
  const step = await job.main({ targets: targets.join("\n") });
  expect(step.exitCode).toBe(0);
  expect(step.log).toMatch(/later steps need no evaluation for nix build and nix shell of .*\.#ok/);
  expect(step.log).toContain(
    `later steps need no evaluation for nix develop of .#devShells.${system}.default`,
  );
  // Names are what it is all about, and none of them is known that is not there.
  await served(job, "flake show");
  for (const command of [
    "build --dry-run .#ok",
    `build --dry-run .#packages.${system}.ok`,
    "build --dry-run",
    `build --dry-run .#checks.${system}.tested`,
    "build --dry-run .#nixosConfigurations.host.config.system.build.toplevel",
    "shell .#ok --command true",
    "print-dev-env",
  ]) {
    expect([command, await served(job, command)]).not.toEqual([
      command,
      expect.stringMatching(/not allowed|error: (?!\(ignored\))/),
    ]);
  }
  // Not named, so not promised.
  expect(await served(job, "build --dry-run .#other")).toContain(NOT_ALLOWED);
});

test(`a set is evaluated once, and each member is served, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  const system = await systemOf(job);
  const recorder = await recordNix(job.machine);
  const targets = `.#packages.${system}.*`;
  const step = await job.main({ targets }, { environment: recorder.environment });
  expect(evaluations(await recorder.calls())).toHaveLength(1);
  expect(step.report().targets.map(({ name }) => name)).toEqual(
    ["default", "ok", "other"].map((name) => `.#packages.${system}.${name}`),
  );
  const isServed = !(await served(job, "build --dry-run .#other")).includes(NOT_ALLOWED);
  // Before 2.11 each member would cost an evaluation of its own.
  expect(isServed).toBe(MINOR >= 11);
  expect(step.log).toContain(
    isServed
      ? "later steps need no evaluation for nix build and nix shell of .#default, .#ok, .#other"
      : `later commands evaluate again .#packages.${system}.*: this Nix would evaluate each member apart`,
  );
});

test(`members that fail are told in Nix's words, the others are served, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  const system = await systemOf(job);
  const step = await job.main({ targets: `.#some.${system}.*\n.#many.${system}.*` });
  const { targets } = step.report();
  const failed = targets.filter(({ verdict }) => verdict.kind === "failed").map(({ name }) => name);
  expect(failed).toEqual([
    ...["bad", "lost"].map((name) => `.#some.${system}.${name}`),
    ...["n1", "n3", "n4", "n5", "n6", "n7"].map((name) => `.#many.${system}.${name}`),
  ]);
  expect(targets).toHaveLength(16);
  expect(step.log).toContain(`.#some.${system}.bad does not evaluate: as it does, on purpose`);
  expect(step.log).toContain("attribute 'nothing' missing");
  if (MINOR < 11) return;
  for (const name of ["some.SYSTEM.good", "some.SYSTEM.well", "many.SYSTEM.n0", "many.SYSTEM.n9"]) {
    const command = `build --dry-run .#${name.replace("SYSTEM", system)}`;
    expect([command, await served(job, command)]).not.toEqual([
      command,
      expect.stringContaining("error"),
    ]);
  }
});

test(`a failure is said to later commands as it is, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  const system = await systemOf(job);
  await job.main({ targets: `.#ok\n.#some.${system}.bad` });
  expect(await served(job, `build .#some.${system}.bad`, {})).toContain("as it does, on purpose");
  expect(await served(job, "build --dry-run .#ok")).not.toContain("error");
});

test(`what cannot be kept is not promised, and it is said why, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  const { machine, workspace } = job;
  await writeFile(
    join(workspace, "flake.nix"),
    FLAKE.replace(
      "inputs.dep.url",
      'inputs.more = { url = "path:/nowhere/else"; flake = false; };\n inputs.dep.url',
    ).replace("{ self, dep }", "{ self, dep, more }"),
  );
  const unlocked = await job.main({ targets: ".#ok" });
  expect(unlocked.log).toContain(
    "later commands evaluate again: the flake is not in git, or not all of its inputs are locked",
  );
  expect(unlocked.log).not.toContain("need no evaluation");
  await machine.nix("git", ["checkout", "--quiet", "."], workspace);
  const forced = await job.main({ targets: ".#ok", force: "true" });
  expect(forced.log).not.toContain("need no evaluation");
  expect(await served(job, "build --dry-run .#ok")).toContain(NOT_ALLOWED);
});

test(`a changed tree is evaluated for what it is, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  const before = await job.main({ targets: ".#ok" });
  await writeFile(join(job.workspace, "flake.nix"), FLAKE.replace('ok = mk "ok"', 'ok = mk "new"'));
  const after = await job.main({ targets: ".#ok" });
  expect(before.report().targets[0]?.outputs?.[0]).toMatch(/-ok$/);
  expect(after.report().targets[0]?.outputs?.[0]).toMatch(/-new$/);
});

test(`a job with a secret believes no eval cache that it finds, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  const targets = ".#ok\n.#other";
  await job.main({ targets });
  const file = await evalCache(job);
  {
    using database = new DatabaseSync(file);
    const drv = (name: string) =>
      database
        .prepare("select value, context from Attributes where value like ?")
        .get(`%-${name}.drv`);
    const { value, context } = drv("other") ?? {};
    const { value: mine } = drv("ok") ?? {};
    database
      .prepare("update Attributes set value = ?, context = ? where value = ?")
      .run(value ?? null, context ?? null, mine ?? null);
  }
  // That it would be believed: the attack works.
  expect(await served(job, "path-info --derivation .#ok")).toContain("-other.drv");
  const step = await job.main({ targets, "signing-key": generateSecretKey("ours-1") });
  expect(step.report().targets.map(({ outputs }) => outputs?.[0]?.slice(-6))).toEqual([
    expect.stringMatching(/-ok$/),
    expect.stringMatching(/-?other$/),
  ]);
  expect(await served(job, "path-info --derivation .#ok")).toContain("-ok.drv");
});

test(`inputs that are gone matter no more, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  await job.main({ targets: ".#ok" });
  await rename(join(job.machine.root, "dep"), join(job.machine.root, "gone"));
  await appendFile(join(job.workspace, "untracked"), "of no matter");
  expect(await served(job, "build .#ok --no-link")).not.toContain("error");
});
