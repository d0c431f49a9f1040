/** Owns the proof that our reusable workflows take the action's inputs under their names, and hand each of them on. */

import { readFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import { MODES } from "../../src/domain/job.ts";

interface Declared {
  readonly default?: unknown;
}
interface Step {
  readonly uses?: string;
  readonly with?: Readonly<Record<string, string>>;
}
interface Called {
  readonly on: {
    readonly workflow_call: {
      readonly inputs: Readonly<Record<string, Declared>>;
      readonly secrets: Readonly<Record<string, unknown>>;
    };
  };
  readonly jobs: Readonly<Record<string, { readonly steps: readonly Step[] }>>;
}

const ACTION = parse(await readFile("action.yml", "utf8")) as {
  inputs: Readonly<Record<string, Declared>>;
};

/** Where a workflow means something else by leaving one out. */
const OTHERWISE: Readonly<Record<string, readonly string[]>> = {
  "cache-warming.yml": ["fail-on", "force"],
  "plan-matrix-verify.yml": [],
};
const SHARED = ["working-directory", "targets", "cache", "push-max", "push-inputs", "check-runs"];
/** What only a step that pushes has a use for. */
const PUSHING = [
  "push-max",
  "push-inputs",
  "signing-key",
  "reclaim",
  "pin-keep",
  "verify",
  "force",
];
/** An audit judges what is there, and its targets are the plan's. */
const NOT_OF_AN_AUDIT = [...PUSHING, "heavy", "check-runs", "check-runs-token"];

describe.each(Object.keys(OTHERWISE))("%s", (file) => {
  const read = async () => parse(await readFile(`.github/workflows/${file}`, "utf8")) as Called;

  test("has the action's inputs with the action's defaults", async () => {
    const { inputs } = (await read()).on.workflow_call;
    const shared = Object.keys(inputs).filter((name) => name in ACTION.inputs);
    for (const name of SHARED) expect(shared).toContain(name);
    for (const name of shared) {
      if (OTHERWISE[file]?.includes(name)) continue;
      expect([name, inputs[name]?.default]).toEqual([name, ACTION.inputs[name]?.default]);
    }
  });

  test("hands each on to every step that has a use for it", async () => {
    const { on, jobs } = await read();
    const { inputs, secrets } = on.workflow_call;
    const steps = Object.values(jobs)
      .flatMap((job) => job.steps)
      .filter(({ uses }) => uses?.startsWith("nix-cache-preflight/"));
    expect(steps.length).toBeGreaterThan(0);
    for (const { with: given = {} } of steps) {
      expect(MODES).toContain(given["mode"]);
      const useless =
        given["mode"] === "warm" ? [] : given["mode"] === "check" ? PUSHING : NOT_OF_AN_AUDIT;
      // A job of the matrix has its own targets.
      const wanted = Object.keys(inputs)
        .filter((name) => name in ACTION.inputs && !useless.includes(name))
        .filter((name) => name !== "targets" || !given["targets"]?.includes("matrix.targets"));
      for (const name of wanted)
        expect([name, given[name]]).toEqual([name, `\${{ inputs.${name} }}`]);
      for (const name of Object.keys(secrets).filter((one) => !useless.includes(one)))
        expect([name, given[name]]).toEqual([name, `\${{ secrets.${name} }}`]);
    }
  });
});
