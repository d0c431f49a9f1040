import { mkdir } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { findFlake, indirectName, isIndirect } from "../../src/nix/flake.ts";
import { temporaryFolder } from "../support/folder.ts";

describe("the flake of a folder", () => {
  const LOCK = JSON.stringify({
    root: "root",
    nodes: { root: { inputs: { nixpkgs: "nixpkgs_2", home: ["a"] } }, nixpkgs_2: {} },
  });

  test.each([
    ["here", ["flake.nix"], "", ""],
    ["above, in one repository", ["flake.nix", ".git/HEAD"], "a/b", ""],
    ["the nearest", ["flake.nix", "a/flake.nix"], "a/b", "a"],
    ["not past the repository's top", ["flake.nix", "a/.git/HEAD"], "a/b", undefined],
  ])("%s", async (_, files, from, expected) => {
    await using folder = await temporaryFolder();
    // The search ends at this folder, whatever lies above it.
    await folder.write(".git/HEAD", "ref");
    for (const file of files) await folder.write(file, "x");
    await mkdir(folder.at(from), { recursive: true });
    const found = await findFlake(folder.at(from));
    expect(found?.directory).toBe(
      expected === undefined ? undefined : folder.at(expected).replace(/\/$/, ""),
    );
  });

  test.each([
    ["its lock", LOCK, ["nixpkgs", "home"]],
    ["no lock", undefined, []],
    ["a lock that is not JSON", "{", []],
    ["a lock of another shape", "[]", []],
    ["a lock that is null", "null", []],
    ["a root that is nowhere", '{"root": "x", "nodes": {}}', []],
    ["a root without inputs", '{"root": "root", "nodes": {"root": {}}}', []],
  ])("has the inputs of %s", async (_, lock, inputs) => {
    await using folder = await temporaryFolder();
    await folder.write("flake.nix", "{}");
    if (lock !== undefined) await folder.write("flake.lock", lock);
    expect([...((await findFlake(folder.path))?.inputs ?? ["none"])]).toEqual(inputs);
  });
});

test.each([
  ["nixpkgs", true],
  ["nixpkgs/nixos-25.05", true],
  ["nixpkgs/nixos-25.05/0123abc", true],
  ["flake:nixpkgs", true],
  ["home-manager", true],
  [".", false],
  ["./sub", false],
  ["/abs", false],
  ["github:owner/repo", false],
  ["path:/x", false],
  ["git+https://x", false],
  ["a/b/c/d", false],
  ["", false],
])("%s is a name to be looked up: %s", (flake, indirect) => {
  expect(isIndirect(flake)).toBe(indirect);
});

test.each([
  ["nixpkgs/nixos-25.05", "nixpkgs"],
  ["flake:nixpkgs", "nixpkgs"],
])("%s is called %s", (flake, name) => {
  expect(indirectName(flake)).toBe(name);
});
