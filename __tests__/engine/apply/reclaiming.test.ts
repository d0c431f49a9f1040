import { describe, expect, test } from "@jest/globals";
import type { FileSystem, Reclaimer } from "../../../src/domain/ports.ts";
import { carryOut, lackAfter } from "../../../src/engine/apply/building.ts";
import { memoryNix, SIGNAL, world } from "../../support/world.ts";

const GB = 1e9;
const wanted = { directory: "/nix/store", bytes: 10 * GB };
const folder = { kind: "tool folder", path: "/usr/share/tool", bytes: 4 * GB, wanted } as const;

/** A machine where deleting the folder gives `gains` bytes. */
function machine(free: number, gains: number) {
  let now = free;
  const removed: string[] = [];
  const here: FileSystem = {
    id: "1",
    mountPoint: "/",
    freeBytes: free,
    totalBytes: 100 * GB,
    freeInodes: undefined,
    totalInodes: undefined,
  };
  const reclaimer: Reclaimer = {
    machine: "hosted",
    usable: async () => "usable",
    buildDirectories: async () => [],
    makeBuildDirectory: async () => undefined,
    toolFolders: async () => [],
    remove: async (path) => {
      removed.push(path);
      now += gains;
    },
  };
  const disk = {
    fileSystem: async () => ({ ...here, freeBytes: now }),
    freeNow: () => ({ ...here, freeBytes: now }),
  };
  return { removed, here: world({ reclaimer, disk, nix: memoryNix({ flake: {} }) }) };
}

describe("reclaiming", () => {
  test.each([4, 1, 0])("says what the file system gained: %d GB", async (gained) => {
    const { here } = machine(5 * GB, gained * GB);
    const done = await carryOut(folder, here, memoryNix({ flake: {} }), SIGNAL);
    expect(done).toEqual({ what: "Delete /usr/share/tool (4 GB)", bytes: gained * GB });
    expect(lackAfter(folder, here)?.message).toBe(
      `after reclaiming ${5 + gained} GB is free in /nix/store, and 10 GB was to be`,
    );
  });

  test("looks again first: where space lacks no more, nothing is deleted", async () => {
    const { here, removed } = machine(10 * GB, GB);
    const done = await carryOut(folder, here, memoryNix({ flake: {} }), SIGNAL);
    expect(done).toEqual({ what: "/usr/share/tool is left: space lacks no more", bytes: 0 });
    const garbage = { kind: "garbage", bytes: GB, wanted, keep: [] } as const;
    const kept = await carryOut(garbage, here, memoryNix({ flake: {} }), SIGNAL);
    expect(kept).toEqual({ what: "garbage is left: space lacks no more", bytes: 0 });
    expect([removed, lackAfter(folder, here)]).toEqual([[], undefined]);
  });
});
