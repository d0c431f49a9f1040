import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { parse } from "yaml";
import { inputsOf, readTable, renewed, writeTable } from "../../../scripts/known-actions.ts";
import { knownAction } from "../../../src/engine/audit/known-actions.ts";

const SOURCE = "src/engine/audit/known-actions.ts";

test("our own inputs are those of action.yml", async () => {
  const { inputs } = parse(await readFile("action.yml", "utf8")) as { inputs: object };
  const known = knownAction("somebody/nix-cache-preflight")?.inputs;
  expect([...(known ?? [])].sort()).toEqual(Object.keys(inputs).sort());
});

test.each(["constructor", "__proto__", "cachix/cachix", "nix-cache-preflight-fork/x"])(
  "%s is no action that is known",
  (name) => {
    expect(knownAction(name)).toBeUndefined();
  },
);

test("every action whose inputs are listed is known, by its name in lower case", async () => {
  const table = readTable(await readFile(SOURCE, "utf8"));
  expect(Object.keys(table).length).toBeGreaterThan(15);
  for (const [name, inputs] of Object.entries(table)) {
    expect([name, name === name.toLowerCase(), knownAction(name)?.inputs]).toEqual([
      name,
      true,
      inputs,
    ]);
  }
});

test("the list is renewed by what action.yml says, and what it has is kept", async () => {
  const source = await readFile(SOURCE, "utf8");
  const before = readTable(source);
  expect(writeTable(source, before)).toBe(source);
  const { table, told } = await renewed(before, async (name) => {
    if (name === "actions/cache") throw new Error("no network");
    if (name !== "cachix/cachix-action") return [];
    return ["inputs: { name: {}, newInput: {} }\nruns: { using: node24 }\n", "no: action\n"];
  });
  const read = readTable(writeTable(source, table));
  expect(read["cachix/cachix-action"]).toContain("newInput");
  expect(read["cachix/cachix-action"]).toContain("skipPush");
  expect(read["actions/cache"]).toEqual(before["actions/cache"]);
  expect(told).toContain("cachix/cachix-action: newInput");
  expect(told).toContain("actions/cache: no network");
  expect(inputsOf("[]")).toBeUndefined();
});
