import { describe, expect, test } from "@jest/globals";
import type { Step } from "../../../src/engine/step.ts";
import { describePhase, phasesOf } from "../../../src/engine/step.ts";
import { storePath } from "../../support/paths.ts";
import { memoryCache } from "../../support/world.ts";

const cache = memoryCache("own", { verbs: ["push", "pin"] });
const roots = (target: string) => ({ target, paths: [] });
const configure = { do: "configure", caches: [cache] } as const;
const build = (why: string) => ({ do: "build", derivations: [], why }) as const;
const push = (target: string) => ({ do: "push", cache, roots: roots(target) }) as Step;
const verify = (target: string): Step => ({
  do: "verify",
  cache,
  roots: roots(target),
  onTrouble: "mend",
});
const pin = (target: string) =>
  ({
    do: "pin",
    cache,
    target,
    pin: { name: `${target}-pin`, storePath: storePath("x"), keep: { kind: "forever" } },
  }) as Step;

describe("phases", () => {
  test("are the steps in their order, cut where one kind of work ends", () => {
    const steps = [
      configure,
      build("a"),
      push("a"),
      build("b"),
      push("b"),
      verify("b"),
      pin("b"),
      push("c"),
    ];
    const phases = phasesOf(steps);
    expect(phases.flat()).toEqual(steps);
    expect(phases.map(describePhase)).toEqual([
      "Add 1 cache to Nix's configuration",
      "Build a",
      "Push a",
      "Build b",
      "Push, verify and pin 2 targets",
    ]);
  });

  test.each<[Step[], string]>([
    [[push("a"), verify("a"), pin("a")], "Push, verify and pin a"],
    [[verify("a"), verify("b")], "Verify 2 targets"],
    [[build("a"), build("b")], "Build 2 steps"],
    [[], ""],
  ])("%# is named", (steps, name) => {
    expect(describePhase(steps)).toBe(name);
  });
});
