import { describe, expect, test } from "@jest/globals";
import type { InputName } from "../../src/action/inputs.ts";
import { runLines, type Sheet } from "../../src/cli/terminal-report.ts";
import type { Derivation } from "../../src/domain/derivation.ts";
import { UserError } from "../../src/domain/errors.ts";
import type { Trust } from "../../src/domain/job.ts";
import { derivationName, type StorePath } from "../../src/domain/store-path.ts";
import { runPost } from "../../src/engine/post.ts";
import { countOf, FINAL_STATES, type FinalState, type Run } from "../../src/engine/result.ts";
import { run } from "../../src/engine/run.ts";
import { annotations } from "../../src/report/annotations.ts";
import { headline, icon, lastLine } from "../../src/report/headline.ts";
import { outputValues } from "../../src/report/json.ts";
import { postHeadline, postLastLine, postSummary } from "../../src/report/post-page.ts";
import { summary } from "../../src/report/summary.ts";
import { textReport } from "../../src/report/text.ts";
import { chance } from "../support/fuzz.ts";
import { derivation, out } from "../support/graph.ts";
import { faultsOf, headlinesOf } from "../support/page-rules.ts";
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

type Fate =
  | "cached"
  | "missing"
  | "build fails"
  | "push fails"
  | "verification fails"
  | "does not evaluate"
  | "unknown"
  | "elsewhere";

const FATES: readonly Fate[] = [
  "cached",
  "missing",
  "build fails",
  "push fails",
  "verification fails",
  "does not evaluate",
  "unknown",
  "elsewhere",
];

interface Generated {
  readonly fates: ReadonlyMap<string, Fate>;
  readonly inputs: Partial<Record<InputName, string>>;
  readonly trust: Trust;
  readonly freeBytes: number;
  readonly large: boolean;
  readonly refused: boolean;
  readonly cancelled: boolean;
}

function generated(seed: number): Generated {
  const below = chance(seed * 7919);
  const next = () => below(1_000_000) / 1_000_000;
  const of = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const n = of([0, 1, 1, 2, 3, 5, 12, 70]);
  // Some runs of one fate, some of a few, some of all.
  const some = FATES.filter(() => next() < of([0.2, 0.5, 1]));
  const fates = new Map(
    Array.from({ length: n }, (_, at) => [`t${at}`, of(some.length > 0 ? some : FATES)] as const),
  );
  return {
    fates,
    inputs: {
      mode: of(["check", "prefetch", "warm", "warm", "warm"]),
      "fail-on": of(["disk, eval", "none", "missing", "heavy, unverified", "disk, eval, missing"]),
      "on-push-failure": of(["warn", "error", "ignore"]),
      push: of(["auto", "auto", "targets", "off"]),
      heavy: of([">1GB", "t*"]),
    },
    trust: of([WRITE, WRITE, NO_PINS, READ_ONLY]),
    freeBytes: of([100e9, 100e9, 100e9, 1e6, 1_020_000_000]),
    large: next() < 0.2,
    refused: next() < 0.1,
    cancelled: next() < 0.12,
  };
}

const REFUSED = new UserError("NCP-305", "http://cache: HTTP 507: quota of this bucket is used up");

const REFUSED_TOKEN = new UserError("NCP-303", "cache.example: this token may not push there");

async function ran({ fates, inputs, trust, freeBytes, large, refused, cancelled }: Generated) {
  const lib = derivation("lib-1.0");
  const targets = [...fates].map(([name, fate]) => ({
    name,
    fate,
    made: derivation(name, {
      inputs: fate === "missing" ? [lib] : [],
      ...(fate === "elsewhere" ? { system: "aarch64-darwin" } : {}),
    }),
  }));
  const paths = (of: Fate) =>
    new Set<StorePath>(targets.flatMap(({ fate, made }) => (fate === of ? [out(made)] : [])));
  const [unpushed, unknown, gone] = [
    paths("push fails"),
    paths("unknown"),
    paths("verification fails"),
  ];
  const own = memoryCache("https://cache.example", {
    verbs: ["push", "pin", "pins"],
    ...(refused ? { info: { permission: "read", trouble: REFUSED_TOKEN } } : {}),
    onPush: ({ storePath, references }) => {
      if (unpushed.has(storePath)) return REFUSED;
      if (gone.has(storePath)) return { kind: "miss" };
      hold(own, storePath, references);
      return own.content.get(storePath) ?? { kind: "miss" };
    },
  });
  for (const path of paths("cached")) hold(own, path);
  for (const path of unknown) {
    own.content.set(path, { kind: "unknown", cause: new Error("connect ETIMEDOUT") });
  }
  const evaluated = targets.filter(({ fate }) => fate !== "does not evaluate");
  const controller = new AbortController();
  const nix = memoryNix({
    flake: Object.fromEntries(
      evaluated.map(({ name, made }): [string, Derivation] => [`all.${name}`, made]),
    ),
    derivations: [lib],
    failures: targets
      .filter(({ fate }) => fate === "does not evaluate")
      .map(({ name }) => ({
        attrPath: `all.${name}`,
        message: `The option \`${name}' does not exist\n       at /nix/store/${"0".repeat(32)}-source/hosts/web.nix:${name.length}:1:`,
        nearest: [],
      })),
    broken: new Map(
      targets.flatMap(({ fate, made }) =>
        fate === "build fails"
          ? [
              [
                made.path,
                `builder for '${made.path}' failed with exit code 1\n> cc -c x.c\n> error: no x\n> make: failed`,
              ] as const,
            ]
          : [],
      ),
    ),
    onBuild: () => {
      if (cancelled) controller.abort(new UserError("NCP-501", "interrupted by SIGTERM"));
      controller.signal.throwIfAborted();
    },
  });
  const here = world({ nix, own, freeBytes });
  // The first one may be too large for the disk, and the others not.
  const lines = large ? ".#all.t0 space=900GB\n.#all.*" : ".#all.*";
  const asked = job({ targets: fates.size > 1 ? lines : ".#all.*", ...inputs });
  return { done: run(asked, trust, here, controller.signal), here, asked, evaluated };
}

/** What a headline says of how many targets, where it counts them. */
function claim(words: string): { readonly n: number; readonly all: number } | undefined {
  const of = /^([\d,]+) of ([\d,]+) targets /.exec(words);
  if (of) return { n: Number(of[1]), all: Number(of[2]) };
  const all = /^all ([\d,]+) targets /.exec(words);
  if (all) return { n: Number(all[1]), all: Number(all[1]) };
  const none = /^none of the ([\d,]+) targets /.exec(words);
  if (none) return { n: Number(none[1]), all: Number(none[1]) };
  return /^(both targets|neither target) /.test(words) ? { n: 2, all: 2 } : undefined;
}

const ENDS: readonly (readonly [RegExp, readonly FinalState[]])[] = [
  [/ (is|are) cached$/, ["cached"]],
  [/ (is|are) now cached$/, ["now cached", "cached"]],
  [/ needs? a build$/, ["needs a build"]],
  [/ needed a build$/, ["built"]],
  [/ (was|were) not pushed$|^n.* was pushed$/, ["not pushed"]],
  [/ could not be verified$/, ["not verified"]],
  [/ could not be checked(, .*)?$/, ["unknown"]],
  [/ (was|were) not built$|^n.* was built$/, ["build failed"]],
  [/ (does|do) not evaluate$/, ["not evaluated"]],
];

function holdsTrue(done: Run): void {
  const { result, survey } = done;
  const words = headline(done);
  // Every target ends in one state, and the counts add up.
  expect([...result.states.keys()].sort()).toEqual(survey.targets.map(({ name }) => name).sort());
  expect(countOf(result, ...FINAL_STATES)).toBe(survey.targets.length);
  const said = claim(words);
  const states = ENDS.find(([pattern]) => pattern.test(words))?.[1];
  if (said && states) {
    expect({ words, n: said.n, all: said.all }).toEqual({
      words,
      n: countOf(result, ...states),
      all: survey.targets.length,
    });
  }
  if (/\b(all|both)\b.* cached$/.test(words)) {
    expect(countOf(result, "cached", "now cached")).toBe(survey.targets.length);
  }
  // Nothing more severe is hidden below what the headline counts.
  if (states) {
    const least = Math.min(...states.map((state) => FINAL_STATES.indexOf(state)));
    const worst = FINAL_STATES.findIndex((state) => countOf(result, state) > 0);
    expect({ words, worst }).toEqual({ words, worst: Math.max(worst, least) });
  }
}

/** What a headline says that counts no targets is as true. */
function titleHoldsTrue({ result, outcome }: Run, words: string): void {
  const { pushed, unpushed } = outcome;
  if (words.startsWith("nothing was pushed")) expect(pushed).toEqual([]);
  const paths = /^([\d,]+) of ([\d,]+) store paths? could not be pushed$/.exec(words);
  if (paths) {
    expect(paths.slice(1).map(Number)).toEqual([unpushed.length, pushed.length + unpushed.length]);
  }
  const failed = /^(\S+) failed to build$/.exec(words)?.[1];
  if (failed !== undefined) {
    const names = outcome.notBuilt.map(({ drvPath }) => derivationName(drvPath));
    expect(names).toContain(failed);
  }
  if (words.startsWith("nothing was checked")) expect(result.states.size).toBe(0);
}

/** With the headline, the sentence that accounts for the others counts each target once. */
function accountHoldsTrue(page: string, words: string, all: number): void {
  const account =
    /(?:Of the|The|All) (?:other )?([\d,]+) targets(?! were read back)(?:,| )(.*?)\./.exec(page);
  const rest = account ? Number(account[1]) : /The other target /.test(page) ? 1 : 0;
  const parts = [
    ...(account?.[2] ?? "").matchAll(/(\d+) (?:is|are|was|were|need|could|do|has|have)/g),
  ];
  if (parts.length > 0) expect(parts.reduce((sum, [, n]) => sum + Number(n), 0)).toBe(rest);
  const said = claim(words);
  if (said) expect({ page, told: said.n + rest }).toEqual({ page, told: all });
}

/** The last line of a terminal: its verb agrees with how the step ends, and the headline stands behind it. */
function terminalSaysTheSame(done: Run, words: string): void {
  const { worst, end } = done.result;
  const plain: Sheet = { width: undefined, paint: (_, text) => text };
  const shown = runLines(done, plain, "all").at(-1) ?? "";
  const [, verb = "", said = ""] = /^ +(Failed|Cached|To build|Finished) (.*)$/.exec(shown) ?? [];
  const passes =
    worst === "cached" ? "Cached" : worst === "needs a build" ? "To build" : "Finished";
  expect({ shown, verb }).toEqual({ shown, verb: end === "fails" ? "Failed" : passes });
  const short = words.replace(/ (?:is|are) cached$/, "");
  expect({ shown, told: said.startsWith(verb === "Cached" ? short : words) }).toEqual({
    shown,
    told: true,
  });
  // "One cache is down in 1.1s" would be a cache that was down for so long.
  if (/ in [\d.hm ]+s$/.test(shown))
    expect(shown).toMatch(/now cached(?: and verified)? in [\d.hm ]+s$/);
}

function allSayTheSame(done: Run): void {
  const { result } = done;
  const words = headline(done);
  const page = summary(done, { detail: "full", linkTo: () => undefined });
  expect({ page, faults: faultsOf(page) }).toEqual({ page, faults: [] });
  expect(headlinesOf(page)).toEqual([words]);
  titleHoldsTrue(done, words);
  accountHoldsTrue(page, words, result.states.size);
  expect(lastLine(done).startsWith(`Nix cache: ${words}; `)).toBe(true);
  expect(textReport(done)[0]).toBe(`Nix cache: ${words}`);
  terminalSaysTheSame(done, words);
  const told = annotations(result.findings);
  const loudest = told[0]?.level ?? "none";
  const sign = icon(result);
  expect(page.startsWith(`### ${sign} Nix cache: `)).toBe(true);
  expect({ sign, loudest }).toEqual({
    sign,
    loudest: sign === "❌" ? "error" : sign === "⚠️" ? "warning" : "none",
  });
  for (const { title, message } of told) {
    expect(title).not.toMatch(/NCP-|^[❌⚠]/u);
    expect(message.length).toBeLessThanOrEqual(300);
    expect(message.split("\n").length).toBeLessThanOrEqual(3);
  }
  for (const level of ["error", "warning"]) {
    expect(told.filter((one) => one.level === level).length).toBeLessThanOrEqual(3);
  }
  const { hit, "hit-rate": rate } = outputValues(done, "r");
  const all = result.states.size;
  expect(hit).toBe(String(all > 0 && countOf(result, "cached") === all));
  const asked = all - countOf(result, "not evaluated");
  expect(Number(rate)).toBeCloseTo(asked === 0 ? 0 : countOf(result, "cached") / asked, 2);
  // What was done to a target shows in its state.
  if (/all .* are now cached/.test(words))
    expect(result.findings.some(({ kind, level }) => kind === "push" && level !== "notice")).toBe(
      false,
    );
}

describe("a generated run", () => {
  test("has one truth: page, annotations, last line, terminal and outputs tell it alike", async () => {
    const seen = new Set<FinalState>();
    let cancelled = 0;
    for (let seed = 1; seed <= 300; seed++) {
      const made = generated(seed);
      const { done, here, asked, evaluated } = await ran(made);
      let finished: Run;
      try {
        finished = await done;
      } catch (error) {
        // A run that was broken off has no result, and so no page that could claim one.
        expect(error).toMatchObject({ code: "NCP-501" });
        cancelled++;
        continue;
      }
      try {
        holdsTrue(finished);
        allSayTheSame(finished);
        for (const state of finished.result.states.values()) seen.add(state);
        await postTellsTheSame(made, here, asked, evaluated);
      } catch (error) {
        throw new Error(
          `seed ${seed}: ${JSON.stringify([...made.fates])} ${JSON.stringify(made.inputs)}`,
          {
            cause: error,
          },
        );
      }
    }
    // It is worth nothing where the generator never gets there.
    expect([...seen].sort()).toEqual([...FINAL_STATES].sort());
    expect(cancelled).toBeGreaterThan(3);
  });
});

/** The job builds all of them once main is done, and post brings them into the cache. */
async function postTellsTheSame(
  { trust }: Generated,
  here: ReturnType<typeof world>,
  asked: ReturnType<typeof job>,
  evaluated: readonly { readonly name: string; readonly made: Derivation; readonly fate: Fate }[],
): Promise<void> {
  const built = evaluated.filter(({ fate }) => fate !== "cached" && fate !== "unknown");
  const { nix } = here;
  if (!nix) throw new Error("no Nix");
  const outs = built.map(({ made }) => out(made));
  const store = (nix as ReturnType<typeof memoryNix>).store;
  for (const path of outs) if (!store.has(path)) store.set(path, []);
  const memory = {
    targets: evaluated.map(({ name, made }) => ({
      name: `.#all.${name}`,
      outputs: [out(made)],
      pins: [{ name, storePath: out(made) }],
    })),
    storeNames: new Set<string>(),
  };
  const done = await runPost(
    asked,
    trust,
    { ...here, nix: { ...nix, builtHere: async () => outs } },
    memory,
    SIGNAL,
  );
  const post = {
    done,
    ahead: [],
    cacheName: asked.cacheName,
    seconds: 1.2,
    told: new Set<string>(),
  };
  const page = postSummary(post, "full");
  const words = postHeadline(post);
  expect({ page, faults: faultsOf(page) }).toEqual({ page, faults: [] });
  expect(postLastLine(post)).toMatch(/^Nix cache: .*; 1\.2s$/);
  expect(postLastLine(post).startsWith(`Nix cache: ${words}`)).toBe(true);
  if (page !== "") expect(headlinesOf(page)).toEqual([words]);
  const failed = done.outcome.findings.some(({ level }) => level !== "notice");
  if (/(all|both) .*cached/.test(words)) expect(failed).toBe(false);
  if (failed) expect(page).toMatch(/^### (❌|⚠️)/u);
}
