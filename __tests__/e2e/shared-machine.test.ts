/** Owns the proof that a job pushes what it built itself, on a machine whose store others build into. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { cached, FORK, type How, NIX, startJob, type TestJob, told } from "./job.ts";

const KEPT: How = { runner: "self-hosted" };

/** `NAME` needs `NAME-dep` to build, and refers to `NAME-lib`. */
async function flakeIn(folder: string, ...names: string[]): Promise<void> {
  const packages = names.map(
    (name) =>
      `${name} = d "${name}" { dep = d "${name}-dep" { } "echo ${name} dep > $out"; lib = d "${name}-lib" { } "echo ${name} lib > $out"; } "echo $lib > $out";`,
  );
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, "flake.nix"),
    `{ outputs = { self }: let
      d = name: more: script: derivation ({ inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" script ]; } // more);
    in { packages.x86_64-linux = { ${packages.join(" ")} }; }; }`,
  );
}

const build = (job: TestJob, folder: string, ...args: string[]) =>
  job.machine.nix("nix", ["build", ...args], folder);
const pushed = async (job: TestJob) => [...(await cached(job.cache)).keys()].sort();
const of = (...names: string[]) =>
  names.flatMap((name) => [name, `${name}-dep`, `${name}-lib`]).sort();

describe(`a machine that jobs share, on ${NIX}`, () => {
  test.each(["auto", "targets"])(
    "push: %s: what another job built meanwhile is not pushed, nor named",
    async (push) => {
      await using job = await startJob(undefined, { defaults: { mode: "prefetch", push } });
      await flakeIn(job.workspace, "ours", "more");
      const theirs = join(job.machine.root, "theirs");
      await flakeIn(theirs, "private");
      const inputs = { targets: "path:.#ours" };
      const main = await job.main(inputs, KEPT);
      await build(job, theirs, "--no-link", "path:.#private");
      await build(job, job.workspace, "--no-link", "path:.#ours");
      const post = await job.post(inputs, { ...KEPT, state: main.state });
      expect(post.exitCode).toBe(0);
      expect(await pushed(job)).toEqual(push === "auto" ? of("ours") : ["ours", "ours-lib"]);
      const notice = expect.stringMatching(
        /^notice: 3 paths built on this machine meanwhile may be another job's/,
      );
      expect(told(post)).toEqual(push === "auto" ? [notice] : []);
      expect(`${post.raw}${post.summary}`).not.toContain("private");
    },
  );

  test("what the job built beside its targets is pushed where it can be told: linked in its workspace", async () => {
    await using job = await startJob(undefined, { defaults: { mode: "prefetch" } });
    await flakeIn(job.workspace, "ours", "linked", "unlinked");
    const theirs = join(job.machine.root, "theirs");
    await flakeIn(theirs, "private");
    const inputs = { targets: "path:.#ours" };
    const main = await job.main(inputs, KEPT);
    await build(job, theirs, "--out-link", join(theirs, "result"), "path:.#private");
    await build(job, job.workspace, "--out-link", join(job.workspace, "result"), "path:.#linked");
    await build(job, job.workspace, "--no-link", "path:.#unlinked");
    const post = await job.post(inputs, { ...KEPT, state: main.state });
    expect(await pushed(job)).toEqual(of("linked"));
    expect(told(post)).toContainEqual(expect.stringContaining("6 paths built on this machine"));
  });

  test("a machine that is the job's alone: all of it", async () => {
    await using job = await startJob(undefined, { defaults: { mode: "prefetch" } });
    await flakeIn(job.workspace, "ours", "more");
    const main = await job.main({ targets: "path:.#ours" });
    await build(job, job.workspace, "--no-link", "path:.#more");
    const post = await job.post({ targets: "path:.#ours" }, { state: main.state });
    expect(await pushed(job)).toEqual(of("more"));
    expect(told(post)).toEqual([]);
  });

  test("a read-only run would not have pushed it either", async () => {
    await using job = await startJob(undefined, { defaults: { mode: "prefetch" } });
    await flakeIn(job.workspace, "ours");
    const theirs = join(job.machine.root, "theirs");
    await flakeIn(theirs, "private");
    const how = { ...KEPT, ...FORK };
    const main = await job.main({ targets: "path:.#ours" }, how);
    await build(job, theirs, "--no-link", "path:.#private");
    await build(job, job.workspace, "--no-link", "path:.#ours");
    const post = await job.post({ targets: "path:.#ours" }, { ...how, state: main.state });
    expect(post.log).toContain("would have pushed what this job built, 3 paths");
  });
});
