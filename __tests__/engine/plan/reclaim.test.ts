import { mkdir, stat } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import type { BuildFigures } from "../../../src/domain/build-figures.ts";
import type { FileSystem, Reclaimer } from "../../../src/domain/ports.ts";
import { measureDiskSpace } from "../../../src/engine/plan/disk-space.ts";
import type { Estimate } from "../../../src/engine/plan/estimate.ts";
import {
  NOTHING_TO_RECLAIM,
  planReclaims,
  type ReclaimOptions,
} from "../../../src/engine/plan/reclaim.ts";
import { decide, run } from "../../../src/engine/run.ts";
import { survey } from "../../../src/engine/survey.ts";
import { machineReclaimer } from "../../../src/host/tool-folders.ts";
import { temporaryFolder } from "../../support/folder.ts";
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
const inodes = { freeInodes: undefined, totalInodes: undefined };

function onDisk(mountPoint: string, free: number): FileSystem {
  return { id: mountPoint, mountPoint, freeBytes: free * GB, totalBytes: 1e12, ...inodes };
}

/** The first part of a path is its file system. */
function disk(free: Readonly<Record<string, number>>) {
  const of = (path: string) =>
    onDisk(`/${path.split("/")[1]}`, free[path.split("/")[1] ?? ""] ?? 0);
  return {
    fileSystem: async (path: string) => of(path),
    freeNow: of,
  };
}

function build(gigabytes: number, basis: Estimate["basis"] = "figures"): Estimate {
  const { path: drvPath } = derivation("a");
  return { drvPath, name: "a", basis, bytes: gigabytes * GB, inodes: 1, outputBytes: 0 };
}

async function planReclaimsd(
  free: Readonly<Record<string, number>>,
  options: Partial<ReclaimOptions>,
  load: { readonly fetch?: number; readonly builds?: readonly Estimate[] } = {},
) {
  const setup = { realStoreDir: "/nix/store", buildsAtOnce: 1 };
  const places = {
    setup,
    buildDir: "/build/x",
    workspace: "/work",
    staging: undefined,
    cache: undefined,
  };
  const builds = load.builds ?? [build(10)];
  const what = { fetchBytes: (load.fetch ?? 0) * GB, fetchPaths: 1, downloadBytes: 0, builds };
  const diskSpace = await measureDiskSpace(disk({ work: 100, ...free }), places, what);
  const found = planReclaims(diskSpace, { ...NOTHING_TO_RECLAIM, ...options }, GB);
  return found.reclaims.map((one) =>
    one.kind === "build directory"
      ? `build in ${one.to}`
      : one.kind === "tool folder"
        ? `delete ${one.path}`
        : `collect ${one.bytes / GB}`,
  );
}

const folders = [
  { path: "/tools/small", bytes: 1 * GB, fileSystem: "/build" },
  { path: "/tools/large", bytes: 6 * GB, fileSystem: "/build" },
  { path: "/tools/middle", bytes: 3 * GB, fileSystem: "/build" },
  { path: "/tools/elsewhere", bytes: 90 * GB, fileSystem: "/other" },
];
const elsewhere = (mount: string, free: number) => ({
  directory: `${mount}/build`,
  fileSystem: onDisk(mount, free),
});

describe("reclaimer", () => {
  test("is none where there is disk space", async () => {
    const all = { toolFolders: folders, buildDirectories: [elsewhere("/big", 900)] };
    expect(await planReclaimsd({ build: 11, nix: 5 }, all)).toEqual([]);
  });

  test("begins with the roomiest place to build in", async () => {
    const places = [elsewhere("/some", 20), elsewhere("/big", 900), elsewhere("/tiny", 1)];
    const options = { toolFolders: folders, buildDirectories: places };
    expect(await planReclaimsd({ build: 5, nix: 5 }, options)).toEqual(["build in /big/build"]);
  });

  test("moves to no place that is too small, where tools make space for it", async () => {
    const options = { toolFolders: folders, buildDirectories: [elsewhere("/mnt", 8)] };
    expect(await planReclaimsd({ build: 5.5, nix: 5 }, options)).toEqual(["delete /tools/large"]);
    // Where nothing makes enough, the place where least is lacking.
    const few = { ...options, toolFolders: folders.slice(0, 1) };
    expect(await planReclaimsd({ build: 5.5, nix: 5 }, few)).toEqual(["build in /mnt/build"]);
  });

  test("stays where no other place has more", async () => {
    const options = { buildDirectories: [elsewhere("/tiny", 1), elsewhere("/build", 5)] };
    expect(await planReclaimsd({ build: 5, nix: 5 }, options)).toEqual([]);
  });

  test("deletes the largest tools first, of that file system alone, and no more than lacks", async () => {
    const options = { toolFolders: folders };
    expect(await planReclaimsd({ build: 5.5, nix: 5 }, options)).toEqual(["delete /tools/large"]);
    expect(await planReclaimsd({ build: 4, nix: 5 }, options)).toEqual([
      "delete /tools/large",
      "delete /tools/middle",
    ]);
    expect(await planReclaimsd({ build: 0, nix: 5 }, options)).toEqual([
      "delete /tools/large",
      "delete /tools/middle",
      "delete /tools/small",
    ]);
  });

  test("collects so much garbage as lacks in the store, after the rest", async () => {
    const garbage = { bytes: 50 * GB, keep: [] };
    const load = { fetch: 8, builds: [] };
    expect(await planReclaimsd({ nix: 5, build: 5 }, { garbage }, load)).toEqual(["collect 4"]);
    const little = { bytes: 2 * GB, keep: [] };
    expect(await planReclaimsd({ nix: 5, build: 5 }, { garbage: little }, load)).toEqual([
      "collect 2",
    ]);
    // What lacks for building on another disk is no matter of the store's.
    expect(await planReclaimsd({ nix: 50, build: 5 }, { garbage })).toEqual([]);
  });

  test("is looked for with what rests on the rule, too", async () => {
    const options = { buildDirectories: [elsewhere("/big", 900)] };
    const load = { builds: [build(10, "rule")] };
    expect(await planReclaimsd({ build: 5, nix: 5 }, options, load)).toEqual([
      "build in /big/build",
    ]);
  });

  test("moves away from a directory that cannot be used, whatever disk space it has", async () => {
    const options = { unusable: "absent" as const, buildDirectories: [elsewhere("/big", 20)] };
    expect(await planReclaimsd({ build: 500, nix: 5 }, options)).toEqual(["build in /big/build"]);
  });
});

const one = derivation("one");
const two = derivation("two");
const flake = { one, two };

function machine(more: Partial<Reclaimer> = {}): Reclaimer {
  return {
    machine: "hosted",
    usable: async () => "usable",
    buildDirectories: async () => [],
    makeBuildDirectory: async () => undefined,
    toolFolders: async () => [],
    remove: async () => undefined,
    ...more,
  };
}

async function planned(
  inputs: Readonly<Record<string, string>>,
  options: {
    readonly reclaimer?: Reclaimer;
    readonly nix?: NixOptions;
    readonly trust?: typeof WRITE;
    readonly free?: number;
  } = {},
) {
  const own = memoryCache("own", { verbs: ["push"] });
  const here = world({
    own,
    nix: memoryNix({ flake, ...options.nix }),
    freeBytes: (options.free ?? 10) * GB,
    reclaimer: options.reclaimer ?? machine(),
  });
  const what = job({ mode: "warm", targets: ".#one", ...inputs });
  const seen = await survey(what, options.trust ?? WRITE, here, SIGNAL);
  return decide(what, seen, here, SIGNAL);
}

describe("which reclaiming a run may take", () => {
  const tools = async () => [{ path: "/t", bytes: 90 * GB, fileSystem: "1" }];
  const targets = ".#one space=50GB";

  test("tools and garbage only where reclaim is auto", async () => {
    const reclaimer = machine({ toolFolders: tools });
    const nix = { garbage: 90 * GB };
    expect((await planned({ targets }, { reclaimer, nix })).reclaims).toEqual([]);
    const auto = await planned({ targets, reclaim: "auto" }, { reclaimer, nix });
    expect(auto.reclaims).toEqual([
      {
        kind: "tool folder",
        path: "/t",
        bytes: 90 * GB,
        wanted: { directory: "/nix/store", bytes: 51 * GB },
      },
    ]);
    expect(auto.findings.filter(({ kind }) => kind === "disk")).toEqual([]);
    expect(auto.steps.map((step) => step.do)).toContain("build");
  });

  test.each([
    ["hosted", READ_ONLY, 1],
    ["hosted", WRITE, 1],
    ["kept", WRITE, 1],
    ["kept", READ_ONLY, 0],
  ] as const)("garbage on a %s machine: %j", async (kind, trust, times) => {
    const reclaimer = machine({ machine: kind });
    const { reclaims } = await planned(
      { targets, reclaim: "auto" },
      { reclaimer, trust: trust as typeof WRITE, nix: { garbage: 90 * GB } },
    );
    expect(reclaims.filter((reclaim) => reclaim.kind === "garbage")).toHaveLength(times);
  });

  test("a check takes none, and fails", async () => {
    const reclaimer = machine({ toolFolders: tools });
    const plan = await planned({ mode: "check", targets, reclaim: "auto" }, { reclaimer });
    expect(plan.reclaims).toEqual([]);
    expect(plan.findings[0]).toMatchObject({ code: "NCP-401", level: "error" });
  });

  test("what cannot be looked at is a notice, and the rest goes on", async () => {
    const toolFolders = async () => {
      throw new Error("EIO");
    };
    const reclaimer = machine({ toolFolders });
    const plan = await planned(
      { targets, reclaim: "auto" },
      { reclaimer, nix: { garbage: 90 * GB } },
    );
    expect(plan.findings.map(({ message }) => message)).toContain(
      "tool folders cannot be looked at for space: EIO",
    );
    expect(plan.reclaims).toHaveLength(1);
  });

  test("a build directory that cannot be used and has no other stops a warming run", async () => {
    const reclaimer = machine({ usable: async () => "not writable" });
    const plan = await planned({}, { reclaimer });
    expect(plan.steps).toEqual([]);
    expect(plan.findings[0]).toMatchObject({ code: "NCP-405", level: "error" });
  });
});

describe("a plan that does not fit", () => {
  const sized = (name: string, bytes: number): BuildFigures => ({
    ...{ name, buildBytes: 0, outputBytes: bytes * GB, seconds: 1, takenAt: 1 },
  });

  test("does what fits by priority and names the rest", async () => {
    const own = memoryCache("own", { verbs: ["push"] });
    const figures = new Map([sized("one", 6), sized("two", 5)].map((each) => [each.name, each]));
    const here = world({
      own,
      nix: memoryNix({ flake }),
      freeBytes: 10 * GB,
      figures: { recall: async () => figures, remember: async () => undefined },
    });
    const what = job({ mode: "warm", targets: ".#one\n.#two priority=90" });
    const seen = await survey(what, WRITE, here, SIGNAL);
    const plan = await decide(what, seen, here, SIGNAL);
    expect(plan.leftOut).toEqual([".#one"]);
    expect(plan.findings.map(({ code, level }) => `${level} ${code}`).slice(0, 2)).toEqual([
      "error NCP-404",
      "error NCP-401",
    ]);
    const built = plan.steps.flatMap((step) =>
      step.do === "build" ? step.derivations.map(({ drvPath }) => drvPath) : [],
    );
    expect(built).toEqual([two.path]);
  });

  test("what is cached and fits is fetched", async () => {
    const own = memoryCache("own", { verbs: ["push"] });
    hold(own, out(one));
    const here = world({ own, nix: memoryNix({ flake }), freeBytes: 10 * GB });
    const targets = ".#one\n.#two space=40GB";
    const what = job({ mode: "prefetch", targets });
    const plan = await decide(what, await survey(what, WRITE, here, SIGNAL), here, SIGNAL);
    expect(plan.leftOut).toEqual([".#two"]);
    expect(plan.steps.map((step) => step.do)).toEqual(["configure", "substitute"]);
  });
});

test("a tool folder is really deleted, a link's target is not, and a failure is told", async () => {
  await using folder = await temporaryFolder();
  await folder.write("precious/file", "keep me");
  const list = [folder.at("android"), folder.at("dotnet")];
  for (const path of list) await mkdir(path);
  await folder.write("android/sdk", Buffer.alloc(2_000_000, 1));
  await folder.write("dotnet/sdk", Buffer.alloc(1_000_000, 1));
  const reclaimer = machineReclaimer({
    environment: { PATH: "/usr/bin:/bin", RUNNER_ENVIRONMENT: "github-hosted" },
    folder: folder.at("temp"),
    secondDisk: folder.at("none"),
    list,
    builder: "ourselves",
    absent: "made by Nix",
  });
  const { dev } = await stat(folder.path);
  const there = { ...onDisk("/", 1), id: String(dev) };
  const own = memoryCache("own", { verbs: ["push"] });
  const here = world({
    own,
    nix: memoryNix({ flake }),
    reclaimer: {
      ...reclaimer,
      async toolFolders(signal) {
        const found = await reclaimer.toolFolders(signal);
        // Gone, or changed, between the look and the deed.
        return [
          ...found,
          { path: folder.at("precious"), bytes: 10_000_000, fileSystem: String(dev) },
        ];
      },
    },
    disk: { fileSystem: async () => there, freeNow: () => there },
  });
  const inputs = { mode: "warm", targets: ".#one space=12.5MB", reclaim: "auto" };
  const done = await run(job(inputs), WRITE, here, SIGNAL);
  expect(done.outcome.reclaimed.map(({ what }) => what)).toEqual([
    expect.stringMatching(/^Delete .*android \(2(\.\d+)? MB\)$/),
    expect.stringMatching(/^Delete .*dotnet \(1(\.\d+)? MB\)$/),
  ]);
  await expect(stat(folder.at("android"))).rejects.toThrow("ENOENT");
  expect((await stat(folder.at("precious", "file"))).isFile()).toBe(true);
  expect(done.outcome.findings).toContainEqual(
    expect.objectContaining({
      code: "NCP-408",
      message: expect.stringContaining("it is not in the list"),
    }),
  );
});
