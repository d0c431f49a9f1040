import { describe, expect, test } from "@jest/globals";
import type { Disk, NixSetup } from "../../src/domain/ports.ts";
import type { SurveyedDerivation } from "../../src/engine/derivations.ts";
import { bytesToFetch, lackOfRoom, measureRoom } from "../../src/engine/room.ts";
import { derivation, narInfo } from "../support/graph.ts";
import { storePath } from "../support/paths.ts";
import { memoryNix } from "../support/world.ts";

const SETUP: NixSetup = memoryNix().setup;

/** File systems by the beginning of a path; the longest that fits. */
function disk(free: Readonly<Record<string, number>>): Disk {
  return {
    fileSystem: async (path) => {
      const mounts = Object.keys(free).filter((mount) => path.startsWith(mount));
      const mountPoint = mounts.sort((a, b) => b.length - a.length)[0];
      if (mountPoint === undefined) throw new Error(`EACCES: ${path}`);
      const freeBytes = free[mountPoint] ?? 0;
      return { id: mountPoint, mountPoint, freeBytes, totalBytes: 1e12, freeInodes: undefined };
    },
  };
}

function build(name: string, space?: number): SurveyedDerivation {
  const { path: drvPath, system } = derivation(name);
  return {
    drvPath,
    name,
    system,
    kind: "source",
    heavy: "light",
    space,
    wantedBy: [],
    outputNames: ["out"],
  };
}

describe("the room plan", () => {
  test("adds up what falls on one file system", async () => {
    const room = await measureRoom(disk({ "/": 10e9 }), SETUP, "/w", 2e9, [
      build("a", 3e9),
      build("b", 1e9),
      build("c"),
    ]);
    expect(room.unknownBuilds).toBe(1);
    expect(room.fileSystems).toHaveLength(1);
    expect(room.fileSystems[0]).toMatchObject({ bytesNeeded: 6e9, bytesAfter: 4e9 });
    expect(room.fileSystems[0]?.needs.map(({ what, bytes }) => [what, bytes])).toEqual([
      ["store", 2e9],
      ["build directory", 4e9],
      ["workspace", 0],
    ]);
  });

  test("keeps file systems apart, so that room on one is no room on another", async () => {
    const free = { "/": 50e9, "/nix": 1e9, "/build": 5e9 };
    const room = await measureRoom(disk(free), SETUP, "/w", 2e9, [build("a", 3e9)]);
    const after = room.fileSystems.map(({ fileSystem, bytesAfter }) => [
      fileSystem.mountPoint,
      bytesAfter,
    ]);
    expect(after).toEqual([
      ["/nix", -1e9],
      ["/build", 2e9],
      ["/", 50e9],
    ]);
  });

  test("without Nix looks at the workspace alone", async () => {
    const room = await measureRoom(disk({ "/": 1e9 }), undefined, "/w", 0, []);
    expect(room.fileSystems[0]?.needs.map(({ what }) => what)).toEqual(["workspace"]);
  });

  test("says which file system cannot be asked, and goes on", async () => {
    const room = await measureRoom(disk({ "/nix": 1e9, "/w": 1e9 }), SETUP, "/w", 0, []);
    expect(room.notices).toEqual([
      "the file system of the build directory cannot be asked: EACCES: /build",
    ]);
    expect(room.fileSystems).toHaveLength(2);
  });

  test("counts the unpacked size of what is to be fetched", () => {
    const [a, b, nobody] = [storePath("a"), storePath("b"), storePath("nobody")];
    const served = (path: typeof a, narSize: number) => ({
      own: undefined,
      upstream: { tier: "u", narInfo: { ...narInfo(path), narSize } },
      unknown: undefined,
      gone: undefined,
      refused: undefined,
    });
    const answers = new Map([
      [a, served(a, 5)],
      [b, served(b, 7)],
    ]);
    const facts = { derivations: new Map(), availability: new Map(), answers };
    expect(bytesToFetch(facts, [a, b, nobody])).toBe(12);
  });
});

describe("too little room", () => {
  test("names the file system, the need, what is free and what to do", async () => {
    const room = await measureRoom(disk({ "/": 5e9 }), SETUP, "/w", 2e9, [build("a", 3e9)]);
    expect(lackOfRoom(room, 1e9, "error")).toEqual([
      {
        kind: "disk",
        level: "error",
        code: "NCP-401",
        message:
          "not enough room on /: this run needs 5 GB there (store 2 GB, build directory 3 GB, workspace 0 B) and 1 GB is to stay free, and 5 GB is free",
        hint: "make 1 GB free there, name fewer targets, or lower min-free or space=",
      },
    ]);
  });

  test.each([
    [6e9, 0],
    [6e9 - 1, 1],
  ])("with %d bytes free there are %d findings", async (freeBytes, findings) => {
    const room = await measureRoom(disk({ "/": freeBytes }), SETUP, "/w", 5e9, []);
    expect(lackOfRoom(room, 1e9, "error")).toHaveLength(findings);
  });
});
