/** Owns the matrix end to end: plan, then every job of it on a machine of its own, each derivation built once. */

import { readFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import {
  cached,
  FORK,
  HOME,
  NIX,
  NIXPKGS,
  pins,
  type Step,
  startJob,
  type TestJob,
} from "./job.ts";

interface Shard {
  readonly name: string;
  readonly targets: string;
  readonly system: string;
  readonly "runs-on": string;
}

const HOMES = ".#homeConfigurations.*.activationPackage";
const options = {
  inputs: { nixpkgs: NIXPKGS },
  defaults: { heavy: "bws", targets: HOMES },
};
const NAMES = ["alice", "bob", "carol"].map(
  (user) => `.#homeConfigurations.${user}.activationPackage`,
);

function shards(step: Step, output: string): Shard[] {
  return (JSON.parse(step.outputs[output] ?? "") as { include: Shard[] }).include;
}

interface Workflow {
  readonly jobs: Readonly<
    Record<string, { readonly steps: readonly { uses?: string; with?: Record<string, string> }[] }>
  >;
}

/** What our step of that job of the example is given, but for the cache and what is looked for. */
async function inputsOf(name: string, targets: string): Promise<Record<string, string>> {
  const { jobs } = parse(await readFile("examples/matrix.yml", "utf8")) as Workflow;
  const step = jobs[name]?.steps.find(({ uses }) => uses?.startsWith("nix-cache-preflight/"));
  const { cache, token, ...inputs } = step?.with ?? {};
  return { ...inputs, targets };
}

/** Every job of a stage of the example, each on a machine whose store is empty. */
async function stage(job: TestJob, name: string, all: readonly Shard[]): Promise<Step[]> {
  const steps: Step[] = [];
  for (const { targets } of all) {
    await job.machine.forget();
    const step = await job.main(await inputsOf(name, targets));
    expect(step.exitCode).toBe(0);
    steps.push(step);
  }
  return steps;
}

const built = (steps: readonly Step[]) => steps.flatMap(({ building }) => [...building]).sort();

describe(`a matrix, on ${NIX}`, () => {
  test("the incident in two stages: bws is built once, and three jobs fetch it", async () => {
    await using job = await startJob(HOME, options);
    const plan = await job.main(await inputsOf("plan", HOMES));
    expect(plan.outputs["stages"]).toBe("2");
    const first = shards(plan, "matrix-first");
    const second = shards(plan, "matrix-second");
    expect(first.map(({ name }) => name)).toEqual(["bws-1.0.0", "hello-2.12"]);
    expect(first[0]?.targets).toMatch(
      /^\.#homeConfigurations\.alice\.activationPackage derivation=[0-9a-z]{32}-bws-1\.0\.0$/,
    );
    expect(second.map(({ name }) => name)).toEqual(NAMES);
    for (const shard of [...first, ...second]) {
      expect(shard).toMatchObject({ system: "x86_64-linux", "runs-on": "ubuntu-latest" });
    }

    const before = await stage(job, "first", first);
    expect(built(before)).toEqual([
      "bws-1.0.0",
      "bws-1.0.0-vendor",
      "bws-deps-1.0.0",
      "hello-2.12",
    ]);
    expect(await pins(job.cache)).toEqual({});
    expect([...(await cached(job.cache)).keys()]).toEqual(
      expect.arrayContaining(["bws-1.0.0", "hello-2.12"]),
    );

    const after = await stage(job, "second", second);
    expect(built(after)).toEqual(Array(3).fill("home-manager-generation"));
    for (const step of after) expect(step.report().fetched.paths).toBe(2); // bws and hello
    expect(Object.keys(await pins(job.cache)).sort()).toEqual(
      ["alice", "bob", "carol"].map(
        (user) => `homeConfigurations.${user}.activationPackage-x86_64-linux`,
      ),
    );

    await job.machine.forget();
    const verify = await job.main(await inputsOf("verify", HOMES));
    expect(verify.exitCode).toBe(0);
    expect(verify.outputs).toMatchObject({ hit: "true", stages: "0", matrix: '{"include":[]}' });
  });

  test("in one stage the same is one job, which builds bws once, too", async () => {
    await using job = await startJob(HOME, options);
    const plan = await job.main({ mode: "check" });
    const whole = shards(plan, "matrix");
    expect(whole.map(({ name }) => name)).toEqual([`${NAMES[0]} and 2 more`]);
    const steps = await stage(job, "second", whole);
    expect(built(steps).filter((name) => name === "bws-1.0.0")).toHaveLength(1);
    await job.machine.forget();
    expect((await job.main({ mode: "check" })).outputs).toMatchObject({ hit: "true" });
  });

  test("a run that may not write plans one stage: nothing could be handed on", async () => {
    await using job = await startJob(HOME, options);
    const plan = await job.main({ mode: "check" }, FORK);
    expect(plan.outputs).toMatchObject({
      stages: "1",
      "matrix-first": '{"include":[]}',
      "matrix-second": plan.outputs["matrix"],
    });
    expect(shards(plan, "matrix")).toHaveLength(1);
  });

  test("derivation= finds by name, by a hash that is another machine's, and says what is near", async () => {
    await using job = await startJob(HOME, options);
    const near = await job.main({ mode: "check", targets: `${NAMES[0]} derivation=bws-1.0` });
    expect(near.exitCode).toBe(1);
    expect(near.annotations.map(({ message }) => message).join("\n")).toContain(
      "no derivation below .#homeConfigurations.alice.activationPackage is called bws-1.0 (NCP-205)\nFix: did you mean bws-1.0.0",
    );
    const other = `${"0".repeat(32)}-bws-1.0.0`;
    const warm = await job.main({ mode: "warm", targets: `${NAMES[0]} derivation=${other}` });
    expect(warm.exitCode).toBe(0);
    expect(built([warm])).toEqual(["bws-1.0.0", "bws-1.0.0-vendor", "bws-deps-1.0.0"]);
    expect(warm.report().verified).toMatchObject([{ outcome: "verified" }]);
    expect(warm.report().pinned).toEqual([]);
    expect(warm.log).toContain("it is not there by this hash: what is called bws-1.0.0 is taken");
  });
});
