import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { parse } from "yaml";
import { knownAction } from "../../../src/engine/audit/known-actions.ts";

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
