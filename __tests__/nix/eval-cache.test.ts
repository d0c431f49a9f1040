import { chmod } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "@jest/globals";
import { nixCommand } from "../../src/nix/command.ts";
import { EvalCache, fingerprint } from "../../src/nix/eval-cache.ts";
import { temporaryFolder } from "../support/folder.ts";

const signal = new AbortController().signal;
const SUM = "0123456789abcdef".repeat(4);

/** A flake whose metadata are these, as this Nix prints them. */
async function told(metadata: object, version: string): Promise<string | undefined> {
  await using folder = await temporaryFolder();
  const nix = await folder.write("bin/nix", `#!/bin/sh\necho '${JSON.stringify(metadata)}'\n`);
  await chmod(nix, 0o755);
  return await fingerprint(nixCommand({ PATH: folder.at("bin") }, folder.path), version, signal);
}

test("the name of an evaluation is what Nix tells, also of a tree that is not in the store", async () => {
  const locked = { type: "git" };
  expect(await told({ locked, locks: {}, path: "/nix/store/x", fingerprint: SUM }, "2.34.0")).toBe(
    SUM,
  );
  // Determinate Nix, with lazy trees.
  expect(await told({ locked, locks: {}, fingerprint: SUM }, "2.35.2")).toBe(SUM);
  // A dirty tree of before 2.20 has none.
  expect(await told({ locked, locks: {}, path: "/nix/store/x" }, "2.18.0")).toBeUndefined();
});

describe("a cache", () => {
  const ROWS = `
    create table Attributes (parent integer, name text, type integer, value text, context text);
    insert into Attributes values (0, '', 0, null, null), (1, 'a', 0, null, null),
      (2, 'drvPath', 2, '/nix/store/a.drv', '');
  `;
  // As Nix has it: rowid counts from 1, the root's parent is 0.
  async function made(folder: { at(name: string): string }): Promise<DatabaseSync> {
    const database = new DatabaseSync(folder.at("x.sqlite"));
    database.exec(ROWS);
    return database;
  }

  test("is read", async () => {
    await using folder = await temporaryFolder();
    (await made(folder)).close();
    using cache = await EvalCache.open(folder.at("x.sqlite"), "by name");
    expect(cache?.derivation(["a"])?.drvPath).toBe("/nix/store/a.drv");
    expect(cache?.has(["b"])).toBe(false);
  });

  test("that another Nix begins to hold has nothing from then on, and fails nobody", async () => {
    await using folder = await temporaryFolder();
    using other = await made(folder);
    using cache = await EvalCache.open(folder.at("x.sqlite"), "by name");
    other.exec("begin exclusive");
    expect(cache?.derivation(["a"])).toBeUndefined();
    expect(cache?.names([])).toBeUndefined();
    cache?.forgetFailures();
    other.exec("rollback");
    expect(cache?.has(["a"])).toBe(false);
  });

  test("that another Nix holds already, or that is damaged, is none", async () => {
    await using folder = await temporaryFolder();
    using other = await made(folder);
    other.exec("begin exclusive");
    expect(await EvalCache.open(folder.at("x.sqlite"), "by name")).toBeUndefined();
    await folder.write(
      "y.sqlite",
      "no database, but a text of some length, as a disk may leave it",
    );
    expect(await EvalCache.open(folder.at("y.sqlite"), "by name")).toBeUndefined();
  });
});
