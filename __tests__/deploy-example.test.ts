import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import { DEFAULTS, parseInputs } from "../src/action/inputs.ts";

interface Action {
  readonly inputs: Record<string, unknown>;
  readonly outputs: Record<string, unknown>;
}
interface Step {
  readonly id?: string;
  readonly uses?: string;
  readonly with?: Record<string, string>;
}
interface Workflow {
  readonly jobs: Record<
    string,
    { readonly needs?: string; readonly outputs?: Record<string, string>; readonly steps: Step[] }
  >;
}

const text = readFileSync("examples/deploy.yml", "utf8");
const { jobs } = parse(text) as Workflow;
const action = parse(readFileSync("action.yml", "utf8")) as Action;

describe("examples/deploy.yml", () => {
  const ours = Object.values(jobs)
    .flatMap(({ steps }) => steps)
    .filter(({ uses }) => uses?.startsWith("nix-cache-preflight/"));

  test("gives inputs that there are, with values that are legal", () => {
    expect(ours).toHaveLength(1);
    for (const { with: inputs = {} } of ours) {
      expect(Object.keys(action.inputs)).toEqual(expect.arrayContaining(Object.keys(inputs)));
      const given = Object.fromEntries(
        Object.entries(inputs).map(([name, value]) => [
          name,
          String(value).replace(/\$\{\{ secrets\..* \}\}/, ""),
        ]),
      );
      const { job } = parseInputs({ ...DEFAULTS, ...given });
      expect(job.targets).toMatchObject([{ pin: "host-*" }]);
      expect([job.mode, job.onPushFailure]).toEqual(["warm", "error"]);
    }
  });

  test("hands on outputs that there are, from a step and a job that there are", () => {
    const taken = [...text.matchAll(/steps\.([a-z]+)\.outputs\.([a-z-]+)/g)];
    expect(taken.map(([, id, name]) => [id, name])).toEqual([
      ["systems", "changed"],
      ["systems", "store-paths"],
    ]);
    expect(ours.map(({ id }) => id)).toEqual(["systems"]);
    for (const [, , name] of taken) expect(Object.keys(action.outputs)).toContain(name);
    const needed = [...text.matchAll(/needs\.([a-z]+)\.outputs\.([a-z-]+)/g)];
    expect(needed.length).toBeGreaterThan(2);
    for (const [, job = "", name] of needed) {
      expect(jobs["deploy"]?.needs).toBe(job);
      expect(Object.keys(jobs[job]?.outputs ?? {})).toContain(name);
    }
  });
});
