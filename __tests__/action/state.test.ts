import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import {
  loadState,
  placeIn,
  type SealContext,
  StateKeeper,
  type StepState,
  sealFor,
} from "../../src/action/state.ts";
import { temporaryFolder } from "../support/folder.ts";
import { storePath } from "../support/paths.ts";
import { forged, recordFile, SEAL, save } from "../support/seal.ts";

const STATE: StepState = {
  trust: { kind: "write", pins: "move", why: "push on the default branch" },
  memory: {
    targets: [
      {
        name: ".#a",
        outputs: [storePath("a"), storePath("a-dev")],
        pins: [
          { name: "a-x86_64-linux", storePath: storePath("a") },
          { name: "a-x86_64-linux^dev", storePath: storePath("a-dev") },
        ],
      },
      { name: '.#"ünï|`<b>"', outputs: [], pins: [] },
    ],
    storeNames: new Set(["x-1", "y-2"]),
    silent: ["http://lan:5000"],
    pushEnded: "PUT answers 507",
    origin: [storePath("a"), storePath("b.drv")],
  },
  watcher: { pid: 4711, began: "123456" },
  programs: "/usr/bin",
};

describe("what main leaves for post", () => {
  test.each([STATE.watcher, { pid: 1, began: "Sat Nov 21 15:00:13 2026" }, undefined])(
    "is read back as it was, watcher %j",
    async (watcher) => {
      await using temp = await temporaryFolder();
      const state = { ...STATE, watcher };
      expect(await loadState(await save(temp.path, state), SEAL)).toStrictEqual(state);
    },
  );

  test("is short, whatever the size of the store and the number of targets", async () => {
    await using temp = await temporaryFolder();
    const storeNames = new Set(Array.from({ length: 100_000 }, (_, n) => `name-${n}`));
    const targets = Array.from({ length: 5_000 }, (_, n) => ({
      name: `.#nixosConfigurations.host-${n}.config.system.build.toplevel`,
      outputs: [storePath(`host-${n}`)],
      pins: [{ name: `host-${n}`, storePath: storePath(`host-${n}`) }],
    }));
    const memory = { targets, storeNames, silent: [] };
    const text = await save(temp.path, { ...STATE, memory });
    expect(text.length).toBeLessThan(500);
    expect((await loadState(text, SEAL))?.memory.targets).toEqual(targets);
    expect((await loadState(text, SEAL))?.memory.storeNames.size).toBe(100_000);
  });

  test("of an empty store is an empty store", async () => {
    await using temp = await temporaryFolder();
    const text = await save(temp.path, {
      ...STATE,
      memory: { targets: [], storeNames: new Set() },
      watcher: undefined,
    });
    expect((await loadState(text, SEAL))?.memory.storeNames.size).toBe(0);
  });
});

describe("a record that is followed by another", () => {
  test("stays as it is: a main that is killed in between has left the one before", async () => {
    await using temp = await temporaryFolder();
    const keeper = new StateKeeper({ sharedFolder: temp.path, use: "1" }, SEAL);
    const first = { ...STATE, memory: { ...STATE.memory, targets: [] } };
    const before = await keeper.save(first);
    const after = await keeper.save(STATE);
    expect(await loadState(after, SEAL)).toStrictEqual(STATE);
    await writeFile(recordFile(after), "{");
    expect(await loadState(before, SEAL)).toStrictEqual(first);
    expect(await loadState(after, SEAL)).toBeUndefined();
  });
});

describe("what was changed since", () => {
  interface Saved {
    targets: { name: unknown; outputs: unknown[]; pins: unknown }[];
    storeNames: { sha256: string };
  }

  test.each<[string, (state: Saved) => unknown]>([
    ["nothing of it", () => ""],
    ["no targets", (state) => ({ ...state, targets: undefined })],
    ["no names", (state) => ({ ...state, storeNames: undefined })],
    ["another sum", (state) => ({ ...state, storeNames: { ...state.storeNames, sha256: "0" } })],
    ...[
      ["with a slash", { name: "../x" }] as const,
      ["without a name", { name: "" }] as const,
      ["of two outputs", { name: "a^b^c" }] as const,
      ["of a nameless output", { name: "a^" }] as const,
      ["on no path", { storePath: "--eval" }] as const,
    ].map(([what, change]): [string, (state: Saved) => unknown] => [
      `a pin ${what}`,
      (state) => {
        const pin = { name: "a", storePath: storePath("a"), ...change };
        return { ...state, targets: [{ ...state.targets[0], pins: [pin] }] };
      },
    ]),
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
    ["a trust of its own", (state) => ({ ...state, trust: { kind: "all" } })],
    ["no trust", (state) => ({ ...state, trust: undefined })],
    ["a number for a name", (state) => ({ ...state, targets: [{ ...state.targets[0], name: 7 }] })],
  ])("%s: is not believed", async (_, change) => {
    await using temp = await temporaryFolder();
    const text = await save(temp.path, STATE);
    const state = JSON.parse(await readFile(recordFile(text), "utf8")) as Saved;
    const changed = change(state);
    const record = typeof changed === "string" ? changed : JSON.stringify(changed);
    // Not the seal alone refuses it: each check by itself does.
    expect(await loadState(await forged(text, record), SEAL)).toBeUndefined();
    expect(await loadState(text, SEAL)).toBeUndefined();
  });

  test.each<[string, object]>([
    ["another version", { version: 3 }],
    ["a file elsewhere", { file: "../state-1.json" }],
    ["another folder's use", { use: "../1" }],
    ["a folder that is none", { sharedFolder: "nix-cache-preflight" }],
    ["a file that is not there", { file: "state-2.json" }],
  ])("%s in what the runner hands on: is not believed", async (_, change) => {
    await using temp = await temporaryFolder();
    const text = await save(temp.path, STATE);
    const changed = JSON.stringify({ ...(JSON.parse(text) as object), ...change });
    expect(await loadState(changed, SEAL)).toBeUndefined();
  });

  test("the file of names: is not believed", async () => {
    await using temp = await temporaryFolder();
    const text = await save(temp.path, STATE, SEAL);
    const file = join(temp.path, "1", "store-names");
    await writeFile(file, (await readFile(file, "utf8")).replace("x-1", "z-1"));
    expect(await loadState(text, SEAL)).toBeUndefined();
    await rm(file);
    expect(await loadState(text, SEAL)).toBeUndefined();
  });

  test.each(["{", "null", "[]", "7", '"x"'])("%s is no record", async (text) => {
    expect(await loadState(text, SEAL)).toBeUndefined();
    expect(placeIn(text)).toBeUndefined();
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
    const text = await save(temp.path, readOnly, sealFor(context));
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
    const text = await save(temp.path, readOnly, sealFor(context));
    expect(await loadState(text, sealFor(other))).toBeUndefined();
    const record = await readFile(recordFile(text), "utf8");
    const theirs = await forged(text, record, sealFor(other));
    expect(await loadState(theirs, sealFor(context))).toBeUndefined();
  });

  test.each([
    [{ token: "t", signingKey: "k" }, { token: "t", signingKey: undefined }, true],
    [{ token: undefined, signingKey: "k" }, { token: undefined, signingKey: "k" }, true],
    [{ token: undefined, signingKey: "k" }, { token: undefined, signingKey: "other" }, false],
  ])("is keyed with the first secret there is: %j, %j", async (ours, theirs, good) => {
    await using temp = await temporaryFolder();
    const text = await save(temp.path, STATE, sealFor({ ...context, secrets: ours }));
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
    const text = await save(temp.path, STATE, withToken("a"));
    expect(await loadState(text, withToken("a"))).toStrictEqual(STATE);
    expect(await loadState(text, withToken("b"))).toBeUndefined();
    expect(await loadState(text, sealFor({ ...context, secrets }))).toBeUndefined();
  });

  test.each(["", "00", "x".repeat(64), 7, null])("is not %j", async (seal) => {
    await using temp = await temporaryFolder();
    const state = JSON.parse(await save(temp.path, STATE, SEAL)) as object;
    expect(await loadState(JSON.stringify({ ...state, seal }), SEAL)).toBeUndefined();
  });
});
