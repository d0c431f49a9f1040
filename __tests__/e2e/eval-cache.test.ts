/** Owns the proof that later commands evaluate nothing of what the step evaluated, and are told no lie. */

import { access, appendFile, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { nixCommand } from "../../src/nix/command.ts";
import { EvaluationDoor } from "../../src/nix/eval-command.ts";
import { EvalFill, type NamedPath } from "../../src/nix/eval-fill.ts";
import { tellLater } from "../../src/nix/eval-later.ts";
import { findFlake } from "../../src/nix/flake.ts";
import { realStoreDir } from "../../src/nix/machine.ts";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { SIGNAL } from "../support/world.ts";
import {
  commit,
  evalCache,
  FLAKE,
  NOT_ALLOWED,
  poison,
  served,
  startEvaluation,
  systemOf,
} from "./evaluated.ts";
import { MINOR, NIX, startJob, type TestJob } from "./job.ts";
import { evaluations, recordNix } from "./recorder.ts";

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
    `print-dev-env .#devShells.${system}.default`,
  ]) {
    expect([command, await served(job, command)]).not.toEqual([
      command,
      expect.stringMatching(/not allowed|error: (?!\(ignored\))/),
    ]);
  }
  // Not named, so not promised.
  expect(await served(job, "build --dry-run .#other")).toContain(NOT_ALLOWED);
});

test(`nix run reads what was kept, too, and nothing is run for that, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  const system = await systemOf(job);
  const ran = join(job.machine.root, "ran");
  const flake = `{ inputs.dep.url = "path:/nowhere"; outputs = { self, dep }: let
    mk = name: more: derivation ({
      inherit name; system = "${system}"; builder = "/bin/sh";
      args = [ "-c" "/bin/mkdir -p $out/bin; printf '#!/bin/sh\\necho ran\\n' > $out/bin/tool; /bin/chmod +x $out/bin/tool" ];
    } // { outputs = [ "out" ]; }) // more;
  in {
    packages.${system} = {
      a = mk "tool-1.0" { };
      b = mk "b" { pname = "tool"; };
      c = mk "c" { pname = "c"; meta = { mainProgram = "tool"; description = "c"; }; };
      default = mk "d" { meta.mainProgram = "tool"; };
    };
    legacyPackages.${system}.old = mk "tool-0.9" { };
    apps.${system} = {
      other = { type = "app"; program = "/bin/true"; };
      b = { type = "app"; program = "${ran}"; };
      packages.${system}.c = { type = "app"; program = "${ran}"; };
    };
  }; }`;
  await writeFile(ran, '#!/bin/sh\necho > "$0.proof"\n', { mode: 0o755 });
  await writeFile(join(job.workspace, "flake.nix"), flake);
  await commit(job);
  await job.machine.nix("nix", ["build", "--out-link", "built", ".#a"], job.workspace);
  // However busy this machine is.
  const lines = await toldLater(job, [["a"], [], ["b"], ["c"], ["old"]], 60_000);
  // By the name of b an app would be run, at once: an app needs no build.
  expect(lines).toContain(
    "later steps need no evaluation for nix run of .#a, .#default, .#c, .#old",
  );
  // Nix deletes what it is to build anew.
  await access(join(job.workspace, "built", "bin", "tool"));
  await expect(access(`${ran}.proof`)).rejects.toThrow(/ENOENT/);
  for (const name of ["a", "c", "old"]) {
    expect([name, await served(job, `run .#${name}`)]).toEqual([
      name,
      expect.stringMatching(/^ran$/m),
    ]);
    expect(await served(job, `build --dry-run .#${name}`)).not.toContain(NOT_ALLOWED);
  }
  expect(await served(job, "run")).toMatch(/^ran$/m);
});

test(`nix run of what is costly evaluates again, and that is told, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  const lines = await toldLater(job, [["ok"]], 0);
  expect(lines).toEqual([
    "later steps need no evaluation for nix build and nix shell of .#ok (but for nix run, nix eval and --impure)",
  ]);
  expect(await served(job, "run .#ok")).toContain(NOT_ALLOWED);
});

test(`what nix run reads is asked in the store that the machine is set to, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  const { environment, root } = job.machine;
  const real = join(root, "chroot", "nix", "store");
  const chroot = `local?root=${join(root, "chroot")}&real=${real}`;
  const machine = { ...job.machine, environment: { ...environment, NIX_REMOTE: chroot } };
  const others = await readdir(machine.storeDir);
  const lines = await toldLater({ ...job, machine }, [["ok"]], 60_000);
  expect(lines).toContain("later steps need no evaluation for nix run of .#ok");
  expect(await readdir(machine.storeDir)).toEqual(others);
  expect(await readdir(real)).toContainEqual(expect.stringMatching(/-ok\.drv$/));
});

test(`where an app goes before a package nothing is told of the package, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  const system = await systemOf(job);
  const flake = `{ inputs.dep.url = "path:/nowhere"; outputs = { self, dep }: {
    packages.${system}.tool = dep.lib.mk "tool" // { pname = "true"; };
    apps.${system}.tool = { type = "app"; program = "/bin/true"; };
  }; }`;
  await writeFile(join(job.workspace, "flake.nix"), flake);
  await commit(job);
  await toldLater(job, [["tool"]], 0);
  // By this name Nix reads all of the package that it runs a package by.
  await served(job, `run .#packages.${system}.tool`, {});
  expect(await toldLater(job, [["tool"]], 0)).toEqual([
    expect.stringContaining("nix build and nix shell of .#tool (but for nix run, "),
  ]);
  expect(await served(job, "run .#tool")).toContain(NOT_ALLOWED);
});

test.each([
  ["imports from a derivation", 'import (dep.lib.mk "imported")', /allow-import|imported/],
  ["fails", 'throw "it fails, on purpose"', /it fails, on purpose/],
])(
  `where a set that nobody asked for %s, later commands say so, on ${NIX}`,
  async (_, set, said) => {
    await using job = await startEvaluation();
    const system = await systemOf(job);
    const flake = `{ inputs.dep.url = "path:/nowhere"; outputs = { self, dep }: {
    packages.${system}.tool = dep.lib.mk "tool";
    apps.${system} = ${set};
    checks = throw "it fails, on purpose";
  }; }`;
    await writeFile(join(job.workspace, "flake.nix"), flake);
    await commit(job);
    await toldLater(job, [["tool"]], 0);
    expect(await served(job, "build .#checks.tested", {})).toContain("it fails, on purpose");
    expect(await toldLater(job, [["tool"]], 60_000)).toEqual([
      expect.stringContaining("nix build and nix shell of .#tool (but for nix run, "),
    ]);
    const built = await readdir(job.machine.storeDir);
    expect(built).not.toContainEqual(expect.stringMatching(/-imported$/));
    const run = await served(job, "run .#tool --option allow-import-from-derivation false", {});
    expect(run).toMatch(said);
  },
);

/** What is told of these where as much patience is had, in milliseconds. */
async function toldLater(
  { machine, workspace }: TestJob,
  paths: readonly NamedPath[],
  patience: number,
): Promise<readonly string[]> {
  const { environment, storeDir } = machine;
  const store = environment["NIX_REMOTE"] ?? "auto";
  const nix = nixCommand(environment, workspace);
  const flake = await findFlake(workspace);
  const version = (await machine.nix("nix", ["--version"])).trim().split(" ").at(-1) ?? "";
  const system = await systemOf({ machine });
  const door = new EvaluationDoor({
    ...{ nix, storeDir, system, flake, builds: "forbidden", forFiles: () => ({}) },
    substituters: () => Promise.reject(new Error("nothing is imported")),
    isBuilt: async () => false,
  });
  const filling = {
    ...{ door, nix, version, system, environment, carried: undefined },
    realStoreDir: realStoreDir(store, storeDir),
    found: "believed" as const,
    outputs: MINOR < 9 ? ("by name" as const) : ("by meta" as const),
  };
  const fill = new EvalFill(filling);
  const given = await fill.give(paths, SIGNAL);
  expect(given.size).toBe(paths.length);
  const later = { ...filling, fill, store, patience: { evaluation: patience, more: patience } };
  return tellLater(later, "kept", SIGNAL);
}

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

test(`of sets in a set each member is served, and what is too much is told, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  const step = await job.main({ targets: ".#nested.*.*\n.#large.*" });
  const names = step.report().targets.map(({ name }) => name);
  expect(names.slice(0, 3)).toEqual([".#nested.a.one", ".#nested.a.two", ".#nested.b.three"]);
  expect(names).toHaveLength(3 + 401);
  const isServed = !(await served(job, "build --dry-run .#nested.b.three")).includes(NOT_ALLOWED);
  expect(isServed).toBe(MINOR >= 11);
  if (MINOR < 11) return;
  expect(step.log).toContain("nix build and nix shell of .#nested.a.one, .#nested.a.two");
  expect(step.log).toContain(
    "later commands evaluate again .#large.*: it has more than 400 members",
  );
});

test(`of a standard set that is not there nothing is told, on ${NIX}`, async () => {
  await using job = await startJob(undefined, { defaults: { mode: "check", "fail-on": "disk" } });
  const flake = `{ outputs = _: { homeConfigurations."al@h.example".activationPackage = derivation {
    name = "home"; system = "${await systemOf(job)}"; builder = "/bin/sh";
  }; }; }`;
  await writeFile(join(job.workspace, "flake.nix"), flake);
  await commit(job);
  const step = await job.main();
  const name = '.#homeConfigurations."al@h.example".activationPackage';
  expect(step.report().targets.map((target) => target.name)).toEqual([name]);
  for (const set of ["packages", "checks", "devShells"]) expect(step.log).not.toContain(set);
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
  const messages = targets.flatMap(({ verdict }) =>
    verdict.kind === "failed" ? [verdict.message] : [],
  );
  expect(messages[0]).toContain("as it does, on purpose");
  expect(messages[1]).toContain("attribute 'nothing' missing");
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
  await poison(await evalCache(job));
  // That it would be believed: the attack works.
  expect(await served(job, "path-info --derivation .#ok")).toContain("-other.drv");
  const step = await job.main({ targets, "signing-key": generateSecretKey("ours-1") });
  expect(step.report().targets.map(({ outputs }) => outputs?.[0]?.split("-").at(-1))).toEqual([
    "ok",
    "other",
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
