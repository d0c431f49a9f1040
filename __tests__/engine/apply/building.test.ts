import { describe, expect, test } from "@jest/globals";
import type { BuildFigures } from "../../../src/domain/build-figures.ts";
import { isFullDisk } from "../../../src/domain/errors.ts";
import { estimates } from "../../../src/engine/plan/estimate.ts";
import { workOf } from "../../../src/engine/plan/work.ts";
import { run } from "../../../src/engine/run.ts";
import { survey } from "../../../src/engine/survey.ts";
import { derivation, out } from "../../support/graph.ts";
import {
  hold,
  job,
  memoryCache,
  memoryNix,
  type NixOptions,
  READ_ONLY,
  SIGNAL,
  WRITE,
  world,
} from "../../support/world.ts";

const GB = 1e9;
const all = ["one", "two", "three"].map((name) => derivation(`${name}-1.0`));
const [one = derivation("x"), two = derivation("y"), three = derivation("z")] = all;
const flake = { one, two, three };
const targets = ".#one space=1MB\n.#two space=1MB\n.#three space=1MB";

function figures(name: string, more: Partial<BuildFigures> = {}): BuildFigures {
  return { name, buildBytes: 2 * GB, outputBytes: GB, seconds: 700, takenAt: 1, ...more };
}

/** A disk that each build takes so much of. */
function machine(options: {
  readonly free: number;
  readonly perBuild: number;
  readonly nix?: NixOptions;
  readonly known?: readonly BuildFigures[];
}) {
  let free = options.free * GB;
  const there = { id: "1", mountPoint: "/", totalBytes: 1e12 };
  const noInodes = { freeInodes: undefined, totalInodes: undefined };
  const kept: BuildFigures[] = [];
  const own = memoryCache("own", { verbs: ["push"] });
  const here = world({
    own,
    nix: memoryNix({
      flake,
      onBuild: () => {
        free -= options.perBuild * GB;
      },
      ...options.nix,
    }),
    disk: {
      fileSystem: async () => ({ ...there, ...noInodes, freeBytes: free }),
      freeNow: () => ({ ...there, freeBytes: free }),
    },
    figures: {
      recall: async () => new Map((options.known ?? []).map((each) => [each.name, each])),
      remember: async (found) => {
        kept.push(...found);
      },
    },
  });
  return { here, own, kept };
}

describe("near the floor", () => {
  test("nothing more is begun, and what was not is named once", async () => {
    const { here } = machine({ free: 10, perBuild: 4 });
    const inputs = { mode: "warm", targets, "min-free": "1GB" };
    const { outcome } = await run(job(inputs), WRITE, here, SIGNAL);
    expect(outcome.built.map(({ name }) => name)).toEqual(["one-1.0", "two-1.0"]);
    const disk = outcome.findings.filter(({ kind }) => kind === "disk");
    expect(disk).toEqual([
      expect.objectContaining({
        code: "NCP-406",
        level: "error",
        message: expect.stringMatching(/^1 build not begun, .* was free in .*: three-1\.0$/),
      }),
    ]);
    // It is told where disk space ran low, not a second time for the push of what is not there.
    expect(outcome.findings.filter(({ kind }) => kind === "push")).toEqual([]);
  });

  test("whoever leaves disk out of fail-on wants it tried", async () => {
    const { here } = machine({ free: 10, perBuild: 4 });
    const inputs = { mode: "warm", targets, "min-free": "1GB", "fail-on": "eval" };
    const { outcome } = await run(job(inputs), WRITE, here, SIGNAL);
    expect(outcome.built).toHaveLength(3);
  });

  test("where disk space is scarce Nix gets what it builds side by side, and no more", async () => {
    const known = ["one", "two", "three"].map((name) =>
      figures(name, { buildBytes: 1 * GB, outputBytes: 0.1 * GB }),
    );
    const nix = memoryNix({ flake });
    const { here } = machine({ free: 2.4, perBuild: 0, known });
    const inputs = { mode: "warm", targets, "min-free": "1GB" };
    const scarce = { ...here, nix };
    await run(job(inputs), WRITE, scarce, SIGNAL);
    expect(nix.done.filter((line) => line.startsWith("build "))).toHaveLength(3);
    const spacious = memoryNix({ flake });
    const plenty = machine({ free: 50, perBuild: 0, known });
    await run(job(inputs), WRITE, { ...plenty.here, nix: spacious }, SIGNAL);
    expect(spacious.done.filter((line) => line.startsWith("build "))).toHaveLength(1);
  });
});

describe("a build that died of a full disk", () => {
  const message = "builder failed\n> dd: error writing 'x': No space left on device";
  const nix = { broken: new Map([[one.path, message]]) };

  test("is a lack of disk space with a code of its own, and where to make it", async () => {
    const { here } = machine({ free: 50, perBuild: 0, nix });
    const { outcome } = await run(job({ mode: "warm", targets }), WRITE, here, SIGNAL);
    expect(outcome.findings[0]).toMatchObject({
      kind: "disk",
      code: "NCP-407",
      hint: expect.stringContaining("/build"),
    });
    expect(outcome.built).toHaveLength(2);
  });

  test.each([
    ["No space left on device", true],
    ["error: executing SQLite statement: database or disk is full (in '/nix/var/db.sqlite')", true],
    ["ENOSPC: write", true],
    ["Disk quota exceeded", true],
    ["builder for x failed with exit code 1", false],
    ["there is no space in the name", false],
  ])("%j: %s", (text, full) => {
    expect(isFullDisk(text)).toBe(full);
  });
});

describe("what builds took", () => {
  const took = new Map([[one.path, figures("one")]]);

  test("is kept by a run that may write, and by no other", async () => {
    const mine = machine({ free: 50, perBuild: 0, nix: { took } });
    const inputs = { mode: "warm", targets };
    const { outcome } = await run(job(inputs), WRITE, mine.here, SIGNAL);
    expect(mine.kept).toEqual([figures("one")]);
    expect(outcome.built.find(({ name }) => name === "one-1.0")?.seconds).toBe(700);
    const theirs = machine({ free: 50, perBuild: 0, nix: { took } });
    await run(job(inputs), READ_ONLY, theirs.here, SIGNAL);
    expect(theirs.kept).toEqual([]);
  });

  test.each([
    ["10m", "heavy"],
    ["12m", "light"],
    ["1GB", "heavy"],
    ["3GB", "light"],
  ])("makes it heavy or light under >%s: %s", async (limit, weight) => {
    const { here } = machine({ free: 50, perBuild: 0, known: [figures("one")] });
    const what = job({ mode: "check", targets: ".#one space=5GB", heavy: `>${limit}` });
    const seen = await survey(what, WRITE, here, SIGNAL);
    expect(seen.derivations.get(one.path)?.heavy).toBe(weight);
  });
});

describe("what a build will take", () => {
  async function estimated(target: string, known: readonly BuildFigures[] = []) {
    const lib = derivation("lib");
    const top = derivation("top-2.0", { inputs: [lib] });
    const { here, own } = machine({
      free: 50,
      perBuild: 0,
      known,
      nix: { flake: { top }, derivations: [lib] },
    });
    hold(own, out(lib));
    const what = job({ mode: "warm", targets: target });
    const seen = await survey(what, WRITE, here, SIGNAL);
    return estimates(seen.facts, workOf(what, seen).builds)[0];
  }

  test("is what the last build of its name took, before all that anybody says", async () => {
    expect(await estimated(".#top space=9GB", [figures("top")])).toMatchObject({
      basis: "figures",
      bytes: 2 * GB,
      outputBytes: GB,
    });
  });

  test("is half as much again where that died of a full disk", async () => {
    const died = figures("top", { end: "full disk" });
    expect(await estimated(".#top", [died])).toMatchObject({
      bytes: 3 * GB,
      outputBytes: 1.5 * GB,
    });
  });

  test("else what space= says", async () => {
    expect(await estimated(".#top space=9GB")).toMatchObject({ basis: "space", bytes: 9 * GB });
  });

  test("else the rule, and never less than its least", async () => {
    expect(await estimated(".#top")).toMatchObject({
      basis: "rule",
      bytes: 50e6,
      outputBytes: 5e6,
    });
  });
});
