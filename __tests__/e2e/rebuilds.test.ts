/** Owns the proof that a pull request is told what it rebuilds and why, and a desk why it misses what CI built. */

import { execFile, execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { lock, type Machine, startMachine } from "../../scripts/machine.ts";
import { runStage, type StageResult } from "../../scripts/runner.ts";
import { startGithubCache } from "../servers/github-cache.ts";
import { payload } from "../support/events.ts";

const CLI = resolve("dist/cli.js");

/** An input of the flake: `openssl`, of which `curl` is built. */
const parts = (version: string) => `{
  outputs = { self }: {
    build = system: attributes: derivation ({ inherit system; builder = "/bin/sh"; } // attributes);
    packages = system: rec {
      openssl = self.build system { name = "openssl-${version}"; version = "${version}"; args = [ "-c" "echo tls > $out" ]; };
      curl = self.build system { name = "curl-8.15.0"; inherit openssl; args = [ "-c" "echo $openssl > $out" ]; };
    };
  };
}`;

const FLAKE = `{
  inputs.parts.url = "parts";
  outputs = { self, parts }: let
    system = "SYSTEM";
    p = parts.packages system;
    build = parts.build system;
  in {
    packages.\${system} = {
      web = build { name = "acme-web-2.3.2"; src = ./web; args = [ "-c" "echo $src > $out" ]; };
      cli = build { name = "acme-cli-0.9.4"; inherit (p) curl; args = [ "-c" "echo $curl > $out" ]; };
      docs = build { name = "acme-docs"; src = ./docs; args = [ "-c" "echo $src > $out" ]; };
    };
  };
}`;

const EMPTY_LOCK = '{"nodes":{"root":{}},"root":"root","version":7}';

interface Site {
  readonly system: string;
  readonly machine: Machine;
  readonly workspace: string;
  readonly cache: string;
  commit(files: Readonly<Record<string, string>>): Promise<void>;
  parts(version: string): Promise<void>;
  run(
    event: "push" | "pull request",
    inputs?: Record<string, string>,
    variables?: Record<string, string>,
  ): Promise<StageResult>;
  cli(...args: string[]): Promise<{ readonly stdout: string; readonly code: number }>;
}

async function site(machine: Machine): Promise<Site> {
  const workspace = join(machine.root, "project");
  const cache = join(machine.root, "cache");
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@localhost", ...args], {
      cwd: workspace,
    });
  const system = (await machine.nix("nix-instantiate", ["--eval", "-E", "builtins.currentSystem"]))
    .trim()
    .replaceAll('"', "");
  for (const folder of ["web", "docs"]) await mkdir(join(workspace, folder), { recursive: true });
  git("init", "-q");
  const put = async (files: Readonly<Record<string, string>>) => {
    for (const [name, text] of Object.entries(files)) await writeFile(join(workspace, name), text);
  };
  const commit = async (files: Readonly<Record<string, string>>) => {
    await put(files);
    git("add", ".");
    git("commit", "-qm", "change");
  };
  const lockParts = async (version: string) => {
    const folder = join(machine.root, `parts-${version}`);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "flake.nix"), parts(version));
    await lock(machine, workspace, { parts: folder });
  };
  await put({ "flake.nix": FLAKE.replace("SYSTEM", system), "web/main.rs": "1", "docs/a.md": "1" });
  await lockParts("3.5.0");
  await commit({});
  const environment = { ...machine.environment, RUNNER_DEBUG: "1" };
  return {
    system,
    machine,
    workspace,
    cache,
    commit,
    parts: lockParts,
    run: (event, inputs = {}, variables = {}) =>
      runStage("main", {
        action: resolve("."),
        inputs: {
          mode: event === "push" ? "warm" : "check",
          cache: `file://${cache}`,
          "min-free": "1MB",
          ...inputs,
        },
        workspace,
        temp: join(machine.root, "temp"),
        eventName: event === "push" ? "push" : "pull_request",
        event: JSON.parse(payload(event === "push" ? "push" : "pull_request-own-branch")),
        ref: event === "push" ? "refs/heads/main" : "refs/pull/7/merge",
        environment: { ...environment, ...variables },
      }),
    cli: async (...args) => {
      const done = await promisify(execFile)(
        process.execPath,
        [CLI, ...args, "--cache", `file://${cache}`, "--min-free", "1MB"],
        { cwd: workspace, env: machine.environment },
      ).catch((error: { code: number; stdout: string }) => error);
      return { stdout: done.stdout, code: "code" in done ? Number(done.code) : 0 };
    },
  };
}

interface Told {
  readonly base: { readonly branch: string; readonly revision: string };
  readonly derivations: number;
  readonly changed: number;
  readonly builds: number;
  readonly download: { readonly base: number; readonly now: number } | null;
  readonly list: readonly {
    readonly name: string;
    readonly was: string | null;
    readonly needs: string;
    readonly cause: Record<string, unknown>;
  }[];
}

test("a pull request is told what it rebuilds, and the first cause of each", async () => {
  await using machine = await startMachine();
  const { run, commit, parts, workspace } = await site(machine);
  const first = await run("pull request");
  expect(first.outputs["rebuilds"]).toBe("null");
  expect(first.summary).toContain("no run on the default branch has left its graph");

  expect((await run("push")).exitCode).toBe(0);
  const base = execFileSync("git", ["rev-parse", "HEAD"], { cwd: workspace }).toString().trim();
  const same = await run("pull request", { mode: "check" });
  expect(JSON.parse(same.outputs["rebuilds"] ?? "")).toMatchObject({ changed: 0, derivations: 5 });
  expect(same.outputs["rebuild-minutes"]).toBe("0");
  const { download } = JSON.parse(same.outputs["rebuilds"] ?? "") as Told;
  expect(download?.now).toBe(download?.base);

  await parts("3.5.1");
  await commit({ "web/main.rs": "2" });
  const both = await run("pull request");
  const told = JSON.parse(both.outputs["rebuilds"] ?? "") as Told;
  expect(told).toMatchObject({
    base: { branch: "main", revision: base },
    derivations: 5,
    changed: 4,
    builds: 4,
    // What is not built yet weighs nothing in a cache: that is no smaller download.
    download: null,
  });
  const byName = new Map(told.list.map((one) => [one.name, one]));
  expect(byName.get("acme-web-2.3.2")?.cause).toEqual({ kind: "own", attributes: ["src"] });
  expect(byName.get("openssl-3.5.1")).toMatchObject({
    was: "openssl-3.5.0",
    cause: { kind: "own", attributes: ["version"] },
  });
  const dependency = { kind: "dependency", name: "openssl-3.5.1", was: "openssl-3.5.0", others: 0 };
  expect(byName.get("curl-8.15.0")?.cause).toEqual(dependency);
  expect(byName.get("acme-cli-0.9.4")?.cause).toEqual(dependency);
  expect(byName.has("acme-docs")).toBe(false);
  expect(both.summary).toContain(
    "### 🔨 Nix cache: this pull request changes 4 of 5 derivations, 4 need a build",
  );
  expect(both.log).toMatch(/^Nix cache: this pull request changes 4 of 5 .*; \d.*s$/m);
  expect(both.summary).toContain("its source");
  expect(both.outputs["rebuild-minutes"]).toMatch(/^\d+(\.\d)?$/);
});

test("where nothing but the lock changed, its input is the cause, with both revisions", async () => {
  await using machine = await startMachine();
  const { run, commit, parts } = await site(machine);
  await run("push");
  await parts("3.5.1");
  await commit({});
  const done = await run("pull request");
  const told = JSON.parse(done.outputs["rebuilds"] ?? "") as Told;
  const cli = told.list.find(({ name }) => name === "acme-cli-0.9.4");
  expect(cli?.cause).toEqual({
    kind: "input",
    input: { name: "parts", from: expect.any(String), to: expect.any(String) },
    by: "openssl-3.5.1",
  });
  expect(told.changed).toBe(3);
});

test("why: what differs from the default branch's build, and which files of a dirty tree", async () => {
  await using machine = await startMachine();
  const { run, cli, workspace, parts } = await site(machine);
  const none = await cli("why", ".#web");
  expect(none.stdout).toContain("no run on the default branch has left its graph");
  await run("push");
  expect((await cli("why", ".#web")).stdout).toContain(".#web is cached");

  await writeFile(join(workspace, "web/main.rs"), "mine");
  const day = new Date().toISOString().slice(0, 10);
  const dirty = await cli("why", ".#web");
  expect(dirty.stdout).toContain(
    `has acme-web-2.3.2 as built from main on ${day}; yours differs in src (dirty tree: web/main.rs)`,
  );
  expect(dirty.code).toBe(0);
  expect((await cli("check", ".#web")).stdout).toContain("yours differs in src");

  await parts("3.5.1");
  expect((await cli("why", ".#cli")).stdout).toContain(
    "yours is built of another openssl-3.5.1 (was openssl-3.5.0; by way of curl-8.15.0): it differs in version",
  );
  expect((await cli("why")).code).toBe(2);
});

test("why: the name of a file says nothing to the terminal", async () => {
  await using machine = await startMachine();
  const { run, cli, workspace, commit } = await site(machine);
  const name = "web/\u001b]0;mine\u0007\u001b[2J.rs";
  await commit({ [name]: "theirs" });
  await run("push");
  await writeFile(join(workspace, name), "mine");
  const { stdout } = await cli("why", ".#web");
  expect(stdout).toContain("(dirty tree: web/");
  expect(stdout).not.toContain("\u001b");
}, 180_000);

test("a run that evaluates nothing hands the graph on to the default branch", async () => {
  await using machine = await startMachine();
  const { run, commit } = await site(machine);
  await run("push");
  await commit({ "web/main.rs": "2" });
  // The pull request's own run warms it, and is merged as it is.
  await run("pull request", { mode: "warm" });
  const merged = await run("push");
  expect(merged.log).toContain("nothing was evaluated");
  await commit({ "docs/a.md": "2" });
  const next = await run("pull request");
  const told = JSON.parse(next.outputs["rebuilds"] ?? "") as Told;
  expect(told.list.map(({ name }) => name)).toEqual(["acme-docs"]);
});

test("where our cache is GitHub's, the graph is there for a pull request as soon as it is left", async () => {
  await using server = await startGithubCache();
  await using machine = await startMachine();
  const { run, commit } = await site(machine);
  const github = { cache: "github" };
  const variables = (id: string) => ({ ...server.variables(), GITHUB_RUN_ID: id });
  // Its end, which would save the cache itself, has not come yet.
  expect((await run("push", github, variables("1"))).exitCode).toBe(0);
  await commit({ "web/main.rs": "2" });
  const next = await run("pull request", github, variables("2"));
  const told = JSON.parse(next.outputs["rebuilds"] ?? "") as Told;
  expect(told.list.map(({ name, cause }) => [name, cause])).toEqual([
    ["acme-web-2.3.2", { kind: "own", attributes: ["src"] }],
  ]);
});

/** Each package is changed in a way of its own; what is the same in both stands beside it. */
const WAYS = (at: "before" | "after") => {
  const now = at === "after";
  const pick = (before: string, after: string) => (now ? after : before);
  const tar = (text: string) =>
    `build { name = "source"; outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "${text}\\n"; args = [ "-c" "echo ${text} > $out" ]; }`;
  return `{
  outputs = { self }: let
    system = "SYSTEM";
    build = attributes: derivation ({ inherit system; builder = "/bin/sh"; args = [ "-c" "echo 1 > $out" ]; } // attributes);
    zlib = build { name = "zlib-${pick("1.3", "1.4")}"; version = "${pick("1.3", "1.4")}"; };
    png = build { name = "libpng-1.6"; inherit zlib; };
    hook = build { name = "hook"; preferLocalBuild = true; text = "${pick("a", "b")}"; };
    fetcher = build { name = "fetcher"; flags = "${pick("a", "b")}"; };
  in {
    packages.\${system} = {
      own-source = build { name = "own-source"; src = ./web; };
      flags = build { name = "flags"; configureFlags = "${pick("--static", "--shared")}"; };
      arguments = build { name = "arguments"; args = [ "-c" "echo ${pick("1", "2")} > $out" ]; };
      download = build { name = "download"; src = ${tar(pick("one", "two"))}; };
      same-download = build { name = "same-download"; src = ${tar("same").replace("build {", "build { inherit fetcher;")}; };
      structured = build { name = "structured"; __structuredAttrs = true; cargoFlags = [ "${pick("a", "b")}" ]; args = [ "-c" "echo 1 > \${builtins.placeholder "out"}" ]; };
      near = build { name = "near"; inherit png; };
      both = build { name = "both"; inherit png; patches = "${pick("a", "b")}"; };
      more-inputs = build { name = "more-inputs"; buildInputs = [ ${pick("", `self.packages.\${system}.untouched`)} ]; };
      by-hook = build { name = "by-hook"; inherit hook; };
      renamed = build { name = "renamed-${pick("1.0", "1.1")}"; version = "${pick("1.0", "1.1")}"; };
      untouched = build { name = "untouched"; };
      ${now ? 'new-one = build { name = "new-one"; };' : ""}
    };
  };
}`;
};

test("of thirteen changed in different ways each first cause is the one that was made", async () => {
  await using machine = await startMachine();
  const { run, commit, system } = await site(machine);
  await commit({ "flake.nix": WAYS("before").replace("SYSTEM", system), "flake.lock": EMPTY_LOCK });
  const first = await run("push");
  expect(first.exitCode).toBe(0);
  await commit({ "flake.nix": WAYS("after").replace("SYSTEM", system), "web/main.rs": "2" });
  const told = JSON.parse((await run("pull request")).outputs["rebuilds"] ?? "") as Told;
  const zlib = { kind: "dependency", name: "zlib-1.4", was: "zlib-1.3", others: 0 };
  const own = (...attributes: string[]) => ({ kind: "own", attributes });
  expect(Object.fromEntries(told.list.map(({ name, cause }) => [name, cause]))).toEqual({
    "own-source": own("src"),
    flags: own("configureFlags"),
    arguments: own(),
    download: own("src"),
    structured: own("cargoFlags"),
    "zlib-1.4": own("version"),
    "libpng-1.6": zlib,
    near: zlib,
    both: own("patches"),
    "more-inputs": own("buildInputs"),
    "by-hook": { kind: "dependency", name: "hook", others: 0 },
    "renamed-1.1": own("version"),
    "new-one": { kind: "new" },
  });
});
