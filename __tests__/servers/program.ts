/** Owns real servers started for a test: a free port, a wait until they answer, an end to them. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, constants } from "node:fs/promises";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { processEnvironment } from "../../src/host/environment.ts";

export interface Program extends AsyncDisposable {
  /** What it wrote so far, for a failure's message. */
  log(): string;
}

/** Where Debian keeps servers, which is not on everybody's PATH. */
const SERVERS = ["/usr/sbin", "/usr/local/sbin"];

/** The program's file; without one the test fails, and says what installs it. */
export async function findProgram(name: string, folders: readonly string[] = []): Promise<string> {
  const path = processEnvironment()["PATH"] ?? "";
  for (const folder of [...folders, ...path.split(delimiter), ...SERVERS]) {
    const file = join(folder, name);
    const found = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return file;
  }
  throw new Error(`there is no ${name} here: ./scripts/setup installs it`);
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("there is no port");
  return address.port;
}

const PATIENCE = 30_000;

/** Starts it and waits until `ready` says so; ends it, and what it started, when disposed of. */
export async function startProgram(
  file: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  ready: (log: string) => Promise<boolean>,
): Promise<Program> {
  const child = spawn(file, args, {
    env: environment as NodeJS.ProcessEnv,
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, so that its workers end with it.
    detached: true,
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      log = (log + text).slice(-20_000);
    });
  }
  const failed = once(child, "error");
  failed.catch(() => undefined);
  const until = Date.now() + PATIENCE;
  while (!(await ready(log).catch(() => false))) {
    if (child.exitCode !== null || Date.now() > until) {
      await end(child);
      throw new Error(`${file} does not start: ${log}`);
    }
    await wait(50);
  }
  return { log: () => log, [Symbol.asyncDispose]: () => end(child) };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, "exit");
  process.kill(-child.pid, "SIGTERM");
  const hard = setTimeout(
    () => child.pid !== undefined && process.kill(-child.pid, "SIGKILL"),
    5_000,
  );
  await closed;
  clearTimeout(hard);
}
