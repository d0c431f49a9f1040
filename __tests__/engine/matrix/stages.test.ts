import { describe, expect, test } from "@jest/globals";
import type { InputName } from "../../../src/action/inputs.ts";
import { figuresName } from "../../../src/domain/build-figures.ts";
import type { Derivation } from "../../../src/domain/derivation.ts";
import type { Trust } from "../../../src/domain/job.ts";
import { parseTarget } from "../../../src/domain/target.ts";
import type { Matrix, MatrixEntry } from "../../../src/engine/matrix/matrix.ts";
import { run } from "../../../src/engine/run.ts";
import { derivation, out, SYSTEM } from "../../support/graph.ts";
import {
  hold,
  job,
  memoryCache,
  memoryNix,
  READ_ONLY,
  SIGNAL,
  WRITE,
  world,
} from "../../support/world.ts";

interface Case {
  readonly flake: Readonly<Record<string, Derivation>>;
  readonly derivations?: readonly Derivation[];
  readonly inputs?: Partial<Record<InputName, string>>;
  readonly cached?: readonly Derivation[];
  readonly trust?: Trust;
  /** Seconds by name. */
  readonly learnt?: Readonly<Record<string, number>>;
}

/** The matrix of a run over a flake; every derivation below its members is given as well. */
async function planned({
  flake,
  derivations = [],
  inputs = {},
  cached = [],
  trust = WRITE,
  learnt = {},
}: Case): Promise<Matrix> {
  const own = memoryCache("own", { verbs: ["push", "pin", "pins"] });
  for (const one of cached) hold(own, out(one));
  const nix = memoryNix({ flake, derivations });
  const targets = Object.keys(flake)
    .map((name) => `.#${name}`)
    .join("\n");
  const asked = job({ mode: "check", targets, heavy: "heavy", ...inputs });
  const figures = new Map(
    Object.entries(learnt).map(([name, seconds]) => {
      const key = figuresName(name);
      return [key, { name: key, buildBytes: 0, outputBytes: 0, seconds, takenAt: 0 }];
    }),
  );
  const around = {
    ...world({ nix, own }),
    figures: { recall: async () => figures, remember: async () => undefined },
  };
  const { plan } = await run(asked, trust, around, SIGNAL);
  return plan.matrix;
}

const deps = derivation("heavy-deps");
const heavy = derivation("heavy", { inputs: [deps] });
const tool = derivation("tool");
const trivial = (name: string, inputs: readonly Derivation[]) =>
  derivation(name, { inputs, kind: "never substituted" });

const lines = (entries: readonly MatrixEntry[]) =>
  entries.map(({ targets }) =>
    targets.split("\n").map((line) => line.replace(/=[0-9a-z]{32}-/g, "=")),
  );

describe("two stages", () => {
  const homes = {
    alice: trivial("alice", [heavy]),
    bob: trivial("bob", [heavy]),
    carol: trivial("carol", [heavy]),
  };

  test("build what is heavy and shared once, before those that need it", async () => {
    const matrix = await planned({ flake: homes, derivations: [heavy, deps] });
    expect(matrix.stages).toBe(2);
    expect(lines(matrix.first)).toEqual([[".#alice derivation=heavy"]]);
    expect(matrix.first).toMatchObject([
      { name: "heavy", system: SYSTEM, "runs-on": "ubuntu-latest" },
    ]);
    expect(
      lines(matrix.second)
        .flat()
        .map((line) => line.split(" ")[0]),
    ).toEqual([".#alice", ".#bob", ".#carol"]);
    expect(lines(matrix.whole)).toHaveLength(1);
  });

  test("are one where nothing is heavy and little is shared", async () => {
    const flake = {
      a: derivation("a", { inputs: [tool] }),
      b: derivation("b", { inputs: [tool] }),
    };
    const matrix = await planned({ flake, derivations: [tool] });
    expect(matrix).toMatchObject({ stages: 1, first: [] });
    expect(matrix.second).toEqual(matrix.whole);
    expect(lines(matrix.whole)).toHaveLength(1);
  });

  test("are two where they save time, though nothing is heavy", async () => {
    const flake = Object.fromEntries(
      Array.from({ length: 20 }, (_, n) => [`t${n}`, derivation(`t${n}`, { inputs: [tool] })]),
    );
    const guessed = await planned({ flake, derivations: [tool] });
    expect(lines(guessed.first)).toEqual([[".#t0 derivation=tool"]]);
    expect(guessed.second.length).toBe(20);
    // Learnt: the leaves are nothing, and the shared part is all there is to do.
    const learnt = { tool: 100_000, ...Object.fromEntries(Object.keys(flake).map((t) => [t, 1])) };
    const known = await planned({ flake, derivations: [tool], learnt });
    expect(known.stages).toBe(2);
  });

  test("give the whole target where it is itself what others need, pin and all", async () => {
    const matrix = await planned({
      flake: { heavy, ...homes },
      derivations: [deps],
    });
    expect(lines(matrix.first)).toEqual([[`.#heavy pin=heavy-${SYSTEM}`]]);
    expect(matrix.second.map(({ targets }) => targets).join("\n")).not.toContain(".#heavy ");
  });

  test("hand on every derivation that the second stage meets, in one job where they share", async () => {
    const flake = {
      a: derivation("a", { inputs: [heavy] }),
      b: derivation("b", { inputs: [heavy, deps] }),
    };
    const matrix = await planned({ flake, derivations: [heavy, deps] });
    expect(matrix.first).toHaveLength(1);
    const text = lines(matrix.first).flat().join("\n");
    expect(text).toContain("derivation=heavy");
    expect(text).toContain("heavy-deps");
    expect(lines(matrix.second).flat()).toHaveLength(2);
  });

  test("are one for two names of one derivation", async () => {
    const matrix = await planned({ flake: { heavy, default: heavy }, derivations: [deps] });
    expect(matrix.stages).toBe(1);
    expect(lines(matrix.whole)).toHaveLength(1);
  });

  test("are one where this run may not write", async () => {
    const flake = { flake: homes, derivations: [heavy, deps] };
    expect(await planned({ ...flake, trust: READ_ONLY })).toMatchObject({
      stages: 1,
    });
    expect(await planned({ ...flake, inputs: { push: "off" } })).toMatchObject({ stages: 1 });
  });

  test("leave out what is cached", async () => {
    const flake = { flake: homes, derivations: [heavy, deps] };
    expect(await planned({ ...flake, cached: [heavy] })).toMatchObject({ stages: 0, whole: [] });
  });

  test("give a derivation of another system to a runner of that system", async () => {
    const arm = derivation("firmware", { system: "aarch64-linux" });
    const matrix = await planned({
      flake: { image: derivation("image", { inputs: [arm] }) },
      derivations: [arm],
    });
    expect(matrix.first).toMatchObject([
      { name: "firmware", system: "aarch64-linux", "runs-on": "ubuntu-24.04-arm" },
    ]);
    // Evaluated as here: the other machine would take its own system's package.
    expect(lines(matrix.first)).toEqual([[`.#image derivation=firmware system=${SYSTEM}`]]);
    expect(lines(matrix.second)).toEqual([[`.#image pin=image-${SYSTEM}`]]);
  });

  test("build nothing twice, whatever the shape", async () => {
    let seed = 11;
    const chance = (most: number) => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % most;
    };
    const layers: Derivation[][] = [[], [], []];
    for (const [depth, layer] of layers.entries()) {
      for (let n = 0; n < 12; n++) {
        const below = layers[depth - 1] ?? [];
        const inputs = below.length > 0 ? [below[chance(12)], below[chance(12)]] : [];
        layer.push(
          derivation(`${n === 3 ? "heavy" : "light"}-${depth}-${n}`, {
            inputs: [...new Set(inputs)].flatMap((one) => one ?? []),
            kind: chance(5) === 0 ? "trivial" : "source",
          }),
        );
      }
    }
    const all = layers.flat();
    const byName = new Map(all.map((one) => [one.name, one]));
    const flake = Object.fromEntries(
      Array.from({ length: 30 }, (_, n) => {
        const inputs = [...new Set([all[chance(36)], all[chance(36)]])].flatMap((one) => one ?? []);
        return [`t${n}`, derivation(`t${n}`, { inputs })];
      }),
    );
    const matrix = await planned({ flake, derivations: all, inputs: { heavy: "heavy-*" } });
    expect(matrix.stages).toBe(2);
    const byPath = new Map([...all, ...Object.values(flake)].map((one) => [one.path, one]));
    const cached = new Set<string>();
    const builds = new Map<string, number>();
    // A job on an empty machine: it builds what is not in the cache, down to what is.
    const work = (root: Derivation, here: Set<string>): void => {
      if (here.has(root.path) || cached.has(root.path)) return;
      here.add(root.path);
      for (const input of root.inputs.keys()) {
        const one = byPath.get(input);
        if (one) work(one, here);
      }
      builds.set(root.name, (builds.get(root.name) ?? 0) + 1);
    };
    for (const stage of [matrix.first, matrix.second]) {
      const pushed: string[] = [];
      for (const { targets } of stage) {
        const here = new Set<string>();
        for (const line of targets.split("\n")) {
          const { derivations, text } = parseTarget(line);
          const roots =
            derivations.length > 0
              ? derivations.map((id) => byName.get(id.slice(33)))
              : [flake[text.slice(2)]];
          for (const root of roots) {
            if (!root) throw new Error(`${line} names nothing`);
            work(root, here);
            pushed.push(root.path);
          }
        }
      }
      for (const path of pushed) cached.add(path);
    }
    const source = [...builds].filter(([name]) => !isTrivial(byName.get(name)));
    expect(source.filter(([, times]) => times > 1)).toEqual([]);
    for (const name of Object.keys(flake)) expect(builds.get(name)).toBe(1);
  });
});

function isTrivial(one: Derivation | undefined): boolean {
  return one?.environment.has("preferLocalBuild") ?? false;
}

describe("balance", () => {
  const flake = Object.fromEntries(
    Array.from({ length: 6 }, (_, n) => [`t${n}`, derivation(`t${n}`)]),
  );

  test("is by what builds took: no job is longer than the longest build need be", async () => {
    const learnt = { t0: 3000, t1: 700, t2: 700, t3: 700, t4: 700, t5: 100 };
    const matrix = await planned({ flake, learnt });
    expect(lines(matrix.whole).map((job) => job.map((line) => line.split(" ")[0]))).toEqual([
      [".#t0"],
      [".#t1", ".#t3", ".#t5"],
      [".#t2", ".#t4"],
    ]);
  });

  test("gives each its own job where nothing is known", async () => {
    expect((await planned({ flake })).whole).toHaveLength(6);
  });

  test("over 256 jobs keeps them even", async () => {
    const many = Object.fromEntries(
      Array.from({ length: 600 }, (_, n) => [`t${n}`, derivation(`t${n}`)]),
    );
    const learnt = Object.fromEntries(
      Object.keys(many).map((name, n) => [name, n < 100 ? 3600 : 60]),
    );
    const { whole } = await planned({ flake: many, learnt });
    expect(whole.length).toBeLessThanOrEqual(256);
    const spent = whole.map(({ targets }) =>
      targets
        .split("\n")
        .map((line) => 120 + (learnt[line.split(" ")[0]?.slice(2) ?? ""] ?? 0))
        .reduce((sum, one) => sum + one, 0),
    );
    // No job has two of the long ones.
    expect(Math.max(...spent)).toBeLessThan(2 * 3720);
  });
});
