import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { endBackground, files } from "../../src/action/background-push.ts";
import { processEnvironment } from "../../src/host/environment.ts";
import { identityOf, type ProcessIdentity } from "../../src/host/processes.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { storePath } from "../support/paths.ts";
import { SIGNAL } from "../support/world.ts";

const [first, second] = [storePath("first"), storePath("second")];
const PUSHED = [
  { path: first, bytes: 10 },
  { path: second, bytes: 20 },
];
const LINES = PUSHED.map((one) => `${JSON.stringify(one)}\n`).join("");

interface Process extends AsyncDisposable {
  readonly identity: ProcessIdentity;
  readonly ended: Promise<unknown>;
  readonly child: ChildProcess;
}

/** A real process that runs `script` with the names of its files, and says when it has begun. */
async function start(folder: Folder, script: string): Promise<Process> {
  const prelude = `
    import { existsSync, writeFileSync } from "node:fs";
    const files = ${JSON.stringify(files(folder.path))};
    const stopped = () => new Promise((resolve) => {
      const timer = setInterval(() => {
        if (existsSync(files.stop)) { clearInterval(timer); resolve(); }
      }, 5);
    });
    const forever = () => setInterval(() => {}, 1000);
    const ready = () => process.stdout.write("ready");
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", prelude + script], {
    stdio: ["ignore", "pipe", "inherit"],
    env: processEnvironment() as NodeJS.ProcessEnv,
  });
  const ended = once(child, "exit");
  const { pid, stdout } = child;
  if (pid === undefined || !stdout) throw new Error("no process");
  await once(stdout, "data");
  const identity = await identityOf(pid);
  if (!identity) throw new Error("no process");
  return {
    identity,
    child,
    ended,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await ended;
    },
  };
}

describe("the end of the background push", () => {
  test("it is asked to finish, and what it pushed is told", async () => {
    await using folder = await temporaryFolder();
    await using running = await start(
      folder,
      `ready(); await stopped(); writeFileSync(files.pushed, ${JSON.stringify(LINES)}); writeFileSync(files.done, "");`,
    );
    const end = await endBackground(running.identity, folder.path, SIGNAL);
    expect(end).toEqual({ how: "finished", pushed: PUSHED });
    await running.ended;
    expect(running.child.exitCode).toBe(0);
  });

  test("one that is done and still there is not waited for, nor ended", async () => {
    await using folder = await temporaryFolder();
    await using running = await start(folder, `writeFileSync(files.done, ""); ready(); forever();`);
    const end = await endBackground(running.identity, folder.path, SIGNAL);
    expect(end).toEqual({ how: "finished", pushed: [] });
    expect([running.child.exitCode, running.child.signalCode]).toEqual([null, null]);
  });

  test("one that is gone without a word ended early, and its last line may be half", async () => {
    await using folder = await temporaryFolder();
    const half = `${LINES}{"path":"/nix/sto`;
    await using running = await start(
      folder,
      `writeFileSync(files.pushed, ${JSON.stringify(half)}); ready();`,
    );
    await running.ended;
    const end = await endBackground(running.identity, folder.path, SIGNAL);
    expect(end).toEqual({ how: "early", pushed: PUSHED });
  });

  test("one that pushed nothing left no file", async () => {
    await using folder = await temporaryFolder();
    await using running = await start(folder, "ready();");
    await running.ended;
    expect(await endBackground(running.identity, folder.path, SIGNAL)).toEqual({
      how: "early",
      pushed: [],
    });
    expect((await stat(files(folder.path).stop)).size).toBe(0);
  });

  test.each([
    ["", "SIGTERM", 60_000],
    ['process.on("SIGTERM", () => {});', "SIGKILL", 0],
  ])("one that is too slow is ended: %s %s", async (handler, signal, grace) => {
    await using folder = await temporaryFolder();
    await using running = await start(
      folder,
      `${handler} writeFileSync(files.pushed, ${JSON.stringify(LINES)}); ready(); forever();`,
    );
    const end = await endBackground(running.identity, folder.path, SIGNAL, { budget: 0, grace });
    expect(end).toEqual({ how: "too slow", pushed: PUSHED });
    await running.ended;
    expect(running.child.signalCode).toBe(signal);
  });

  test("a process that was given its number since is neither waited for nor ended", async () => {
    await using folder = await temporaryFolder();
    await using running = await start(folder, "ready(); forever();");
    const earlier = { ...running.identity, began: "1" };
    const end = await endBackground(earlier, folder.path, SIGNAL, { budget: 3_600_000, grace: 0 });
    expect(end).toEqual({ how: "early", pushed: [] });
    expect([running.child.exitCode, running.child.signalCode]).toEqual([null, null]);
  });

  test("an interruption ends the wait", async () => {
    await using folder = await temporaryFolder();
    await using running = await start(folder, "ready(); forever();");
    const controller = new AbortController();
    const ending = endBackground(running.identity, folder.path, controller.signal);
    controller.abort(new Error("interrupted by SIGTERM"));
    await expect(ending).rejects.toThrow();
    expect([running.child.exitCode, running.child.signalCode]).toEqual([null, null]);
  });
});
