/** Owns the agreement of our verdicts with Nix's own: what it would build and fetch, and then does. */

import { rm } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { cached, flake, MINOR, NIX, type Report, startJob, type TestJob } from "./job.ts";
import { from, type Intention, messages, parseDryRun, parseRun } from "./real-nix.ts";

/** Builds the installables with real Nix and has it fill the cache with their closures. */
async function fill({ machine, workspace, cache }: TestJob, installables: readonly string[]) {
  if (installables.length === 0) return;
  const paths: string[] = [];
  for (const installable of installables) {
    const [attr, outputs = "out"] = installable.split("^");
    const drv = await machine.nix("nix", ["eval", "--raw", `${attr}.drvPath`], workspace);
    const made = await machine.nix("nix-store", ["--realise", `${drv}!${outputs}`]);
    paths.push(...made.trim().split("\n"));
  }
  await machine.nix("nix", ["copy", "--to", `file://${cache}`, ...paths]);
}

function intention({ fresh }: Report): Intention {
  return { build: [...fresh.build].sort(), fetch: [...fresh.fetch].sort() };
}

/** Derivations with outputs as `nix-store` takes them: the same in every version. */
function wanted(report: Report, outputs: Readonly<Record<string, string>>): string[] {
  return report.targets.map(({ name, drvPath }) => `${drvPath}!${outputs[name] ?? "out"}`);
}

interface Scenario {
  readonly name: string;
  readonly flake: string;
  readonly cached: readonly string[];
  readonly targets: readonly string[];
  /** Targets to their outputs, where that is not `out`. */
  readonly outputs?: Readonly<Record<string, string>>;
  readonly verdicts: Readonly<Record<string, object>>;
  /** Why Nix is not also let do what it said: it takes long, or its own scheduler stumbles. */
  readonly run?: "takes long" | "fails in Nix 2.8";
}

const scenarios: readonly Scenario[] = [
  {
    name: "a chain of which nothing is cached",
    flake: "graphs",
    cached: [],
    targets: [".#top"],
    verdicts: { ".#top": { kind: "missing", source: ["leaf", "middle", "top"], trivial: 0 } },
  },
  {
    name: "a chain cached up to its middle",
    flake: "graphs",
    cached: [".#middle"],
    targets: [".#top"],
    verdicts: { ".#top": { kind: "missing", source: ["top"] } },
  },
  {
    name: "a whole chain",
    flake: "graphs",
    cached: [".#top"],
    targets: [".#top"],
    verdicts: { ".#top": { kind: "own", trivial: 0 } },
  },
  {
    name: "a cached program whose build inputs are not",
    flake: "graphs",
    cached: [".#forgetful"],
    targets: [".#forgetful"],
    verdicts: { ".#forgetful": { kind: "own" } },
  },
  {
    name: "a diamond with one cached side",
    flake: "graphs",
    cached: [".#leaf"],
    targets: [".#diamond"],
    verdicts: { ".#diamond": { kind: "missing", source: ["diamond", "left", "right"] } },
  },
  {
    name: "one output of several",
    flake: "graphs",
    cached: [".#many^bin"],
    targets: [".#many^bin", ".#usesBin"],
    outputs: { ".#many^bin": "bin" },
    verdicts: { ".#many^bin": { kind: "own" }, ".#usesBin": { kind: "missing" } },
  },
  {
    name: "every output, one of them cached",
    flake: "graphs",
    cached: [".#many^doc"],
    targets: [".#many^*"],
    outputs: { ".#many^*": "out,bin,doc" },
    verdicts: { ".#many^*": { kind: "missing", source: ["many"] } },
  },
  {
    name: "two targets that want different outputs, one of them cached",
    flake: "graphs",
    cached: [".#many^doc"],
    targets: [".#usesBin", ".#usesDoc"],
    verdicts: {
      ".#usesBin": { kind: "missing", source: ["many", "uses-bin"] },
      ".#usesDoc": { kind: "missing", source: ["uses-doc"] },
    },
    run: "fails in Nix 2.8",
  },
  {
    name: "fixed outputs",
    flake: "graphs",
    cached: [],
    targets: [".#fetch", ".#fetchInside"],
    verdicts: {
      ".#fetch": { kind: "missing", source: [], download: ["source.tar.gz"] },
      ".#fetchInside": {
        kind: "missing",
        source: ["built-of-source"],
        download: ["inner-source.tar.gz"],
      },
    },
  },
  {
    name: "trivial derivations that are cached: two of four may be fetched",
    flake: "graphs",
    cached: [".#preferred", ".#never", ".#structuredPreferred", ".#structuredNever"],
    targets: [".#preferred", ".#never", ".#structuredPreferred", ".#structuredNever"],
    verdicts: {
      ".#preferred": { kind: "own", trivial: 0 },
      ".#never": { kind: "own", trivial: 1 },
      ".#structuredPreferred": { kind: "own", trivial: 0 },
      ".#structuredNever": { kind: "own", trivial: 1 },
    },
  },
  {
    name: "trivial derivations over a cached one",
    flake: "graphs",
    cached: [".#leaf"],
    targets: [".#preferred", ".#never", ".#structuredPreferred", ".#structuredNever"],
    verdicts: {
      ".#preferred": { kind: "own", trivial: 1 },
      ".#never": { kind: "own", trivial: 1 },
      ".#structuredPreferred": { kind: "own", trivial: 1 },
      ".#structuredNever": { kind: "own", trivial: 1 },
    },
  },
  {
    name: "a build over trivial ones",
    flake: "graphs",
    cached: [".#leaf", ".#preferred"],
    targets: [".#overTrivial", ".#trivialOverMissing"],
    verdicts: {
      ".#overTrivial": { kind: "missing", source: ["over-trivial"], trivial: 3 },
      ".#trivialOverMissing": { kind: "missing", source: ["behind"], trivial: 1 },
    },
  },
  {
    name: "a NixOS system of which nothing is cached",
    flake: "system",
    cached: [],
    targets: [".#nixosConfigurations.*.config.system.build.toplevel"],
    verdicts: {
      ".#nixosConfigurations.desk.config.system.build.toplevel": {
        kind: "missing",
        // The six programs and the initrd: a list has the first five, and says how many there are.
        source: [0, 1, 2, 3, 4].map((n) => `program-${n}`),
        sourceCount: 7,
        trivial: 100 + 40 + 10 + 3,
      },
    },
    run: "takes long",
  },
  {
    name: "a NixOS system whose toplevel is cached, and that is built all the same",
    flake: "system",
    cached: [".#nixosConfigurations.desk.config.system.build.toplevel"],
    targets: [".#nixosConfigurations.*.config.system.build.toplevel"],
    verdicts: {
      ".#nixosConfigurations.desk.config.system.build.toplevel": { kind: "own", trivial: 143 },
      ".#nixosConfigurations.server.config.system.build.toplevel": {
        kind: "missing",
        source: ["initrd-server"],
        trivial: 143,
      },
    },
  },
];

describe(`verdicts are what Nix does, on ${NIX}`, () => {
  test.each(scenarios)("$name", async (scenario) => {
    await using job = await startJob(flake(scenario.flake));
    await fill(job, scenario.cached);
    await job.machine.forget();
    const step = await job.main({ mode: "check", targets: scenario.targets.join("\n") });
    expect(step.exitCode).toBe(0);
    const report = step.report();
    expect(JSON.parse(step.outputs["verdicts"] ?? "")).toMatchObject(scenario.verdicts);

    const drvs = wanted(report, scenario.outputs ?? {});
    const dry = ["--realise", "--dry-run", ...from(job.cache), ...drvs];
    const said = parseDryRun(await messages(job.machine, "nix-store", dry));
    expect(intention(report)).toEqual(said);
    if (scenario.run === "takes long" || (scenario.run === "fails in Nix 2.8" && MINOR < 26))
      return;
    const real = ["--realise", ...from(job.cache), ...drvs];
    const done = parseRun(await messages(job.machine, "nix-store", real));
    expect(done.build).toEqual(said.build);
    // Of a derivation that is built for one output, Nix may or may not fetch another that is cached.
    const made = await job.machine.nix("nix-store", ["--query", "--outputs", ...done.build]);
    const built = new Set(done.build.length > 0 ? made.split("\n") : []);
    const apart = (paths: readonly string[]) => paths.filter((path) => !built.has(path));
    expect(apart(done.fetch)).toEqual(apart(said.fetch));

    // With everything here, a fresh machine would still have to do the same.
    const warm = (await job.main({ mode: "check", targets: scenario.targets.join("\n") })).report();
    expect(intention(warm)).toEqual(said);
    expect(warm.targets.map(({ local }) => local)).toEqual(report.targets.map(() => true));
  });

  test("as `nix build --dry-run` says it of installables", async () => {
    await using job = await startJob(flake("graphs"));
    await fill(job, [".#middle", ".#many^doc", ".#preferred"]);
    await job.machine.forget();
    const targets = [
      ".#top",
      ".#diamond",
      ".#usesBin",
      ".#usesDoc",
      ".#overTrivial",
      ".#fetchInside",
    ];
    const report = (await job.main({ mode: "check", targets: targets.join("\n") })).report();
    const dry = ["build", "--dry-run", ...from(job.cache), ...targets];
    const said = parseDryRun(await messages(job.machine, "nix", dry, job.workspace));
    expect(said.build.length).toBeGreaterThan(5);
    expect(said.fetch.length).toBeGreaterThan(2);
    expect(intention(report)).toEqual(said);
  });

  test("a cached path with a hole in its closure is built, as Nix does when it gets there", async () => {
    await using job = await startJob(flake("graphs"));
    await fill(job, [".#top"]);
    const held = await cached(job.cache);
    await rm(held.get("leaf")?.file ?? "");
    await job.machine.forget();
    const step = await job.main({ mode: "check", targets: ".#top" });
    expect(JSON.parse(step.outputs["verdicts"] ?? "")).toMatchObject({
      ".#top": { kind: "missing", source: ["leaf", "middle", "top"] },
    });
    const drvs = wanted(step.report(), {});
    const done = parseRun(
      await messages(job.machine, "nix-store", ["--realise", ...from(job.cache), ...drvs]),
    );
    // 2.34 builds all of it. Older ones build what is below the hole, then try to fetch once more:
    // they do not say so before, and neither do we.
    const built = done.build.map((path) => path.replace(/^.*\/[0-9a-z]{32}-/, ""));
    const all = ["leaf.drv", "middle.drv", "top.drv"];
    expect(built.sort()).toEqual(MINOR >= 34 ? all : ["leaf.drv"]);
  });

  test("local stands beside the verdict: built here and in no cache is still missing", async () => {
    await using job = await startJob(flake("graphs"));
    await job.machine.nix("nix", ["build", "--no-link", ".#top"], job.workspace);
    const step = await job.main({ mode: "check", targets: ".#top" });
    expect(step.report().targets).toMatchObject([{ local: true, verdict: { kind: "missing" } }]);
    expect(step.outputs["hit"]).toBe("false");
    expect(step.log).toContain(".#top [here]: ");
  });

  test("another substituter has it: upstream, and named", async () => {
    await using job = await startJob(flake("graphs"));
    await fill(job, [".#top"]);
    await job.machine.forget();
    const substituter = `file://${job.cache}?trusted=1`;
    const step = await job.main({
      mode: "check",
      targets: ".#top",
      cache: `file://${job.machine.root}/other`,
      substituters: substituter,
    });
    expect(JSON.parse(step.outputs["verdicts"] ?? "")).toMatchObject({
      ".#top": { kind: "upstream", caches: [substituter] },
    });
    // Nix refuses what is not signed from a substituter that nobody trusts: so do we.
    const distrusted = await job.main({
      mode: "check",
      targets: ".#top",
      cache: `file://${job.machine.root}/other`,
      substituters: `file://${job.cache}`,
    });
    expect(JSON.parse(distrusted.outputs["verdicts"] ?? "")).toMatchObject({
      ".#top": { kind: "missing" },
    });
    expect(distrusted.log).toContain("is not signed");
  });
});
