import { readdir } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { readPins, writePin } from "../../src/caches/file/pins.ts";
import { temporaryFolder } from "../support/folder.ts";
import { storePath } from "../support/paths.ts";

const keep = { kind: "forever" } as const;

test.each([
  ["200 letters", "a".repeat(200)],
  ["200 signs that take three bytes each", "+".repeat(200)],
])("a pin whose name is %s is written, read and moved on", async (_, name) => {
  await using folder = await temporaryFolder();
  await writePin(folder.path, { name, storePath: storePath("first"), keep });
  await writePin(folder.path, { name, storePath: storePath("second"), keep });
  expect(await readPins(folder.path, "/nix/store")).toMatchObject([
    { name, storePath: storePath("second"), revision: 2 },
  ]);
});

test("two long names that differ at their end alone are two pins", async () => {
  await using folder = await temporaryFolder();
  const names = ["1", "2"].map((end) => "+".repeat(199) + end);
  for (const name of names) {
    await writePin(folder.path, { name, storePath: storePath(`pin-${name.at(-1)}`), keep });
  }
  expect(await readdir(folder.at("pins"))).toHaveLength(2);
  expect((await readPins(folder.path, "/nix/store")).map(({ name }) => name).sort()).toEqual(names);
});
