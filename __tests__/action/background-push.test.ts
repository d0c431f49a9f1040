import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { endBackground, files, startBackground } from "../../src/action/background-push.ts";
import { awaitFile } from "../../src/host/clock.ts";
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
    process.stdout.write("here");
    await new Promise((resolve) => process.stdin.once("data", resolve));
    process.stdin.destroy();
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", prelude + script], {
    stdio: ["pipe", "pipe", "inherit"],
    env: processEnvironment() as NodeJS.ProcessEnv,
  });
  const ended = once(child, "exit");
  const { pid, stdin, stdout } = child;
  if (pid === undefined) throw new Error("no process");
  await once(stdout, "data");
  // Asked while it is there: the script may end at once.
  const identity = await identityOf(pid);
  if (!identity) throw new Error("no process");
  const begun = once(stdout, "data");
  stdin.write("go");
  await begun;
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
    expect(end).toEqual({ how: "finished", pushed: PUSHED, why: undefined });
    await running.ended;
    expect(running.child.exitCode).toBe(0);
  });

  test("one that is done and still there is not waited for, nor ended", async () => {
    await using folder = await temporaryFolder();
    await using running = await start(folder, `writeFileSync(files.done, ""); ready(); forever();`);
    const end = await endBackground(running.identity, folder.path, SIGNAL);
    expect(end).toEqual({ how: "finished", pushed: [], why: undefined });
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
    expect(end).toEqual({ how: "early", pushed: PUSHED, why: undefined });
  });

  test("one that pushed nothing left no file", async () => {
    await using folder = await temporaryFolder();
    await using running = await start(folder, "ready();");
    await running.ended;
    expect(await endBackground(running.identity, folder.path, SIGNAL)).toEqual({
      how: "early",
      pushed: [],
      why: undefined,
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
    expect(end).toEqual({ how: "too slow", pushed: PUSHED, why: undefined });
    await running.ended;
    expect(running.child.signalCode).toBe(signal);
  });

  test("a job that is cancelled meanwhile ends with the words of that, and waits no longer", async () => {
    await using folder = await temporaryFolder();
    await using running = await start(folder, "ready(); forever();");
    const cancel = new AbortController();
    const end = endBackground(running.identity, folder.path, cancel.signal, {
      budget: 3_600_000,
      grace: 0,
    });
    using asked = awaitFile(files(folder.path).stop, 5);
    await asked.there;
    const why = new Error("interrupted by SIGINT");
    cancel.abort(why);
    await expect(end).rejects.toBe(why);
  });

  test("a process that was given its number since is neither waited for nor ended", async () => {
    await using folder = await temporaryFolder();
    await using running = await start(folder, "ready(); forever();");
    const earlier = { ...running.identity, began: "1" };
    const end = await endBackground(earlier, folder.path, SIGNAL, { budget: 3_600_000, grace: 0 });
    expect(end).toEqual({ how: "early", pushed: [], why: undefined });
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

  test.each<[string, string, unknown[]]>([
    ["no JSON", "nonsense\n", []],
    [
      "JSON of something else",
      'null\n7\n[]\n{}\n{"path":7,"bytes":1}\n{"path":"x","bytes":1}\n',
      [],
    ],
    ["a size that is none", `{"path":"${first}","bytes":"10"}\n`, []],
    ["a good line among them", `{\n${LINES}null\n`, PUSHED],
  ])(
    "a list of what it pushed that holds %s is read as far as it goes",
    async (_, text, pushed) => {
      await using folder = await temporaryFolder();
      await using running = await start(folder, "ready();");
      await running.ended;
      await writeFile(files(folder.path).pushed, text);
      const end = await endBackground(running.identity, folder.path, SIGNAL);
      expect(end).toMatchObject({ how: "early", pushed });
    },
  );

  test("folders in the place of its files, or a file in the folder's: it ended early, and nothing more", async () => {
    await using folder = await temporaryFolder();
    await using running = await start(folder, "ready();");
    await running.ended;
    await mkdir(files(folder.path).pushed);
    await mkdir(files(folder.path).stop);
    await mkdir(files(folder.path).log);
    await writeFile(folder.at("a file"), "");
    const end = await endBackground(running.identity, folder.path, SIGNAL);
    expect(end).toEqual({ how: "early", pushed: [], why: undefined });
    const gone = await endBackground(running.identity, folder.at("a file"), SIGNAL);
    expect(gone).toEqual({ how: "early", pushed: [], why: undefined });
  });

  test("one that cannot be asked is ended, and not waited for", async () => {
    await using folder = await temporaryFolder();
    await using running = await start(folder, "ready(); forever();");
    await writeFile(folder.at("a file"), "");
    const end = await endBackground(running.identity, folder.at("a file"), SIGNAL);
    expect(end.how).toBe("too slow");
    await running.ended;
    expect(running.child.signalCode).toBe("SIGTERM");
  });

  test("one that has ended, and that nobody has waited for, is over: a container has no init", async () => {
    await using folder = await temporaryFolder();
    // `sleep` waits for no child: one that was the shell's before stays a zombie.
    const parent = spawn(
      "/bin/sh",
      ["-c", `until [ -e end ]; do :; done & echo $!; exec sleep 600`],
      { cwd: folder.path, stdio: ["ignore", "pipe", "inherit"] },
    );
    try {
      const [line] = (await once(parent.stdout, "data")) as [Buffer];
      const pid = Number(String(line).trim());
      const stat = (of: number | undefined) => readFile(`/proc/${of}/stat`, "utf8").catch(() => "");
      while (!(await stat(parent.pid)).includes("(sleep)")) await wait(5);
      await writeFile(folder.at("end"), "");
      while (!(await stat(pid)).includes(") Z ")) await wait(5);
      const began = (await stat(pid)).split(" ")[21] ?? "";
      const end = await endBackground({ pid, began }, folder.path, SIGNAL);
      expect(end.how).toBe("early");
      expect(await identityOf(pid)).toBeUndefined();
    } finally {
      parent.kill("SIGKILL");
    }
  });
});

describe("the beginning of the background push", () => {
  const request = (folder: Folder) => ({
    environment: {},
    sharedFolder: folder.path,
    use: "1",
    storeNames: [],
    origin: undefined,
    runner: undefined,
  });

  async function started(folder: Folder, program: string) {
    const said: string[] = [];
    const file = await folder.write("program.mjs", program);
    const identity = await startBackground(
      request(folder),
      folder.path,
      { info: (line) => said.push(line) },
      pathToFileURL(file),
    );
    return { identity, said };
  }

  test("that fails is heard: what it said last is told in post", async () => {
    await using folder = await temporaryFolder();
    const { identity, said } = await started(folder, "throw new RangeError('no such luck')");
    // It may have ended before anybody could ask who it is, and then it is said at once.
    const why = identity
      ? (await endBackground(identity, folder.path, SIGNAL)).why
      : said.join("\n").replace("nothing is pushed before the end of the job: ", "");
    expect(why).toBe("RangeError: no such luck");
  });

  test("that cannot be made is said at once", async () => {
    await using folder = await temporaryFolder();
    await mkdir(files(folder.path).log);
    const { identity, said } = await started(folder, "");
    expect(identity).toBeUndefined();
    expect(said).toEqual([
      expect.stringMatching(/^nothing is pushed before the end of the job: .*EISDIR/),
    ]);
  });
});
