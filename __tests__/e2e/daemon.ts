/** Owns a real nix-daemon of a machine's own, and the user who talks to it. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, chmod, chown, mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { How, TestJob } from "./job.ts";

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

/** Trusts nobody but `root`, whoever runs the tests, until it is told to. */
export async function startDaemon({ machine, workspace, cache }: TestJob): Promise<Daemon> {
  const at = (name: string) => join(machine.root, name);
  const socket = at("daemon.socket");
  const home = at("user-home");
  const environment = {
    ...machine.environment,
    HOME: home,
    USER: "",
    TMPDIR: at("user-tmp"),
    NIX_REMOTE: "daemon",
    NIX_DAEMON_SOCKET_PATH: socket,
  };
  await chmod(machine.root, 0o755);
  for (const folder of [home, environment.TMPDIR, at("runner"), cache]) {
    await mkdir(folder, { recursive: true });
    await chown(folder, USER.uid, USER.gid);
  }
  await chown(workspace, USER.uid, USER.gid);
  const file = join(at("etc"), "nix.conf");
  // No name of anybody: as oneself, one is not trusted either.
  await appendFile(file, "trusted-users = nobody-at-all\n");
  let child: ChildProcess | undefined;
  const stop = async () => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  };
  const start = async () => {
    await stop();
    child = spawn("nix-daemon", [], {
      env: { ...environment, HOME: at("home"), NIX_REMOTE: "local" },
      stdio: "ignore",
    });
    for (let tries = 0; tries < 500; tries++) {
      if (await stat(socket).catch(() => undefined)) return;
      await wait(20);
    }
    throw new Error("nix-daemon did not start");
  };
  await start();
  return {
    how: { environment, user: USER },
    configuration: join(home, ".config", "nix", "nix.conf"),
    async configure(lines) {
      await appendFile(file, `${lines.join("\n")}\n`);
      await stop();
      await rm(socket, { force: true });
      await start();
    },
    [Symbol.asyncDispose]: stop,
  };
}
