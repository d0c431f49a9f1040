/** Owns the proof that two uses of the action in one job do not write over each other's work. */

import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { startGithubCache } from "../servers/github-cache.ts";
import { cached, flake, NIX, pins, startJob, told } from "./job.ts";

describe(`two uses in one job, on ${NIX}`, () => {
  test("each post finds its own record, its own targets and its own cache", async () => {
    await using job = await startJob(flake("members"), { defaults: { mode: "prefetch" } });
    const { machine, workspace } = job;
    const [first, second] = ["first", "second"].map((name) => ({
      cache: `file://${join(machine.root, name)}`,
      targets: name === "first" ? ".#good" : ".#other",
    }));
    if (!first || !second) throw new Error("two");
    const mine = join(machine.root, "nix.conf");
    await writeFile(mine, "cores = 2\n");
    const environment = { ...machine.environment, NIX_USER_CONF_FILES: mine };
    const one = await job.main(first, { environment });
    // As the runner hands it on to every later step.
    const later = { environment: { ...environment, ...one.environment } };
    // Between the two, a step builds what the first use has for a target.
    await machine.nix("nix", ["build", "--no-link", "--no-write-lock-file", ".#good"], workspace);
    const two = await job.main(second, later);
    await machine.nix("nix", ["build", "--no-link", "--no-write-lock-file", ".#other"], workspace);
    expect(one.outputs["report"]).not.toBe(two.outputs["report"]);
    for (const { outputs } of [one, two]) await stat(outputs["report"] ?? "");

    // Later steps know both, and the user's own file is as it was.
    const files = (two.environment["NIX_USER_CONF_FILES"] ?? "").split(":");
    expect(files).toHaveLength(3);
    const texts = await Promise.all(files.map((file) => readFile(file, "utf8")));
    expect(texts[0]).toContain(`extra-substituters = ${second.cache}?trusted=1\n`);
    expect(texts[1]).toContain(`extra-substituters = ${first.cache}?trusted=1\n`);
    expect(texts[2]).toBe("cores = 2\n");

    // As the runner runs them: the last one first.
    const last = { environment: { ...later.environment, ...two.environment } };
    const postTwo = await job.post(second, { ...last, state: two.state });
    // What the first one added holds until its own end.
    await stat(files[1] ?? "");
    const postOne = await job.post(first, { ...last, state: one.state });
    await expect(stat(join(machine.root, "runner", "nix-cache-preflight"))).rejects.toThrow(
      "ENOENT",
    );
    expect([postTwo.exitCode, postOne.exitCode]).toEqual([0, 0]);
    expect([...told(postTwo), ...told(postOne)]).toEqual([]);
    expect(Object.keys(await pins(join(machine.root, "first")))).toEqual(["good-x86_64-linux"]);
    expect(Object.keys(await pins(join(machine.root, "second")))).toEqual(["other-x86_64-linux"]);
    // What was built before the second began is none of its work.
    expect([...(await cached(join(machine.root, "second"))).keys()]).toEqual(["other-1"]);
    expect([...(await cached(join(machine.root, "first"))).keys()]).toContain("good-1");
  });

  test("cache: github twice: what each built, the next job of either fetches", async () => {
    await using server = await startGithubCache();
    await using job = await startJob(flake("members"));
    const { machine } = job;
    const uses = [{ targets: ".#good" }, { targets: ".#other" }].map((use) => ({
      ...use,
      mode: "warm",
      cache: "",
    }));
    const whole = async (run: string) => {
      await machine.forget();
      const how = {
        temp: join(machine.root, `runner-${run}`),
        environment: { ...machine.environment, ...server.variables(), GITHUB_RUN_ID: run },
      };
      const mains = [];
      for (const use of uses) mains.push({ use, step: await job.main(use, how) });
      for (const { step } of mains)
        expect([step.exitCode, step.exitCode ? step.log : ""]).toEqual([0, ""]);
      for (const { use, step } of [...mains].reverse()) {
        const post = await job.post(use, { ...how, state: step.state });
        expect(post.exitCode).toBe(0);
      }
      return mains.flatMap(({ step }) => step.building);
    };
    expect(await whole("1")).toEqual(["good-1", "other-1"]);
    expect(await whole("2")).toEqual([]);
  });
});
