import { execFileSync } from "node:child_process";
import { access, appendFile, chmod, rename, rm } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import type { NixSetup } from "../../src/domain/ports.ts";
import { parseTargets } from "../../src/domain/target.ts";
import { type Environment, processEnvironment } from "../../src/host/environment.ts";
import { project } from "../../src/host/project.ts";
import { findFlake } from "../../src/nix/flake.ts";
import { recordKey } from "../../src/nix/record-key.ts";
import { sourcesNow } from "../../src/nix/sources.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { memoryNix, SIGNAL } from "../support/world.ts";

const REVISION = "0123456789abcdef0123456789abcdef01234567";

function lockFile(narHash: string): string {
  return JSON.stringify({
    nodes: {
      nixpkgs: { locked: { type: "path", path: "/nixpkgs", narHash } },
      root: { inputs: { nixpkgs: "nixpkgs" } },
    },
    root: "root",
    version: 7,
  });
}

interface Key {
  /** The directory of the run, below the repository's top. */
  readonly directory?: string;
  readonly targets?: string;
  readonly setup?: Partial<NixSetup>;
  readonly also?: readonly string[];
}

interface Repository extends AsyncDisposable {
  readonly folder: Folder;
  readonly environment: Environment;
  git(...args: string[]): void;
  gitIn(folder: string, ...args: string[]): void;
  commit(): void;
  key(options?: Key): Promise<string | undefined>;
}

/** Two flakes in one git repository, all committed; nothing of this machine's git configuration. */
async function repository(): Promise<Repository> {
  const folder = await temporaryFolder();
  const environment = {
    ...processEnvironment(),
    HOME: folder.path,
    GIT_CONFIG_GLOBAL: folder.at("gitconfig"),
    GIT_CONFIG_NOSYSTEM: "1",
    // A repository of whoever runs this test is none of ours.
    GIT_CEILING_DIRECTORIES: folder.path,
  };
  const top = folder.at("top");
  await folder.write("gitconfig", "[user]\nname = t\nemail = t@localhost\n");
  await folder.write("top/flake.nix", "{ outputs = _: { }; }\n");
  await folder.write("top/flake.lock", lockFile("sha256-A"));
  await folder.write("top/sub/flake.nix", "{ outputs = _: { }; }\n");
  await folder.write("top/.gitignore", "result\n");
  const gitIn = (cwd: string, ...args: string[]) => {
    execFileSync("git", args, { cwd, env: environment, stdio: "ignore" });
  };
  const git = (...args: string[]) => gitIn(top, ...args);
  const commit = () => {
    git("add", "--all");
    git("commit", "--quiet", "--allow-empty", "--message", "x");
  };
  git("init", "--quiet");
  commit();
  return {
    folder,
    environment,
    git,
    gitIn,
    commit,
    key: async ({ directory = "", targets = ".#app", setup = {}, also = ["file:///c"] } = {}) =>
      recordKey({
        setup: { ...memoryNix().setup, ...setup },
        flake: await findFlake(folder.at("top", directory)),
        targets: parseTargets(targets).targets,
        without: parseTargets(targets).without.map(({ line }) => line),
        also,
        environment,
        signal: SIGNAL,
      }),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

describe("what an evaluation depends on", () => {
  test("has a name, and the same one as long as nothing changed", async () => {
    await using here = await repository();
    const key = await here.key();
    expect(key).toMatch(/^[0-9a-f]{64}$/);
    expect(await here.key()).toBe(key);
  });

  test("is the commit and not its tree alone, which self.rev and self.lastModified tell apart", async () => {
    await using here = await repository();
    const key = await here.key();
    here.commit();
    const other = await here.key();
    expect(other).toBeDefined();
    expect(other).not.toBe(key);
  });

  test("is where a shallow clone was cut, which self.revCount counts from", async () => {
    await using here = await repository();
    here.commit();
    const whole = await here.key();
    const origin = `file://${here.folder.at("top")}`;
    here.gitIn(here.folder.path, "clone", "--quiet", "--depth=1", origin, "cut");
    await rename(here.folder.at("top"), here.folder.at("whole"));
    await rename(here.folder.at("cut"), here.folder.at("top"));
    const cut = await here.key();
    expect(cut).toBeDefined();
    expect(cut).not.toBe(whole);
  });

  test.each([
    ["a sparse checkout", ["sparse-checkout", "set", "sub"]],
    ["a file that git is told not to look at", ["update-index", "--assume-unchanged", "flake.nix"]],
  ])("has no name in %s: Nix looks", async (_, args) => {
    await using here = await repository();
    await here.folder.write("top/other/x", "x");
    here.commit();
    here.git(...args);
    expect(await here.key()).toBeUndefined();
    expect(await here.key({ directory: "sub" })).toBeUndefined();
  });

  test("is not what git does not track", async () => {
    await using here = await repository();
    const key = await here.key();
    await here.folder.write("top/untracked", "x");
    await here.folder.write("top/result", "x");
    expect(await here.key()).toBe(key);
  });

  test.each<[string, (here: Repository) => unknown]>([
    ["a changed file", ({ folder }) => appendFile(folder.at("top/flake.nix"), "#")],
    [
      "a changed file of another flake",
      ({ folder }) => appendFile(folder.at("top/sub/flake.nix"), "#"),
    ],
    ["a removed file", ({ folder }) => rm(folder.at("top/.gitignore"))],
    [
      "a new file that is staged",
      async ({ folder, git }) => {
        await folder.write("top/new", "x");
        git("add", "new");
      },
    ],
    [
      "a new file that is only meant to be staged",
      async ({ folder, git }) => {
        await folder.write("top/new", "x");
        git("add", "--intent-to-add", "new");
      },
    ],
    [
      "a file that was staged and changed back",
      async ({ folder, git }) => {
        await folder.write("top/.gitignore", "other\n");
        git("add", ".gitignore");
        await folder.write("top/.gitignore", "result\n");
      },
    ],
  ])("has no name with %s", async (_, change) => {
    await using here = await repository();
    await change(here);
    expect(await here.key()).toBeUndefined();
    expect(await here.key({ directory: "sub" })).toBeUndefined();
    here.commit();
    expect(await here.key()).toBeDefined();
  });

  test.each<[string, (here: Repository) => unknown]>([
    ["another flake.nix", ({ folder }) => appendFile(folder.at("top/flake.nix"), "#")],
    ["another file of its repository", ({ folder }) => folder.write("top/new", "x")],
    ["another lock", ({ folder }) => folder.write("top/flake.lock", lockFile("sha256-B"))],
    ["an executable", ({ folder }) => chmod(folder.at("top/flake.nix"), 0o755)],
  ])("has another name with %s, committed", async (_, change) => {
    await using here = await repository();
    const key = await here.key();
    await change(here);
    here.commit();
    const other = await here.key();
    expect(other).toBeDefined();
    expect(other).not.toBe(key);
  });

  test.each<[string, Key]>([
    ["another flake of the repository", { directory: "sub" }],
    ["another target", { targets: ".#tool" }],
    ["one target more", { targets: ".#app\n.#tool" }],
    ["another attribute of a target", { targets: ".#app pin=app" }],
    ["every package", { targets: "" }],
    ["another Nix", { setup: { version: "2.34.0" } }],
    ["another system", { setup: { system: "aarch64-linux" } }],
    ["another store", { setup: { storeDir: "/other/store" } }],
    ["another cache", { also: ["file:///d"] }],
    ["one cache more", { also: ["file:///c", "file:///d"] }],
  ])("has another name for %s", async (_, change) => {
    await using here = await repository();
    const other = await here.key(change);
    expect(other).toBeDefined();
    expect(other).not.toBe(await here.key());
  });

  test("cannot be confused by where one part ends and the next begins", async () => {
    await using here = await repository();
    expect(await here.key({ also: ["ab", "c"] })).not.toBe(await here.key({ also: ["a", "bc"] }));
  });

  test("of an input is its lock, and no tree", async () => {
    await using here = await repository();
    const targets = "nixpkgs#bws";
    const key = await here.key({ targets });
    expect(key).toBeDefined();
    await appendFile(here.folder.at("top/flake.nix"), "#");
    expect(await here.key({ targets })).toBe(key);
    await here.folder.write("top/flake.lock", lockFile("sha256-B"));
    const relocked = await here.key({ targets });
    expect(relocked).toBeDefined();
    expect(relocked).not.toBe(key);
    expect(await here.key({ targets: "flake:nixpkgs#bws" })).toBeDefined();
  });

  test.each([
    ["a branch in place of the lock's revision", "nixpkgs/nixos-25.05#bws"],
    ["a name that the lock does not have", "unstable#bws"],
    ["a branch's tip", "github:NixOS/nixpkgs#bws"],
    ["a branch by its name", "github:NixOS/nixpkgs/nixos-25.05#bws"],
    ["half a revision", `github:NixOS/nixpkgs/${REVISION.slice(0, 39)}#bws`],
    ["more than a revision", `github:NixOS/nixpkgs/${REVISION}0#bws`],
    ["another folder", "./sub#app"],
    ["a folder that no git tracks", "path:/somewhere#app"],
    ["a derivation of this machine", "/nix/store/0c4dcmsd1s2zla7mfpzhpk3s9cbijwqm-plain-1.0.drv"],
  ])("has no name with %s", async (_, target) => {
    await using here = await repository();
    expect(await here.key({ targets: target })).toBeUndefined();
    expect(await here.key({ targets: `.#app\n${target}` })).toBeUndefined();
  });

  test.each([
    `github:NixOS/nixpkgs/${REVISION}#bws`,
    `git+https://host.example/x.git?rev=${REVISION}#bws`,
    `nixpkgs/${REVISION}#bws`,
    "/nix/store/0c4dcmsd1s2zla7mfpzhpk3s9cbijwqm-plain-1.0",
  ])("is named by %s itself", async (target) => {
    await using here = await repository();
    await rm(here.folder.at("top/.git"), { recursive: true });
    expect(await here.key({ targets: target })).toBeDefined();
  });

  test("has no name outside git, before the first commit, or without a flake", async () => {
    await using here = await repository();
    await rm(here.folder.at("top/.git"), { recursive: true });
    expect(await here.key()).toBeUndefined();
    here.git("init", "--quiet");
    here.git("add", "--all");
    expect(await here.key()).toBeUndefined();
    here.commit();
    expect(await here.key()).toBeDefined();
    await rm(here.folder.at("top/flake.nix"));
    expect(await here.key({ targets: "nixpkgs#bws" })).toBeUndefined();
    expect(await here.key()).toBeUndefined();
  });
});

describe("a repository that lies in the checkout, with programs in its configuration", () => {
  test.each<[string, (here: Repository) => Promise<unknown>]>([
    ["what names a record", (here) => here.key({ directory: "sub" })],
    [
      "what an earlier run is compared with",
      ({ folder, environment }) =>
        sourcesNow(
          { directory: folder.at("top/sub"), storeDir: "/nix/store", environment },
          SIGNAL,
        ),
    ],
    [
      "what an audit says of lock files",
      ({ folder, environment }) =>
        project({
          ...{ workspace: folder.at("top/sub"), environment },
          ...{ signatures: "require", token: "absent" },
          nix: { substituters: [], publicKeys: [] },
        }).look(["flake.lock"], SIGNAL),
    ],
  ])("starts none of them where git is asked for %s", async (_, ask) => {
    await using here = await repository();
    const { folder } = here;
    const sub = folder.at("top/sub");
    here.git("init", "--quiet", "--bare", sub);
    const program = `touch ${folder.at("started")}; false`;
    for (const [name, value] of [
      ["bare", "false"],
      ["worktree", "."],
      ["fsmonitor", program],
    ] as const) {
      here.git("config", "--file", `${sub}/config`, `core.${name}`, value);
    }
    await folder.write("top/sub/flake.lock", lockFile("sha256-B"));
    here.gitIn(sub, "add", "flake.nix", "flake.lock");
    await rm(folder.at("started"), { force: true });
    // That it would be.
    here.gitIn(sub, "status");
    await access(folder.at("started"));
    await rm(folder.at("started"));
    await ask(here);
    await expect(access(folder.at("started"))).rejects.toThrow("ENOENT");
  });
});
