/** Owns a real nix-daemon of a machine's own, and the user who talks to it. */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFile,
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { folderOf } from "../../src/host/programs.ts";
import { bindMount } from "../support/mount.ts";
import type { How, TestJob } from "./job.ts";

const run = promisify(execFile);

/** Where the tests run as root, a user whom nobody knows; else there is only oneself. */
const ROOT = process.getuid?.() === 0;
export const USER = ROOT
  ? { uid: 31_234, gid: 31_234 }
  : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

export interface Daemon extends AsyncDisposable {
  /** For a step of that user's: what it is run with. */
  readonly how: Required<Pick<How, "environment" | "user">>;
  /** The user's own nix.conf, which steps write. */
  readonly configuration: string;
  /** Adds lines to the daemon's nix.conf, and starts it anew. */
  configure(lines: readonly string[]): Promise<void>;
}

export interface DaemonOptions {
  /** Default: `USER`. */
  readonly user?: { readonly uid: number; readonly gid: number };
}

/** Trusts nobody but `root`, whoever runs the tests, until it is told to. */
export async function startDaemon(
  { machine, workspace, cache }: Pick<TestJob, "machine" | "workspace" | "cache">,
  { user = USER }: DaemonOptions = {},
): Promise<Daemon> {
  const at = (name: string) => join(machine.root, name);
  await chmod(machine.root, 0o755);
  await using stack = new AsyncDisposableStack();
  const PATH = await nixFor(user, machine.environment["PATH"] ?? "", at("nix-bin"), stack);
  const socket = at("daemon.socket");
  const home = at("user-home");
  const environment = {
    ...machine.environment,
    PATH,
    HOME: home,
    USER: "",
    TMPDIR: at("user-tmp"),
    NIX_REMOTE: "daemon",
    NIX_DAEMON_SOCKET_PATH: socket,
  };
  for (const folder of [home, environment.TMPDIR, at("runner"), cache]) {
    await mkdir(folder, { recursive: true });
    await chown(folder, user.uid, user.gid);
  }
  await chown(workspace, user.uid, user.gid);
  const file = join(at("etc"), "nix.conf");
  // No name of anybody: as oneself, one is not trusted either.
  await appendFile(file, "trusted-users = nobody-at-all\n");
  const { TMPDIR: _, ...service } = environment;
  let child: ChildProcess | undefined;
  const stop = async () => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  };
  const start = async () => {
    await stop();
    child = spawn("nix-daemon", [], {
      // As a service's: nothing of the user's, whose TMPDIR is the user's own.
      env: { ...service, HOME: at("home"), NIX_REMOTE: "local" },
      stdio: "ignore",
    });
    for (let tries = 0; tries < 500; tries++) {
      if (await stat(socket).catch(() => undefined)) return;
      await wait(20);
    }
    throw new Error("nix-daemon did not start");
  };
  stack.defer(stop);
  await start();
  const all = stack.move();
  return {
    how: { environment, user },
    configuration: join(home, ".config", "nix", "nix.conf"),
    async configure(lines) {
      await appendFile(file, `${lines.join("\n")}\n`);
      await stop();
      await rm(socket, { force: true });
      await start();
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/**
 * The path on which this user finds the Nix that these tests run on. Another version's lies in root's home, where
 * nobody else gets to, and the search would go on to the system's: it is shown to the user at another place.
 */
export async function nixFor(
  user: { readonly uid: number; readonly gid: number },
  path: string,
  bin: string,
  stack: AsyncDisposableStack,
): Promise<string> {
  const folder = folderOf("nix", path) ?? "/nowhere";
  const how = { ...user, cwd: "/", env: { PATH: path, HOME: "/" } };
  const reachable = await run(join(folder, "nix"), ["--version"], how).then(
    () => true,
    () => false,
  );
  if (reachable) return path;
  const home = dirname(folder);
  const shown = stack.use(await bindMount(home));
  await mkdir(bin);
  for (const name of await readdir(folder)) {
    // Wrappers of scripts/setup-nix-version, which name what they start by its place.
    const text = await readFile(join(folder, name), "utf8");
    await writeFile(join(bin, name), text.replaceAll(home, shown.path), { mode: 0o755 });
  }
  return `${bin}:${path}`;
}
