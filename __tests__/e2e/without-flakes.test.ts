/** Owns the proof that a project without a flake is looked at, warmed and fetched: npins, niv, nix-build, nix-shell. */

import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { cached, FORK, NIX, pins, type Step, startJob, type TestJob, told } from "./job.ts";

const run = promisify(execFile);

/** A nixpkgs as far as it matters here: a function, with a shell whose hook asks whether it is one. */
const NIXPKGS = `{ system ? builtins.currentSystem, config ? { } }:
let
  d = name: script: more: derivation ({ inherit name system; builder = "/bin/sh"; args = [ "-c" script ]; } // more);
  has = name: more: d name "echo \${name} > $out" more;
in rec {
  hello = has "hello-1" { };
  tool = has "tool-1" { inherit hello; };
  linter = has "linter-1" { };
  bashInteractive = d "bash-interactive-1" "/bin/mkdir -p $out/bin; /bin/ln -s /bin/bash $out/bin/bash" { };
  mkShell = more: has "shell-1" ({ stdenv = has "stdenv-1" { }; } // more);
  callable = { name ? "callable-1" }: has name { };
  plain = x: x.nothing;
}`;

const NPINS = `let
  data = builtins.fromJSON (builtins.readFile ./sources.json);
  fetch = _: { url, hash, ... }: builtins.fetchTarball { inherit url; sha256 = hash; };
in if data.version == 3 then builtins.mapAttrs fetch data.pins else throw "unsupported version"`;

const NIV = `{ sourcesFile ? ./sources.json, system ? builtins.currentSystem }:
let
  fetch = name: spec: if spec.type == "tarball"
    then builtins.fetchTarball { inherit (spec) url sha256; name = builtins.replaceStrings [ "/" ] [ "-" ] "\${name}-src"; }
    else throw "unknown type";
  sources = builtins.fromJSON (builtins.readFile sourcesFile);
in builtins.mapAttrs (name: spec: spec // { outPath = fetch name spec; }) sources`;

/** A project that pins its nixpkgs so; the archive lies where no network is needed. */
async function project(pinnedBy: "npins" | "niv"): Promise<TestJob> {
  const job = await startJob(undefined);
  const { machine, workspace } = job;
  const source = join(machine.root, "nixpkgs-1");
  await mkdir(source);
  await writeFile(join(source, "default.nix"), NIXPKGS);
  await run("tar", ["-cf", join(machine.root, "nixpkgs.tar"), "-C", machine.root, "nixpkgs-1"]);
  const hash = await machine.nix("nix-hash", ["--type", "sha256", "--base32", source]);
  const pin = { url: `file://${machine.root}/nixpkgs.tar`, type: "tarball" };
  const folder = join(workspace, pinnedBy === "npins" ? "npins" : "nix");
  await mkdir(folder);
  const [file, text, sources] =
    pinnedBy === "npins"
      ? ["default.nix", NPINS, { version: 3, pins: { nixpkgs: { ...pin, hash: hash.trim() } } }]
      : ["sources.nix", NIV, { nixpkgs: { ...pin, sha256: hash.trim() } }];
  await writeFile(join(folder, file), text);
  await writeFile(join(folder, "sources.json"), JSON.stringify(sources));
  const pinned = pinnedBy === "npins" ? "(import ./npins)" : "(import ./nix/sources.nix { })";
  await writeFile(
    join(workspace, "default.nix"),
    `{ pkgs ? import ${pinned}.nixpkgs { } }: { inherit (pkgs) hello tool callable plain; more.linter = pkgs.linter; }`,
  );
  await writeFile(
    join(workspace, "shell.nix"),
    `{ pkgs ? import ${pinned}.nixpkgs { }, inNixShell ? false }: pkgs.mkShell {
      buildInputs = [ pkgs.tool ] ++ (if inNixShell && builtins.getEnv "IN_NIX_SHELL" != "" then [ pkgs.linter ] else [ ]);
    }`,
  );
  return job;
}

function kinds(step: Step): Record<string, string> {
  const verdicts = JSON.parse(step.outputs["verdicts"] ?? "{}") as Record<string, { kind: string }>;
  return Object.fromEntries(Object.entries(verdicts).map(([name, { kind }]) => [name, kind]));
}

async function names(job: TestJob): Promise<string[]> {
  return [...(await cached(job.cache)).keys()].sort();
}

describe.each(["npins", "niv"] as const)(`a project with %s, on ${NIX}`, (pinnedBy) => {
  test("nix-build's attributes are judged, shared out, warmed, pinned and fetched", async () => {
    await using job = await project(pinnedBy);
    const targets = "* file=default.nix\nmore.linter file=./default.nix";
    const check = await job.main({ mode: "check", targets });
    // A function is called as Nix calls it, one without named arguments is no package.
    const expected = ["callable", "hello", "tool"].map((name) => `${name} file=default.nix`);
    const all = [...expected, "more.linter file=./default.nix"];
    expect(kinds(check)).toEqual(Object.fromEntries(all.map((name) => [name, "missing"])));
    const { include } = JSON.parse(check.outputs["matrix"] ?? "") as {
      include: { targets: string }[];
    };
    const shared = include.map((one) => one.targets).join("\n");
    expect(kinds(await job.main({ mode: "check", targets: shared }))).toEqual(kinds(check));
    const warm = await job.main({ mode: "warm", targets });
    expect(warm.exitCode).toBe(0);
    expect(await names(job)).toEqual(["callable-1", "hello-1", "linter-1", "tool-1"]);
    expect(Object.keys(await pins(job.cache))).toEqual(
      expect.arrayContaining([expect.stringMatching(/^hello-/), expect.stringMatching(/^tool-/)]),
    );
    await job.machine.forget();
    const fetched = await job.main({ mode: "prefetch", targets });
    expect(kinds(fetched)).toEqual(Object.fromEntries(all.map((name) => [name, "own"])));
    const nothing = ["--no-out-link", "--option", "max-jobs", "0"];
    await job.machine.nix("nix-build", ["-A", "tool", ...nothing], job.workspace);
  });

  test("what nix-shell needs is warmed and fetched, and then it starts without a build or a fetch", async () => {
    await using job = await project(pinnedBy);
    const NIX_PATH = `nixpkgs=${join(job.machine.root, "nixpkgs-1")}`;
    const environment = { ...job.machine.environment, NIX_PATH };
    const targets = "file=shell.nix";
    const warm = await job.main({ mode: "warm", targets }, { environment });
    expect([warm.exitCode, kinds(warm)]).toEqual([0, { "file=shell.nix": "missing" }]);
    const needs = ["bash-interactive-1", "hello-1", "linter-1", "stdenv-1", "tool-1"];
    expect(warm.building.toSorted()).toEqual(needs);
    expect(await names(job)).toEqual(needs.filter((name) => name !== "hello-1"));
    await job.machine.forget();
    const fetched = await job.main({ mode: "prefetch", targets }, { environment });
    expect(kinds(fetched)).toEqual({ "file=shell.nix": "own" });
    // The machine's own configuration has no cache: what is not here now is not to be had.
    const shell = await run(
      "nix-shell",
      ["--option", "max-jobs", "0", "--run", "echo $buildInputs"],
      {
        cwd: job.workspace,
        env: environment,
      },
    );
    expect(shell.stdout).toMatch(/-tool-1 .*-linter-1/);
    expect(shell.stderr).not.toMatch(/build|copying|fetch/);
    expect((await readdir(job.machine.storeDir)).filter((name) => /-shell-1$/.test(name))).toEqual(
      [],
    );
  });
});

describe(`a file, on ${NIX}`, () => {
  test("names what is near to a name that it lacks, and what a set is for", async () => {
    await using job = await project("npins");
    const step = await job.main({
      mode: "check",
      "fail-on": "none",
      targets:
        "helo file=default.nix\nmore.lintre file=default.nix\nfile=default.nix\nx file=no.nix",
    });
    const words = told(step).join("\n");
    expect(words).toContain("did you mean hello file=default.nix?");
    expect(words).toContain("did you mean more.linter file=default.nix?");
    expect(words).toContain("not a derivation, but a set; write * file=default.nix");
    expect(words).toContain("no.nix");
  });

  test.each<[string, string, string]>([
    ["* file=list.nix", "list.nix", ""],
    ["1 file=list.nix", "list.nix", "1"],
    ["list.* file=set.nix", "set.nix", "list"],
    ["called file=set.nix", "set.nix", "called"],
    ["functor file=set.nix", "set.nix", "functor"],
    ["a file=functor.nix", "functor.nix", "a"],
    ["twice file=set.nix", "set.nix", "twice"],
    ["any file=set.nix", "set.nix", "any"],
    ["list.2 file=set.nix", "set.nix", "list.2"],
  ])("%s is what nix-build builds", async (targets, file, attribute) => {
    await using job = await startJob(undefined);
    const d =
      'd = name: derivation { inherit name; system = builtins.currentSystem; builder = "x"; };';
    const files = {
      "list.nix": `let ${d} in { x ? 0 }: [ (d "l0") (d "l1") ]`,
      "set.nix": `let ${d} in {
        list = [ (d "l0") (d "l1") ];
        called = { v ? "1", ... }: d "called-\u0024{v}";
        functor = { __functor = self: { v ? self.w }: d "functor-\u0024{v}"; w = "2"; };
        twice = { a ? 0 }: { b ? 0 }: d "twice";
        any = x: d "any";
      }`,
      "functor.nix": `let ${d} in { __functor = self: { x ? "x" }: { a = d "f-\u0024{x}"; }; a = d "not-called"; }`,
    };
    for (const [name, text] of Object.entries(files))
      await writeFile(join(job.workspace, name), text);
    const step = await job.main({ mode: "check", cache: "none", "fail-on": "none", targets });
    const args = [file, ...(attribute === "" ? [] : ["-A", attribute])];
    const build = run("nix-build", ["--dry-run", ...args], {
      cwd: job.workspace,
      env: job.machine.environment,
    });
    const wanted = await build.then(
      ({ stderr }) => [...stderr.matchAll(/-([^/\s]+)\.drv/g)].map(([, name]) => name).sort(),
      () => [],
    );
    const missing = JSON.parse(step.outputs["missing"] ?? "[]") as { name: string }[];
    expect(missing.map(({ name }) => name).sort()).toEqual(wanted);
  });

  const secret = "ghs_0123456789";
  const told_ = (job: TestJob) => ({
    ...job.machine.environment,
    NIX_CONFIG: `access-tokens = github.com=${secret}`,
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: "http.extraHeader",
    GIT_CONFIG_VALUE_0: `Authorization: ${secret}`,
  });
  const READS = `derivation {
    name = if builtins.match ".*${secret}.*" (builtins.toJSON (map builtins.getEnv [ "NIX_CONFIG" "GIT_CONFIG_VALUE_0" ])) == null then "blind" else "sees";
    system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo > $out" ];
  }`;

  test.each([
    ["ours has the job's credentials", {}, "sees"],
    ["a stranger's finds none in its environment", FORK, "blind"],
  ])("%s", async (_, how, name) => {
    await using job = await startJob(undefined);
    await writeFile(join(job.workspace, "default.nix"), READS);
    const step = await job.main(
      { mode: "check", cache: "none", targets: "file=default.nix" },
      { ...how, environment: told_(job) },
    );
    expect(step.outputs["missing"]).toContain(name);
  });

  test("of a stranger's is not evaluated where this step was given a secret", async () => {
    await using job = await startJob(undefined);
    await writeFile(join(job.workspace, "default.nix"), READS);
    const step = await job.main(
      {
        mode: "check",
        token: "t0ken-of-the-job",
        cache: "cachix:acme",
        targets: "file=default.nix",
      },
      FORK,
    );
    expect(step.exitCode).toBe(1);
    expect(step.annotations).toMatchObject([
      { level: "error", message: expect.stringContaining("NCP-453") },
    ]);
    expect((await readdir(job.machine.storeDir)).filter((one) => one.endsWith(".drv"))).toEqual([]);
  });
});
