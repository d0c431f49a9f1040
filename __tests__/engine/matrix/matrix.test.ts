import { describe, expect, test } from "@jest/globals";
import { BitSet } from "../../../src/domain/bit-set.ts";
import type { StorePath } from "../../../src/domain/store-path.ts";
import { parseTarget, parseTargets } from "../../../src/domain/target.ts";
import type { Verdict } from "../../../src/domain/verdict.ts";
import type { MatrixRequest } from "../../../src/engine/matrix/graph.ts";
import {
  type MatrixEntry,
  matrixFindings,
  matrixOf,
  NO_MATRIX,
} from "../../../src/engine/matrix/matrix.ts";
import type { BuildNode } from "../../../src/engine/survey/build-graph.ts";
import type { SurveyedDerivation } from "../../../src/engine/survey/verdicts.ts";
import type { SurveyedTarget } from "../../../src/engine/survey.ts";
import { derivation, SYSTEM } from "../../support/graph.ts";
import { storePath } from "../../support/paths.ts";

function target(
  name: string,
  lacks: readonly string[] | Verdict,
  options: { readonly system?: string; readonly line?: string } = {},
): SurveyedTarget {
  const { system = SYSTEM } = options;
  const source = "kind" in lacks ? [] : lacks.map((one): StorePath => storePath(`${one}.drv`));
  return {
    name,
    written: name,
    imports: [],
    target: parseTarget(options.line ?? name),
    system,
    wanted: { kind: "derivation", drvPath: storePath(`${name.slice(2)}.drv`), outputNames: [] },
    outputs: [],
    outputNames: [],
    buildable: "here",
    hindered: undefined,
    pinName: `${name.slice(2)}-pin`,
    failure: undefined,
    local: "absent",
    verdict:
      "kind" in lacks
        ? lacks
        : {
            kind: "missing",
            missing: {
              source: { first: source, length: source.length },
              download: { first: [], length: 0 },
              trivial: 0,
            },
          },
  };
}

function request(targets: readonly SurveyedTarget[]): MatrixRequest {
  const nodes = new Map<StorePath, BuildNode>();
  const node = (drvPath: StorePath): BuildNode => {
    const known = nodes.get(drvPath);
    const made = known ?? { drvPath, outputs: new Set(), inputs: [], fetches: [], unknown: [] };
    nodes.set(drvPath, made);
    return made;
  };
  const tops = new Map(
    targets.map(({ name, verdict }) => [
      name,
      { build: verdict.kind === "missing" ? verdict.missing.source.first.map(node) : [] },
    ]),
  );
  return {
    targets,
    builds: { tops },
    derivations: new Map(
      [...nodes.keys()].map((drvPath, rank) => [drvPath, source(drvPath, rank)]),
    ),
    facts: { derivations: new Map() },
    system: SYSTEM,
    stages: "two",
    seconds: () => undefined,
  };
}

function source(drvPath: StorePath, rank: number): SurveyedDerivation {
  return {
    drvPath,
    name: drvPath,
    system: SYSTEM,
    kind: "source",
    heavy: "light",
    space: undefined,
    figures: undefined,
    wantedBy: { first: [], length: 0 },
    wanting: new BitSet(0),
    outputNames: ["out"],
    rank,
  };
}

function whole(targets: readonly SurveyedTarget[]): readonly MatrixEntry[] {
  return matrixOf(request(targets)).whole;
}

/** Names of the targets of each job. */
function jobs(targets: readonly SurveyedTarget[]): string[][] {
  return whole(targets).map((entry) =>
    entry.targets.split("\n").map((line) => line.split(" ")[0] ?? ""),
  );
}

/** What is missing is built by machines with these features. */
function wanting(features: Readonly<Record<string, string>>): MatrixRequest["facts"] {
  const derivations = Object.entries(features).map(([name, wanted]) => {
    const made = derivation(name);
    const environment = new Map([...made.environment, ["requiredSystemFeatures", wanted]]);
    return [storePath(`${name}.drv`), { ...made, environment }] as const;
  });
  return { derivations: new Map(derivations) };
}

describe("what wants a feature of the machine", () => {
  const runners = (targets: readonly SurveyedTarget[], features: Record<string, string>) =>
    Object.fromEntries(
      matrixOf({ ...request(targets), facts: wanting(features) }).whole.flatMap((entry) =>
        entry.targets.split("\n").map((line) => [line.split(" ")[0], entry["runs-on"]]),
      ),
    );

  test.each([
    ["x86_64-linux", "kvm nixos-test", "ubuntu-latest"],
    ["x86_64-linux", "benchmark big-parallel", "ubuntu-latest"],
    ["x86_64-linux", "gccarch-znver4", "self-hosted"],
    ["aarch64-linux", "kvm", "self-hosted"],
    ["aarch64-linux", "nixos-test big-parallel", "ubuntu-24.04-arm"],
    ["aarch64-darwin", "apple-virt", "self-hosted"],
    ["aarch64-darwin", "big-parallel", "macos-latest"],
  ])("%s with %s is built on %s", (system, features, runner) => {
    expect(runners([target(".#a", ["vm"], { system })], { vm: features })).toEqual({
      ".#a": runner,
    });
  });

  test("takes along what hangs together with it, and nothing else", () => {
    const system = "aarch64-linux";
    const targets = [
      target(".#test", ["vm", "kernel"], { system }),
      target(".#kernel", ["kernel"], { system }),
      target(".#plain", ["tool"], { system }),
    ];
    expect(runners(targets, { vm: "kvm" })).toEqual({
      ".#test": "self-hosted",
      ".#kernel": "self-hosted",
      ".#plain": "ubuntu-24.04-arm",
    });
  });
});

describe("the matrix", () => {
  test("brings targets that lack the same derivation into one job", () => {
    const targets = [
      target(".#a", ["bws"]),
      target(".#b", ["other"]),
      target(".#c", ["bws", "third"]),
      target(".#d", ["third"]),
    ];
    expect(jobs(targets).map((names) => names.sort())).toEqual([[".#a", ".#c", ".#d"], [".#b"]]);
  });

  test("joins two groups where a later target wants of both", () => {
    const targets = [
      target(".#a", ["x"]),
      target(".#b", ["y"]),
      target(".#c", ["z"]),
      target(".#d", ["x", "y"]),
    ];
    expect(jobs(targets).map((names) => names.sort())).toEqual([[".#a", ".#b", ".#d"], [".#c"]]);
  });

  test("gives no derivation to two jobs, whatever the shape", () => {
    // Every target lacks its own and two others: chance knots them together.
    let seed = 7;
    const chance = (most: number) => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % most;
    };
    const lacks = new Map(
      Array.from({ length: 200 }, (_, n) => [
        `.#t${n}`,
        [`own${n}`, `shared${chance(150)}`, `shared${chance(150)}`],
      ]),
    );
    const built = jobs([...lacks].map(([name, names]) => target(name, names))).map(
      (names) => new Set(names.flatMap((name) => lacks.get(name) ?? [])),
    );
    const all = built.flatMap((one) => [...one]);
    expect(new Set(all).size).toBe(all.length);
    expect(built.length).toBeGreaterThan(1);
  });

  test("holds what is missing and nothing else", () => {
    const targets = [
      target(".#own", { kind: "own", holders: [], trivial: 0 }),
      target(".#up", { kind: "upstream", holders: [], trivial: 0 }),
      target(".#unknown", { kind: "unknown", why: "" }),
      target(".#failed", { kind: "failed", message: "", nearest: [] }),
      target(".#missing", ["x"]),
    ];
    expect(jobs(targets)).toEqual([[".#missing"]]);
    expect(matrixOf(request([]))).toEqual(NO_MATRIX);
  });

  test.each([
    ["x86_64-linux", "ubuntu-latest"],
    ["aarch64-linux", "ubuntu-24.04-arm"],
    ["aarch64-darwin", "macos-latest"],
    ["x86_64-darwin", "macos-15-intel"],
    ["riscv64-linux", "self-hosted", "elsewhere"],
    // A remote builder or an emulator of this machine.
    ["riscv64-linux", "ubuntu-latest", "here"],
  ] as const)("sends %s to %s", (system, runsOn, buildable = "elsewhere") => {
    expect(whole([{ ...target(".#a", ["x"], { system }), buildable }])).toEqual([
      { name: ".#a", targets: ".#a pin=a-pin", system, "runs-on": runsOn },
    ]);
  });

  test("keeps systems apart even where they lack a derivation of one path", () => {
    const targets = [target(".#a", ["x"]), target(".#b", ["x"], { system: "aarch64-linux" })];
    expect(jobs(targets)).toEqual([[".#a"], [".#b"]]);
  });

  test("writes lines that are read back as what they were", () => {
    const line = ".#a pin=a-pin priority=90 space=2TB system=aarch64-linux closure=build";
    const [entry] = whole([target(".#a", ["x"], { line, system: "aarch64-linux" })]);
    const written = line.replace("2TB", "2000000000000B");
    expect(entry?.targets).toBe(written);
    expect(parseTargets(written).targets).toEqual([{ ...parseTarget(line), line: written }]);
  });

  test("of 1,000 groups holds no more than 256 jobs, and every target once", () => {
    const targets = Array.from({ length: 1000 }, (_, n) =>
      target(`.#t${n}`, [`d${n}`], { system: n % 3 === 0 ? "aarch64-linux" : SYSTEM }),
    );
    const entries = whole(targets);
    expect(entries.length).toBeLessThanOrEqual(256);
    expect(new Set(entries.map(({ system }) => system))).toEqual(
      new Set([SYSTEM, "aarch64-linux"]),
    );
    const names = jobs(targets).flat();
    expect(names).toHaveLength(1000);
    expect(new Set(names).size).toBe(1000);
  });

  test("of 5,000 targets that all lack one derivation is one job", () => {
    const targets = Array.from({ length: 5000 }, (_, n) => target(`.#t${n}`, ["shared", `d${n}`]));
    const entries = whole(targets);
    expect(entries.map(({ name }) => name)).toEqual([".#t0 and 4999 more"]);
  });

  test("leaves out the least important where GitHub would refuse the size, and says so", () => {
    const name = (n: number) => `.#${"long".repeat(60)}.t${n}`;
    const targets = Array.from({ length: 5000 }, (_, n) => {
      const one = target(`.#t${n}`, [`d${n}`], {
        line: `${name(n)} priority=${n >= 4900 ? 90 : 50}`,
      });
      return { ...one, name: name(n), written: name(n) };
    });
    const matrix = matrixOf(request(targets));
    const text = JSON.stringify({ include: matrix.whole });
    // One stage is told as two, too: both, and the rest of the outputs, stay below a million.
    expect(2 * text.length).toBeLessThanOrEqual(300_000);
    expect(2 * text.length).toBeGreaterThan(270_000);
    const kept = matrix.whole.flatMap((entry) => entry.targets.split("\n"));
    expect(kept.length + matrix.left.length).toBe(5000);
    const urgent = targets.slice(4900).map((one) => one.name);
    expect(new Set(kept.map((line) => line.split(" ")[0]))).toEqual(
      new Set([...urgent, ...targets.slice(0, kept.length - 100).map((one) => one.name)]),
    );
    expect(matrixFindings(matrix)).toMatchObject([{ level: "warning", code: "NCP-430" }]);
  });

  test("has no job for what is of this machine only", () => {
    const path = `${storePath("x")}`;
    const matrix = matrixOf(
      request([
        { ...target(".#a", ["x"], { line: `${path}.drv^*` }), name: `${path}.drv^*` },
        { ...target(".#b", ["y"], { line: path }), name: path },
      ]),
    );
    expect(matrix).toMatchObject({ whole: [], first: [], second: [], stages: 0 });
    expect(matrix.left.map(({ why }) => why)).toEqual(Array(2).fill("of this machine only"));
    expect(matrixFindings(matrix)).toEqual([]);
  });

  test("of 300 systems holds no more than 256 jobs", () => {
    const targets = Array.from({ length: 300 }, (_, n) =>
      target(`.#t${n}`, [`d${n}`], { system: `made-up-${n}` }),
    );
    const matrix = matrixOf(request(targets));
    expect(matrix.whole).toHaveLength(256);
    expect(matrix.left).toHaveLength(44);
  });
});
