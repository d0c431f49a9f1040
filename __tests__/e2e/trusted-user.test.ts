/** Owns the proof that a run knows what Nix's daemon lets its user do, before anything depends on it. */

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import type { FileServer } from "../servers/files.ts";
import { type Daemon, startDaemon, USER } from "./daemon.ts";
import { flake, type How, NIX, startJob, type TestJob, told } from "./job.ts";
import { parseRun } from "./real-nix.ts";
import { cacheServer, fillCache, type Key, makeKey } from "./substituter-site.ts";

interface Site extends AsyncDisposable {
  readonly job: TestJob;
  readonly key: Key;
  readonly lan: FileServer;
  readonly daemon: Daemon;
  /** The line of the input `substituters`. */
  readonly line: string;
}

async function site(): Promise<Site> {
  const stack = new AsyncDisposableStack();
  const job = stack.use(
    await startJob(flake("members"), { defaults: { targets: ".#good", cache: "none" } }),
  );
  const key = await makeKey(job.machine, "lan-1");
  const lan = stack.use(await cacheServer(await fillCache(job, "lan", ["good"], key)));
  const daemon = stack.use(await startDaemon(job));
  return {
    ...{ job, key, lan, daemon, line: `${lan.origin} ${key.public}` },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** What a later step gets when it asks for the target. */
function laterStep({ job }: Site, { environment, user }: How) {
  const args = ["build", "--no-link", "--no-write-lock-file", "-L", "path:.#good"];
  return new Promise<string>((done, fail) => {
    const how = { cwd: job.workspace, env: environment, ...user };
    execFile("nix", args, how, (error, _, stderr) => (error ? fail(error) : done(stderr)));
  });
}

describe(`through a daemon, on ${NIX}`, () => {
  test("an untrusted user is told before anything else, with the lines that help; the cache is not counted", async () => {
    await using here = await site();
    const { job, key, lan, daemon, line } = here;
    const step = await job.main({ mode: "prefetch", substituters: line }, daemon.how);
    expect(step.exitCode).toBe(0);
    expect(step.annotations).toEqual([
      expect.objectContaining({ level: "warning", message: expect.stringContaining("NCP-351") }),
    ]);
    const [warning = "", ...rest] = told(step).filter((line) => line.startsWith("warning: "));
    expect(rest).toEqual([]);
    expect(warning).toContain(
      `Nix's daemon does not trust ${USER.uid}, and takes nothing from: ${lan.origin}, the key lan-1`,
    );
    const lines = warning.split("\n");
    expect(lines).toContain(`extra-trusted-users = ${USER.uid}`);
    expect(lines).toContain(`extra-trusted-substituters = ${lan.origin}/`);
    expect(lines).toContain(`extra-trusted-public-keys = ${key.public}`);
    expect(step.report().targets).toMatchObject([{ verdict: { kind: "missing" } }]);
    expect(step.report().steps).toEqual([]);
    await expect(readFile(daemon.configuration, "utf8")).rejects.toThrow("ENOENT");
    // The verdict is what then happens.
    expect(parseRun(await laterStep(here, daemon.how)).build).toEqual([
      expect.stringMatching(/-good-1\.drv$/),
    ]);
  });

  test.each<[string, (here: Site) => readonly string[]]>([
    ["its own name", () => [`extra-trusted-users = ${USER.uid}`]],
    [
      "the cache and its key",
      ({ lan, key }) => [
        `extra-trusted-substituters = ${lan.origin}/`,
        `extra-trusted-public-keys = ${key.public}`,
      ],
    ],
  ])(
    "as told, with %s in the daemon's file: it is counted, fetched, and there for later steps",
    async (_, lines) => {
      await using here = await site();
      const { job, lan, daemon, line } = here;
      await daemon.configure(lines(here));
      const check = await job.main({ mode: "check", substituters: line }, daemon.how);
      expect(check.log).not.toContain("NCP-351");
      expect(check.report().targets).toMatchObject([{ verdict: { kind: "upstream" } }]);

      const first = await job.main({ mode: "prefetch", substituters: line }, daemon.how);
      expect(first.exitCode).toBe(0);
      expect(first.report().fetched.paths).toBe(1);
      expect(first.building).toEqual([]);
      // In a file of the job's, which the client reads and the daemon is told of.
      const [file = ""] = (first.environment["NIX_USER_CONF_FILES"] ?? "").split(":");
      expect(await readFile(file, "utf8")).toContain(`extra-substituters = ${lan.origin}/`);
      await expect(readFile(daemon.configuration, "utf8")).rejects.toThrow("ENOENT");

      const [path = ""] = first.report().targets[0]?.outputs ?? [];
      // This run keeps it from being collected until its end.
      await job.machine.nix("nix-store", ["--delete", "--ignore-liveness", path]);
      const environment = { ...daemon.how.environment, ...first.environment };
      const later = parseRun(await laterStep(here, { ...daemon.how, environment }));
      expect(later).toEqual({ build: [], fetch: [path] });
    },
  );

  test("whoever runs this, root where it is root, is trusted by name", async () => {
    await using here = await site();
    const { job, daemon, line } = here;
    await daemon.configure([`trusted-users = ${userInfo().username}`]);
    const environment = { ...daemon.how.environment, HOME: join(job.machine.root, "home") };
    const step = await job.main({ mode: "prefetch", substituters: line }, { environment });
    expect(step.exitCode).toBe(0);
    expect(step.log).not.toContain("NCP-351");
    expect(step.report().fetched.paths).toBe(1);
    expect(await laterStep(here, { environment })).not.toContain("ignoring");
  });

  test("what an untrusted user's own file adds is not counted either: the daemon never hears of it", async () => {
    await using here = await site();
    const { job, key, lan, daemon } = here;
    const environment = {
      ...daemon.how.environment,
      NIX_CONFIG: `extra-substituters = ${lan.origin}\nextra-trusted-public-keys = ${key.public}`,
    };
    const step = await job.main({ mode: "check" }, { ...daemon.how, environment });
    expect(step.annotations).toContainEqual(
      expect.objectContaining({ level: "warning", message: expect.stringContaining("NCP-351") }),
    );
    expect(step.report().targets).toMatchObject([{ verdict: { kind: "missing" } }]);
  });

  test("our own cache is still written to, and it is said that nothing comes from it", async () => {
    await using here = await site();
    const { job, daemon } = here;
    const cache = `file://${job.cache}`;
    const step = await job.main({ mode: "warm", cache }, daemon.how);
    expect(step.exitCode).toBe(0);
    expect(step.building).toEqual(["good-1"]);
    expect(step.report().verified).toMatchObject([{ outcome: "verified" }]);
    expect(step.log).toContain("warning NCP-351: ");
    const warning = told(step).find((line) => line.includes("does not trust"));
    expect(warning).toContain("later steps build what only our own cache has");
    expect(warning).toContain(`extra-trusted-substituters = ${cache}?trusted=1`);
  });
});
