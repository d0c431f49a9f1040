import { describe, expect, test } from "@jest/globals";
import type { InputName } from "../../../src/action/inputs.ts";
import { type BuildFigures, figuresName } from "../../../src/domain/build-figures.ts";
import type { Derivation } from "../../../src/domain/derivation.ts";
import type { JobEnd } from "../../../src/domain/ports.ts";
import { derivationName } from "../../../src/domain/store-path.ts";
import { forecastWords, reserveOf } from "../../../src/engine/plan/forecast.ts";
import type { Run } from "../../../src/engine/result.ts";
import { run } from "../../../src/engine/run.ts";
import { scoreWords } from "../../../src/report/timeline.ts";
import { derivation } from "../../support/graph.ts";
import { dice } from "../../support/ledgers.ts";
import { job, memoryCache, memoryNix, SIGNAL, WRITE, world } from "../../support/world.ts";

const NOW = 1_760_000_000_000;

interface Options {
  readonly flake: Readonly<Record<string, Derivation>>;
  readonly below?: readonly Derivation[];
  /** Seconds that each took last, by name. */
  readonly took: Readonly<Record<string, number>>;
  /** Seconds of their build steps in which Nix built nothing. */
  readonly around?: Readonly<Record<string, number>>;
  /** What each takes now, where that is another number. */
  readonly takes?: Readonly<Record<string, number>>;
  readonly atOnce?: number;
  readonly cores?: number;
  /** Minutes from now. */
  readonly end?: number;
  readonly inputs?: Partial<Record<InputName, string>>;
}

interface Warmed extends Run {
  readonly done: readonly string[];
  readonly sent: readonly string[];
  readonly lines: readonly string[];
}

/** A warming run, one build after the other on a clock that stands still between them. */
async function warm(options: Options): Promise<Warmed> {
  const { flake, below = [], took, takes = took, end } = options;
  const own = memoryCache("own", { verbs: ["push", "pin", "pins"] });
  const figures = new Map(
    Object.entries(took).map(([name, seconds]): [string, BuildFigures] => {
      const aroundSeconds = options.around?.[name];
      const figure = {
        ...{ buildBytes: 1, outputBytes: 1, seconds, takenAt: 1 },
        ...(aroundSeconds === undefined ? {} : { aroundSeconds }),
      };
      return [figuresName(name), { name: figuresName(name), ...figure }];
    }),
  );
  const jobEnd: JobEnd | undefined =
    end === undefined
      ? undefined
      : { at: NOW + end * 60_000, minutes: end, why: "timeout-minutes" };
  let passed = 0;
  const nix = memoryNix({
    flake,
    derivations: below,
    setup: { buildsAtOnce: options.atOnce ?? 1 },
    onBuild: (drvPath) => {
      passed += (takes[derivationName(drvPath)] ?? 0) * 1000;
    },
  });
  const here = world({
    nix,
    own,
    now: NOW,
    figures: { recall: async () => figures, remember: async () => undefined },
  });
  const done = await run(
    job({
      mode: "warm",
      targets: Object.keys(flake)
        .map((name) => `.#${name}`)
        .join("\n"),
      heavy: "nothing",
      ...options.inputs,
    }),
    WRITE,
    {
      ...here,
      clock: { ...here.clock, now: () => here.clock.now() + passed },
      timing: { cores: options.cores ?? 64, end: async () => jobEnd },
    },
    SIGNAL,
  );
  const built = nix.done.filter((line) => line.startsWith("build ")).map((line) => line.slice(6));
  return { ...done, done: built, sent: own.sent.map((path) => path.slice(44)), lines: here.lines };
}

const make = (name: string, inputs: readonly Derivation[] = []) => derivation(name, { inputs });
const codes = ({ plan, outcome }: Run) =>
  [...plan.findings, ...outcome.findings].flatMap(({ code }) => code ?? []);

describe("before the builds", () => {
  const root = make("root");
  const [left, right] = [make("left", [root]), make("right", [root])];
  const top = make("top", [left, right]);
  const graph = { flake: { top }, below: [root, left, right] };
  const took = { root: 10, left: 30, right: 20, top: 5 };

  test.each([
    [1, 64, 65],
    [2, 64, 45],
    [8, 64, 45],
    [8, 1, 65],
  ])("with %i at once on %i cores they take %i seconds", async (atOnce, cores, seconds) => {
    const { plan } = await warm({ ...graph, took, atOnce, cores });
    expect(plan.forecast).toMatchObject({ seconds, unmeasured: 0 });
    expect(forecastWords(plan.forecast)).toMatch(/^the builds take .* at a time, as they did last/);
  });

  test("what Nix itself took beside them is reckoned once a step, as most steps had it", async () => {
    const around = { root: 3, left: 4, right: 90, top: 4 };
    const { plan } = await warm({ ...graph, took, around, atOnce: 2 });
    expect(plan.forecast).toMatchObject({ seconds: 49 });
  });

  test("nothing is said where one was never measured", async () => {
    const { plan, lines } = await warm({ ...graph, took: { root: 10, left: 30, top: 5 } });
    expect(plan.forecast).toMatchObject({ unmeasured: 1 });
    expect(forecastWords(plan.forecast)).toBe("");
    expect(lines.join("\n")).not.toContain("the builds take");
  });

  test("and afterwards what came of it", async () => {
    const takes = { top: 68 };
    const done = await warm({ ...graph, took, takes });
    expect(done.lines.join("\n")).toContain("the builds take 1m 5s, 1 at a time");
    expect(scoreWords(done)).toBe("said 1m 5s, took 1m 8s");
  });
});

describe("where the job ends before the builds would", () => {
  const shared = make("shared");
  const [quick, also, long] = [make("quick", [shared]), make("also", [shared]), make("long")];
  const flake = { long, quick, also };
  const took = { shared: 300, quick: 60, also: 120, long: 6_000 };

  test("what cannot end is not begun, and what most want is first, each pushed at once", async () => {
    const done = await warm({ flake, below: [shared], took, end: 30 });
    expect(done.done).toEqual(["shared", "also", "quick"]);
    expect(done.sent).toEqual(["shared", "also", "quick"]);
    expect(codes(done)).toContain("NCP-141");
    const told = done.plan.findings.find(({ code }) => code === "NCP-141");
    expect(told?.message).toContain("the builds took 1h 48m last time, and the job ends in 30m");
    expect(told?.message).toContain("not begun: long; what most targets need is built first");
    expect(done.plan.forecast?.seconds).toBe(480);
  });

  test("nothing is left out where all of it ends in time, and the order is the usual one", async () => {
    const done = await warm({ flake, below: [shared], took, end: 130 });
    expect(codes(done)).not.toContain("NCP-141");
    expect(done.done.at(-1)).toBe("long quick also");
  });

  test("where not even one can end, none begins", async () => {
    const done = await warm({ flake: { long }, took, end: 30 });
    expect(done.done).toEqual([]);
    expect(codes(done)).toEqual(expect.arrayContaining(["NCP-141"]));
    expect(done.outcome.pushed).toEqual([]);
  });

  test("one that took longer than it was to leaves no time for the next: it is not begun", async () => {
    const takes = { ...took, shared: 1_600 };
    const done = await warm({ flake, below: [shared], took, takes, end: 30 });
    expect(done.done).toEqual(["shared", "quick"]);
    expect(done.sent).toEqual(["shared", "quick"]);
    const late = done.outcome.findings.find(({ code }) => code === "NCP-142");
    expect(late?.message).toContain("1 build not begun");
    expect(late?.message).toContain("also");
  });

  test("some time is kept for the last push", () => {
    const end = (minutes: number) => reserveOf({ at: 0, minutes, why: "" });
    expect([5, 60, 360].map(end)).toEqual([60, 180, 600]);
  });
});

test("of twenty graphs by chance, built one by one, what was said is what it takes", async () => {
  const roll = dice();
  for (let n = 0; n < 20; n++) {
    const below: Derivation[] = [];
    const took: Record<string, number> = {};
    for (let at = 0; at < 3 + roll(12); at++) {
      const inputs = below.filter(() => roll(3) === 0);
      below.push(make(`p${at}x`, inputs));
      took[`p${at}x`] = 1 + roll(500);
    }
    const top = make("top", below);
    took["top"] = 1 + roll(100);
    const { plan } = await warm({ flake: { top }, below, took });
    const all = Object.values(took).reduce((sum, seconds) => sum + seconds, 0);
    expect(plan.forecast?.seconds).toBe(all);
    // Side by side it takes no less than the longest way, and no less than all of it shared out.
    const wide = await warm({ flake: { top }, below, took, atOnce: 3 });
    const longest = new Map<string, number>();
    for (const one of [...below, top]) {
      const before = [...one.inputs.keys()].map((path) => longest.get(derivationName(path)) ?? 0);
      longest.set(one.name, Math.max(0, ...before) + (took[one.name] ?? 0));
    }
    const least = Math.max(longest.get("top") ?? 0, all / 3);
    expect(wide.plan.forecast?.seconds).toBeGreaterThanOrEqual(least);
    expect(wide.plan.forecast?.seconds).toBeLessThanOrEqual(2 * least);
  }
});
