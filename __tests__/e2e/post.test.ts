/** Owns the end of a job: what it built itself between main and post is pushed, and nothing else. */

import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { putServer } from "../servers/put.ts";
import {
  cached,
  content,
  FORK,
  flake,
  type How,
  type Inputs,
  NIX,
  pins,
  type Step,
  startJob,
  type TestJob,
  told,
  written,
} from "./job.ts";
import { changeRecord, folderOf, recordOf } from "./record.ts";

async function build(job: TestJob, ...installables: string[]): Promise<void> {
  await job.machine.nix("nix", ["build", "--no-link", ...installables], job.workspace);
}

/** As a later step of the job does it, with what main told the runner. */
async function buildAfter(job: TestJob, main: Step, installable: string): Promise<void> {
  await promisify(execFile)("nix", ["build", "--no-link", installable], {
    cwd: job.workspace,
    env: { ...job.machine.environment, ...main.environment },
  });
}

/** Main, then the job's own builds, then post. */
async function whole(
  job: TestJob,
  inputs: Inputs,
  built: readonly string[],
  how = {},
): Promise<{ main: Step; post: Step }> {
  const main = await job.main(inputs, how);
  if (built.length > 0) await build(job, ...built);
  const post = await job.post(inputs, { ...how, state: main.state });
  return { main, post };
}

async function names(job: TestJob): Promise<string[]> {
  return [...(await cached(job.cache)).keys()].sort();
}

/** While the job ran and at its end, by the last line: how they share the work is a matter of time. */
function pathsPushed(log: string): number {
  return Number(/ (\d+) store paths? \([^)]*\) pushed/.exec(log)?.[1] ?? 0);
}

describe(`the end of the job, on ${NIX}`, () => {
  test("pushes what the job built, all of it and nothing else, and pins the targets among it", async () => {
    await using job = await startJob(flake("graphs"));
    await build(job, ".#many"); // before the job: not this job's work
    const { post } = await whole(job, { mode: "prefetch", targets: ".#middle" }, [".#top"]);
    expect(post.exitCode).toBe(0);
    expect(await names(job)).toEqual(["leaf", "middle", "top"]);
    expect(pathsPushed(post.log)).toBe(3);
    expect(post.log).toContain("1 of 1 target verified");
    expect(Object.keys(await pins(job.cache))).toEqual(["middle-x86_64-linux"]);
  });

  test("what it only fetched is not pushed: another substituter has it", async () => {
    await using job = await startJob(flake("graphs"));
    const substituter = join(job.machine.root, "substituter");
    await build(job, ".#middle");
    const drv = await job.machine.nix("nix", ["eval", "--raw", ".#middle.drvPath"], job.workspace);
    const [path = ""] = (await job.machine.nix("nix-store", ["--realise", drv])).split("\n");
    await job.machine.nix("nix", ["copy", "--to", `file://${substituter}`, path]);
    await job.machine.forget();
    const substituters = `file://${substituter}?trusted=1`;
    const { main, post } = await whole(job, { targets: ".#leaf", substituters }, [".#top"]);
    expect(main.report().fetched.paths).toBe(1);
    expect(post.exitCode).toBe(0);
    expect(await names(job)).toEqual(["top"]);
  });

  test("the steps between fetch from the caches that main has configured", async () => {
    await using job = await startJob(flake("graphs"));
    await job.main({ mode: "warm", targets: ".#top" });
    await job.machine.forget();
    const main = await job.main({ targets: ".#many" });
    await buildAfter(job, main, ".#top");
    const config = await job.machine.nix("nix", ["path-info", "--sigs", ".#top"], job.workspace);
    expect(config).not.toContain("ultimate");
  });

  test("push-filter: what matches stays, unless a pushed path refers to it", async () => {
    await using job = await startJob(flake("graphs"));
    const inputs = { targets: ".#fetch", "push-filter": "^(leaf|forgetful)$" };
    const { post } = await whole(job, inputs, [".#forgetful"]);
    expect(post.exitCode).toBe(0);
    expect(await names(job)).toEqual(["leaf", "middle", "top"]);
  });

  test("nothing new: nothing is pushed", async () => {
    await using job = await startJob(flake("graphs"));
    const { post } = await whole(job, { targets: ".#top" }, []);
    expect(post.exitCode).toBe(0);
    expect(post.log).toContain("nothing new to push");
    expect(await content(job.cache)).toEqual([]);
  });

  test.each([
    ["off", []],
    ["targets", ["leaf", "middle"]],
  ])("push: %s", async (push, pushed) => {
    await using job = await startJob(flake("graphs"));
    const { post } = await whole(job, { targets: ".#middle", push }, [".#top", ".#many"]);
    expect(post.exitCode).toBe(0);
    expect(await names(job)).toEqual(pushed);
  });

  test("check pushes nothing at the end either", async () => {
    await using job = await startJob(flake("graphs"));
    await whole(job, { mode: "check", targets: ".#middle" }, [".#top"]);
    expect(await written(job.cache)).toEqual([]);
  });

  test("read-only: nothing is written, and it says what it would have pushed", async () => {
    await using job = await startJob(flake("graphs"));
    const { post } = await whole(job, { targets: ".#middle" }, [".#top"], FORK);
    expect(post.exitCode).toBe(0);
    expect(post.log).toMatch(/read-only \(the pull request is from a fork\): would have pushed/);
    expect(post.log).toContain("what this job built, 3 paths");
    expect(await written(job.cache)).toEqual([]);
  });

  test("a target whose build comes after a failed main is pushed all the same", async () => {
    await using job = await startJob(flake("graphs"));
    const { main, post } = await whole(job, { targets: ".#middle\n.#nothing" }, [".#top"]);
    expect(main.exitCode).toBe(1);
    expect(post.exitCode).toBe(0);
    expect(await names(job)).toEqual(["leaf", "middle", "top"]);
  });

  const tampering: readonly (readonly [string, (record: string) => string])[] = [
    ["cut", (record) => record.slice(0, -10)],
    ["with another list of names", (record) => record.replace(/"sha256":"./, '"sha256":"x')],
    ["with an output that is no path", (record) => record.replace('"outputs":["/', '"outputs":["')],
    ["with a pin that leaves its folder", (record) => record.replace('"pins":[{"name":"', "$&../")],
    ["empty", () => ""],
  ];
  // With `push: targets` nothing is pushed while the job runs: the record alone decides.
  const alone = { targets: ".#middle", push: "targets" };

  test("a record as main left it: what the job built is pushed", async () => {
    await using job = await startJob(flake("graphs"));
    const main = await job.main(alone);
    await build(job, ".#top");
    await job.post({ targets: ".#middle" }, { state: main.state });
    expect(await names(job)).toEqual(["leaf", "middle", "top"]);
  });

  test.each(tampering)(
    "a record that is %s: nothing is pushed rather than everything",
    async (_, change) => {
      await using job = await startJob(flake("graphs"));
      const main = await job.main(alone);
      await build(job, ".#top");
      const { before, after } = await changeRecord(main.state, change);
      expect(after).not.toBe(before);
      const post = await job.post({ targets: ".#middle" }, { state: main.state });
      expect(post.exitCode).toBe(0);
      expect(post.log).toContain("main's record is damaged or was changed since");
      expect(await names(job)).toEqual([]);
    },
  );

  test.each<[string, (state: string) => string]>([
    ["is of another version", (state) => state.replace('"version":4', '"version":3')],
    ["is cut", (state) => state.slice(0, -10)],
    ["is empty", () => ""],
    ["names another file", (state) => state.replace(/state-\d+\.json/, "state-99.json")],
  ])("what the runner hands on %s: nothing is pushed", async (_, change) => {
    await using job = await startJob(flake("graphs"));
    const main = await job.main(alone);
    await build(job, ".#top");
    const [[name = "", text = ""] = []] = Object.entries(main.state);
    expect(change(text)).not.toBe(text);
    const post = await job.post({ targets: ".#middle" }, { state: { [name]: change(text) } });
    expect(post.exitCode).toBe(0);
    expect(await content(job.cache)).toEqual([]);
  });

  test("a list of names that was changed since: nothing is pushed", async () => {
    await using job = await startJob(flake("graphs"));
    const main = await job.main(alone);
    await build(job, ".#top");
    const file = join(folderOf(main.state), "store-names");
    const before = await readFile(file, "utf8");
    await writeFile(file, before.split("\n").slice(1).join("\n"));
    const post = await job.post({ targets: ".#middle" }, { state: main.state });
    expect(post.log).toContain("main's record is damaged or was changed since; nothing is pushed");
    expect(await content(job.cache)).toEqual([]);
  });

  test("what runs in the background ends with the job, even where post never came", async () => {
    await using job = await startJob(flake("graphs"));
    const steps = [
      await job.main({ targets: ".#middle" }),
      await job.main({ targets: ".#middle" }),
    ];
    const records = await Promise.all(steps.map(({ state }) => recordOf(state)));
    const watchers = records.map(({ watcher }) => watcher?.pid ?? 0);
    expect(watchers.map(isRunning)).toEqual([true, true]);
    await rm(join(job.machine.root, "runner"), { recursive: true, maxRetries: 5 });
    // No timed assertion: a watcher that stays keeps this test until Jest's own deadline.
    while (watchers.some(isRunning)) await wait(100);
    expect(watchers.map(isRunning)).toEqual([false, false]);
  });
});

const BUILT = ["leaf", "middle", "top"];

describe(`a job whose end finds less than its beginning, on ${NIX}`, () => {
  /** What a step between main and post does to the machine. */
  const steps: Readonly<Record<string, (job: TestJob, main: Step) => Promise<How | undefined>>> = {
    "the workspace is gone": async (job) => {
      await rm(job.workspace, { recursive: true });
      return { cwd: job.machine.root };
    },
    "the workspace is another flake, of which git knows nothing": async (job) => {
      await writeFile(join(job.workspace, "flake.nix"), "no flake {");
      await mkdir(join(job.workspace, ".git"));
      return undefined;
    },
    "the list of what was pushed holds nonsense": async (_, main) => {
      await writeFile(join(folderOf(main.state), "pushed.jsonl"), 'null\n7\n{"path":1}\nx');
      return undefined;
    },
    "variables of somebody else's inputs are there": async (job) => ({
      environment: { ...job.machine.environment, INPUT_VERSION: "1", INPUT_ENVIRONMENT: "prod" },
    }),
    "our folder can only be read": async (_, main) => {
      await chmod(folderOf(main.state), 0o555);
      return undefined;
    },
  };

  test.each(Object.entries(steps))("%s: what the job built is pushed", async (_, meddle) => {
    await using job = await startJob(flake("graphs"));
    // As a user that the modes of files hold for.
    const user = { uid: 1234, gid: 1234 };
    const how = process.getuid?.() === 0 ? { user } : {};
    if ("user" in how) await giveTo(job.machine.root, user.uid);
    const inputs = { targets: ".#middle", push: "auto" };
    const main = await job.main(inputs, how);
    const { watcher } = await recordOf(main.state);
    if (watcher) process.kill(watcher.pid, "SIGKILL");
    await job.machine.nix("nix", ["build", "--no-link", ".#top"], job.workspace);
    if ("user" in how) await giveTo(job.machine.root, user.uid);
    const more = await meddle(job, main);
    const post = await job.post(inputs, { ...how, ...more, state: main.state });
    expect([post.exitCode, told(post)]).toEqual([0, []]);
    expect(await names(job)).toEqual(BUILT);
  });

  test.each([
    ["error", 1, ["error"]],
    ["warn", 0, ["warning"]],
    ["ignore", 0, []],
  ])(
    "our cache is gone: a push that failed, and on-push-failure: %s",
    async (onPushFailure, code, levels) => {
      await using job = await startJob(flake("graphs"));
      await using server = await putServer();
      const cache = `${server.origin}/?trusted=1`;
      const inputs = {
        targets: ".#middle",
        cache,
        token: "the-token",
        "on-push-failure": onPushFailure,
      };
      const main = await job.main(inputs);
      const { watcher } = await recordOf(main.state);
      if (watcher) process.kill(watcher.pid, "SIGKILL");
      await server[Symbol.asyncDispose]();
      await build(job, ".#top");
      const post = await job.post(inputs, { state: main.state });
      expect(post.exitCode).toBe(code);
      expect(post.annotations.map(({ level }) => level)).toEqual(levels);
      for (const message of told(post)) {
        expect(message).toMatch(
          /of 3 paths that this job built, nothing is pushed to .* at its end: /,
        );
      }
      expect(post.log + post.summary).not.toContain("read-only");
    },
  );
});

/** All but the store's own database, which its owner may write. */
async function giveTo(folder: string, uid: number): Promise<void> {
  await promisify(execFile)("chown", ["-R", `${uid}:${uid}`, folder]);
  await chmod(folder, 0o755);
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
