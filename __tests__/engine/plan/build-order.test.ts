import { describe, expect, test } from "@jest/globals";
import type { Can } from "../../../src/domain/cache.ts";
import { can } from "../../../src/domain/cache.ts";
import type { Derivation } from "../../../src/domain/derivation.ts";
import { derivationName } from "../../../src/domain/store-path.ts";
import { buildSteps } from "../../../src/engine/plan/build-order.ts";
import { hasToBeMade, workOf } from "../../../src/engine/plan/work.ts";
import { survey } from "../../../src/engine/survey.ts";
import { type DerivationOptions, derivation, out } from "../../support/graph.ts";
import { hold, job, memoryCache, memoryNix, SIGNAL, WRITE, world } from "../../support/world.ts";

interface Options {
  /** What the flake holds, by attribute path. */
  readonly flake: Readonly<Record<string, Derivation>>;
  /** What lies below. */
  readonly below?: readonly Derivation[];
  readonly targets?: string;
  readonly cached?: readonly Derivation[];
  readonly cache?: "writable" | "none";
}

/** `big-*` is heavy. Each step as its names, in the order in which Nix gets them. */
async function order({ flake, below = [], cache = "writable", ...options }: Options) {
  const own = memoryCache("own", { verbs: ["push"] });
  for (const one of options.cached ?? []) hold(own, out(one));
  const here = world({ nix: memoryNix({ flake, derivations: below }), own });
  const targets =
    options.targets ??
    Object.keys(flake)
      .map((name) => `.#${name}`)
      .join("\n");
  const what = job({ mode: "warm", heavy: "big-*", targets });
  const seen = await survey(what, WRITE, here, SIGNAL);
  const made = seen.targets.filter((target) => hasToBeMade(what, seen, target));
  const into: Can<"push"> | undefined = cache === "none" || !can(own, "push") ? undefined : own;
  return buildSteps(seen, workOf(what, seen), made, into).map((step) => {
    if (step.do === "build") {
      const names = step.derivations.map(({ drvPath }) => derivationName(drvPath));
      return `build ${names.join(" ")} (${step.why})`;
    }
    if (step.do !== "push") throw new Error(`a step to ${step.do}`);
    return `push ${step.roots.paths.map((path) => path.slice(44)).join(" ")}`;
  });
}

const make = (name: string, inputs: readonly Derivation[] = [], options: DerivationOptions = {}) =>
  derivation(name, { inputs, ...options });

describe("the order of building", () => {
  test("with nothing to make there is no step", async () => {
    const done = make("done");
    expect(await order({ flake: { done }, cached: [done] })).toEqual([]);
  });

  test("what one target alone wants is left to its own build", async () => {
    const stem = make("stem");
    const leaf = make("leaf", [stem]);
    expect(await order({ flake: { leaf }, below: [stem] })).toEqual(["build leaf (1 target)"]);
  });

  const between: [string, DerivationOptions["kind"]][] = [
    ["a build from source", "source"],
    ["something trivial", "trivial"],
    ["something that is downloaded", "fixed"],
  ];
  test.each(between)(
    "a heavy one that needs another by way of %s comes after it",
    async (_, kind) => {
      const low = make("big-z");
      const middle = make("middle", [low], { kind: kind ?? "source" });
      const high = make("big-a", [middle]);
      const leaf = make("leaf", [high]);
      expect(await order({ flake: { leaf }, below: [low, middle, high] })).toEqual([
        "build big-z (big-z: heavy)",
        "push big-z",
        "build big-a (big-a: heavy)",
        "push big-a",
        "build leaf (1 target)",
      ]);
    },
  );

  test("a chain of them is built from its end, however their names and wants would sort them", async () => {
    const chain: Derivation[] = [];
    for (const name of ["big-5", "big-1", "big-4", "big-2", "big-3"]) {
      chain.push(make(name, chain.slice(-1)));
    }
    const [low, , , , high] = chain;
    if (!low || !high) throw new Error("no chain");
    const a = make("a", [high]);
    const b = make("b", [low, high]);
    const steps = await order({ flake: { a, b }, below: chain });
    expect(steps.filter((step) => step.includes("heavy"))).toEqual(
      ["big-5", "big-1", "big-4", "big-2", "big-3"].map((name) => `build ${name} (${name}: heavy)`),
    );
  });

  test("what targets share is one step, inputs first and each once; heavy ones are not among it", async () => {
    const root = make("root");
    const low = make("z-low", [root]);
    const high = make("a-high", [low]);
    const [a, b] = [make("a", [high, low]), make("b", [high])];
    expect(await order({ flake: { a, b }, below: [root, low, high] })).toEqual([
      "build root z-low a-high (3 derivations that several targets share)",
      "push root z-low a-high",
      "build a b (2 targets)",
    ]);
    const heavy = make("big-one");
    const [c, d] = [make("c", [heavy, low]), make("d", [heavy, low])];
    expect(await order({ flake: { c, d }, below: [root, low, heavy] })).toEqual([
      "build big-one (big-one: heavy)",
      "push big-one",
      "build root z-low (2 derivations that several targets share)",
      "push root z-low",
      "build c d (2 targets)",
    ]);
  });

  test("what is cached, trivial or downloaded has no step of its own", async () => {
    const cached = make("cached");
    const trivial = make("trivial", [], { kind: "trivial" });
    const source = make("source", [], { kind: "fixed" });
    const [a, b] = [make("a", [cached, trivial, source]), make("b", [cached, trivial, source])];
    const below = [cached, trivial, source];
    expect(await order({ flake: { a, b }, below, cached: [cached] })).toEqual([
      "build a b (2 targets)",
    ]);
  });

  test("a derivation that two targets name is asked for once, its other outputs beside it", async () => {
    const both = make("both", [], { outputs: ["out", "dev"] });
    const twice = { one: both, two: both };
    const steps = await order({ flake: twice, targets: ".#one\n.#two\n.#one^dev", cache: "none" });
    expect(steps).toEqual([
      "build both (1 derivation that several targets share)",
      "build both both (3 targets)",
    ]);
  });

  test("without a cache to write to nothing is pushed between", async () => {
    const heavy = make("big-one");
    const shared = make("shared", [heavy]);
    const [a, b] = [make("a", [shared]), make("b", [shared])];
    expect(await order({ flake: { a, b }, below: [heavy, shared], cache: "none" })).toEqual([
      "build big-one (big-one: heavy)",
      "build shared (1 derivation that several targets share)",
      "build a b (2 targets)",
    ]);
  });

  test("what has no known path is built, and pushed only when the job ends", async () => {
    const floating = make("big-floating", [], { kind: "floating" });
    const leaf = make("leaf", [floating]);
    expect(await order({ flake: { leaf }, below: [floating] })).toEqual([
      "build big-floating (big-floating: heavy)",
      "build leaf (1 target)",
    ]);
  });

  test("what closure=build wants below a target is built with it", async () => {
    const stem = make("stem");
    const leaf = make("leaf", [stem]);
    const steps = await order({
      flake: { leaf },
      below: [stem],
      cached: [leaf],
      targets: ".#leaf closure=build",
    });
    expect(steps).toEqual(["build leaf stem (1 target)"]);
  });
});
