/** Owns the proof that a flake's inputs come from the cache, and that what may be private does not go there. */

import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { type FileServer, fileServer } from "../servers/files.ts";
import { cached, FORK, NIX, startJob, type TestJob } from "./job.ts";

const run = promisify(execFile);

const LIBRARY = `{ outputs = _: { make = name: derivation {
  inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; }; }; }`;

/** A flake that is locked to an archive of a server, which no machine has yet. */
async function startWithOrigin(): Promise<{ readonly job: TestJob; readonly origin: FileServer }> {
  const job = await startJob(undefined);
  const { machine, workspace } = job;
  const site = join(machine.root, "site");
  await Promise.all([mkdir(join(machine.root, "library")), mkdir(site)]);
  await writeFile(join(machine.root, "library", "flake.nix"), LIBRARY);
  await run("tar", ["-czf", join(site, "library.tar.gz"), "-C", machine.root, "library"]);
  const origin = await fileServer(site);
  await writeFile(
    join(workspace, "flake.nix"),
    `{ inputs.library.url = "${origin.origin}/library.tar.gz";
       outputs = { library, ... }: { packages.x86_64-linux.hello = library.make "hello"; }; }`,
  );
  await machine.nix("nix", ["flake", "lock", `path:${workspace}`]);
  // Of a commit an evaluation record is kept.
  const git = (...args: string[]) => run("git", args, { cwd: workspace, env: machine.environment });
  await git("init", "--quiet");
  await git("add", ".");
  const me = ["-c", "user.name=me", "-c", "user.email=me@example.org"];
  await git(...me, "commit", "--quiet", "-m", "x");
  await machine.forget();
  return { job, origin };
}

async function names(job: TestJob): Promise<string[]> {
  return [...(await cached(job.cache)).keys()].sort();
}

const WARM = { mode: "warm", targets: ".#hello" };
const CHECK = { mode: "check", targets: ".#hello", "reuse-evaluation": "off" };

describe(`inputs of a flake, on ${NIX}`, () => {
  test("are pushed, and a machine that cannot reach their origin evaluates from the cache", async () => {
    const { job, origin } = await startWithOrigin();
    await using _job = job;
    {
      await using _origin = origin;
      expect((await job.main(WARM)).exitCode).toBe(0);
    }
    expect(await names(job)).toEqual(["hello", "source"]);

    await job.machine.forget();
    const recalled = await job.main({ ...CHECK, "reuse-evaluation": "auto" });
    expect(recalled.outputs["hit"]).toBe("true");
    expect(recalled.log).not.toContain("fetched from caches");

    await job.machine.forget();
    const second = await job.main(CHECK);
    expect(second.log).toContain("1 input of the flake fetched from caches");
    expect(second.outputs["hit"]).toBe("true");
    expect(second.exitCode).toBe(0);
    // What is here is asked for no more.
    expect((await job.main(CHECK)).log).not.toContain("fetched from caches");
  });

  test.each([
    ["push-inputs: off", { "push-inputs": "off" }],
    ["push: targets", { push: "targets" }],
    ["a push filter that they match", { "push-filter": "^source$" }],
    ["a push-max that they are above", { "push-max": "200B" }],
  ])("stay out of the cache with %s", async (_, inputs) => {
    const { job, origin } = await startWithOrigin();
    await using _job = job;
    await using _origin = origin;
    expect((await job.main({ ...WARM, ...inputs })).exitCode).toBe(0);
    expect(await names(job)).toEqual(["hello"]);
  });

  test("that may be private are pushed only where one says so", async () => {
    const { job, origin } = await startWithOrigin();
    await using _job = job;
    await using _origin = origin;
    await writeFile(
      join(job.machine.environment["HOME"] ?? "", ".netrc"),
      "machine 127.0.0.1 login me password hunter2\n",
    );
    const netrc = join(job.machine.environment["HOME"] ?? "", ".netrc");
    const how = {
      environment: { ...job.machine.environment, NIX_CONFIG: `netrc-file = ${netrc}` },
    };
    const warm = await job.main(WARM, how);
    expect(warm.log).toContain("inputs of the flake that may be private are not pushed: library");
    expect(await names(job)).toEqual(["hello"]);
    await job.main({ ...WARM, "push-inputs": "all" }, how);
    expect(await names(job)).toEqual(["hello", "source"]);
    // What the cache has by now is no longer kept from it.
    expect((await job.main(WARM, how)).log).not.toContain("may be private");
  });

  test("are pushed by no read-only run", async () => {
    const { job, origin } = await startWithOrigin();
    await using _job = job;
    await using _origin = origin;
    await job.main({ ...WARM, trust: "read-only" });
    expect(await names(job)).toEqual([]);
  });

  const PREFETCH = { mode: "prefetch", targets: ".#hello" };
  test.each([
    ["nothing", [], ["source"]],
    ["what it wanted", ["build", "--no-link", ".#hello"], ["hello", "source"]],
  ])("are pushed at the end of a job that prefetched, and built %s", async (_, args, pushed) => {
    const { job, origin } = await startWithOrigin();
    await using _job = job;
    await using _origin = origin;
    const main = await job.main(PREFETCH);
    expect(await names(job)).toEqual([]);
    if (args.length > 0) await job.machine.nix("nix", args, job.workspace);
    const post = await job.post(PREFETCH, { state: main.state });
    expect(post.exitCode).toBe(0);
    expect(await names(job)).toEqual(pushed);
    // What is in the cache by now is none of the next job's.
    const next = await job.main(PREFETCH);
    const last = await job.post(PREFETCH, { state: next.state });
    expect(last.log).not.toContain("the flake's inputs");
  });

  test.each([
    ["push-inputs: off", { "push-inputs": "off" }, {}],
    ["push: targets", { push: "targets" }, {}],
    ["trust: read-only", { trust: "read-only" }, {}],
    ["a fork's pull request", {}, FORK],
  ])("stay out of it with %s", async (_, inputs, how) => {
    const { job, origin } = await startWithOrigin();
    await using _job = job;
    await using _origin = origin;
    const main = await job.main({ ...PREFETCH, ...inputs }, how);
    const post = await job.post({ ...PREFETCH, ...inputs }, { ...how, state: main.state });
    expect(post.exitCode).toBe(0);
    expect(await names(job)).toEqual([]);
  });
});
