/** Owns targets: every way to name one, one evaluation for a set, and a word for what is not there. */

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import {
  cached,
  flake,
  HOME,
  type Inputs,
  MINOR,
  NIX,
  NIXPKGS,
  pins,
  type Step,
  startJob,
  type TestJob,
  told,
} from "./job.ts";
import { evaluations, recordNix } from "./recorder.ts";

const home = { inputs: { nixpkgs: NIXPKGS } };

function verdicts(
  step: Step,
): Record<string, { kind: string; message?: string; nearest?: string[] }> {
  return JSON.parse(step.outputs["verdicts"] ?? "");
}

function names(step: Step): string[] {
  return step.report().targets.map(({ name }) => name);
}

async function counted(job: TestJob, targets: string): Promise<{ step: Step; evals: number }> {
  const nix = await recordNix(job.machine);
  const step = await job.main({ mode: "check", targets }, { environment: nix.environment });
  return { step, evals: evaluations(await nix.calls()).length };
}

describe(`targets, on ${NIX}`, () => {
  test("a whole set is one evaluation: home configurations", async () => {
    await using job = await startJob(HOME, home);
    const { step, evals } = await counted(job, ".#homeConfigurations.*.activationPackage");
    expect(names(step)).toEqual(
      ["alice", "bob", "carol"].map((user) => `.#homeConfigurations.${user}.activationPackage`),
    );
    expect(evals).toBe(1);
  });

  test("a whole set is one evaluation: NixOS configurations", async () => {
    await using job = await startJob(flake("system"));
    const star = ".#nixosConfigurations.*.config.system.build.toplevel";
    const { step, evals } = await counted(job, star);
    expect(names(step)).toEqual([star.replace("*", "desk"), star.replace("*", "server")]);
    expect(evals).toBe(1);
  });

  test("a whole set is one evaluation: packages of this system, which is what no targets mean", async () => {
    await using job = await startJob(flake("graphs"));
    const { step, evals } = await counted(job, ".#packages.SYSTEM.*");
    expect(names(step)).toContain(".#packages.x86_64-linux.diamond");
    expect(names(step)).toHaveLength(16);
    expect(evals).toBe(1);
    const none = await counted(job, "");
    expect(names(none.step)).toEqual(names(step));
    // The packages; and, where Nix keeps no names, whether there are checks, shells and configurations of three kinds.
    expect(none.evals).toBe(MINOR >= 34 ? 1 : 6);
    const bare = await counted(job, ".#*");
    expect(names(bare.step)).toEqual(names(step));
  });

  test("members that throw do not take the others down, nor cost a second evaluation of them", async () => {
    await using job = await startJob(flake("members"));
    const { step, evals } = await counted(job, ".#packages.SYSTEM.*");
    expect(step.exitCode).toBe(1);
    const found = verdicts(step);
    expect(found[".#packages.x86_64-linux.good"]).toMatchObject({ kind: "missing" });
    expect(found[".#packages.x86_64-linux.other"]).toMatchObject({ kind: "missing" });
    expect(found[".#packages.x86_64-linux.throws"]).toMatchObject({
      kind: "failed",
      message: "this one throws on purpose",
    });
    expect(found[".#packages.x86_64-linux.asserts"]).toMatchObject({
      kind: "failed",
      message: expect.stringMatching(/^assertion '.*' failed/),
    });
    // The set, and once for each message; where Nix keeps members by name, once more for each that fails.
    expect(evals).toBe(MINOR >= 34 ? 5 : 3);
    const warm = await job.main({
      mode: "warm",
      targets: ".#packages.SYSTEM.*",
      "fail-on": "disk",
    });
    expect([...(await cached(job.cache)).keys()]).toEqual(
      expect.arrayContaining(["default-1", "good-1", "other-1"]),
    );
    expect(warm.report().verified).toHaveLength(3);
  });

  test("nor do members whose error cannot be caught", async () => {
    await using job = await startJob(flake("members"));
    const { step } = await counted(job, ".#uncatchable.*");
    expect(step.exitCode).toBe(1);
    const found = verdicts(step);
    expect(found[".#uncatchable.good"]).toMatchObject({ kind: "missing" });
    expect(found[".#uncatchable.missing"]).toMatchObject({
      kind: "failed",
      message: expect.stringMatching(/^attribute 'nothing' missing/),
    });
    expect(found[".#uncatchable.wrongType"]).toMatchObject({
      kind: "failed",
      message: expect.stringMatching(/cannot add/),
    });
    expect(told(step).filter((line) => line.startsWith("error"))).toHaveLength(2);
  });

  test("a name that is in nixpkgs and not in packages: Nix's message, and where it is", async () => {
    await using job = await startJob(HOME, home);
    const { step } = await counted(job, ".#bws");
    expect(step.exitCode).toBe(1);
    expect(verdicts(step)[".#bws"]).toMatchObject({ kind: "failed", nearest: ["nixpkgs#bws"] });
    const [error] = step.annotations.filter(({ level }) => level === "error");
    expect(error?.message).toMatch(/does not provide attribute 'packages\.x86_64-linux\.bws'/);
    expect(error?.message).toMatch(/did you mean nixpkgs#bws\?/);
  });

  test("a misspelt name: the nearest ones of the same set", async () => {
    await using job = await startJob(HOME, home);
    const { step } = await counted(
      job,
      ".#hallo\n.#homeConfigurations.alise.activationPackage\nnixpkgs#bsw",
    );
    const found = verdicts(step);
    expect(found[".#hallo"]).toMatchObject({ nearest: [".#hello"] });
    expect(found[".#homeConfigurations.alise.activationPackage"]?.nearest).toEqual([
      ".#homeConfigurations.alice.activationPackage",
    ]);
    expect(found["nixpkgs#bsw"]?.nearest).toContain("nixpkgs#bws");
  });

  test("nixpkgs#bws is the one of the lock: the very derivation the configurations want", async () => {
    await using job = await startJob(HOME, home);
    const { step } = await counted(
      job,
      ".#homeConfigurations.alice.activationPackage\nnixpkgs#bws",
    );
    const missing = JSON.parse(step.outputs["missing"] ?? "") as {
      name: string;
      wantedBy: string[];
    }[];
    expect(missing.filter(({ name }) => name === "bws-1.0.0")).toMatchObject([
      { wantedBy: [".#homeConfigurations.alice.activationPackage", "nixpkgs#bws"] },
    ]);
    expect(step.log).not.toContain("registry");
    expect(told(step).join("\n")).not.toMatch(/is one bws/);
  });

  test("without nixpkgs in the lock the registry's is used, and that is said", async () => {
    await using job = await startJob(flake("members"));
    await job.machine.nix("nix", ["registry", "add", "nixpkgs", `path:${NIXPKGS}`]);
    const { step } = await counted(job, "nixpkgs#bws");
    expect(verdicts(step)["nixpkgs#bws"]).toMatchObject({ kind: "missing" });
    expect(told(step)).toContainEqual(
      expect.stringMatching(
        /^notice: nixpkgs: this flake's lock has no input "nixpkgs", so the registry's/,
      ),
    );
  });

  test("without a flake the registry's is used, and that is said", async () => {
    await using job = await startJob(undefined);
    await job.machine.nix("nix", ["registry", "add", "nixpkgs", `path:${NIXPKGS}`]);
    const { step } = await counted(job, "nixpkgs#bws");
    expect(verdicts(step)["nixpkgs#bws"]).toMatchObject({ kind: "missing" });
    expect(told(step).join("\n")).toContain(
      "nixpkgs: there is no flake here, so the registry's is used",
    );
  });

  test("twins: one bws is warmed, and the configurations want another", async () => {
    await using job = await startJob(flake("twins"), home);
    const { step } = await counted(job, ".#homeConfigurations.*.activationPackage\nnixpkgs#bws");
    const warnings = told(step).filter((line) => line.includes("nixpkgs#bws is one bws-1.0.0"));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(
      /^warning: .*; 2 targets want another \([0-9a-z]{32}-bws-1\.0\.0\.drv\)/,
    );
  });

  test("another system: named, looked up, left out of builds, and given to a runner that can", async () => {
    await using job = await startJob(flake("members"));
    const step = await job.main({ mode: "warm", targets: ".#foreign.*" });
    expect(step.exitCode).toBe(0);
    expect(step.building).toEqual(["here-1"]);
    expect(told(step).join("\n")).toContain(
      ".#foreign.arm is for aarch64-linux, which this machine cannot build",
    );
    expect(verdicts(step)[".#foreign.arm"]).toMatchObject({ kind: "missing", source: ["arm-1"] });
    expect(step.report().verified).toMatchObject([
      { target: ".#foreign.here", outcome: "verified" },
    ]);
    const check = await job.main({ mode: "check", targets: ".#foreign.*" });
    expect(JSON.parse(check.outputs["matrix"] ?? "")).toEqual({
      include: [
        {
          name: ".#foreign.arm",
          targets: ".#foreign.arm pin=foreign.arm-x86_64-linux",
          system: "aarch64-linux",
          "runs-on": "ubuntu-24.04-arm",
        },
      ],
    });
  });

  test("system= evaluates for that system", async () => {
    await using job = await startJob(HOME, home);
    const { step } = await counted(job, "nixpkgs#bws system=aarch64-linux");
    expect(step.report().targets).toMatchObject([
      { system: "aarch64-linux", buildableHere: false },
    ]);
    expect(step.report().derivations).toContainEqual(
      expect.objectContaining({ name: "bws-1.0.0", system: "aarch64-linux" }),
    );
  });

  test("names with dots, paths with a * inside, .drv files with outputs, store paths, each once", async () => {
    await using job = await startJob(flake("members"));
    const drv = await job.machine.nix("nix", ["eval", "--raw", ".#good.drvPath"], job.workspace);
    const [path = ""] = (await job.machine.nix("nix-store", ["--realise", drv])).split("\n");
    const { step } = await counted(
      job,
      [
        '.#sets."with.dots"',
        ".#sets.deep.*.program",
        drv,
        `${drv}^out`,
        path,
        ".#good",
        ".#good",
        ".",
      ].join("\n"),
    );
    expect(step.exitCode).toBe(0);
    expect(names(step)).toEqual([
      '.#sets."with.dots"',
      ".#sets.deep.deeper.program",
      drv,
      `${drv}^out`,
      path,
      ".#good",
      ".",
    ]);
    const { targets } = step.report();
    expect(targets.slice(2, 6).map(({ outputs }) => outputs)).toEqual(Array(4).fill([path]));
    expect(targets.at(-1)?.outputs?.[0]).toMatch(/-default-1$/);
  });

  test("of every output the pin's name is out's, whether Nix's eval cache, an evaluation or a .drv says which there are", async () => {
    await using job = await startJob(undefined);
    const { machine, workspace } = job;
    const ask = ["eval", "--impure", "--raw", "--expr", "builtins.currentSystem"];
    const system = await machine.nix("nix", ask);
    await writeFile(
      join(workspace, "flake.nix"),
      `{ outputs = _: { packages.${system}.lib = derivation {
        name = "lib"; system = "${system}"; outputs = [ "dev" "out" "bin" ]; builder = "/bin/sh";
        args = [ "-c" "echo o > $out; echo d > $dev; echo b > $bin" ];
      }; }; }`,
    );
    await machine.nix("git", ["init", "--quiet"], workspace);
    await machine.nix("git", ["add", "."], workspace);
    const drv = await machine.nix("nix", ["eval", "--raw", ".#lib.drvPath"], workspace);
    const bases = { lib: /-lib$/, "lib^bin": /-lib-bin$/, "lib^dev": /-lib-dev$/ };
    const expected = Object.fromEntries(
      Object.entries(bases).map(([name, path]) => [name, expect.stringMatching(path)]),
    );
    const lines: Inputs[] = [
      { targets: ".#lib^* pin=lib" },
      { targets: ".#lib^* pin=lib", force: "true" },
      { targets: `${drv}^* pin=lib` },
    ];
    for (const line of lines) {
      const warm = await job.main({ mode: "warm", ...line });
      expect([warm.exitCode, await pins(job.cache)]).toEqual([0, expected]);
    }
  });

  test("what is no derivation, and an output that is none, are said", async () => {
    await using job = await startJob(flake("members"));
    const { step } = await counted(job, ".#sets.text\n.#good^man");
    expect(verdicts(step)[".#sets.text"]).toMatchObject({ message: "it is not a derivation" });
    expect(verdicts(step)[".#good^man"]).toMatchObject({
      message: 'good-1 has no output "man"; it has out',
    });
  });

  test("pin= with its *, priority= and heavy order the work", async () => {
    await using job = await startJob(flake("members"));
    const targets = [
      ".#packages.SYSTEM.good pin=plain",
      ".#packages.SYSTEM.other pin=first priority=90",
      ".#foreign.* pin=host-*",
      ".#sets.deep.deeper.program",
    ].join("\n");
    const step = await job.main({ mode: "warm", targets, heavy: "program" });
    expect(step.exitCode).toBe(0);
    expect(step.building[0]).toBe("program-1");
    expect(step.report().verified[0]?.target).toBe(".#packages.x86_64-linux.other");
    expect(Object.keys(await pins(job.cache)).sort()).toEqual([
      "first",
      "host-here",
      "plain",
      "sets.deep.deeper.program-x86_64-linux",
    ]);
    const again = await job.main({ mode: "check", targets });
    expect(JSON.parse(again.outputs["changed"] ?? "")).toEqual([".#foreign.arm"]);
  });

  test("content-addressed: of no cache's realisations, so missing; built, pushed as by nix copy, and cached", async () => {
    await using job = await startJob(flake("unnamed"), {
      configuration: "extra-experimental-features = ca-derivations",
    });
    const targets = ".#floating\n.#over\n.#plain";
    const check = await job.main({ mode: "check", targets });
    expect(check.exitCode).toBe(0);
    expect(verdicts(check)).toMatchObject({
      ".#floating": { kind: "missing", source: ["floating-1"] },
    });
    expect(check.report().targets).toMatchObject([
      { outputs: null },
      { outputs: null },
      { name: ".#plain" },
    ]);
    expect(JSON.parse(check.outputs["store-paths"] ?? "")).not.toHaveProperty([".#floating"]);

    const warm = await job.main({ mode: "warm", targets });
    expect(warm.exitCode).toBe(0);
    expect(warm.building).toContain("floating-1");
    expect(warm.report().verified).toMatchObject(
      targets.split("\n").map((target) => ({ target, outcome: "verified" })),
    );
    expect(Object.keys(await pins(job.cache))).toEqual(["plain-x86_64-linux"]);
    const names = [...(await cached(job.cache)).keys()].sort();
    expect(names).toEqual(["floating-1", "over-1", "plain-1"]);

    const copy = join(job.machine.root, "copy");
    const installables = targets.split("\n").map((target) => target.replace(".", job.workspace));
    await job.machine.nix("nix", ["copy", "--to", `file://${copy}`, ...installables.slice(0, 2)]);
    const files = await readdir(join(copy, "realisations"));
    for (const file of files) {
      const [theirs, ours] = await Promise.all(
        [copy, job.cache].map((folder) => readFile(join(folder, "realisations", file), "utf8")),
      );
      expect(ours).toBe(theirs);
    }
    expect(files).toHaveLength(2);

    await job.machine.forget();
    const again = await job.main({ mode: "check", targets });
    expect(Object.values(verdicts(again)).map(({ kind }) => kind)).toEqual(["own", "own", "own"]);
    expect(again.outputs["hit"]).toBe("true");
    const fetched = ["--option", "substituters", `file://${job.cache}?trusted=1`];
    const args = ["build", "--no-link", "--max-jobs", "0", ...fetched, ...installables];
    await job.machine.nix("nix", args);
  });

  test("whose path nobody knows before the build: each kind is called by its name", async () => {
    const dynamic = MINOR >= 26;
    await using job = await startJob(flake("unnamed"), {
      configuration: `extra-experimental-features = ca-derivations impure-derivations ${dynamic ? "dynamic-derivations" : ""}`,
    });
    const targets = [
      "floating",
      "deferred",
      "impure",
      "overImpure",
      ...(dynamic ? ["dynamic"] : []),
    ];
    const step = await job.main({
      mode: "check",
      targets: targets.map((name) => `.#${name}`).join("\n"),
    });
    expect(verdicts(step)).toMatchObject({
      // The one cache there is was asked for their realisations.
      ".#floating": { kind: "missing", source: ["floating-1"] },
      ".#deferred": { kind: "missing", source: expect.arrayContaining(["deferred-1"]) },
      ".#impure": { kind: "missing", source: ["impure-1"] },
      ".#overImpure": { kind: "missing", source: ["impure-1", "over-impure-1"] },
      ...(dynamic
        ? {
            ".#dynamic": {
              kind: "unknown",
              why: expect.stringMatching(/^dynamic-1 is built of a derivation that is built/),
            },
          }
        : {}),
    });
  });

  test("a flake in git, committed, then dirty", async () => {
    await using job = await startJob(HOME, home);
    const git = (...args: string[]) =>
      job.machine.nix(
        "git",
        ["-c", "user.name=n", "-c", "user.email=e@example.org", ...args],
        job.workspace,
      );
    await git("init", "--quiet", "--initial-branch=main");
    await git("add", "--all");
    await git("commit", "--quiet", "--message", "a flake");
    const targets = ".#homeConfigurations.*.activationPackage\nnixpkgs#bws";
    const clean = await counted(job, targets);
    expect(clean.step.exitCode).toBe(0);
    expect(names(clean.step)).toHaveLength(4);
    expect(clean.evals).toBe(2);
    await writeFile(join(job.workspace, "README"), "not yet in git\n");
    await git("add", "README");
    const dirty = await counted(job, `${targets}\n.#nothing`);
    expect(names(dirty.step)).toEqual([...names(clean.step), ".#nothing"]);
    const message = verdicts(dirty.step)[".#nothing"]?.message ?? "";
    expect(message).toContain("does not provide attribute");
    expect(message).not.toContain("dirty");
    expect(await git("status", "--short")).toBe("A  README\n");
  });

  test("a flake whose lock is not written yet: the checkout is left as it is", async () => {
    await using job = await startJob(flake("twins"));
    const file = join(job.workspace, "flake.nix");
    const text = await readFile(file, "utf8");
    await writeFile(file, text.replace('url = "nixpkgs"', `url = "path:${NIXPKGS}"`));
    const { step } = await counted(job, ".#homeConfigurations.*.activationPackage");
    expect(told(step).filter((line) => line.startsWith("error"))).toEqual([]);
    expect(names(step)).toHaveLength(2);
    await expect(writeFile(join(job.workspace, "flake.lock"), "", { flag: "wx" })).resolves.toBe(
      undefined,
    );
  });

  test("it runs on the Nix that comes first on PATH", async () => {
    await using job = await startJob(flake("members"));
    const { step } = await counted(job, ".#good");
    expect(`Nix ${step.report().nix}`).toBe(NIX);
    expect(MINOR).toBeGreaterThanOrEqual(8);
  });
});
