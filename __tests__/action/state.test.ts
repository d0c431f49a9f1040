import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { loadState, type StepState, saveState } from "../../src/action/state.ts";
import { temporaryFolder } from "../support/folder.ts";
import { storePath } from "../support/paths.ts";

const STATE: StepState = {
  memory: {
    targets: [
      { name: ".#a", outputs: [storePath("a"), storePath("a-dev")], pinName: "a-x86_64-linux" },
      { name: '.#"ünï|`<b>"', outputs: [], pinName: "b" },
    ],
    storeNames: new Set(["x-1", "y-2"]),
  },
  watcher: 4711,
};

describe("what main leaves for post", () => {
  test.each([4711, undefined])("is read back as it was, watcher %s", async (watcher) => {
    await using temp = await temporaryFolder();
    const state = { ...STATE, watcher };
    expect(await loadState(await saveState(state, temp.path))).toStrictEqual(state);
  });

  test("is short, whatever the size of the store: the names are in a file of the owner's", async () => {
    await using temp = await temporaryFolder();
    const storeNames = new Set(Array.from({ length: 100_000 }, (_, n) => `name-${n}`));
    const text = await saveState({ ...STATE, memory: { ...STATE.memory, storeNames } }, temp.path);
    expect(text.length).toBeLessThan(2000);
    const { mode } = await stat(join(temp.path, "store-names"));
    expect(mode & 0o777).toBe(0o600);
    expect((await loadState(text))?.memory.storeNames.size).toBe(100_000);
  });

  test("of an empty store is an empty store", async () => {
    await using temp = await temporaryFolder();
    const text = await saveState(
      { memory: { targets: [], storeNames: new Set() }, watcher: undefined },
      temp.path,
    );
    expect((await loadState(text))?.memory.storeNames.size).toBe(0);
  });
});

describe("what was changed since", () => {
  interface Saved {
    version: number;
    targets: { name: unknown; outputs: unknown[]; pinName: unknown }[];
    storeNames: { file: string; sha256: string };
  }

  test.each<[string, (state: Saved) => unknown]>([
    ["nothing of it", () => ""],
    ["another version", (state) => ({ ...state, version: 2 })],
    ["no targets", ({ version, storeNames }) => ({ version, storeNames })],
    ["no names", ({ version, targets }) => ({ version, targets })],
    ["another sum", (state) => ({ ...state, storeNames: { ...state.storeNames, sha256: "0" } })],
    [
      "another file",
      (state) => ({ ...state, storeNames: { ...state.storeNames, file: "/etc/passwd" } }),
    ],
    [
      "a folder for a file",
      (state) => ({ ...state, storeNames: { ...state.storeNames, file: "/" } }),
    ],
    [
      "a pin with a slash",
      (state) => ({ ...state, targets: [{ ...state.targets[0], pinName: "../x" }] }),
    ],
    [
      "a pin without a name",
      (state) => ({ ...state, targets: [{ ...state.targets[0], pinName: "" }] }),
    ],
    [
      "an option for a path",
      (state) => ({ ...state, targets: [{ ...state.targets[0], outputs: ["--eval"] }] }),
    ],
    [
      "a newline in a path",
      (state) => ({ ...state, targets: [{ ...state.targets[0], outputs: ["/a\n--b"] }] }),
    ],
    ["a process group for a process", (state) => ({ ...state, watcher: -1 })],
    ["every process of ours for one", (state) => ({ ...state, watcher: 0 })],
    ["half a process", (state) => ({ ...state, watcher: 1.5 })],
    ["a text for a process", (state) => ({ ...state, watcher: "4711" })],
    ["a number for a name", (state) => ({ ...state, targets: [{ ...state.targets[0], name: 7 }] })],
  ])("%s: is not believed", async (_, change) => {
    await using temp = await temporaryFolder();
    const state = JSON.parse(await saveState(STATE, temp.path)) as Saved;
    const changed = change(state);
    const text = typeof changed === "string" ? changed : JSON.stringify(changed);
    expect(await loadState(text)).toBeUndefined();
  });

  test("the file of names: is not believed", async () => {
    await using temp = await temporaryFolder();
    const text = await saveState(STATE, temp.path);
    const file = join(temp.path, "store-names");
    await writeFile(file, (await readFile(file, "utf8")).replace("x-1", "z-1"));
    expect(await loadState(text)).toBeUndefined();
    await rm(file);
    expect(await loadState(text)).toBeUndefined();
  });

  test.each(["{", "null", "[]", "7", '"x"'])("%s is no record", async (text) => {
    expect(await loadState(text)).toBeUndefined();
  });
});
