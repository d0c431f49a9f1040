import { describe, expect, test } from "@jest/globals";
import type { InputName } from "../../../src/action/inputs.ts";
import type { Derivation } from "../../../src/domain/derivation.ts";
import { UserError } from "../../../src/domain/errors.ts";
import type { RealisationAnswer, RealisationId } from "../../../src/domain/realisation.ts";
import type { Few } from "../../../src/domain/verdict.ts";
import { pinsOf } from "../../../src/engine/survey/found.ts";
import { survey } from "../../../src/engine/survey.ts";
import { derivation, out } from "../../support/graph.ts";
import { storePath } from "../../support/paths.ts";
import {
  hold,
  job,
  type MemoryCache,
  memoryCache,
  memoryNix,
  type NixOptions,
  SIGNAL,
  WRITE,
  world,
} from "../../support/world.ts";

async function surveyed(
  inputs: Partial<Record<InputName, string>>,
  nix: NixOptions,
  caches: { own?: MemoryCache; substituters?: MemoryCache[] } = {},
) {
  return survey(job(inputs), WRITE, world({ nix: memoryNix(nix), ...caches }), SIGNAL);
}

/** The names of what a verdict says is missing. */
function missing(found: Awaited<ReturnType<typeof surveyed>>, name: string) {
  const verdict = found.targets.find((target) => target.name === name)?.verdict;
  if (verdict?.kind !== "missing") throw new Error(`${name} is ${verdict?.kind}`);
  const names = ({ first }: Few<Derivation["path"]>) =>
    first.map((path) => found.derivations.get(path)?.name);
  const { source, download, trivial } = verdict.missing;
  return { source: names(source), download: names(download), trivial };
}

describe("the verdict on a target", () => {
  const bws = derivation("bws-1.0.0");
  const alice = derivation("home-alice", { kind: "trivial", inputs: [bws] });

  test("own: our cache has it", async () => {
    const own = memoryCache("own");
    hold(own, out(bws));
    const { targets } = await surveyed({ targets: ".#bws" }, { flake: { bws } }, { own });
    expect(targets[0]?.verdict).toEqual({ kind: "own", holders: [{ cache: "own" }], trivial: 0 });
  });

  test("upstream: another cache has it, and is named", async () => {
    const [one, two] = [memoryCache("one"), memoryCache("two")];
    hold(two, out(bws));
    const found = await surveyed(
      { targets: ".#bws" },
      { flake: { bws } },
      { own: memoryCache("own"), substituters: [one, two] },
    );
    expect(found.targets[0]?.verdict).toEqual({
      kind: "upstream",
      holders: [{ cache: "two" }],
      trivial: 0,
    });
  });

  test("what lacks only trivial derivations is a hit, with those counted", async () => {
    const own = memoryCache("own");
    hold(own, out(bws));
    const found = await surveyed(
      { targets: ".#alice" },
      { flake: { alice }, derivations: [bws] },
      { own },
    );
    expect(found.targets[0]?.verdict).toEqual({
      kind: "own",
      holders: [{ cache: "own" }],
      trivial: 1,
    });
  });

  test("missing: what would be built, downloads and trivial ones told apart", async () => {
    const source = derivation("source.tar.gz", { kind: "fixed" });
    const program = derivation("program-1", { inputs: [source] });
    const found = await surveyed(
      { targets: ".#home" },
      {
        flake: { home: derivation("home", { kind: "trivial", inputs: [program] }) },
        derivations: [source, program],
      },
      { own: memoryCache("own") },
    );
    expect(missing(found, ".#home")).toEqual({
      source: ["program-1"],
      download: ["source.tar.gz"],
      trivial: 1,
    });
  });

  test("unknown: a cache did not answer, and that is no miss", async () => {
    const own = memoryCache("own");
    own.content.set(out(bws), { kind: "unknown", cause: new Error("connect ETIMEDOUT") });
    const { targets } = await surveyed({ targets: ".#bws" }, { flake: { bws } }, { own });
    expect(targets[0]?.verdict).toEqual({ kind: "unknown", why: "connect ETIMEDOUT" });
  });

  test("failed: Nix's own message, and the nearest names", async () => {
    const failures = [{ attrPath: "bsw", message: "no attribute", nearest: ["nixpkgs#bws"] }];
    const { targets } = await surveyed({ targets: ".#bsw" }, { failures });
    expect(targets[0]).toMatchObject({
      name: ".#bsw",
      outputs: undefined,
      verdict: { kind: "failed", message: "no attribute", nearest: ["nixpkgs#bws"] },
    });
  });

  test("a derivation that cannot be read fails the targets that need it, and no others", async () => {
    const found = await surveyed(
      { targets: ".#a\n.#b" },
      {
        flake: { a: derivation("a", { inputs: [bws] }), b: derivation("b") },
        unreadable: new Map([[bws.path, new UserError("NCP-203", "x.drv, line 3: damaged")]]),
      },
    );
    expect(found.targets.map(({ verdict }) => verdict.kind)).toEqual(["failed", "missing"]);
    expect(found.targets[0]?.verdict).toMatchObject({ message: "x.drv, line 3: damaged" });
  });

  test("a store path that nobody has is missing, with nothing to build it from", async () => {
    const path = storePath("somewhere");
    const found = await surveyed({ targets: path }, {}, { own: memoryCache("own") });
    expect(missing(found, path)).toEqual({ source: [], download: [], trivial: 0 });
    expect([...found.fresh.lost]).toEqual([path]);
  });

  test("local stands beside it, and does not change it", async () => {
    const store = new Map([[out(bws), []]]);
    const found = await surveyed({ targets: ".#bws" }, { flake: { bws }, store });
    expect(found.targets[0]).toMatchObject({ local: "here", verdict: { kind: "missing" } });
  });

  test("whether a cache has a content-addressed target nobody can say", async () => {
    const floating = derivation("floating", { kind: "floating" });
    const own = memoryCache("own");
    const found = await surveyed({ targets: ".#f" }, { flake: { f: floating } }, { own });
    expect(found.targets[0]).toMatchObject({ outputs: undefined, verdict: { kind: "unknown" } });
  });

  describe("a content-addressed target, by what caches say of its realisation", () => {
    const input = derivation("input");
    const floating = derivation("floating", { kind: "floating", inputs: [input] });
    const made = storePath("floating-as-built");
    const dependent = `sha256:${"0".repeat(64)}!out` as RealisationId;
    const judged = async (
      answers: readonly RealisationAnswer[],
      { version = "2.26.3", has = [made, out(input)] } = {},
    ) => {
      const caches = answers.map((answer, place): MemoryCache => {
        const cache = memoryCache(`cache-${place}`);
        if (place === 0) for (const path of has) hold(cache, path);
        const missed: RealisationAnswer = { kind: "miss" };
        return { ...cache, realisation: async (id) => (id === dependent ? missed : answer) };
      });
      const [own, ...substituters] = caches;
      const setup = { flake: { f: floating }, derivations: [input], setup: { version } };
      if (!own) throw new Error("there is no cache to ask");
      const found = await surveyed({ targets: ".#f" }, setup, { own, substituters });
      return found.targets[0]?.verdict.kind;
    };
    const hit = (dependents: readonly RealisationId[] = []): RealisationAnswer => ({
      kind: "hit",
      realisation: { path: made, dependents },
    });
    const miss: RealisationAnswer = { kind: "miss" };
    const silent: RealisationAnswer = { kind: "unknown", cause: new Error("502") };

    test.each<[string, string | undefined, Promise<string | undefined>]>([
      ["one has it, and its path", "own", judged([hit()])],
      ["another cache than the path's has it", "own", judged([miss, hit()])],
      ["one has it, and nobody its path", "missing", judged([hit()], { has: [out(input)] })],
      ["nobody has it", "missing", judged([miss, miss])],
      ["one does not say", "unknown", judged([miss, silent])],
      ["one before it does not say", "unknown", judged([silent, hit()])],
      ["it depends on what nobody has", "missing", judged([hit([dependent])])],
      ["2.34 does not look at that", "own", judged([hit([dependent])], { version: "2.34.8" })],
      ["nobody looked", "unknown", judged([hit([dependent])], { version: "2.31.0" })],
      ["2.35 asks otherwise", "unknown", judged([hit()], { version: "2.35.0" })],
    ])("%s: %s", async (_, verdict, judging) => {
      expect(await judging).toBe(verdict);
    });
  });

  test("what is impure, and what is built of it, no cache has: that is missing", async () => {
    const output = { path: undefined, hashAlgorithm: "r:sha256", hash: "impure" };
    const impure = { ...derivation("impure"), outputs: new Map([["out", output]]) };
    const over = {
      ...derivation("over", { inputs: [impure] }),
      outputs: new Map([["out", { path: undefined, hashAlgorithm: "", hash: "" }]]),
    };
    const found = await surveyed({ targets: ".#impure\n.#over" }, { flake: { impure, over } });
    expect(missing(found, ".#impure").source).toEqual(["impure"]);
    expect(missing(found, ".#over").source.sort()).toEqual(["impure", "over"]);
  });

  test("what is built in any case is missing, whatever is known of what it is built of", async () => {
    const floating = derivation("floating", { kind: "floating" });
    const top = derivation("top", { inputs: [floating] });
    const found = await surveyed(
      { targets: ".#f" },
      { flake: { f: top }, derivations: [floating] },
    );
    expect(found.targets[0]).toMatchObject({ verdict: { kind: "missing" } });
  });
});

describe("closure=build", () => {
  const compiler = derivation("compiler");
  const vendored = derivation("vendored", { kind: "fixed" });
  const dependencies = derivation("dependencies", { inputs: [compiler, vendored] });
  const wrapper = derivation("wrapper", { kind: "trivial", inputs: [dependencies] });
  const program = derivation("program", { inputs: [wrapper, compiler] });
  const nix = { flake: { program }, derivations: [compiler, vendored, dependencies, wrapper] };

  async function deep(own: readonly Derivation[], upstream: readonly Derivation[]) {
    const [ours, theirs] = [memoryCache("own"), memoryCache("upstream")];
    for (const one of own) hold(ours, out(one));
    for (const one of upstream) hold(theirs, out(one));
    const found = await surveyed({ targets: ".#program closure=build" }, nix, {
      own: ours,
      substituters: [theirs],
    });
    const all = [compiler, vendored, dependencies, wrapper, program];
    const missing = found.deep.missing([".#program"]);
    expect(found.deep.lacks(".#program")).toBe(missing.length > 0);
    return missing.map(({ drvPath }) => all.find(({ path }) => path === drvPath)?.name).sort();
  }

  test.each([
    ["nothing cached", [], [], ["compiler", "dependencies", "program", "vendored"]],
    ["the program is ours", [program], [], ["compiler", "dependencies", "vendored"]],
    ["the compiler is upstream's", [program], [compiler], ["dependencies", "vendored"]],
    ["all that is built is ours", [program, dependencies, vendored], [compiler], []],
    ["below what an upstream has nothing is wanted", [], [program], []],
  ])("%s", async (_, own, upstream, expected) => {
    expect(await deep(own, upstream)).toEqual(expected);
  });

  test("without it, nothing below a cached target is wanted", async () => {
    const own = memoryCache("own");
    hold(own, out(program));
    const { deep } = await surveyed({ targets: ".#program" }, nix, { own });
    expect(deep.missing([".#program"])).toEqual([]);
    expect(deep.lacks(".#program")).toBe(false);
  });
});

describe("the order of what is missing", () => {
  const shared = derivation("shared");
  const heavy = derivation("heavy-1.0");
  const alone = derivation("alone");
  const early = derivation("early");
  const flake = {
    "homes.a": derivation("home-a", { kind: "trivial", inputs: [shared, alone] }),
    "homes.b": derivation("home-b", { kind: "trivial", inputs: [shared, early] }),
    "homes.c": derivation("home-c", { kind: "trivial", inputs: [heavy] }),
  };

  test("is heavy ones first, then those most targets want, then by name", async () => {
    const { derivations } = await surveyed(
      { targets: ".#homes.*", heavy: "heavy" },
      { flake, derivations: [shared, heavy, alone, early] },
    );
    const source = [...derivations.values()].filter(({ kind }) => kind === "source");
    expect(
      source.map(({ name, heavy: weight, wantedBy }) => [name, weight, wantedBy.length]),
    ).toEqual([
      ["heavy-1.0", "heavy", 1],
      ["shared", "light", 2],
      ["alone", "light", 1],
      ["early", "light", 1],
    ]);
  });

  test("space= makes a target's own derivation heavy, and no other", async () => {
    const { derivations } = await surveyed(
      { targets: ".#homes.c space=6GB\n.#heavy space=6GB", heavy: ">5GB" },
      { flake: { ...flake, heavy }, derivations: [shared, alone, early] },
    );
    const weights = [...derivations.values()].map(({ name, heavy: weight }) => [name, weight]);
    // The home itself is trivial: what is built from source is what counts.
    expect(weights).toEqual([
      ["heavy-1.0", "heavy"],
      ["home-c", "light"],
    ]);
  });
});

describe("targets", () => {
  const bws = derivation("bws-1.0.0");

  test.each([
    [".#bws", { bws }, [[".#bws", "bws-x86_64-linux"]]],
    [".#bws pin=tools", { bws }, [[".#bws", "tools"]]],
    [
      ".#packages.x86_64-linux.*",
      { "packages.x86_64-linux.bws": bws },
      [[".#packages.x86_64-linux.bws", "packages.x86_64-linux.bws"]],
    ],
    [
      ".#homes.*.a pin=home-*",
      { "homes.alice.a": bws, "homes.bob.a": derivation("b") },
      [
        [".#homes.alice.a", "home-alice"],
        [".#homes.bob.a", "home-bob"],
      ],
    ],
    [".#homes.* pin=home", { "homes.alice": bws }, [[".#homes.alice", "home-alice"]]],
    [
      ".#bws^dev",
      { bws: derivation("bws", { outputs: ["dev"] }) },
      [[".#bws^dev", "bws-x86_64-linux"]],
    ],
    ['.#"-dash"', { '"-dash"': bws }, [['.#"-dash"', "_--dash--x86_64-linux-1e51dd59"]]],
    [bws.path, {}, [[bws.path, "bws-1.0.0"]]],
    [out(bws), {}, [[out(bws), "bws-1.0.0"]]],
  ])("%s", async (targets, flake, expected) => {
    const found = await surveyed({ targets }, { flake, derivations: [bws] });
    expect(found.targets.map(({ name, pinName }) => [name, pinName])).toEqual(expected);
  });

  test("of several outputs there is a pin for each, and no two share one", async () => {
    const lib = derivation("lib", { outputs: ["out", "dev", "a?b", "a=b"] });
    const { targets } = await surveyed(
      { targets: ".#lib^out,dev,a?b,a=b\n.#lib^dev" },
      { flake: { lib } },
    );
    const pins = targets.flatMap(pinsOf);
    const names = pins.map(({ name }) => name);
    expect(names).toEqual([
      "lib-x86_64-linux",
      "lib-x86_64-linux^dev",
      expect.stringMatching(/^lib-x86_64-linux\^a-b-[0-9a-f]{8}$/),
      expect.stringMatching(/^lib-x86_64-linux\^a-b-[0-9a-f]{8}$/),
      "lib-x86_64-linux.dev",
    ]);
    expect(new Set(names).size).toBe(names.length);
    expect(pins.map(({ storePath: path }) => path)).toEqual(targets.flatMap((one) => one.outputs));
  });

  test("the first line that names a target keeps it", async () => {
    const { targets } = await surveyed(
      { targets: ".#bws priority=90\n.#*\n" },
      { flake: { bws, other: derivation("other") } },
    );
    expect(targets.map(({ name, target }) => [name, target.priority])).toEqual([
      [".#bws", 90],
      [".#other", 50],
    ]);
  });

  test.each([
    ["x86_64-linux", "here"],
    ["builtin", "here"],
    ["aarch64-darwin", "elsewhere"],
  ])("of %s are built %s", async (system, where) => {
    const { targets } = await surveyed(
      { targets: ".#a" },
      { flake: { a: derivation("a", { system }) } },
    );
    expect(targets[0]).toMatchObject({ system, buildable: where });
  });

  test("an output that does not exist fails by itself", async () => {
    const { targets } = await surveyed({ targets: ".#bws^man" }, { flake: { bws } });
    expect(targets[0]?.verdict).toMatchObject({
      kind: "failed",
      message: 'bws-1.0.0 has no output "man"; it has out',
    });
  });

  test("none, and no flake: there is nothing to look for, and that is said", async () => {
    const { targets, notices } = await surveyed({}, { setup: { flake: "absent" } });
    expect(targets).toEqual([]);
    expect(notices.join()).toContain("there is no flake here and no target is named");
  });

  test("none: every package of the flake for this system", async () => {
    const flake = { "packages.SYSTEM.bws": bws };
    const { targets } = await surveyed({}, { flake });
    expect(targets.map(({ name }) => name)).toEqual([".#packages.SYSTEM.bws"]);
  });
});
