import { symlink } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { variable, type Workflow } from "../../src/domain/workflow.ts";
import { readWorkflows } from "../../src/host/workflow-files.ts";
import { temporaryFolder } from "../support/folder.ts";

async function read(files: Readonly<Record<string, string>>) {
  await using folder = await temporaryFolder();
  for (const [name, text] of Object.entries(files)) await folder.write(name, text);
  return await readWorkflows(folder.path);
}

async function one(text: string, more: Readonly<Record<string, string>> = {}): Promise<Workflow> {
  const [file] = await read({ ".github/workflows/a.yml": text, ...more });
  if (file?.kind !== "workflow") throw new Error(`unreadable: ${file?.why}`);
  return file.workflow;
}

describe("workflow files", () => {
  test.each([
    ["on: push", ["push"]],
    ["on: [push, pull_request]", ["push", "pull_request"]],
    ["on:\n  push:\n  schedule: [{ cron: x }]", ["push", "schedule"]],
    ["'on': push", ["push"]],
  ])("%j starts", async (on, triggers) => {
    expect([...(await one(`${on}\njobs: {}`)).triggers.keys()]).toEqual(triggers);
  });

  test("aliases are what they stand for, on the line where they are written first", async () => {
    const { jobs } = await one(
      "on: push\njobs:\n  a:\n    runs-on: [self-hosted, arm]\n    steps: &s\n      - run: nix build\n  b:\n    runs-on: { group: g, labels: big }\n    steps: *s\n",
    );
    expect(jobs.map(({ id, runsOn }) => [id, runsOn])).toEqual([
      ["a", ["self-hosted", "arm"]],
      ["b", ["big"]],
    ]);
    expect(jobs.map(({ steps }) => steps[0]?.where)).toEqual(
      Array(2).fill(".github/workflows/a.yml:6"),
    );
  });

  test("inputs and variables are text, whatever YAML makes of them", async () => {
    const { jobs } = await one(
      "on: push\nenv: { A: 1 }\njobs:\n  a:\n    env: { B: true }\n    steps:\n      - uses: x/y@v1\n        with: { Name: yes, n: 0.10, empty: }\n",
    );
    const [step] = jobs[0]?.steps ?? [];
    expect([...(step?.inputs ?? [])]).toEqual([
      ["name", "yes"],
      ["n", "0.1"],
      ["empty", ""],
    ]);
    expect(["A", "B", "C"].map((name) => step && variable(step.scope, name)?.text)).toEqual([
      "1",
      "true",
      undefined,
    ]);
  });

  test("a composite action of the repository stands there as its steps, its inputs put in", async () => {
    const { jobs } = await one(
      "on: push\njobs:\n  a:\n    steps:\n      - uses: ./ci\n        if: github.ref == 'x'\n        with: { t: secrets.T }\n",
      {
        "ci/action.yml": `inputs: { t: {} }\nruns:\n  using: composite\n  steps:\n    - uses: a/b@v1\n      with: { token: "x\${{ inputs.t }}" }\n`,
      },
    );
    const steps = jobs[0]?.steps ?? [];
    expect(steps.map(({ uses }) => uses?.name)).toEqual(["./ci", "a/b"]);
    expect(steps[1]?.inputs.get("token")).toBe(`x\${{ inputs.t }}`);
    expect(steps[1]?.scope.inputs?.get("t")?.text).toBe("secrets.T");
    expect(steps[1]?.conditions.map(({ text }) => text)).toEqual(["github.ref == 'x'"]);
  });

  test("steps that run side by side stand in their order; what nobody knows is named", async () => {
    const { jobs } = await one(
      "on: push\njobs:\n  a:\n    steps:\n      - parallel:\n          - run: one\n          - parallel: [{ run: two }]\n      - wait-all: true\n      - uses: $/ci\n      - teleport: far\n",
      { "ci/action.yml": "runs:\n  using: composite\n  steps:\n    - run: three\n" },
    );
    const steps = jobs[0]?.steps ?? [];
    expect(steps.map(({ run, composite, odd }) => [run, composite, ...odd])).toEqual([
      ["one", "no"],
      ["two", "no"],
      ["", "no"],
      ["", "read"],
      ["three", "no"],
      ["", "no", "teleport"],
    ]);
  });

  const bomb = [
    "on: push",
    "a: &a [x, x, x, x, x, x, x, x, x]",
    ...Array.from({ length: 9 }, (_, n) => {
      const [to, from] = ["bcdefghij"[n], "abcdefghi"[n]];
      return `${to}: &${to} [*${from}, *${from}, *${from}, *${from}, *${from}, *${from}, *${from}, *${from}]`;
    }),
    "jobs: {}",
  ].join("\n");

  test.each([
    ["no YAML", "jobs: {a: [", /^line \d+: /],
    ["aliases that stand for gigabytes", bomb, /alias/i],
    ["a file of 600 kB", `# ${"x".repeat(600_000)}`, /bytes, over/],
    ["brackets without an end", "[".repeat(200_000), /./],
    ["a key that is there twice", "on: push\non: pull_request", /unique/i],
  ])("%s is unreadable, and the next file is read", async (_, text, why) => {
    const files = await read({
      ".github/workflows/a.yml": text,
      ".github/workflows/b.yaml": "on: push\njobs: {}",
      ".github/workflows/README.md": "no workflow",
    });
    expect(files).toMatchObject([
      { kind: "unreadable", file: ".github/workflows/a.yml", why: expect.stringMatching(why) },
      { kind: "workflow" },
    ]);
  });

  test.each([
    ["[]"],
    ["null"],
    ["on: push\njobs: [1]"],
    ["on: 5\njobs: { a: 7, b: { steps: x } }"],
    ["jobs: { a: { steps: [1, [2]] } }"],
  ])("%j is a workflow without jobs that say anything", async (text) => {
    const { jobs } = await one(text);
    expect(jobs.flatMap(({ steps }) => steps).filter(({ uses, run }) => uses ?? run)).toEqual([]);
  });

  test("an action that uses itself many times over comes to an end", async () => {
    const steps = "    - uses: ./loop\n".repeat(100);
    const [file] = await read({
      ".github/workflows/a.yml": `on: push\njobs:\n  a:\n    steps:\n${steps}`,
      "loop/action.yml": `runs:\n  using: composite\n  steps:\n${steps}`,
    });
    expect(file).toMatchObject({
      kind: "unreadable",
      why: expect.stringContaining("over 2000 steps"),
    });
  });

  test("a link is not followed, nor a folder above the repository", async () => {
    await using folder = await temporaryFolder();
    await folder.write("secret", "on: push\njobs: {}");
    await folder.write(
      "repo/.github/workflows/b.yml",
      "on: push\njobs:\n  a:\n    steps:\n      - uses: ./../up\n",
    );
    await folder.write("up/action.yml", "runs:\n  steps:\n    - run: outside\n");
    await symlink(folder.at("secret"), folder.at("repo", ".github", "workflows", "a.yml"));
    const files = await readWorkflows(folder.at("repo"));
    expect(files).toMatchObject([
      { kind: "unreadable", why: "it is no plain file" },
      { kind: "workflow" },
    ]);
    expect(JSON.stringify(files)).not.toContain("outside");
  });
});
