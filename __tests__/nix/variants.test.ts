import { describe, expect, test } from "@jest/globals";
import { makesBuildDir, refuseTooOld, resolveStore, stateFolder } from "../../src/nix/variants.ts";

test.each([
  ["2.8.0", "", false],
  ["2.29.1", "", false],
  ["2.30.0", "", true],
  ["2.31pre20250712_b1b2", "", true],
  ["3.0.0", "", true],
  // Lix up to 2.93.0, and from 2.93.1 on.
  ["2.18.3-lix", "", false],
  ["2.18.3-lix", "/nix/var/nix/b", true],
])("%s with the default build-dir %j makes it: %j", (version, unset, makes) => {
  expect(makesBuildDir(version, unset)).toBe(makes);
});

describe("too old", () => {
  test.each(["2.0", "2.3.16", "2.3.18pre"])("%s", (version) => {
    expect(() => refuseTooOld(version)).toThrow(`Nix ${version} is too old`);
  });

  test.each(["2.4", "2.8.0", "2.18.3-lix", "2.35.2", "3.0", "unknown"])("not %s", (version) => {
    expect(() => refuseTooOld(version)).not.toThrow();
  });
});

describe("the store that is meant", () => {
  test.each(["daemon", "/chroot", "local?root=/chroot"])("%s is itself", async (store) => {
    expect(await resolveStore(store, {})).toBe(store);
  });

  test.each([{ NIX_STORE_DIR: "/store" }, { NIX_STATE_DIR: "/state" }])(
    "auto stays it with %j",
    async (environment) => {
      expect(await resolveStore("auto", environment)).toBe("auto");
    },
  );

  test("has its state below its root", () => {
    expect(stateFolder("/chroot", { NIX_STATE_DIR: "/state" })).toBe("/chroot/nix/var/nix");
    expect(stateFolder(undefined, { NIX_STATE_DIR: "/state" })).toBe("/state");
    expect(stateFolder(undefined, {})).toBe("/nix/var/nix");
  });
});
