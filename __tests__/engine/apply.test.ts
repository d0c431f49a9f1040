import { describe, expect, test } from "@jest/globals";
import type { InputName } from "../../src/action/inputs.ts";
import type { Presence } from "../../src/domain/cache.ts";
import type { StorePath } from "../../src/domain/store-path.ts";
import { run } from "../../src/engine/run.ts";
import { derivation, narInfo, out } from "../support/graph.ts";
import { storePath, sum } from "../support/paths.ts";
import {
  type CacheOptions,
  hold,
  job,
  type MemoryCache,
  memoryCache,
  memoryNix,
  type NixOptions,
  READ_ONLY,
  WRITE,
  world,
} from "../support/world.ts";

const a = derivation("a");
const b = derivation("b");
const flake = { a, b };

interface Options {
  readonly inputs?: Partial<Record<InputName, string>>;
  readonly cache?: CacheOptions;
  readonly nix?: NixOptions;
  readonly trust?: typeof WRITE;
  readonly substituters?: readonly MemoryCache[];
  readonly signal?: AbortSignal;
  readonly before?: (own: MemoryCache) => void;
}

async function warmed(options: Options = {}) {
  const own = memoryCache("own", { verbs: ["push", "pin", "pins"], ...options.cache });
  options.before?.(own);
  const nix = memoryNix({ flake, ...options.nix });
  const here = world({ nix, own, substituters: options.substituters ?? [] });
  const done = await run(
    job({ mode: "warm", targets: ".#a\n.#b", ...options.inputs }),
    options.trust ?? WRITE,
    here,
    options.signal ?? new AbortController().signal,
  );
  const { outcome } = done;
  return {
    outcome,
    own,
    nix,
    lines: here.lines,
    verified: Object.fromEntries(outcome.verified.map((one) => [one.target, one.outcome])),
    pinned: Object.fromEntries(outcome.pinned.map((one) => [one.name, one.state])),
    findings: outcome.findings.map(({ kind, level, message }) => `${level} ${kind}: ${message}`),
  };
}

const PINS = { "a-x86_64-linux": "confirmed", "b-x86_64-linux": "confirmed" };

describe("a warming run", () => {
  test("builds, pushes, verifies and pins, and has nothing to complain of", async () => {
    const { verified, pinned, findings, own, outcome } = await warmed();
    expect(verified).toEqual({ ".#a": "verified", ".#b": "verified" });
    expect(pinned).toEqual(PINS);
    expect(findings).toEqual([]);
    expect(own.sent).toEqual([out(a), out(b)]);
    expect(outcome.built.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(outcome.steps.map((step) => step.do)).toEqual([
      "configure",
      "build",
      "push",
      "verify",
      "pin",
      "push",
      "verify",
      "pin",
    ]);
  });

  test("a second one has nothing to build, to push or to pin", async () => {
    const { own } = await warmed();
    const again = await warmed({
      before: (next) => {
        for (const [path, presence] of own.content) next.content.set(path, presence);
        next.pinned.push(...own.pinned);
      },
    });
    expect([again.own.sent, again.outcome.built, again.outcome.pinned]).toEqual([[], [], []]);
    expect(again.verified).toEqual({ ".#a": "verified", ".#b": "verified" });
  });

  test("writes nothing where it is read-only, and still builds", async () => {
    const { own, nix, pinned, verified } = await warmed({ trust: READ_ONLY });
    expect([own.sent, own.pinned, pinned, verified]).toEqual([[], [], {}, {}]);
    expect(nix.done).toContain("build a b");
  });
});

describe("after a failure", () => {
  test("a target that was not built is neither verified nor pinned; the others are", async () => {
    const { verified, pinned, findings } = await warmed({
      nix: { broken: new Map([[a.path, "builder failed with exit code 1"]]) },
    });
    expect(verified).toEqual({ ".#b": "verified" });
    expect(pinned).toEqual({ "b-x86_64-linux": "confirmed" });
    expect(findings).toEqual(["error missing: a was not built: builder failed with exit code 1"]);
  });

  test.each([
    ["warn", "warning"],
    ["error", "error"],
    ["ignore", undefined],
  ])("a failed push with on-push-failure: %s is told as %s", async (how, level) => {
    const { verified, pinned, findings } = await warmed({
      inputs: { "on-push-failure": how },
      cache: {
        onPush: (info) =>
          info.storePath === out(a)
            ? new Error("HTTP 507")
            : { kind: "hit", narInfo: narInfo(info.storePath), origin: "own" },
      },
    });
    expect(verified).toEqual({ ".#b": "verified" });
    expect(pinned).toEqual({ "b-x86_64-linux": "confirmed" });
    expect(findings).toEqual(
      level ? [`${level} push: ${out(a).slice(11)} was not pushed: HTTP 507`] : [],
    );
  });

  test("a push that throws fails its target alone", async () => {
    const throwing: CacheOptions = {
      onPush: (info) => {
        if (info.storePath === out(a)) throw new Error("disk full");
        return { kind: "hit", narInfo: narInfo(info.storePath), origin: "own" };
      },
    };
    const { verified, findings } = await warmed({ cache: throwing });
    expect(verified).toEqual({ ".#b": "verified" });
    expect(findings).toEqual([`warning push: ${out(a).slice(11)} was not pushed: disk full`]);
  });

  const pushedAs = (presence: (path: StorePath) => Presence): CacheOptions => ({
    onPush: ({ storePath: path }) => presence(path),
  });

  test.each<[string, CacheOptions]>([
    ["not yet visible", pushedAs(() => ({ kind: "miss" }))],
    ["rejected", pushedAs(() => ({ kind: "refused", why: "it is signed by nobody" }))],
    [
      "mismatch",
      pushedAs((path) => ({
        kind: "hit",
        narInfo: { ...narInfo(path), narHash: sum("other") },
        origin: "own",
      })),
    ],
    ["gone", pushedAs((path) => ({ kind: "gone", narInfo: narInfo(path) }))],
    ["unknown", pushedAs(() => ({ kind: "unknown", cause: new Error("timeout") }))],
  ])("what is %s is not pinned, and that is told", async (outcome, cache) => {
    const { verified, pinned, findings } = await warmed({ inputs: { targets: ".#a" }, cache });
    expect(verified).toEqual({ ".#a": outcome });
    expect(pinned).toEqual({});
    expect(findings).toHaveLength(1);
    expect(findings[0]).toContain(`warning unverified: .#a is not verified in own: ${outcome}`);
  });

  test("fail-on: unverified makes it an error", async () => {
    const { findings } = await warmed({
      inputs: { targets: ".#a", "fail-on": "unverified" },
      cache: pushedAs(() => ({ kind: "refused", why: "no" })),
    });
    expect(findings[0]).toMatch(/^error unverified/);
  });

  test("what is gone is pushed once more, past every record that it is there", async () => {
    const { verified, own } = await warmed({
      inputs: { targets: ".#a" },
      nix: { store: new Map([[out(a), []]]) },
      before: (cache) => cache.content.set(out(a), { kind: "gone", narInfo: narInfo(out(a)) }),
    });
    expect(verified).toEqual({ ".#a": "verified" });
    expect(own.sent).toEqual([out(a)]);
  });

  test("an upstream's path is told to be one, and is neither pushed nor pinned nor complained of", async () => {
    const upstream = memoryCache("upstream");
    hold(upstream, out(a));
    const { own, verified, pinned, findings } = await warmed({
      inputs: { targets: ".#a" },
      substituters: [upstream],
    });
    expect([own.sent, verified, pinned, findings]).toEqual([
      [],
      { ".#a": "upstream only" },
      {},
      [],
    ]);
  });

  test.each([
    [
      "refused",
      () => {
        throw new Error("400 not in binary cache");
      },
      "400 not in binary cache",
    ],
    [
      "set to something else",
      (pin: Parameters<NonNullable<CacheOptions["onPin"]>>[0]) => ({
        ...pin,
        storePath: storePath("x"),
      }),
      `asked for 30 s, the cache still has it on ${storePath("x")}`,
    ],
  ] as [string, NonNullable<CacheOptions["onPin"]>, string][])(
    "a pin that is %s is told, and the others are set",
    async (_, onPin, why) => {
      const { pinned, findings } = await warmed({
        cache: { onPin: (pin) => (pin.name.startsWith("a") ? onPin(pin) : pin) },
      });
      expect(pinned).toEqual({ ...PINS, "a-x86_64-linux": "failed" });
      expect(findings).toHaveLength(1);
      expect(findings[0]).toContain("warning pin: pin a-x86_64-linux was not set: ");
      expect(findings[0]).toContain(why);
    },
  );

  test("a pin that cannot be read back is set, not confirmed", async () => {
    const { pinned } = await warmed({ cache: { verbs: ["push", "pin"] } });
    expect(pinned).toEqual({ "a-x86_64-linux": "set", "b-x86_64-linux": "set" });
  });

  test("an interruption ends it, and is no finding", async () => {
    const controller = new AbortController();
    const interrupted = warmed({
      signal: controller.signal,
      cache: {
        onPush: (info) => {
          controller.abort(new Error("interrupted by SIGTERM"));
          return { kind: "hit", narInfo: narInfo(info.storePath), origin: "own" };
        },
      },
    });
    await expect(interrupted).rejects.toThrow("interrupted by SIGTERM");
  });
});

describe("prefetching", () => {
  test("tells what could not be fetched and counts the rest", async () => {
    const unfetched = new Map([[out(a), "is not signed by any of the keys"]]);
    const nix = memoryNix({ flake, unfetched });
    const own = memoryCache("own");
    hold(own, out(a));
    hold(own, out(b));
    const here = world({ nix, own });
    const { outcome } = await run(
      job({ mode: "prefetch", targets: ".#a\n.#b" }),
      WRITE,
      here,
      new AbortController().signal,
    );
    expect(outcome.substituted).toEqual({ paths: 1, bytes: 1000, seconds: 0 });
    expect(outcome.findings[0]?.message).toBe(
      `Nix could not fetch 1 path that own says it has, ${out(a).slice(11)} for one: is not signed by any of the keys`,
    );
  });
});

describe("a disk that is full", () => {
  const FULL = "error: writing to file: No space left on device";

  test.each([
    ["disk", "error"],
    ["eval", "warning"],
  ])("while paths are fetched is named as that; fail-on: %s", async (failOn, level) => {
    const nix = memoryNix({ flake, unfetched: new Map([[out(a), FULL]]) });
    const own = memoryCache("own");
    hold(own, out(a));
    const what = job({ mode: "prefetch", targets: ".#a", "fail-on": failOn });
    const { outcome } = await run(what, WRITE, world({ nix, own }), new AbortController().signal);
    const [finding] = outcome.findings;
    expect(finding).toMatchObject({ kind: "disk", level, code: "NCP-410" });
    expect(finding?.message).toContain("the disk was full while Nix fetched 1 path into");
  });

  test("while a target is evaluated is named as that", async () => {
    const failures = [{ attrPath: "a", message: FULL, nearest: [] }];
    const nix = memoryNix({ flake: {}, failures });
    const what = job({ mode: "check", targets: ".#a" });
    const { plan } = await run(what, WRITE, world({ nix }), new AbortController().signal);
    expect(plan.findings).toContainEqual(
      expect.objectContaining({ kind: "disk", level: "error", code: "NCP-410" }),
    );
  });
});

describe("an audit", () => {
  const pin = { name: "bws", storePath: storePath("bws"), revision: 1, createdOn: "" };

  test("says of each target and pin what became of it, and mends nothing", async () => {
    const { verified, own, pinned } = await warmed({
      inputs: { mode: "audit" },
      cache: { verbs: ["push", "pin", "pins"], pins: [pin] },
      before: (cache) => {
        hold(cache, out(a));
        cache.content.set(out(b), { kind: "gone", narInfo: narInfo(out(b)) });
      },
    });
    expect(verified).toEqual({ ".#a": "verified", ".#b": "gone", "pin bws": "gone" });
    expect([own.sent, own.pinned, pinned]).toEqual([[], [], {}]);
  });
});
