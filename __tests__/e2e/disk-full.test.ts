/** Owns small file systems under real Nix: what would fill one is foreseen, and what fills it anyway is survived. */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { canMount, mountTmpfs } from "../support/mount.ts";
import {
  FORK,
  flake,
  type How,
  type Inputs,
  MINOR,
  NIX,
  startJob,
  type TestJob,
  told,
} from "./job.ts";

const ROOMS = flake("rooms");
const errors = (lines: readonly string[]) => lines.filter((line) => line.startsWith("error: "));

/** A job whose builds are in `directory`, by the setting or, before it was one, by TMPDIR. */
async function startIn(directory: string) {
  const configuration = MINOR >= 26 ? `build-dir = ${directory}` : "";
  const job = await startJob(ROOMS, { configuration, defaults: { mode: "warm" } });
  // A store is there on every machine; several first questions at once find its database busy.
  await job.machine.nix("nix-store", ["--init"]);
  const environment = { ...job.machine.environment, TMPDIR: directory };
  return {
    job,
    main: (inputs: Inputs, how: How = {}) => job.main(inputs, { environment, ...how }),
    [Symbol.asyncDispose]: () => job[Symbol.asyncDispose](),
  };
}

/** Whether the store is sound, by Nix's own look at every path of it. */
async function isSound({ machine }: TestJob): Promise<boolean> {
  return machine.nix("nix-store", ["--verify", "--check-contents"]).then(
    () => true,
    () => false,
  );
}

(canMount ? describe : describe.skip)(`a small build directory, on ${NIX}`, () => {
  test("what would fill it is foreseen, and built where there is disk space", async () => {
    await using small = await mountTmpfs("size=64m");
    await using job = await startIn(small.path);
    const targets = ".#bigBuild space=160MB";
    const check = await job.main({ mode: "check", targets });
    expect(check.exitCode).toBe(1);
    expect(errors(told(check))).toEqual([
      expect.stringMatching(
        /^error: not enough disk space on .*ncp-mount-\w+: this run needs 160 MB/,
      ),
    ]);
    expect(check.report().diskSpace.flatMap(({ needs }) => needs)).toContainEqual(
      expect.objectContaining({ what: "build directory", directory: small.path, bytes: 160e6 }),
    );
    const warm = await job.main({ targets }, { runner: "self-hosted" });
    expect(warm.annotations).toEqual([]);
    expect(warm.exitCode).toBe(0);
    // The second use of the action in this job, in its own folder.
    const elsewhere = join(job.job.machine.root, "runner", "nix-cache-preflight", "2", "build");
    expect(warm.log).toContain(`Build in ${elsewhere} instead of ${small.path}`);
    expect(warm.building).toEqual(["big-build-1.0"]);
    // The next job on this machine would not find the folder: no later step is told of it.
    const [file = ""] = (warm.environment["NIX_USER_CONF_FILES"] ?? "").split(":");
    const configuration = await readFile(file, "utf8");
    expect(configuration).toContain("extra-substituters = ");
    expect(configuration.includes(`build-dir = ${elsewhere}`)).toBe(false);
  });

  test("what fills it anyway is told, is foreseen from then on, and succeeds when there is disk space", async () => {
    await using small = await mountTmpfs("size=100m");
    await using job = await startIn(small.path);
    // No other place: the runner's temporary folder is there, too.
    const how = { temp: small.at("runner"), runner: "self-hosted" as const };
    const full = await job.main({ targets: ".#bigBuild\n.#small" }, how);
    expect(full.exitCode).toBe(1);
    expect(errors(told(full))).toContainEqual(
      expect.stringMatching(/big-build-1\.0 was not built: the disk was full .*No space left/s),
    );
    expect(full.annotations[0]?.message).toContain("NCP-407");
    expect(await isSound(job.job)).toBe(true);
    // Nothing of it is left there, and what was asked for beside it was made.
    expect(await readdir(small.path)).toEqual(["runner"]);
    expect(full.report().built.map(({ name }) => name)).toEqual(["small-1.0"]);

    const again = await job.main({ targets: ".#bigBuild" }, how);
    expect(again.exitCode).toBe(1);
    expect(again.building).toEqual([]);
    expect(errors(told(again))).toEqual([expect.stringContaining("not enough disk space on")]);

    await small.remount("size=500m");
    const spacious = await job.main({ targets: ".#bigBuild" }, how);
    expect(errors(told(spacious))).toEqual([]);
    expect(spacious.exitCode).toBe(0);
    expect(spacious.building).toEqual(["big-build-1.0"]);
    const [figures] = spacious.report().figures;
    expect(figures).toMatchObject({ name: "big-build" });
    expect(figures?.buildBytes).toBeGreaterThan(140e6);
    expect(figures?.seconds).toBeGreaterThan(0.9);
  });

  test("one that cannot be written to, or is not there, is told before any build", async () => {
    await using small = await mountTmpfs("size=64m");
    await using job = await startIn(small.path);
    await small.remount("ro");
    const warm = await job.main({ targets: ".#small" }, { runner: "self-hosted" });
    const said = told(warm).filter((line) => line.includes("cannot be written to"));
    expect(said).toEqual([
      expect.stringMatching(/^warning: the build directory .*builds elsewhere/),
    ]);
    expect(warm.exitCode).toBe(0);
    expect(warm.building).toEqual(["small-1.0"]);
  });
});

(canMount ? describe : describe.skip)(`a small store, on ${NIX}`, () => {
  test("what is fetched and would not fit is left out by priority, and named", async () => {
    await using small = await mountTmpfs("size=200m");
    const targets = ".#one\n.#two priority=90\n.#three priority=70\n.#small priority=1";
    await using job = await startJob(ROOMS, { storeIn: small.path, defaults: { mode: "warm" } });
    await small.remount("size=900m");
    const first = await job.main({ targets });
    expect(first.exitCode).toBe(0);
    // Until its end the job keeps what it built.
    await job.post({ targets }, { state: first.state });
    await job.machine.nix("nix-store", ["--gc"]);
    await small.remount("size=150m");
    const fetch = await job.main({ mode: "prefetch", targets });
    expect(fetch.exitCode).toBe(1);
    const left = errors(told(fetch)).find((line) => line.includes("skipped, since"));
    expect(left).toMatch(
      /^error: 1 target skipped, since there is not enough disk space, lowest priority first: \.#one$/m,
    );
    expect(fetch.report()).toMatchObject({ leftOut: [".#one"], fetched: { paths: 3 } });
  });

  test("a build that fills it leaves a sound store, and succeeds when there is disk space", async () => {
    await using small = await mountTmpfs("size=100m");
    await using job = await startJob(ROOMS, { storeIn: small.path, defaults: { mode: "warm" } });
    const full = await job.main({ targets: ".#bigOutput" });
    expect(full.exitCode).toBe(1);
    expect(full.annotations[0]?.message).toContain("NCP-407");
    expect(await isSound(job)).toBe(true);

    const again = await job.main({ targets: ".#bigOutput" });
    expect(again.building).toEqual([]);
    expect(errors(told(again))).toEqual([expect.stringContaining("not enough disk space on")]);

    await small.remount("size=500m");
    const spacious = await job.main({ targets: ".#bigOutput" });
    expect(errors(told(spacious))).toEqual([]);
    expect(spacious.building).toEqual(["big-output-1.0"]);
    expect(await isSound(job)).toBe(true);
  });

  test("garbage goes as far as space lacks, and what the plan needs stays", async () => {
    await using small = await mountTmpfs("size=180m");
    await using job = await startJob(ROOMS, { storeIn: small.path, defaults: { mode: "warm" } });
    await job.machine.nix("nix", ["build", "--no-link", ".#dep", ".#one", ".#two"], job.workspace);
    // 140 MB are there, 20 of them what `user` is built from.
    const targets = ".#user space=1MB";
    // A machine that stays: no tool of it is touched, and its garbage only by a run that may write.
    const how = { runner: "self-hosted" as const };
    const lacking = await job.main({ targets, "min-free": "80MB" }, how);
    expect(lacking.exitCode).toBe(1);
    expect(lacking.building).toEqual([]);
    const inputs = { targets, "min-free": "80MB", reclaim: "auto" };
    const stranger = await job.main(inputs, { ...FORK, ...how });
    expect(stranger.report().reclaimed.filter(({ what }) => what.startsWith("Collect"))).toEqual(
      [],
    );
    const step = await job.main(inputs, how);
    expect(errors(told(step))).toEqual([]);
    expect(step.exitCode).toBe(0);
    // Nothing of what it needs had to be built again.
    expect(step.building).toEqual(["user-1.0"]);
    const reclaimed = step.report().reclaimed.find(({ what }) => what.startsWith("Collect"));
    expect(reclaimed?.bytes).toBeGreaterThan(40e6);
    expect(reclaimed?.bytes).toBeLessThan(140e6);
  });

  test("near the floor nothing more is begun, and what was not is named", async () => {
    await using small = await mountTmpfs("size=220m");
    await using job = await startJob(ROOMS, { storeIn: small.path, defaults: { mode: "warm" } });
    // Said to be small, so that the plan sees no want and gives Nix all of them at once.
    const targets = ".#one space=1MB\n.#two space=1MB\n.#three space=1MB";
    const step = await job.main({ targets, "min-free": "120MB" });
    expect(step.exitCode).toBe(1);
    // Nix, which we interrupt then, says so in its own words beside it.
    expect(errors(told(step))).toContainEqual(
      expect.stringMatching(
        /^error: 1 build not begun, since less than 120 MB \(min-free\) was free in /,
      ),
    );
    expect(step.report().built).toHaveLength(2);
    await small.remount("size=600m");
    const again = await job.main({ targets, "min-free": "120MB" });
    expect(errors(told(again))).toEqual([]);
    expect(again.building).toHaveLength(1);
  });

  test("files that are too many for it are foreseen, however small they are", async () => {
    await using small = await mountTmpfs("size=900m,nr_inodes=20000");
    await using job = await startJob(ROOMS, { storeIn: small.path, defaults: { mode: "warm" } });
    const first = await job.main({ targets: ".#one" });
    expect(first.exitCode).toBe(0);
    await job.post({ targets: ".#one" }, { state: first.state });
    await job.machine.nix("nix-store", ["--gc"]);
    await small.remount("nr_inodes=2500");
    const fetch = await job.main({ mode: "prefetch", targets: ".#one" });
    expect(fetch.exitCode).toBe(1);
    expect(errors(told(fetch))).toEqual([expect.stringMatching(/^error: not enough inodes on /)]);
    expect(fetch.report().fetched.paths).toBe(0);
  });
});
