import { describe, expect, test } from "@jest/globals";
import type { InputName } from "../../src/action/inputs.ts";
import type { Trust } from "../../src/domain/job.ts";
import { decide } from "../../src/engine/run.ts";
import type { Step } from "../../src/engine/step.ts";
import { survey } from "../../src/engine/survey.ts";
import { type DerivationOptions, derivation, out } from "../support/graph.ts";
import {
  type CacheOptions,
  hold,
  job,
  memoryCache,
  memoryNix,
  type NixOptions,
  NO_PINS,
  READ_ONLY,
  SIGNAL,
  WRITE,
  world,
} from "../support/world.ts";

const ALL_VERBS = ["push", "pin", "pins"] as const;
const missing = derivation("missing");
const cached = derivation("cached");
const flake = { missing, cached };

interface Options {
  readonly inputs?: Partial<Record<InputName, string>>;
  readonly trust?: Trust;
  readonly own?: CacheOptions | "none";
  readonly nix?: NixOptions | "none";
  readonly freeBytes?: number;
}

async function planned(options: Options) {
  const { inputs = {}, trust = WRITE } = options;
  const own =
    options.own === "none"
      ? undefined
      : memoryCache("own", { verbs: ALL_VERBS, ...(options.own ?? {}) });
  if (own) hold(own, out(cached));
  const nix = options.nix === "none" ? undefined : memoryNix({ flake, ...options.nix });
  const here = world({
    nix,
    ...(own ? { own } : {}),
    ...(options.freeBytes === undefined ? {} : { freeBytes: options.freeBytes }),
  });
  const what = job({ targets: ".#missing\n.#cached", ...inputs });
  const seen = await survey(what, trust, here, SIGNAL);
  return decide(what, seen, here, SIGNAL);
}

function words(steps: readonly Step[]): string[] {
  return steps.map((step) => {
    switch (step.do) {
      case "configure":
        return `configure ${step.caches.map(({ name }) => name).join(" ")}`;
      case "substitute":
        return `substitute ${step.paths.length}`;
      case "reclaim":
        return step.reclaim.kind;
      case "build":
        return `build ${step.why}`;
      case "push":
      case "verify":
        return `${step.do} ${step.roots.target}`;
      case "pin":
        return `pin ${step.pin.name}`;
      case "audit":
        return "audit";
      default:
        return step satisfies never;
    }
  });
}

describe("which steps a plan holds", () => {
  const WARM = [
    "configure own",
    "build 1 target",
    "push .#missing",
    "verify .#missing",
    "pin missing-x86_64-linux",
    "verify .#cached",
    "pin cached-x86_64-linux",
  ];
  const without = (...verbs: string[]) =>
    WARM.filter((word) => !verbs.includes(word.split(" ")[0] ?? ""));
  /** Where nothing may be written, looking after what is there is left. */
  const LOOKS = ["configure own", "build 1 target", "verify .#cached"];
  const only = (...verbs: ("push" | "pin" | "pins")[]): CacheOptions => ({ verbs });

  test.each<[string, Options, readonly string[]]>([
    ["check looks", { inputs: { mode: "check" } }, []],
    ["prefetch fetches", { inputs: { mode: "prefetch" } }, ["configure own", "substitute 1"]],
    ["warm does it all", { inputs: { mode: "warm" } }, WARM],
    ["audit looks after what is ours", { inputs: { mode: "audit" } }, ["verify .#cached", "audit"]],
    ["check, read-only", { inputs: { mode: "check" }, trust: READ_ONLY }, []],
    [
      "prefetch, read-only",
      { inputs: { mode: "prefetch" }, trust: READ_ONLY },
      ["configure own", "substitute 1"],
    ],
    ["warm, read-only", { inputs: { mode: "warm" }, trust: READ_ONLY }, LOOKS],
    [
      "audit, read-only",
      { inputs: { mode: "audit" }, trust: READ_ONLY },
      ["verify .#cached", "audit"],
    ],
    ["warm on another branch", { inputs: { mode: "warm" }, trust: NO_PINS }, without("pin")],
    ["warm, push: off", { inputs: { mode: "warm", push: "off" } }, LOOKS],
    ["warm, pin: off", { inputs: { mode: "warm", pin: "off" } }, without("pin")],
    [
      "warm into a cache without pins",
      { inputs: { mode: "warm" }, own: only("push") },
      without("pin"),
    ],
    ["warm beside a cache that can only be read", { inputs: { mode: "warm" }, own: only() }, LOOKS],
    [
      "warm where our credentials only read",
      { inputs: { mode: "warm" }, own: { info: { permission: "read" } } },
      LOOKS,
    ],
    [
      "warm with our cache down",
      { inputs: { mode: "warm" }, own: { down: new Error("down") } },
      // It may well have them: building on a guess is the most expensive mistake.
      [],
    ],
    ["warm without a cache", { inputs: { mode: "warm" }, own: "none" }, ["build 2 targets"]],
    [
      "audit with our cache down",
      { inputs: { mode: "audit" }, own: { down: new Error("x") } },
      ["audit"],
    ],
    ["audit without a cache", { inputs: { mode: "audit" }, own: "none" }, ["audit"]],
    [
      "audit without disk space",
      { inputs: { mode: "audit", "min-free": "200GB" } },
      ["verify .#cached", "audit"],
    ],
    ["warm without Nix", { inputs: { mode: "warm" }, nix: "none" }, []],
    ["warm without disk space", { inputs: { mode: "warm", "min-free": "200GB" } }, []],
    [
      "warm without disk space, where that is no failure",
      { inputs: { mode: "warm", "min-free": "200GB", "fail-on": "none" } },
      WARM,
    ],
  ])("%s", async (_, options, expected) => {
    expect(words((await planned(options)).steps)).toEqual(expected);
  });

  test("an audit looks at pins that are no target of the run, too", async () => {
    const pins = [{ name: "bws", storePath: out(missing), revision: 1, createdOn: "" }];
    const { steps } = await planned({
      inputs: { mode: "audit", targets: ".#cached" },
      own: { verbs: ALL_VERBS, pins },
    });
    expect(words(steps)).toEqual(["verify .#cached", "verify pin bws", "audit"]);
  });
});

describe("a warming run", () => {
  test("leaves a pin that is right as it is", async () => {
    const pins = [
      { name: "cached-x86_64-linux", storePath: out(cached), revision: 3, createdOn: "" },
    ];
    const own = { verbs: ALL_VERBS, pins };
    const { steps } = await planned({ inputs: { mode: "warm" }, own });
    expect(words(steps)).not.toContain("pin cached-x86_64-linux");
    const forced = await planned({ inputs: { mode: "warm", force: "true" }, own });
    expect(words(forced.steps)).toContain("pin cached-x86_64-linux");
  });

  test("pins each output that the target wants, and leaves those that are right", async () => {
    const two = derivation("two", { outputs: ["out", "dev", "doc"] });
    const nix = { flake: { two } };
    const inputs = { mode: "warm", targets: ".#two^out,dev,doc" } as const;
    const path = (name: string) => two.outputs.get(name)?.path ?? out(two);
    const pinned = async (...right: readonly string[]) => {
      const pins = right.map((name) => ({
        name: name === "out" ? "two-x86_64-linux" : `two-x86_64-linux^${name}`,
        storePath: path(name),
        revision: 1,
        createdOn: "",
      }));
      const { steps } = await planned({ inputs, nix, own: { verbs: ALL_VERBS, pins } });
      return steps.flatMap((step) => (step.do === "pin" ? [step.pin] : []));
    };
    expect((await pinned()).map(({ name, storePath }) => [name, storePath])).toEqual([
      ["two-x86_64-linux", path("out")],
      ["two-x86_64-linux^dev", path("dev")],
      ["two-x86_64-linux^doc", path("doc")],
    ]);
    expect((await pinned("out", "doc")).map(({ name }) => name)).toEqual(["two-x86_64-linux^dev"]);
  });

  test("pushes by force what is already there", async () => {
    const { steps } = await planned({ inputs: { mode: "warm", force: "true" } });
    expect(words(steps)).toContain("push .#cached");
  });

  test("takes targets of high priority first", async () => {
    const { steps } = await planned({
      inputs: { mode: "warm", targets: ".#missing priority=10\n.#cached priority=90" },
    });
    const verifies = words(steps).filter((word) => word.startsWith("verify"));
    expect(verifies).toEqual(["verify .#cached", "verify .#missing"]);
  });

  test("builds and pushes heavy derivations first, one by one, then what is shared", async () => {
    const bws = derivation("bws-1.0.0");
    const shared = derivation("shared");
    const home = (name: string, options: DerivationOptions = {}) =>
      derivation(name, { kind: "trivial", inputs: [shared], ...options });
    const { steps } = await planned({
      inputs: { mode: "warm", targets: ".#homes.*", heavy: "bws" },
      nix: {
        flake: {
          "homes.a": home("a", { inputs: [shared, bws] }),
          "homes.b": home("b"),
        },
        derivations: [bws, shared],
      },
    });
    expect(words(steps).slice(0, 6)).toEqual([
      "configure own",
      "build bws-1.0.0: heavy",
      "push bws-1.0.0",
      "build 1 derivation that several targets share",
      "push what several targets share",
      "build 2 targets",
    ]);
  });

  test("leaves out of builds what this machine cannot build", async () => {
    const { steps } = await planned({
      inputs: { mode: "warm", targets: ".#mac" },
      nix: { flake: { mac: derivation("mac", { system: "aarch64-darwin" }) } },
    });
    expect(words(steps)).toEqual(["configure own"]);
  });

  test("does not build what nobody answered for", async () => {
    const own = memoryCache("own", { verbs: ALL_VERBS });
    own.content.set(out(missing), { kind: "unknown", cause: new Error("no answer") });
    const here = world({ nix: memoryNix({ flake }), own });
    const what = job({ mode: "warm", targets: ".#missing" });
    const seen = await survey(what, WRITE, here, SIGNAL);
    expect(words((await decide(what, seen, here, SIGNAL)).steps)).toEqual(["configure own"]);
  });

  test("pushes what is under a target, too, with closure=build", async () => {
    const stem = derivation("stem");
    const leaf = derivation("leaf", { inputs: [stem] });
    const { steps } = await planned({
      inputs: { mode: "warm", targets: ".#leaf closure=build" },
      nix: { flake: { leaf }, derivations: [stem] },
    });
    const push = steps.find((step) => step.do === "push");
    if (push?.do !== "push") throw new Error("no push");
    expect(push.roots.paths).toEqual([out(leaf), out(stem)]);
  });

  test("what several of them are built of is pushed and verified once, before them", async () => {
    const stem = derivation("stem");
    const [one, two] = [1, 2].map((n) => derivation(`leaf-${n}`, { inputs: [stem] }));
    if (!one || !two) throw new Error("no leaves");
    const { steps } = await planned({
      inputs: { mode: "warm", targets: ".#one closure=build\n.#two closure=build" },
      nix: { flake: { one, two }, derivations: [stem] },
    });
    const roots = steps.flatMap((step) =>
      step.do === "push" || step.do === "verify" ? [[step.do, ...step.roots.paths]] : [],
    );
    expect(roots.filter((paths) => paths.includes(out(stem)))).toEqual([
      // As soon as it is built, and where it is looked at.
      ["push", out(stem)],
      ["push", out(stem)],
      ["verify", out(stem)],
    ]);
    expect(roots).toContainEqual(["verify", out(one)]);
    expect(roots).toContainEqual(["verify", out(two)]);
  });
});

describe("a read-only run", () => {
  test("says what it would have pushed, and what is there is not among it", async () => {
    const { withheld } = await planned({ inputs: { mode: "warm" }, trust: READ_ONLY });
    expect(withheld).toEqual([{ target: ".#missing", paths: [out(missing)] }]);
  });

  test("of a cache that nobody can write to says nothing", async () => {
    const own = { verbs: [] };
    const { withheld } = await planned({ inputs: { mode: "warm" }, trust: READ_ONLY, own });
    expect(withheld).toEqual([]);
  });

  test.each(["check", "prefetch", "warm", "audit"])(
    "of mode %s holds no step that writes",
    async (mode) => {
      const inputs = { mode, force: "true" };
      const { steps } = await planned({ inputs, trust: READ_ONLY });
      const writing = steps.filter((step) => step.do === "push" || step.do === "pin");
      const mending = steps.filter((step) => step.do === "verify" && step.onTrouble === "mend");
      expect([...writing, ...mending]).toEqual([]);
    },
  );
});
