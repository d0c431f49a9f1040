import { describe, expect, test } from "@jest/globals";
import type { InputName } from "../../../src/action/inputs.ts";
import type { Presence } from "../../../src/domain/cache.ts";
import type { Memory } from "../../../src/domain/evaluation-record.ts";
import {
  CLOSURE_AGE,
  type EvaluationRecord,
  formatRecord,
  parseRecord,
} from "../../../src/domain/evaluation-record.ts";
import type { Trust } from "../../../src/domain/job.ts";
import { run } from "../../../src/engine/run.ts";
import { derivation, narInfo, out } from "../../support/graph.ts";
import { STORE, storePath } from "../../support/paths.ts";
import {
  type CacheOptions,
  hold,
  job,
  type MemoryCache,
  memoryCache,
  memoryNix,
  type NixOptions,
  READ_ONLY,
  SIGNAL,
  WRITE,
  world,
} from "../../support/world.ts";

const app = derivation("app");
/** Built anyway, out of the app. */
const home = derivation("home", { kind: "trivial", inputs: [app] });
const library = storePath("library");
const NOW = 1_760_000_000_000;

interface Visit {
  readonly inputs?: Partial<Record<InputName, string>>;
  readonly trust?: Trust;
  readonly now?: number;
  readonly substituters?: readonly MemoryCache[];
}

interface SiteOptions {
  readonly own?: CacheOptions;
  readonly nix?: NixOptions;
}

/** Runs that share a cache and what they remember, each on a machine of its own. */
function site({ own: cache, nix: options }: SiteOptions = {}) {
  const own = memoryCache("own", { verbs: ["push"], ...cache });
  hold(own, out(app), [library]);
  hold(own, library);
  const kept: { record: EvaluationRecord | undefined; writes: number } = {
    record: undefined,
    writes: 0,
  };
  const memory: Memory = {
    recall: async () => kept.record && parseRecord(formatRecord(kept.record), STORE),
    remember: async (record) => {
      kept.record = record;
      kept.writes++;
    },
  };
  async function visit({ inputs, trust = WRITE, now = NOW, substituters = [] }: Visit = {}) {
    const nix = memoryNix({ flake: { app, home }, ...options });
    let evaluations = 0;
    const counting: typeof nix = {
      ...nix,
      evaluate: async (request, signal) => {
        evaluations++;
        return { ...(await nix.evaluate(request, signal)), notices: ["the registry's is used"] };
      },
    };
    own.asked.length = 0;
    const before = kept.writes;
    const done = await run(
      job({ mode: "check", targets: ".#app", ...inputs }),
      trust,
      world({ nix: counting, own, substituters, memory, now }),
      SIGNAL,
    );
    const [target] = done.survey.targets;
    return {
      done,
      evaluations,
      recalled: done.survey.recalled,
      verdict: target?.verdict,
      asked: own.asked.map((path) => path.slice(44)),
      remembered: kept.writes - before,
      read: nix.read.length,
    };
  }
  return { own, kept, visit };
}

const OWN = { kind: "own", holders: [{ cache: "own" }], trivial: 0 };

describe("a run that an earlier one spares its evaluation", () => {
  test("looks at the whole closure, evaluates nothing, and says the same", async () => {
    const { visit } = site();
    const first = await visit();
    expect([first.evaluations, first.recalled, first.remembered]).toEqual([1, undefined, 1]);
    const second = await visit({ now: NOW + CLOSURE_AGE - 1 });
    expect([second.evaluations, second.read, second.recalled]).toEqual([0, 0, NOW]);
    expect(new Set(second.asked)).toEqual(new Set(["app", "library"]));
    expect([first.verdict, second.verdict]).toEqual([OWN, OWN]);
    const { name, outputs, pinName, system } = first.done.survey.targets[0] ?? {};
    expect(second.done.survey.targets[0]).toMatchObject({ name, outputs, pinName, system });
    // Its closure is as old as it was.
    expect(second.remembered).toBe(0);
  });

  test("fetches the whole closure all the same", async () => {
    const { visit } = site();
    await visit();
    const { done, evaluations } = await visit({ inputs: { mode: "prefetch" } });
    expect(evaluations).toBe(0);
    expect(done.outcome.substituted).toEqual({ paths: 2, bytes: 2000, seconds: 0 });
  });

  test.each([
    ["after a day", NOW + CLOSURE_AGE],
    ["where the evaluation record is of a time to come", NOW - 1],
  ])("asks for the closure again %s, and remembers when", async (_, now) => {
    const { visit, kept } = site();
    await visit();
    const { asked, evaluations, remembered } = await visit({ now });
    expect([evaluations, remembered]).toEqual([0, 1]);
    expect(new Set(asked)).toEqual(new Set(["app", "library"]));
    expect(kept.record?.checked).toBe(now);
  });

  test("that may write nothing leaves the evaluation record as old as it is", async () => {
    const { visit, kept } = site();
    await visit();
    await visit({ now: NOW + CLOSURE_AGE, trust: READ_ONLY });
    expect(kept.record?.checked).toBe(NOW);
  });

  test("keeps the trivial target's verdict, and asks for what its build would fetch", async () => {
    const { visit } = site();
    const inputs = { targets: ".#home" };
    const first = await visit({ inputs });
    expect(first.verdict).toEqual({ ...OWN, trivial: 1 });
    const second = await visit({ inputs });
    expect([second.evaluations, second.verdict]).toEqual([0, first.verdict]);
    expect(new Set(second.asked)).toEqual(new Set(["app", "library"]));
  });

  test("and is to push a trivial target evaluates, for its derivation", async () => {
    const { visit } = site();
    await visit({ inputs: { targets: ".#home" } });
    const second = await visit({ inputs: { targets: ".#home", mode: "warm" } });
    expect([second.evaluations, second.recalled]).toEqual([1, undefined]);
    const pushed = second.done.outcome.pushed.map(({ path }) => path);
    expect(pushed).toEqual([out(home)]);
  });
});

describe("an evaluation record that no longer holds", () => {
  const unknown: Presence = { kind: "unknown", cause: new Error("timeout") };
  const gone: Presence = { kind: "gone", narInfo: narInfo(out(app)) };
  test.each<[string, Presence]>([
    ["is missing", { kind: "miss" }],
    ["has lost its NAR", gone],
    ["is signed by nobody", { kind: "refused", why: "not signed" }],
    ["is not answered for", unknown],
  ])("of a root that %s: everything is evaluated, and asked for", async (_, presence) => {
    const { own, visit } = site();
    await visit();
    own.content.set(out(app), presence);
    const { evaluations, recalled, verdict } = await visit();
    expect([evaluations, recalled]).toEqual([1, undefined]);
    expect(verdict?.kind).toBe(presence.kind === "unknown" ? "unknown" : "missing");
  });

  test("is taken for nothing in the rest, either", async () => {
    const { own, visit } = site({ nix: { flake: { app, tool: derivation("tool") } } });
    hold(own, out(derivation("tool")), [library]);
    const inputs = { targets: ".#app\n.#tool" };
    await visit({ inputs });
    own.content.delete(out(app));
    own.content.delete(library);
    const { done, asked } = await visit({ inputs });
    expect(asked).toContain("library");
    expect(done.survey.targets.map(({ verdict }) => verdict.kind)).toEqual(["missing", "missing"]);
  });

  test("a path lost from the middle of the closure is found at once", async () => {
    const { own, visit } = site();
    await visit();
    own.content.delete(library);
    const { evaluations, verdict } = await visit();
    expect(evaluations).toBe(1);
    expect(verdict?.kind).toBe("missing");
  });

  test("what turns out not to be had drops it: evaluated in the same run", async () => {
    const { visit } = site({ nix: { unfetched: new Map([[out(app), "404"]]) } });
    await visit();
    const { evaluations, done } = await visit({ inputs: { mode: "prefetch" } });
    expect(evaluations).toBe(1);
    expect(done.survey.recalled).toBeUndefined();
  });

  test("of a cache that is gone is worth what the others serve", async () => {
    const upstream = memoryCache("upstream");
    hold(upstream, library);
    const { own, visit } = site();
    own.content.delete(library);
    expect((await visit({ substituters: [upstream] })).verdict).toEqual(OWN);
    expect((await visit({ substituters: [upstream] })).evaluations).toBe(0);

    const without = await visit();
    expect([without.evaluations, without.verdict?.kind]).toEqual([1, "missing"]);
    const down = memoryCache("upstream", { down: new Error("down") });
    expect((await visit({ substituters: [down] })).evaluations).toBe(1);

    const other = memoryCache("other");
    hold(other, library);
    const moved = await visit({ substituters: [other] });
    expect([moved.evaluations, moved.verdict]).toEqual([0, OWN]);
    expect(other.asked).toContain(library);
  });
});

describe("what a run leaves", () => {
  test("is what it pushed, as the caches hold it now", async () => {
    const { own, visit, kept } = site();
    own.content.clear();
    const { remembered, done } = await visit({ inputs: { mode: "warm" } });
    expect(done.outcome.pushed).toHaveLength(1);
    expect(remembered).toBe(1);
    expect(
      kept.record?.closure.map(({ cache, narInfo: { storePath: path } }) => [cache, path]),
    ).toEqual([["own", out(app)]]);
    expect((await visit()).verdict).toEqual(OWN);
  });

  test("may be another cache's, told to be one", async () => {
    const { own, visit } = site();
    own.content.clear();
    const upstream = memoryCache("upstream");
    hold(upstream, out(app), [library]);
    hold(upstream, library);
    const first = await visit({ inputs: { mode: "warm" }, substituters: [upstream] });
    expect(first.done.outcome.verified.map(({ outcome }) => outcome)).toEqual(["upstream only"]);
    expect(first.remembered).toBe(1);
    const second = await visit({ substituters: [upstream] });
    expect([second.evaluations, second.verdict]).toEqual([
      0,
      { kind: "upstream", holders: [{ cache: "upstream" }], trivial: 0 },
    ]);
  });

  test("are the notices of its evaluation", async () => {
    const { visit } = site();
    const first = await visit();
    const second = await visit();
    expect([first.evaluations, second.evaluations]).toEqual([1, 0]);
    for (const { done } of [first, second]) {
      expect(done.survey.notices).toEqual(["the registry's is used"]);
    }
  });

  const refused = (): Presence => ({ kind: "refused", why: "not signed" });
  test.each<[string, SiteOptions, Visit, "nothing is cached" | "all is cached"]>([
    ["nothing, read-only", {}, { trust: READ_ONLY }, "all is cached"],
    ["nothing, where something is missing", {}, {}, "nothing is cached"],
    [
      "nothing, where something did not evaluate",
      { nix: { failures: [{ attrPath: "bad", message: "error", nearest: [] }] } },
      { inputs: { targets: ".#app\n.#bad" } },
      "all is cached",
    ],
    ["nothing, where there is no target", {}, { inputs: { targets: ".#none" } }, "all is cached"],
    [
      "nothing, where what was pushed is not verified",
      { own: { verbs: ["push"], onPush: refused } },
      { inputs: { mode: "warm" } },
      "nothing is cached",
    ],
    [
      "nothing, where a build below the target is not cached",
      {
        nix: {
          flake: { leaf: derivation("app", { inputs: [derivation("stem")] }) },
          derivations: [derivation("stem")],
        },
      },
      { inputs: { targets: ".#leaf closure=build" } },
      "all is cached",
    ],
    [
      "nothing, where an output has no known path",
      { nix: { flake: { floating: derivation("floating", { kind: "floating" }) } } },
      { inputs: { targets: ".#floating" } },
      "all is cached",
    ],
  ])("is %s", async (_, options, visitOptions, cached) => {
    const { own, visit } = site(options);
    if (cached === "nothing is cached") own.content.clear();
    expect((await visit(visitOptions)).remembered).toBe(0);
  });
});
