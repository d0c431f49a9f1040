import { describe, expect, test } from "@jest/globals";
import type { InputName } from "../../src/action/inputs.ts";
import type { BinaryCache, StoredPin } from "../../src/domain/cache.ts";
import { UserError } from "../../src/domain/errors.ts";
import type { StorePath } from "../../src/domain/store-path.ts";
import { type JobMemory, runPost } from "../../src/engine/post.ts";
import { STORE, storePath } from "../support/paths.ts";
import {
  hold,
  job,
  memoryCache,
  memoryNix,
  NO_PINS,
  READ_ONLY,
  SIGNAL,
  WRITE,
  world,
} from "../support/world.ts";

const [program, library, old] = [storePath("program"), storePath("library"), storePath("old")];

interface Options {
  readonly inputs?: Partial<Record<InputName, string>>;
  readonly trust?: typeof WRITE;
  readonly built?: readonly StorePath[];
  readonly targets?: JobMemory["targets"];
  readonly held?: readonly StorePath[];
  readonly verbs?: readonly ("push" | "pin" | "pins")[];
  readonly pins?: readonly StoredPin[];
}

async function post(options: Options = {}) {
  const own = memoryCache("own", {
    verbs: options.verbs ?? ["push", "pin", "pins"],
    ...(options.pins ? { pins: options.pins } : {}),
  });
  for (const path of options.held ?? []) hold(own, path, path === program ? [library] : []);
  const store = new Map<StorePath, readonly StorePath[]>([
    [program, [library]],
    [library, []],
    [old, []],
  ]);
  const nix = memoryNix({ store, built: options.built ?? [program, library] });
  const targets = options.targets ?? [
    { name: ".#p", outputs: [program], pins: [{ name: "p", storePath: program }] },
  ];
  const result = await runPost(
    job(options.inputs ?? {}),
    options.trust ?? WRITE,
    world({ nix, own }),
    { targets, storeNames: new Set() },
    SIGNAL,
  );
  return { ...result, own };
}

describe("the end of the job", () => {
  test("pushes what the job built, verifies its targets and pins them", async () => {
    const { outcome, own } = await post();
    expect([...own.sent].sort()).toEqual([library, program].sort());
    expect(outcome.verified.map((one) => [one.target, one.outcome])).toEqual([[".#p", "verified"]]);
    expect(outcome.pinned.map(({ name, state }) => [name, state])).toEqual([["p", "confirmed"]]);
  });

  test.each<[string, Options, readonly StorePath[], number]>([
    ["with nothing built", { built: [] }, [], 0],
    ["with push: off", { inputs: { push: "off" } }, [], 0],
    [
      "with push: targets",
      { inputs: { push: "targets" }, built: [program, old] },
      [library, program],
      1,
    ],
    ["with all of it there already", { held: [program, library] }, [], 1],
    ["on another branch", { trust: NO_PINS }, [library, program], 0],
    ["read-only", { trust: READ_ONLY }, [], 0],
    ["into a cache that can only be read", { verbs: [] }, [], 0],
    ["in mode check", { inputs: { mode: "check" } }, [], 0],
    ["in mode audit", { inputs: { mode: "audit" } }, [], 0],
    [
      "with a target that was not built here",
      { targets: [{ name: ".#o", outputs: [old], pins: [{ name: "o", storePath: old }] }] },
      [library, program],
      0,
    ],
    [
      "with a target only half built",
      {
        targets: [
          {
            name: ".#p",
            outputs: [program, storePath("p-dev")],
            pins: [{ name: "p", storePath: program }],
          },
        ],
      },
      [library, program],
      0,
    ],
    [
      "with a target of two outputs",
      {
        targets: [
          {
            name: ".#p",
            outputs: [program, library],
            pins: [
              { name: "p", storePath: program },
              { name: "p^lib", storePath: library },
            ],
          },
        ],
      },
      [library, program],
      2,
    ],
    [
      "with a shell, which has no pin",
      { targets: [{ name: ".#p", outputs: [program], pins: [] }] },
      [library, program],
      0,
    ],
  ])("%s", async (_, options, sent, pins) => {
    const { own } = await post(options);
    expect([...own.sent].sort()).toEqual([...sent].sort());
    expect(own.pinned).toHaveLength(pins);
  });

  test.each([
    ["stays as it is", program, 0],
    ["is moved where it holds another path", old, 1],
  ])("a pin that is there already %s", async (_, storePath, set) => {
    const pins = [{ name: "p", storePath, revision: 1, createdOn: "2026-01-01T00:00:00Z" }];
    const { own } = await post({ pins, inputs: { force: "true" } });
    expect(own.pinned).toHaveLength(set);
  });

  test("a cache that was silent in the step is not asked again, and the others are", async () => {
    const asked: string[] = [];
    const [silent, lively] = ["silent", "lively"].map((name) => ({
      ...memoryCache(name),
      describe: async () => {
        asked.push(name);
        return { storeDir: STORE, priority: 1, publicKeys: [], permission: undefined };
      },
    }));
    if (!silent || !lively) throw new Error("two");
    const nix = memoryNix({ store: new Map([[program, []]]), built: [program] });
    const own = memoryCache("own", { verbs: ["push"] });
    const here = world({ nix, own, substituters: [silent, lively] });
    const memory = { targets: [], storeNames: new Set<string>(), silent: ["silent"] };
    await runPost(job({}), WRITE, here, memory, SIGNAL);
    expect(asked).toEqual(["lively"]);
    expect(own.sent).toEqual([program]);
  });

  const wanting = (change: Partial<BinaryCache>, inputs: Options["inputs"] = {}, memory = {}) => {
    const own = memoryCache("own", { verbs: ["push"] });
    const nix = memoryNix({ store: new Map([[program, []]]), built: [program] });
    const here = world({ nix, own: { ...own, ...change } });
    const left = { targets: [], storeNames: new Set<string>(), ...memory };
    return { own, done: runPost(job(inputs), WRITE, here, left, SIGNAL) };
  };

  test.each([
    ["error", "error"],
    ["warn", "warning"],
  ] as const)("a cache that is gone: on-push-failure: %s", async (onPushFailure, level) => {
    const { own, done } = wanting(
      { describe: () => Promise.reject(new UserError("NCP-302", "ECONNREFUSED")) },
      { "on-push-failure": onPushFailure },
    );
    const { outcome, withheld } = await done;
    expect(own.sent).toEqual([]);
    expect(withheld).toEqual([]);
    expect(outcome.findings).toEqual([
      expect.objectContaining({ kind: "push", level, code: "NCP-305" }),
    ]);
    expect(outcome.findings[0]?.message).toContain("own at its end: ECONNREFUSED");
  });

  test("a cache that failed everything in the step is sent nothing, and it says why", async () => {
    const { own, done } = wanting({}, {}, { pushEnded: "PUT answers 507 (full)" });
    const { outcome } = await done;
    expect(own.sent).toEqual([]);
    expect(outcome.findings.map(({ message }) => message)).toEqual([
      "of 1 path that this job built, nothing is pushed to own at its end: PUT answers 507 (full)",
    ]);
  });

  test("our own that was silent in the step is asked once, and not waited for", async () => {
    const never = () => new Promise<never>(() => undefined);
    const { done } = wanting({ describe: never }, {}, { silent: ["own"] });
    expect((await done).outcome.findings[0]?.message).toContain("does not now");
    const back = wanting({}, {}, { silent: ["own"] });
    await back.done;
    expect(back.own.sent).toEqual([program]);
  });

  test("read-only, it says what it would have pushed", async () => {
    const { withheld } = await post({ trust: READ_ONLY, held: [library] });
    expect(withheld).toEqual([
      { target: "what this job built", paths: [program] },
      { target: ".#p", paths: [program] },
    ]);
  });
});
