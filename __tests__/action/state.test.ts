import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import {
  loadState,
  type SealContext,
  type StepState,
  saveState,
  sealFor,
} from "../../src/action/state.ts";
import { temporaryFolder } from "../support/folder.ts";
import { storePath } from "../support/paths.ts";
import { resealed, SEAL } from "../support/seal.ts";

const STATE: StepState = {
  use: "1",
  trust: { kind: "write", pins: "move", why: "push on the default branch" },
  memory: {
    targets: [
      { name: ".#a", outputs: [storePath("a"), storePath("a-dev")], pinName: "a-x86_64-linux" },
      { name: '.#"ünï|`<b>"', outputs: [], pinName: "b" },
    ],
    storeNames: new Set(["x-1", "y-2"]),
    silent: ["http://lan:5000"],
    pushEnded: "PUT answers 507",
  },
  programs: "/usr/bin",
  watcher: { pid: 4711, began: "123456" },
};

describe("what main leaves for post", () => {
  test.each([STATE.watcher, { pid: 1, began: "Sat Nov 21 15:00:13 2026" }, undefined])(
    "is read back as it was, watcher %j",
    async (watcher) => {
      await using temp = await temporaryFolder();
      const state = { ...STATE, watcher };
      expect(await loadState(await saveState(state, temp.path, SEAL), SEAL)).toStrictEqual(state);
    },
  );

  test.each([[[]], [[storePath("a"), storePath("b.drv")]]])(
    "what its work descends from: %j",
    async (origin) => {
      await using temp = await temporaryFolder();
      const state = { ...STATE, memory: { ...STATE.memory, origin } };
      expect(await loadState(await saveState(state, temp.path, SEAL), SEAL)).toStrictEqual(state);
    },
  );

  test("is short, whatever the size of the store: the names are in a file of the owner's", async () => {
    await using temp = await temporaryFolder();
    const storeNames = new Set(Array.from({ length: 100_000 }, (_, n) => `name-${n}`));
    const text = await saveState(
      { ...STATE, memory: { ...STATE.memory, storeNames } },
      temp.path,
      SEAL,
    );
    expect(text.length).toBeLessThan(2000);
    const { mode } = await stat(join(temp.path, "store-names"));
    expect(mode & 0o777).toBe(0o600);
    expect((await loadState(text, SEAL))?.memory.storeNames.size).toBe(100_000);
  });

  test("of an empty store is an empty store", async () => {
    await using temp = await temporaryFolder();
    const text = await saveState(
      { ...STATE, memory: { targets: [], storeNames: new Set() }, watcher: undefined },
      temp.path,
      SEAL,
    );
    expect((await loadState(text, SEAL))?.memory.storeNames.size).toBe(0);
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
    ["a process group for a process", (state) => ({ ...state, watcher: { pid: -1, began: "1" } })],
    ["every process of ours for one", (state) => ({ ...state, watcher: { pid: 0, began: "1" } })],
    ["half a process", (state) => ({ ...state, watcher: { pid: 1.5, began: "1" } })],
    ["a text for a process", (state) => ({ ...state, watcher: { pid: "4711", began: "1" } })],
    ["a process without its beginning", (state) => ({ ...state, watcher: { pid: 4711 } })],
    ["a number alone for a process", (state) => ({ ...state, watcher: 4711 })],
    ["another use's folder", (state) => ({ ...state, use: "../1" })],
    ["a trust of its own", (state) => ({ ...state, trust: { kind: "all" } })],
    ["no trust", (state) => ({ ...state, trust: undefined })],
    ["a number for a name", (state) => ({ ...state, targets: [{ ...state.targets[0], name: 7 }] })],
  ])("%s: is not believed", async (_, change) => {
    await using temp = await temporaryFolder();
    const state = JSON.parse(await saveState(STATE, temp.path, SEAL)) as Saved;
    const changed = change(state);
    const text = typeof changed === "string" ? changed : JSON.stringify(changed);
    // Not the seal alone refuses it: each check by itself does.
    expect(await loadState(resealed(text), SEAL)).toBeUndefined();
  });

  test("the file of names: is not believed", async () => {
    await using temp = await temporaryFolder();
    const text = await saveState(STATE, temp.path, SEAL);
    const file = join(temp.path, "store-names");
    await writeFile(file, (await readFile(file, "utf8")).replace("x-1", "z-1"));
    expect(await loadState(text, SEAL)).toBeUndefined();
    await rm(file);
    expect(await loadState(text, SEAL)).toBeUndefined();
  });

  test.each(["{", "null", "[]", "7", '"x"'])("%s is no record", async (text) => {
    expect(await loadState(text, SEAL)).toBeUndefined();
  });
});

describe("the seal", () => {
  const context: SealContext = {
    secrets: { token: "the-token", signingKey: undefined },
    environment: {
      GITHUB_REPOSITORY: "owner/repository",
      GITHUB_RUN_ID: "7",
      GITHUB_RUN_ATTEMPT: "1",
      GITHUB_JOB: "build",
    },
    job: { cacheName: "cachix:mine" },
    folder: "/runner/nix-cache-preflight",
  };
  const readOnly: StepState = {
    ...STATE,
    trust: { kind: "read-only", code: "strange", why: "a fork" },
  };

  test("of what main said, for the same step of the same run: is good", async () => {
    await using temp = await temporaryFolder();
    const text = await saveState(readOnly, temp.path, sealFor(context));
    expect(await loadState(text, sealFor(context))).toStrictEqual(readOnly);
  });

  test.each<[string, SealContext]>([
    ["another token", { ...context, secrets: { token: "x", signingKey: undefined } }],
    ["no token", { ...context, secrets: { token: undefined, signingKey: undefined } }],
    ["another cache", { ...context, job: { cacheName: "cachix:theirs" } }],
    ["another folder", { ...context, folder: "/elsewhere" }],
    ...["GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB"].map(
      (name): [string, SealContext] => [
        `another ${name}`,
        { ...context, environment: { ...context.environment, [name]: "other" } },
      ],
    ),
  ])("of %s does not fit", async (_, other) => {
    await using temp = await temporaryFolder();
    const text = await saveState(readOnly, temp.path, sealFor(context));
    expect(await loadState(text, sealFor(other))).toBeUndefined();
    expect(await loadState(resealed(text, sealFor(other)), sealFor(context))).toBeUndefined();
  });

  test.each([
    [{ token: "t", signingKey: "k" }, { token: "t", signingKey: undefined }, true],
    [{ token: undefined, signingKey: "k" }, { token: undefined, signingKey: "k" }, true],
    [{ token: undefined, signingKey: "k" }, { token: undefined, signingKey: "other" }, false],
  ])("is keyed with the first secret there is: %j, %j", async (ours, theirs, good) => {
    await using temp = await temporaryFolder();
    const text = await saveState(STATE, temp.path, sealFor({ ...context, secrets: ours }));
    const read = await loadState(text, sealFor({ ...context, secrets: theirs }));
    expect(read !== undefined).toBe(good);
  });

  test("for GitHub's cache is keyed with the runner's token, which other steps are not given", async () => {
    await using temp = await temporaryFolder();
    const secrets = { token: undefined, signingKey: undefined };
    const withToken = (token: string) =>
      sealFor({
        ...context,
        secrets,
        environment: { ...context.environment, ACTIONS_RUNTIME_TOKEN: token },
      });
    const text = await saveState(STATE, temp.path, withToken("a"));
    expect(await loadState(text, withToken("a"))).toStrictEqual(STATE);
    expect(await loadState(text, withToken("b"))).toBeUndefined();
    expect(await loadState(text, sealFor({ ...context, secrets }))).toBeUndefined();
  });

  test.each(["", "00", "x".repeat(64), 7, null])("is not %j", async (seal) => {
    await using temp = await temporaryFolder();
    const state = JSON.parse(await saveState(STATE, temp.path, SEAL)) as object;
    expect(await loadState(JSON.stringify({ ...state, seal }), SEAL)).toBeUndefined();
  });
});
