import { describe, expect, test } from "@jest/globals";
import type { InputName } from "../../../src/action/inputs.ts";
import { UserError } from "../../../src/domain/errors.ts";
import type { Trust } from "../../../src/domain/job.ts";
import { run } from "../../../src/engine/run.ts";
import { derivation } from "../../support/graph.ts";
import {
  job,
  memoryCache,
  memoryNix,
  READ_ONLY,
  SIGNAL,
  WRITE,
  world,
} from "../../support/world.ts";

const bws = derivation("bws-1.0.0");

/** A run with a cache of our own that can be read, and takes nothing from us. */
async function ran(inputs: Partial<Record<InputName, string>>, trust: Trust = WRITE) {
  let asked = 0;
  const own = {
    ...memoryCache("own", { verbs: ["push"] }),
    mayPush: async () => {
      asked++;
      return new UserError("NCP-303", "own: this token may not push there", { hint: "make one" });
    },
  };
  const nix = memoryNix({ flake: { bws } });
  const here = world({ nix, own });
  const done = await run(job({ targets: ".#bws", ...inputs }), trust, here, SIGNAL);
  const told = done.plan.findings.filter(({ kind }) => kind === "cache" || kind === "push");
  return { asked, told, steps: done.plan.steps.map((step) => step.do) };
}

describe("whether we may push is asked before anything is built", () => {
  test("and where the answer is no, it is said, and the run goes on without", async () => {
    const { asked, told, steps } = await ran({ mode: "warm" });
    expect(asked).toBe(1);
    expect(told).toMatchObject([
      {
        kind: "push",
        level: "warning",
        code: "NCP-303",
        title: "nothing was pushed, own refused the token",
        message: "own: this token may not push there: nothing is pushed or pinned, it is only read",
        hint: "make one",
      },
    ]);
    expect(steps).toContain("build");
    expect(steps).not.toContain("push");
  });

  test("and under on-push-failure: error nothing is built", async () => {
    const { told, steps } = await ran({ mode: "warm", "on-push-failure": "error" });
    expect(told.map(({ level }) => level)).toEqual(["error"]);
    expect(steps).not.toContain("build");
  });

  test.each([
    ["only looks", { mode: "check" }, WRITE],
    ["does not push", { mode: "warm", push: "off" }, WRITE],
    ["may not write", { mode: "warm" }, READ_ONLY],
  ] as const)("and never by a run that %s", async (_, inputs, trust) => {
    const { asked, told } = await ran(inputs, trust);
    expect([asked, told]).toEqual([0, []]);
  });
});
