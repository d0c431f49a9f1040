/** Owns a machine for tests and the demo: a Nix store, configuration and home of its own. */

import { execFile } from "node:child_process";
import {
  chmod,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Machine extends AsyncDisposable {
  readonly root: string;
  readonly storeDir: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Runs a Nix command to its end; rejects with its error text. */
  nix(program: string, args: readonly string[], cwd?: string): Promise<string>;
  /** The same store folder with nothing in it: what a fresh runner starts with. */
  forget(): Promise<void>;
}

export interface MachineOptions {
  /** More lines of nix.conf. */
  readonly configuration?: string;
  /** A folder of the caller's for the store and its state, such as a small file system. */
  readonly storeIn?: string;
}

/**
 * Builds without sandbox and build users, since it runs anywhere, and asks no substituter. The
 * store folder has the same name after `forget`, so that a cache's paths are the same machine's.
 */
export async function startMachine(options: MachineOptions = {}): Promise<Machine> {
  // macOS: /tmp is a link, and a store must not be below one.
  const root = await realpath(await mkdtemp(join(tmpdir(), "ncp-machine-")));
  const storeDir = join(options.storeIn ?? root, "store");
  const folder = (name: string) => join(root, name);
  await Promise.all(["home", "etc", "tmp"].map((name) => mkdir(folder(name))));
  // biome-ignore lint/style/noProcessEnv: a machine starts with this one's PATH
  const path = process.env["PATH"] ?? "";
  const environment = {
    PATH: path,
    HOME: folder("home"),
    USER: "root",
    TMPDIR: folder("tmp"),
    LANG: "C.UTF-8",
    NIX_STORE_DIR: storeDir,
    NIX_STATE_DIR: join(options.storeIn ?? root, "var"),
    NIX_LOG_DIR: folder("log"),
    NIX_CONF_DIR: folder("etc"),
    NIX_REMOTE: "local",
  };
  const configuration = [
    "sandbox = false",
    "build-users-group =",
    "substituters =",
    "experimental-features = nix-command flakes",
    // Nobody is asked what `nixpkgs` is: a test that wants a registry names one.
    `flake-registry = ${join(folder("etc"), "registry.json")}`,
    options.configuration ?? "",
  ];
  await writeFile(join(folder("etc"), "registry.json"), '{"flakes":[],"version":2}');
  // In a file, as on a runner: what the action adds to the user's own file comes on top of it.
  await writeFile(join(folder("etc"), "nix.conf"), `${configuration.join("\n")}\n`);
  let forgotten = 0;
  // As on every machine a store is there before the job: two processes that make one fall over each
  // other, and one that is stopped while it does leaves half of it. Without Nix there is none.
  const makeStore = () => run("nix-store", ["--init"], { env: environment }).catch(() => undefined);
  await makeStore();
  return {
    root,
    storeDir,
    environment,
    async nix(program, args, cwd = root) {
      const { stdout } = await run(program, args, {
        cwd,
        env: environment,
        maxBuffer: 1024 * 1024 * 1024,
      });
      return stdout;
    },
    async forget() {
      await endLeftovers(environment.NIX_STATE_DIR);
      forgotten++;
      for (const name of ["store", "var", "home"]) {
        await rename(folder(name), folder(`${name}-${forgotten}`)).catch(() => undefined);
      }
      await mkdir(folder("home"));
      await makeStore();
    },
    async [Symbol.asyncDispose]() {
      await endLeftovers(environment.NIX_STATE_DIR);
      await makeWritable(root);
      await rm(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}

const PATIENCE = 10_000;

/**
 * Ends what a job of this machine left running, as a runner does at a job's end: a background push
 * and the Nix of a job that was killed would make folders in a machine that is being taken away.
 * Only Linux tells a process's environment.
 */
async function endLeftovers(stateDir: string): Promise<void> {
  const until = Date.now() + PATIENCE;
  for (let signal: NodeJS.Signals = "SIGTERM"; ; ) {
    const left: number[] = [];
    for (const name of await readdir("/proc").catch((): string[] => [])) {
      if (!/^\d+$/.test(name)) continue;
      const environ = await readFile(join("/proc", name, "environ"), "utf8").catch(() => "");
      if (environ.split("\0").includes(`NIX_STATE_DIR=${stateDir}`)) {
        left.push(Number(name));
      }
    }
    if (left.length === 0 || Date.now() > until) return;
    if (Date.now() > until - PATIENCE / 2) signal = "SIGKILL";
    for (const pid of left) {
      try {
        process.kill(pid, signal);
      } catch {
        // It ended by itself in the meantime.
      }
    }
    await wait(100);
  }
}

/** Nix takes the write permission from what is in the store. */
async function makeWritable(path: string): Promise<void> {
  try {
    const stats = await lstat(path);
    if (!stats.isDirectory()) return;
    if ((stats.mode & 0o200) === 0) await chmod(path, stats.mode | 0o700);
    for (const name of await readdir(path)) await makeWritable(join(path, name));
  } catch (error) {
    // What a job left running may still take its own files away.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** A copy of the example's home flake, locked to its copy of nixpkgs. */
export async function quickstart(machine: Machine, example: string): Promise<string> {
  const folder = join(machine.root, "quickstart");
  await cp(example, folder, { recursive: true });
  const home = join(folder, "home");
  await lock(machine, home, { nixpkgs: join(folder, "nixpkgs") });
  return home;
}

/** Writes flake.lock with the inputs named taken from folders. */
export async function lock(
  machine: Machine,
  flake: string,
  inputs: Readonly<Record<string, string>>,
): Promise<void> {
  const overrides = Object.entries(inputs).flatMap(([name, folder]) => [
    "--override-input",
    name,
    `path:${folder}`,
  ]);
  const args = ["flake", "lock", `path:${flake}`, ...overrides];
  await machine.nix("nix", ["--extra-experimental-features", "nix-command flakes", ...args]);
}
