import { describe, expect, test } from "@jest/globals";
import type { InputName } from "../../src/action/inputs.ts";
import type { BinaryCache, PushProgress } from "../../src/domain/cache.ts";
import { UserError } from "../../src/domain/errors.ts";
import type { Trust } from "../../src/domain/job.ts";
import { baseName, type StorePath } from "../../src/domain/store-path.ts";
import { watch } from "../../src/engine/background-push.ts";
import { maySendAtOnce } from "../../src/engine/step.ts";
import { storePath } from "../support/paths.ts";
import {
  type CacheOptions,
  hold,
  job,
  type MemoryCache,
  memoryCache,
  memoryNix,
  NO_PINS,
  READ_ONLY,
  SIGNAL,
  served,
  WRITE,
  world,
} from "../support/world.ts";

const [program, library, tool] = [storePath("program"), storePath("library"), storePath("tool")];

interface Options {
  /** What stands newly built in the store at each look; the job is over at the last one. */
  readonly looks: readonly (readonly StorePath[])[];
  readonly cache?: CacheOptions;
  readonly substituters?: readonly MemoryCache[];
  readonly wrap?: (own: MemoryCache) => BinaryCache;
  readonly signal?: AbortSignal;
}

async function watched({ looks, cache, substituters = [], wrap, signal = SIGNAL }: Options) {
  const memory = memoryCache("own", { verbs: ["push"], ...cache });
  let described = 0;
  const own: BinaryCache = {
    ...(wrap?.(memory) ?? memory),
    describe: (inner) => {
      described++;
      return memory.describe(inner);
    },
  };
  const store = new Map<StorePath, readonly StorePath[]>([
    [program, [library]],
    [library, []],
    [tool, []],
  ]);
  const since: string[][] = [];
  const events: string[] = [];
  let look = 0;
  const nix = {
    ...memoryNix({ store }),
    builtHere: async (names: ReadonlySet<string>) => {
      since.push([...names]);
      events.push("look");
      return (looks[look++] ?? []).filter((path) => !names.has(baseName(path)));
    },
  };
  const here = world({ nix, own, substituters });
  const progress: PushProgress[] = [];
  const ended: string[] = [];
  await watch(
    {
      job: job(),
      world: here,
      since: new Set(["old"]),
      isOver: async () => look + 1 >= looks.length,
      rest: async () => {
        events.push("rest");
      },
      progress: (done) => progress.push(done),
      ended: (why) => ended.push(why),
    },
    signal,
  );
  return { own: memory, described, since, events, lines: here.lines, progress, ended };
}

describe("watching what the job builds", () => {
  test("pushes it as it appears, each once, and rests in between", async () => {
    const { own, events, progress, lines } = await watched({
      looks: [[], [library], [library, program], [library, program, tool]],
    });
    expect(own.sent).toEqual([library, program, tool]);
    expect(progress.map(({ path }) => path)).toEqual([library, program, tool]);
    expect(events).toEqual(["look", "rest", "look", "rest", "look", "rest", "look"]);
    expect(lines).toEqual([]);
  });

  test("looks only for names it has not seen", async () => {
    const { since } = await watched({ looks: [[library], [library, program], []] });
    expect(since).toEqual([
      ["old"],
      ["old", baseName(library)],
      ["old", baseName(library), baseName(program)],
    ]);
  });

  test("with what it refers to, where that is in no cache", async () => {
    expect(new Set((await watched({ looks: [[program]] })).own.sent)).toEqual(
      new Set([program, library]),
    );
    const upstream = memoryCache("upstream");
    hold(upstream, library);
    const beside = await watched({ looks: [[program]], substituters: [upstream] });
    expect(beside.own.sent).toEqual([program]);
  });

  test("is over where the cache fails whatever it is sent, and says why", async () => {
    const broken = new UserError("NCP-305", "own: PUT answers 507 (full)");
    const { own, ended, since } = await watched({
      looks: [[library], [library, program], [tool]],
      wrap: (memory) => ({ ...memory, pushEnded: () => broken }),
    });
    expect(ended).toEqual([broken.message]);
    expect(own.sent).toEqual([library]);
    expect(since).toHaveLength(1);
  });

  test("pushes what was built just before the end", async () => {
    const { own, events } = await watched({ looks: [[tool]] });
    expect(own.sent).toEqual([tool]);
    expect(events).toEqual(["look"]);
  });

  test("asks no cache while there is nothing new, and describes them once", async () => {
    const idle = await watched({ looks: [[], [], []] });
    expect([idle.described, idle.own.asked]).toEqual([0, []]);
    expect((await watched({ looks: [[library], [tool], []] })).described).toBe(1);
  });

  test("leaves a path whose push failed to the end of the job, and goes on", async () => {
    const { own, lines, progress } = await watched({
      looks: [[library], [tool], []],
      cache: {
        verbs: ["push"],
        onPush: ({ storePath: path }) => (path === library ? new Error("HTTP 507") : served(path)),
      },
    });
    expect(own.sent).toEqual([library, tool]);
    expect(progress.map(({ path }) => path)).toEqual([tool]);
    expect(lines).toEqual([`${library}: HTTP 507`]);
  });

  test("goes on after a push that throws", async () => {
    const { own, lines } = await watched({
      looks: [[library], [tool], []],
      cache: {
        verbs: ["push"],
        onPush: ({ storePath: path }) => {
          if (path === library) throw new Error("disk full");
          return served(path);
        },
      },
    });
    expect(own.sent).toEqual([library, tool]);
    expect(lines).toEqual(["1 path not pushed: disk full"]);
  });

  test("ends in the middle of a push when it is told to", async () => {
    const controller = new AbortController();
    const interrupted = watched({
      looks: [[library], [tool], []],
      signal: controller.signal,
      cache: {
        verbs: ["push"],
        onPush: () => {
          controller.abort(new Error("ended by post"));
          throw new Error("cut off");
        },
      },
    });
    await expect(interrupted).rejects.toThrow("ended by post");
  });

  test("does not begin where nothing can be pushed", async () => {
    const { events } = await watched({ looks: [[tool]], cache: { verbs: [] } });
    expect(events).toEqual([]);
  });
});

describe("pushing at once", () => {
  const verbs = ["push"] as const;
  test.each<[string, boolean, Partial<Record<InputName, string>>, Trust, CacheOptions]>([
    ["in mode warm", true, { mode: "warm" }, WRITE, { verbs }],
    ["in mode prefetch", true, { mode: "prefetch" }, WRITE, { verbs }],
    ["on another branch", true, { mode: "warm" }, NO_PINS, { verbs }],
    ["in mode check", false, { mode: "check" }, WRITE, { verbs }],
    ["in mode audit", false, { mode: "audit" }, WRITE, { verbs }],
    ["read-only", false, { mode: "warm" }, READ_ONLY, { verbs }],
    ["with push: targets", false, { mode: "warm", push: "targets" }, WRITE, { verbs }],
    ["with push: off", false, { mode: "warm", push: "off" }, WRITE, { verbs }],
    ["into a cache that can only be read", false, { mode: "warm" }, WRITE, {}],
  ])("%s: %s", (_, expected, inputs, trust, cache) => {
    const here = world({ nix: memoryNix(), own: memoryCache("own", cache) });
    expect(maySendAtOnce(job(inputs), trust, here)).toBe(expected);
  });

  test("there is none without Nix, or without a cache", () => {
    const warm = job({ mode: "warm" });
    expect(maySendAtOnce(warm, WRITE, world({ own: memoryCache("own", { verbs }) }))).toBe(false);
    expect(maySendAtOnce(warm, WRITE, world({ nix: memoryNix() }))).toBe(false);
  });
});
