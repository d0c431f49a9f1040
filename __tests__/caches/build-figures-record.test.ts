import { mkdir, readdir } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { fileRecords } from "../../src/caches/file/file.ts";
import { FIGURES_KEY, figureStore } from "../../src/caches/records.ts";
import type { BuildFigures } from "../../src/domain/build-figures.ts";
import { temporaryFolder } from "../support/folder.ts";
import { SIGNAL } from "../support/world.ts";

const bws: BuildFigures = { name: "bws", buildBytes: 9, outputBytes: 2, seconds: 60, takenAt: 1 };

async function kept() {
  const folder = await temporaryFolder();
  const told: string[] = [];
  const log = { group() {}, endGroup() {}, info() {}, debug: (line: string) => told.push(line) };
  return { folder, told, store: figureStore(fileRecords(folder.path), log) };
}

describe("figures beside a file:// cache", () => {
  test("are there for the next run, and one name has one", async () => {
    const { folder, store } = await kept();
    await using _ = folder;
    expect(await store.recall(SIGNAL)).toEqual(new Map());
    await store.remember([bws, { ...bws, name: "dep" }], SIGNAL);
    await store.remember([{ ...bws, seconds: 50, takenAt: 2 }], SIGNAL);
    const found = await store.recall(SIGNAL);
    expect([...found.keys()].sort()).toEqual(["bws", "dep"]);
    expect(found.get("bws")?.seconds).toBe(50);
  });

  test("with nothing to keep nothing is written", async () => {
    const { folder, store } = await kept();
    await using _ = folder;
    await store.remember([], SIGNAL);
    expect(await readdir(folder.path)).toEqual([]);
  });

  test("outlast evaluation records, which are many", async () => {
    const { folder, store } = await kept();
    await using _ = folder;
    await store.remember([bws], SIGNAL);
    const records = fileRecords(folder.path);
    for (let n = 0; n < 25; n++) await records.write(`key-${n}`, Buffer.from("x"), SIGNAL);
    expect((await store.recall(SIGNAL)).get("bws")).toEqual(bws);
  });

  test.each(["", "{", '{"version":9}', "\u0000\u0001"])(
    "a damaged record (%j) is ignored, said at debug level, and replaced",
    async (text) => {
      const { folder, told, store } = await kept();
      await using _ = folder;
      await folder.write(`memos/${FIGURES_KEY}`, text);
      expect(await store.recall(SIGNAL)).toEqual(new Map());
      expect(told).toEqual([expect.stringContaining(`${FIGURES_KEY} is ignored`)]);
      await store.remember([bws], SIGNAL);
      expect((await store.recall(SIGNAL)).get("bws")).toEqual(bws);
    },
  );

  test("a record that cannot be written is no failure", async () => {
    const { folder, told, store } = await kept();
    await using _ = folder;
    await mkdir(folder.at("memos", FIGURES_KEY, "in-the-way"), { recursive: true });
    await store.remember([bws], SIGNAL);
    expect(told.at(-1)).toContain("was not written");
  });
});
