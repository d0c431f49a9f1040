/** Owns the proof that a cache with an index is one that Nix reads as any other, and that a miss by it fails no job. */

import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { NIX, startJob } from "./job.ts";
import { from } from "./real-nix.ts";

const FLAKE = `{ outputs = _: { packages.x86_64-linux = builtins.listToAttrs (map
  (name: { inherit name; value = derivation {
    inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo \${name} > $out" ]; }; })
  [ "here" "foreign" "absent" ]); }; }`;

test(`a folder with an index is read by ${NIX}, and what is not named in it is not looked for`, async () => {
  await using job = await startJob(undefined);
  const { machine, workspace } = job;
  await writeFile(join(workspace, "flake.nix"), FLAKE);
  const cache = `file://${job.cache}?index=yes`;
  const warmed = await job.main({ mode: "warm", targets: ".#here", cache });
  expect(warmed.exitCode).toBe(0);
  expect(warmed.report().verified).toMatchObject([{ outcome: "verified" }]);
  expect(await readdir(join(job.cache, "nix-cache-index"))).toHaveLength(2);
  // Until the job ends, what is built is pushed in the background.
  await job.post({ mode: "warm", targets: ".#here", cache }, { state: warmed.state });

  // Beside the action: what the page says is not seen.
  const store = ["--extra-experimental-features", "nix-command flakes"];
  await machine.nix("nix", [...store, "build", "--no-link", `path:${workspace}#foreign`]);
  await machine.nix("nix", [
    ...store,
    "copy",
    "--to",
    `file://${job.cache}`,
    `path:${workspace}#foreign`,
  ]);
  await machine.forget();
  const all = ".#here\n.#foreign\n.#absent";
  const checked = await job.main({ mode: "check", targets: all, cache });
  const { targets, caches } = checked.report();
  const verdicts = targets.map(({ name, verdict, absentByIndex }) => [
    name,
    verdict.kind,
    absentByIndex,
  ]);
  expect(verdicts).toEqual([
    [".#here", "own", false],
    [".#foreign", "missing", true],
    [".#absent", "missing", true],
  ]);
  expect(caches).toMatchObject([{ asked: 1, absentByIndex: 2, hits: 1 }]);
  // One file too many, and all is asked: that is said, once.
  const foreign = join(job.cache, "nix-cache-index", "README");
  await writeFile(foreign, "somebody's");
  const spoilt = await job.main({ mode: "check", targets: all, cache });
  expect(spoilt.exitCode).toBe(0);
  expect(spoilt.report().caches).toMatchObject([{ asked: 3, absentByIndex: 0, hits: 2 }]);
  const told = spoilt.report().findings.filter(({ code }) => code === "NCP-318");
  expect(told).toMatchObject([
    { level: "warning", message: expect.stringContaining("README is none of its files") },
  ]);
  expect(spoilt.annotations.map(({ title }) => title)).toEqual([
    expect.stringMatching(/^The index of .* is not used$/),
  ]);
  await rm(foreign);
  // Where a job may fail for it the cache itself is asked.
  const failing = await job.main({ mode: "check", targets: all, cache, "fail-on": "missing" });
  expect(failing.report().targets.map(({ verdict }) => verdict.kind)).toEqual([
    "own",
    "own",
    "missing",
  ]);
  // So it is in an audit, and where something is pushed.
  const audited = await job.main({ mode: "audit", targets: ".#here\n.#foreign", cache });
  expect(audited.report().caches).toMatchObject([{ absentByIndex: 0 }]);
  await machine.nix("nix", [...store, "build", "--no-link", `path:${workspace}#foreign`]);
  const pushed = await job.main({ mode: "warm", targets: ".#foreign", cache });
  expect(pushed.report().pushed).toEqual([]);
  expect(pushed.report().verified).toMatchObject([{ outcome: "verified" }]);

  // The step hands the address to Nix without the option, and Nix lists and fetches what is there.
  expect(`${warmed.log}${pushed.log}`).not.toMatch(/unknown setting/);
  await machine.forget();
  const listed = await machine.nix("nix", [
    ...store,
    "path-info",
    "--all",
    "--store",
    `file://${job.cache}`,
  ]);
  expect(listed.trim().split("\n")).toHaveLength(2);
  await machine.nix("nix", [
    ...store,
    ...from(job.cache),
    "build",
    "--no-link",
    `path:${workspace}#foreign`,
    "--max-jobs",
    "0",
  ]);
});
