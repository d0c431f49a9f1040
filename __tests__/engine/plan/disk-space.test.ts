import { describe, expect, test } from "@jest/globals";
import type { Disk, FileSystem, NixSetup } from "../../../src/domain/ports.ts";
import {
  bytesToFetch,
  type Directories,
  fits,
  type Load,
  lackOn,
  measureDiskSpace,
} from "../../../src/engine/plan/disk-space.ts";
import type { Estimate } from "../../../src/engine/plan/estimate.ts";
import { lackOfSpace } from "../../../src/engine/plan/fit.ts";
import { answerOf } from "../../../src/engine/survey/answer.ts";
import { derivation, narInfo } from "../../support/graph.ts";
import { storePath } from "../../support/paths.ts";
import { memoryNix } from "../../support/world.ts";

const SETUP: NixSetup = memoryNix().setup;

/** File systems by the beginning of a path; the longest that fits. */
function disk(free: Readonly<Record<string, number>>, inodes?: number): Disk {
  return {
    fileSystem: async (path) => {
      const mounts = Object.keys(free).filter((mount) => path.startsWith(mount));
      const mountPoint = mounts.sort((a, b) => b.length - a.length)[0];
      if (mountPoint === undefined) throw new Error(`EACCES: ${path}`);
      return fileSystem(mountPoint, free[mountPoint] ?? 0, inodes);
    },
    freeNow: () => undefined,
  };
}

function fileSystem(
  mountPoint: string,
  freeBytes: number,
  freeInodes?: number,
  size = 1e12,
): FileSystem {
  const inodes = { freeInodes, totalInodes: freeInodes };
  return { id: mountPoint, mountPoint, freeBytes, totalBytes: size, ...inodes };
}

function build(name: string, bytes: number, more: Partial<Estimate> = {}): Estimate {
  const { path: drvPath } = derivation(name);
  return { drvPath, name, basis: "figures", bytes, inodes: 10, outputBytes: 0, ...more };
}

function load(more: Partial<Load> = {}): Load {
  return { fetchBytes: 0, fetchPaths: 0, downloadBytes: 0, builds: [], ...more };
}

function places(more: Partial<Directories> = {}): Directories {
  const none = { staging: undefined, cache: undefined };
  return { setup: SETUP, buildDir: "/build", workspace: "/w", ...none, ...more };
}

describe("the disk space plan", () => {
  test("adds up what falls on one file system; a build's directory goes when it ends", async () => {
    const builds = [
      build("a", 3e9, { outputBytes: 2e8 }),
      build("b", 1e9, { outputBytes: 1e8, basis: "space" }),
      build("c", 5e7, { outputBytes: 5e6, basis: "rule" }),
    ];
    const diskSpace = await measureDiskSpace(
      disk({ "/": 10e9 }),
      places(),
      load({ fetchBytes: 2e9, builds }),
    );
    const [one] = diskSpace.fileSystems;
    expect(diskSpace.fileSystems).toHaveLength(1);
    expect(one).toMatchObject({
      bytesNeeded: 5.305e9,
      bytesGuessed: 5e6,
      bytesAfter: 4.695e9,
    });
    expect(one?.needs.map(({ what, bytes }) => [what, bytes])).toEqual([
      ["store", 2e9],
      ["build outputs", 3.05e8],
      ["build directory", 3e9],
      ["workspace", 0],
    ]);
  });

  test("counts as many build directories as there are builds side by side", async () => {
    const builds = [1e9, 4e9, 2e9, 3e9].map((bytes, index) => build(`b${index}`, bytes));
    const setup = { ...SETUP, buildsAtOnce: 2 };
    const diskSpace = await measureDiskSpace(
      disk({ "/": 10e9 }),
      places({ setup }),
      load({ builds }),
    );
    expect(diskSpace.needs.find(({ what }) => what === "build directory")?.bytes).toBe(7e9);
  });

  test("keeps file systems apart, so that disk space on one is no space on another", async () => {
    const free = { "/": 50e9, "/nix": 1e9, "/build": 5e9 };
    const builds = [build("a", 3e9)];
    const diskSpace = await measureDiskSpace(
      disk(free),
      places(),
      load({ fetchBytes: 2e9, builds }),
    );
    const after = diskSpace.fileSystems.map(({ fileSystem: { mountPoint }, bytesAfter }) => [
      mountPoint,
      bytesAfter,
    ]);
    expect(after).toEqual([
      ["/nix", -1e9],
      ["/build", 2e9],
      ["/", 50e9],
    ]);
  });

  test("stages no more than may lie there at once", async () => {
    const staging = { directory: "/tmp/staging", bytes: 1e9 };
    const what = load({ fetchBytes: 9e9, downloadBytes: 3e9, fetchPaths: 7 });
    const diskSpace = await measureDiskSpace(disk({ "/": 50e9 }), places({ staging }), what);
    expect(diskSpace.needs.find(({ what }) => what === "staging")).toMatchObject({ bytes: 1e9 });
    const little = { ...what, downloadBytes: 5 };
    const after = await measureDiskSpace(disk({ "/": 50e9 }), places({ staging }), little);
    expect(after.needs.find(({ what }) => what === "staging")).toMatchObject({ bytes: 5 });
  });

  test("without Nix looks at the workspace alone", async () => {
    const diskSpace = await measureDiskSpace(
      disk({ "/": 1e9 }),
      places({ setup: undefined }),
      load(),
    );
    expect(diskSpace.fileSystems[0]?.needs.map(({ what }) => what)).toEqual(["workspace"]);
  });

  test("says once which file system cannot be asked, and goes on", async () => {
    const diskSpace = await measureDiskSpace(disk({ "/build": 1e9, "/w": 1e9 }), places(), load());
    expect(diskSpace.notices).toEqual([
      `the file system of the store cannot be asked: EACCES: ${SETUP.realStoreDir}`,
    ]);
    expect(diskSpace.fileSystems).toHaveLength(2);
  });

  test("counts the unpacked size of what is to be fetched", () => {
    const [a, b, nobody] = [storePath("a"), storePath("b"), storePath("nobody")];
    const served = (path: typeof a, narSize: number) =>
      answerOf({ upstream: { cache: "u", narInfo: { ...narInfo(path), narSize } } });
    const answers = new Map([
      [a, served(a, 5)],
      [b, served(b, 7)],
    ]);
    const facts = { derivations: new Map(), availability: new Map(), answers };
    expect(bytesToFetch(facts, [a, b, nobody])).toBe(12);
  });
});

describe("too little disk space", () => {
  const known = load({ fetchBytes: 2e9, builds: [build("a", 3e9)] });

  test("names the file system, the need, what is free and what to do", async () => {
    const diskSpace = await measureDiskSpace(disk({ "/": 5e9 }), places(), known);
    expect(lackOfSpace(diskSpace, 1e9, "error")).toMatchObject([
      {
        kind: "disk",
        title: "not enough disk space to build a",
        level: "error",
        code: "NCP-401",
        message:
          "not enough disk space on /: this run needs 5 GB there (store 2 GB, build directory 3 GB) and 1 GB is to stay free, and 5 GB is free",
        hint: "make 1 GB free on / (reclaim: auto frees what it can), name fewer targets, or lower min-free or space=",
      },
    ]);
  });

  test("counts no build that takes none of it", async () => {
    const what = load({ builds: [build("a", 3e9), build("b", 2e9), build("link", 0)] });
    const diskSpace = await measureDiskSpace(disk({ "/": 1e9 }), places(), what);
    expect(lackOfSpace(diskSpace, 1e9, "error")).toMatchObject([
      { title: "not enough disk space to build a and 1 more" },
    ]);
  });

  test.each([
    [6e9, 0],
    [6e9 - 1, 1],
  ])("with %d bytes free there are %d findings", async (freeBytes, findings) => {
    const what = load({ fetchBytes: 5e9 });
    const diskSpace = await measureDiskSpace(disk({ "/": freeBytes }), places(), what);
    expect(lackOfSpace(diskSpace, 1e9, "error")).toHaveLength(findings);
  });

  test("a guess is told, and ends no job", async () => {
    const guess = load({ builds: [build("a", 3e9, { basis: "rule" })] });
    const diskSpace = await measureDiskSpace(disk({ "/": 2e9 }), places(), guess);
    const [finding] = lackOfSpace(diskSpace, 1e9, "error");
    expect(finding).toMatchObject({ level: "warning", code: "NCP-401" });
    expect(finding?.message).toContain("3 GB of it a guess");
    expect(fits(diskSpace.fileSystems, 1e9)).toBe(true);
    const [one] = diskSpace.fileSystems;
    if (!one) throw new Error("no file system");
    expect(lackOn(one, 1e9, "with guesses")).toBe(2e9);
    expect(lackOn(one, 1e9, "known alone")).toBe(0);
  });

  test("inodes run out, too, while bytes are free", async () => {
    const what = load({ fetchBytes: 32 * 1024 * 5_000, fetchPaths: 100 });
    const diskSpace = await measureDiskSpace(disk({ "/": 900e9 }, 6_099), places(), what);
    expect(diskSpace.fileSystems[0]).toMatchObject({ inodesNeeded: 5_100, inodesAfter: 999 });
    expect(lackOfSpace(diskSpace, 1e9, "error")).toEqual([
      expect.objectContaining({
        code: "NCP-403",
        message:
          "not enough inodes on /: this run needs 5,100 inodes there, and 6,099 inodes are free",
      }),
    ]);
    expect(fits(diskSpace.fileSystems, 1e9)).toBe(false);
    const enough = await measureDiskSpace(disk({ "/": 900e9 }, 6_100), places(), what);
    expect(lackOfSpace(enough, 1e9, "error")).toEqual([]);
  });

  test("a file system that makes inodes as it needs them never lacks any", async () => {
    const diskSpace = await measureDiskSpace(
      disk({ "/": 900e9 }),
      places(),
      load({ fetchBytes: 800e9 }),
    );
    expect(diskSpace.fileSystems[0]?.inodesAfter).toBeUndefined();
    expect(lackOfSpace(diskSpace, 1e9, "error")).toEqual([]);
  });
});

describe("what is to stay free", () => {
  const of = async (sizes: Readonly<Record<string, readonly [number, number]>>, what: Load) => {
    const named = Object.entries(sizes);
    const sized: Disk = {
      fileSystem: async (path) => {
        const [mount, [free, size]] = named.find(([at]) => path.startsWith(at)) ?? [
          "/",
          [1e12, 1e12],
        ];
        return fileSystem(mount, free, undefined, size);
      },
      freeNow: () => undefined,
    };
    return measureDiskSpace(sized, places(), what);
  };
  const building = load({ builds: [build("a", 50e6)] });

  test("is asked for only where the run writes", async () => {
    const small = { "/w": [1e6, 64e6], "/build": [5e6, 64e6] } as const;
    for (const what of [load(), load({ fetchBytes: 2e9 })]) {
      const diskSpace = await of(small, what);
      expect(lackOfSpace(diskSpace, 1e9, "error")).toEqual([]);
      expect(fits(diskSpace.fileSystems, 1e9)).toBe(true);
    }
    for (const what of [building, load({ builds: [build("a", 0)] })]) {
      const diskSpace = await of(small, what);
      expect(lackOfSpace(diskSpace, 1e9, "error").map(({ level }) => level)).toEqual(["error"]);
    }
    const written = await of(small, building);
    expect(lackOfSpace(written, 1e9, "error").map(({ level }) => level)).toEqual(["error"]);
  });

  test("is half of a file system that is too small for it, and the message says that number", async () => {
    const enough = await of({ "/build": [600e6, 600e6] }, building);
    expect(lackOfSpace(enough, 1e9, "error")).toEqual([]);
    const tight = await of({ "/build": [340e6, 600e6] }, building);
    expect(lackOfSpace(tight, 1e9, "error")[0]?.message).toContain("and 300 MB is to stay free");
  });

  test("stays as it was asked for where no file system could ever give it", async () => {
    const diskSpace = await of({}, load({ fetchBytes: 1 }));
    const [finding] = lackOfSpace(diskSpace, 900e12, "error");
    expect(finding?.message).toContain("900 TB is to stay free");
  });
});

describe("our own cache in a folder of the job", () => {
  const builds = [build("a", 1e9, { outputBytes: 4e8 })];

  test.each([
    [0, 4e8],
    [3e8, 7e8],
  ])("takes what is built, packed, and its archive (of %j): a guess", async (archived, bytes) => {
    const cache = { directory: "/cache", archived };
    const { needs } = await measureDiskSpace(
      disk({ "/": 1e12 }),
      places({ cache }),
      load({ builds }),
    );
    expect(needs.find(({ what }) => what === "our cache")).toMatchObject({
      directory: "/cache",
      bytes,
      guessedBytes: bytes,
    });
  });

  test("takes nothing where nothing is built", async () => {
    const cache = { directory: "/cache", archived: 1e9 };
    const { needs } = await measureDiskSpace(disk({ "/": 1e12 }), places({ cache }), load());
    expect(needs.map(({ what }) => what)).not.toContain("our cache");
  });
});
