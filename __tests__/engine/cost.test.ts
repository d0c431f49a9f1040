/** Holds what judging costs, by the number of look-ups that a whole run makes and not by its time. */

import { describe, expect, test } from "@jest/globals";
import type { InputName } from "../../src/action/inputs.ts";
import type { BuildFigures } from "../../src/domain/build-figures.ts";
import type { Derivation } from "../../src/domain/derivation.ts";
import { decide, run } from "../../src/engine/run.ts";
import { survey } from "../../src/engine/survey.ts";
import { outputValues, reportText } from "../../src/report/json.ts";
import { summary } from "../../src/report/summary.ts";
import { derivation, out } from "../support/graph.ts";
import { hold, job, memoryCache, memoryNix, SIGNAL, WRITE, world } from "../support/world.ts";

interface Shape {
  readonly flake: Readonly<Record<string, Derivation>>;
  readonly below: readonly Derivation[];
  readonly cached?: readonly Derivation[];
}

const numbers = (n: number) => Array.from({ length: n }, (_, i) => i);

/** As many derivations, each built of the one before. */
function chain(n: number, name: string, kind: "source" | "trivial" = "source"): Derivation[] {
  const made: Derivation[] = [];
  for (const i of numbers(n)) {
    const before = made.at(-1);
    made.push(derivation(`${name}-${i}`, { kind, inputs: before ? [before] : [] }));
  }
  return made;
}

function flakeOf(targets: readonly Derivation[]): Record<string, Derivation> {
  return Object.fromEntries(targets.map((target, i) => [`t${i}`, target]));
}

const SHAPES: Readonly<Record<string, (n: number) => Shape>> = {
  "many targets over one chain": (n) => {
    const below = chain(n, "base");
    const inputs = below.slice(-1);
    return { below, flake: flakeOf(numbers(n).map((i) => derivation(`top-${i}`, { inputs }))) };
  },
  "targets that need each other": (n) => ({ below: [], flake: flakeOf(chain(n, "link")) }),
  "targets over what is trivial, all of it cached": (n) => {
    const library = derivation("library");
    const below = chain(n, "step", "trivial");
    const inputs = [...below.slice(-1), library];
    const targets = numbers(n).map((i) => derivation(`top-${i}`, { kind: "trivial", inputs }));
    return { below: [...below, library], flake: flakeOf(targets), cached: [library] };
  },
  "targets of one name": (n) => {
    const inputs = chain(n, "base");
    const targets = numbers(n).map((i) =>
      derivation("home", { inputs: inputs.slice(-1), variant: `${i}` }),
    );
    return { below: inputs, flake: flakeOf(targets) };
  },
};

/** Look-ups in maps and sets. What works on lists of all pairs has to fill or to search them by these. */
async function counted(task: () => Promise<void>): Promise<number> {
  let lookups = 0;
  const spied = [
    [Map.prototype, "get"],
    [Map.prototype, "has"],
    [Map.prototype, "set"],
    [Set.prototype, "has"],
    [Set.prototype, "add"],
  ] as const;
  const before = spied.map(([prototype, name]) => Reflect.get(prototype, name) as () => unknown);
  for (const [index, [prototype, name]] of spied.entries()) {
    const original = before[index] as () => unknown;
    Reflect.set(prototype, name, function (this: unknown, ...args: []) {
      lookups++;
      return original.apply(this, args);
    });
  }
  try {
    await task();
  } finally {
    for (const [index, [prototype, name]] of spied.entries()) {
      Reflect.set(prototype, name, before[index]);
    }
  }
  return lookups;
}

interface Cost {
  readonly lookups: number;
  readonly reportBytes: number;
  readonly outputBytes: number;
}

/** Of a whole run and its report. */
async function cost(
  make: (n: number) => Shape,
  n: number,
  inputs: Partial<Record<InputName, string>>,
): Promise<Cost> {
  const { flake, below, cached = [] } = make(n);
  const own = memoryCache("own", { verbs: ["push", "pin", "pins"] });
  for (const one of cached) hold(own, out(one));
  const nix = memoryNix({ flake, derivations: below });
  const targets = Object.keys(flake)
    .map((name) => `.#${name}`)
    .join("\n");
  const asked = job({ targets, ...inputs });
  let reportBytes = 0;
  let outputBytes = 0;
  const lookups = await counted(async () => {
    const done = await run(asked, WRITE, world({ nix, own }), SIGNAL);
    expect(done.survey.targets).toHaveLength(n);
    reportBytes = Buffer.byteLength(reportText(done));
    for (const value of Object.values(outputValues(done, "/report.json"))) {
      // As GitHub counts them: two bytes for each unit of UTF-16.
      outputBytes += 2 * value.length;
    }
    summary(done, { detail: "full", linkTo: () => undefined });
  });
  return { lookups, reportBytes, outputBytes };
}

describe("what a run costs grows as targets and derivations do, not as their pairs", () => {
  test.each(Object.entries(SHAPES))("%s", async (_, make) => {
    const some = await cost(make, 300, { mode: "check" });
    const twice = await cost(make, 600, { mode: "check" });
    expect(twice.lookups / some.lookups).toBeLessThan(2.3);
  });

  test.each(Object.entries(SHAPES))("%s: the report is below 1 kB a target", async (_, make) => {
    const { reportBytes, outputBytes } = await cost(make, 1_000, { mode: "check" });
    expect(reportBytes / 1_000).toBeLessThan(1_000);
    expect(outputBytes).toBeLessThan(1_000_000);
  });
});

interface Asked {
  readonly inputs: Partial<Record<InputName, string>>;
  /** Behind each target. */
  readonly attribute?: string;
  /** Bytes of each build's output, where runs before learnt them. */
  readonly outputBytes?: number;
}

/** What walks all that is below a target, once for all targets and not for each. */
const POLICIES: Readonly<Record<string, (n: number) => Asked>> = {
  "closure=build": () => ({ inputs: { mode: "check" }, attribute: " closure=build" }),
  "a warming run": () => ({ inputs: { mode: "warm" } }),
  "a warming run with closure=build": () => ({
    inputs: { mode: "warm" },
    attribute: " closure=build",
  }),
  "a disk with no space for any": () => ({ inputs: { mode: "warm" }, outputBytes: 1e12 }),
  "a disk with space for half of what is below": (n) => ({
    inputs: { mode: "warm" },
    outputBytes: 2e11 / n,
  }),
};

/** Of looking and deciding. */
async function planCost(make: (n: number) => Shape, n: number, asked: Asked): Promise<number> {
  const { flake, below, cached = [] } = make(n);
  const own = memoryCache("own", { verbs: ["push", "pin", "pins"] });
  for (const one of cached) hold(own, out(one));
  const nix = memoryNix({ flake, derivations: below });
  const targets = Object.keys(flake).map((name) => `.#${name}${asked.attribute ?? ""}`);
  const what = job({ targets: targets.join("\n"), ...asked.inputs });
  const learnt = asked.outputBytes === undefined ? [] : [...Object.values(flake), ...below];
  const figures = new Map(
    learnt.map(({ name }): [string, BuildFigures] => [
      name,
      { name, buildBytes: 0, outputBytes: asked.outputBytes ?? 0, seconds: 1, takenAt: 1 },
    ]),
  );
  const recall = async () => figures;
  const here = world({ nix, own, figures: { recall, remember: async () => undefined } });
  return counted(async () => {
    const seen = await survey(what, WRITE, here, SIGNAL);
    expect(seen.targets).toHaveLength(n);
    await decide(what, seen, here, SIGNAL);
  });
}

describe.each(Object.entries(POLICIES))("deciding for %s costs no more", (_, asked) => {
  test.each(Object.entries(SHAPES))("%s", async (__, make) => {
    const some = await planCost(make, 200, asked(200));
    const twice = await planCost(make, 400, asked(400));
    expect(twice / some).toBeLessThan(2.3);
  });
});
