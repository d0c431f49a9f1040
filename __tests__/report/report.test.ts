import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import type { InputName } from "../../src/action/inputs.ts";
import type { Derivation } from "../../src/domain/derivation.ts";
import type { Trust } from "../../src/domain/job.ts";
import type { Run } from "../../src/engine/result.ts";
import { run } from "../../src/engine/run.ts";
import { headline, lastLine } from "../../src/report/headline.ts";
import { jsonReport, outputValues } from "../../src/report/json.ts";
import { summary } from "../../src/report/summary.ts";
import { findingLines, textReport } from "../../src/report/text.ts";
import { derivation, out } from "../support/graph.ts";
import { faultsOf, headlinesOf } from "../support/page-rules.ts";
import { storePath } from "../support/paths.ts";
import {
  hold,
  job,
  memoryCache,
  memoryNix,
  type NixOptions,
  READ_ONLY,
  SIGNAL,
  WRITE,
  world,
} from "../support/world.ts";

const bws = derivation("bws-1.0.0");
const tool = derivation("tool-2");
const home = (name: string, inputs: readonly Derivation[]) =>
  derivation(`home-${name}`, { kind: "trivial", inputs });
const HOMES = {
  "homes.alice": home("alice", [bws, tool]),
  "homes.bob": home("bob", [bws]),
  "homes.carol": home("carol", [tool]),
};

interface Options {
  readonly inputs?: Partial<Record<InputName, string>>;
  readonly nix?: NixOptions | "none";
  readonly cached?: readonly Derivation[];
  readonly trust?: Trust;
  readonly freeBytes?: number;
}

async function ran(options: Options = {}): Promise<Run> {
  const own = memoryCache("file:///cache", { verbs: ["push", "pin", "pins"] });
  for (const one of options.cached ?? [tool]) hold(own, out(one));
  const nix =
    options.nix === "none"
      ? undefined
      : memoryNix({ flake: HOMES, derivations: [bws, tool], ...options.nix });
  return run(
    job({ mode: "check", targets: ".#homes.*", heavy: "bws", ...options.inputs }),
    options.trust ?? WRITE,
    world({ nix, own, freeBytes: options.freeBytes ?? 100e9 }),
    SIGNAL,
  );
}

describe("the headline", () => {
  test.each<[string, Options, string]>([
    ["something missing", {}, "2 of 3 targets need a build"],
    ["all cached", { cached: [bws, tool] }, "all 3 targets are cached"],
    ["one target, cached", { inputs: { targets: ".#homes.carol" } }, ".#homes.carol is cached"],
    ["one target, missing", { inputs: { targets: ".#homes.bob" } }, ".#homes.bob needs a build"],
    ["built by this run", { inputs: { mode: "warm" } }, "all 3 targets are now cached"],
    [
      "built, and pushed nowhere",
      { inputs: { mode: "warm" }, trust: READ_ONLY },
      "2 of 3 targets needed a build",
    ],
    [
      "nothing to look for",
      { inputs: { targets: ".#nothing" } },
      "nothing was checked, no target is left",
    ],
    ["no Nix", { nix: "none" }, "nothing was checked, there is no Nix here"],
    [
      "no space that is known to be needed",
      { freeBytes: 1 },
      "not enough disk space to build bws-1.0.0",
    ],
    [
      "a target that failed",
      { nix: { failures: [{ attrPath: "homes.dave", message: "x", nearest: [] }] } },
      ".#homes.dave does not evaluate",
    ],
  ])("%s", async (_, options, expected) => {
    expect(headline(await ran(options))).toBe(expected);
  });
});

describe("the log", () => {
  test("of a check", async () => {
    const done = await ran();
    expect(
      [...textReport(done), ...findingLines(done), lastLine(done)].join("\n"),
    ).toMatchInlineSnapshot(`
"Nix cache: 2 of 3 targets need a build

  .#homes.alice: needs a build: bws-1.0.0 from source; 1 to build locally
  .#homes.bob: needs a build: bws-1.0.0 from source; 1 to build locally
  .#homes.carol: cached (file:///cache), 1 to build locally

  /: 100 GB free, 100 GB after (store 1 kB, build outputs 5 MB, build directory 50 MB)
  1 build estimated (half the closure of its inputs, at least 50 MB)
  file:///cache: reachable, answers in 0 ms, priority 0: 1 of 5 paths (1 kB)
  key: preflight-v1-deps-0123456789abcdef-0123456789abcdef
warning NCP-402: bws-1.0.0 is in no binary cache and would be built from source (heavy), needed by 2 targets
Nix cache: 2 of 3 targets need a build; 1 derivation from source; 0.0s"
`);
  });

  test("holds no line that the runner would take for a command", async () => {
    const failures = [
      { attrPath: "homes.x", message: "a\n::error::y\n\u001b[31m##[group]z", nearest: [] },
    ];
    const done = await ran({ nix: { failures } });
    const lines = [...textReport(done), ...findingLines(done)];
    expect(lines).toContain("error NCP-205: .#homes.x does not evaluate: a");
    for (const line of lines) {
      expect(line.trimStart()).not.toMatch(/^::/);
      for (const sign of ["##[", "\u001b", "\n"]) expect(line).not.toContain(sign);
    }
  });
});

describe("the summary", () => {
  const page = (done: Run) => summary(done, { detail: "full", linkTo: () => undefined });

  test("of a check", async () => {
    expect(page(await ran())).toMatchInlineSnapshot(`
"### ⚠️ Nix cache: 2 of 3 targets need a build

1 derivation is in no binary cache and will be built from source. The other target is cached.

| From source | Needed by |
|:--|:--|
| ⚠️ <code>bws-1.0.0</code> | <code>.&#35;homes.alice</code>, <code>.&#35;homes.bob</code> |

<details><summary>1 cached target</summary>

From <code>file&#58;///cache</code>: <code>.&#35;homes.carol</code>

</details>

<sub>Nix Cache Preflight · check · x86&#95;64-linux · Nix 2.26.3 · 0.0s · [NCP-402](https://github.com/nix-cache-preflight/nix-cache-preflight/blob/v1/docs/troubleshooting.md#ncp-402)</sub>
"
`);
  });

  test("of a check where all is cached", async () => {
    expect(page(await ran({ cached: [bws, tool] }))).toMatchInlineSnapshot(`
"### ✅ Nix cache: all 3 targets are cached

Nothing needs to be built from source. The targets come from <code>file&#58;///cache</code>. To download: 2 store paths, 2 kB.

<details><summary>3 cached targets</summary>

From <code>file&#58;///cache</code>: <code>.&#35;homes.alice</code>, <code>.&#35;homes.bob</code>, <code>.&#35;homes.carol</code>

</details>

<sub>Nix Cache Preflight · check · x86&#95;64-linux · Nix 2.26.3 · 0.0s</sub>
"
`);
  });

  test("of a warming run", async () => {
    const inputs = { mode: "warm", targets: ".#homes.bob\n.#homes.alice" } as const;
    expect(page(await ran({ inputs }))).toMatchInlineSnapshot(`
"### ✅ Nix cache: both targets are now cached

1 derivation was in no binary cache. It was built in 0.0s, and 3 store paths (30 B) were pushed to <code>file&#58;///cache</code>. Both targets were read back from there, verified and pinned.

| From source |
|:--|
| <code>bws-1.0.0</code> |

<details><summary>2 targets verified and pinned</summary>

| Target | Pin |
|:--|:--|
| <code>.&#35;homes.bob</code> | <code>homes.bob-x86&#95;64-linux</code> |
| <code>.&#35;homes.alice</code> | <code>homes.alice-x86&#95;64-linux</code> |

</details>

<sub>Nix Cache Preflight · warm · x86&#95;64-linux · Nix 2.26.3 · 0.0s</sub>
"
`);
  });

  test("of a read-only run", async () => {
    const inputs = { mode: "warm" } as const;
    expect(page(await ran({ inputs, trust: READ_ONLY }))).toMatchInlineSnapshot(`
"### 🔨 Nix cache: 2 of 3 targets needed a build

1 derivation was built from source here in 0.0s; nothing was pushed: the pull request is from a fork. That is expected: the cache is filled when it is merged. The other target is cached.

| From source | Needed by |
|:--|:--|
| <code>bws-1.0.0</code> | <code>.&#35;homes.alice</code>, <code>.&#35;homes.bob</code> |

<details><summary>1 cached target</summary>

From <code>file&#58;///cache</code>: <code>.&#35;homes.carol</code>

</details>

<sub>Nix Cache Preflight · warm, read-only · x86&#95;64-linux · Nix 2.26.3 · 0.0s</sub>
"
`);
  });

  test("of a build that failed: its log from the error on, and how to see it", async () => {
    const log = ["cc -c x.c", "error[E0308]: mismatched types", "could not compile"];
    const message = [
      `builder for '${bws.path}' failed with exit code 1`,
      ...log.map((line) => `> ${line}`),
    ].join("\n");
    const nix = { broken: new Map([[bws.path, message]]) };
    expect(page(await ran({ inputs: { mode: "warm" }, nix }))).toMatchInlineSnapshot(`
"### ❌ Nix cache: bws-1.0.0 failed to build

Its builder ended with exit code 1. 3 store paths (30 B) were pushed to <code>file&#58;///cache</code>. All 3 targets were read back from there, verified and pinned. Of the 3 targets, 1 is cached and 2 are now cached.

\`\`\`
error[E0308]: mismatched types
could not compile
\`\`\`

**Fix:** See its log with: nix log /nix/store/2dl53x2br76n09n9dsv2kar5np47s5pc-bws-1.0.0.drv

| From source | Needed by |
|:--|:--|
| ⚠️ <code>bws-1.0.0</code> | <code>.&#35;homes.alice</code>, <code>.&#35;homes.bob</code> |

<details><summary>3 targets verified and pinned</summary>

| Target | Pin |
|:--|:--|
| <code>.&#35;homes.alice</code> | <code>homes.alice-x86&#95;64-linux</code> |
| <code>.&#35;homes.bob</code> | <code>homes.bob-x86&#95;64-linux</code> |
| <code>.&#35;homes.carol</code> | <code>homes.carol-x86&#95;64-linux</code> |

</details>

<details><summary>1 cached target</summary>

From <code>file&#58;///cache</code>: <code>.&#35;homes.carol</code>

</details>

<sub>Nix Cache Preflight · warm · x86&#95;64-linux · Nix 2.26.3 · 0.0s · [NCP-206](https://github.com/nix-cache-preflight/nix-cache-preflight/blob/v1/docs/troubleshooting.md#ncp-206)</sub>
"
`);
  });

  test("of a machine without Nix", async () => {
    expect(page(await ran({ nix: "none" }))).toMatchInlineSnapshot(`
"### ✅ Nix cache: nothing was checked, there is no Nix here

The cache key and the free disk space are all that was looked at.

<sub>Nix Cache Preflight · check · 0.0s</sub>
"
`);
  });

  test("is as long as was asked for", async () => {
    const done = await ran();
    const linkTo = () => undefined;
    expect(summary(done, { detail: "off", linkTo })).toBe("");
    const short = summary(done, { detail: "short", linkTo });
    expect(faultsOf(short)).toEqual([]);
    expect(short).not.toMatch(/^\||<details>/m);
    expect(headlinesOf(short)).toEqual(headlinesOf(page(done)));
  });

  test("of a run of over five minutes has its timeline folded, of a shorter one none", async () => {
    const done = await ran({ inputs: { mode: "warm" } });
    expect(page(done)).not.toContain("mermaid");
    const long = page({ ...done, end: done.begin + 301_000 });
    const [fold = ""] =
      /<details><summary>Time and disk space<[\s\S]*?<\/details>/.exec(long) ?? [];
    expect(fold).toContain("```mermaid\ngantt");
    expect(long.split("```mermaid")).toHaveLength(2);
    expect(faultsOf(long)).toEqual([]);
  });

  test("gives no meaning to what others wrote", async () => {
    const message = "<img src=x>\n```\n| a | b |\n[link](http://evil) `code`\u001b[31m";
    const failures = [{ attrPath: 'homes."<b>|`"', message, nearest: ["<i>"] }];
    const made = page(await ran({ nix: { failures } }));
    // What Nix said stands in a fence that is longer than any in it.
    const plain = made.replace(/^````\n[\s\S]*?^````$/m, "");
    expect(plain).not.toBe(made);
    for (const sign of ["<img", "<b>", "<i>", "[link]", "`", "\u001b"]) {
      expect(plain).not.toContain(sign);
    }
    expect(faultsOf(made)).toEqual([]);
  });

  test.each([
    ["names", "n"],
    ["names at the bound of a store path", "n".repeat(190)],
    ["names full of signs", "<|>".repeat(60)],
  ])("of 5,000 targets with %s stays under 1 MiB", async (_, name) => {
    const flake = Object.fromEntries(
      Array.from({ length: 5000 }, (_one, n) => [`homes.${name}${n}`, derivation(`d-${n}`)]),
    );
    const made = page(await ran({ nix: { flake } }));
    expect(Buffer.byteLength(made)).toBeLessThan(1024 * 1024);
    expect(headlinesOf(made)).toEqual(["all 5,000 targets need a build"]);
    expect(faultsOf(made)).toEqual([]);
  });
});

describe("the outputs", () => {
  test("are those of action.yml, no more and no less", async () => {
    const file = readFileSync(join(import.meta.dirname, "..", "..", "action.yml"), "utf8");
    const { outputs } = parse(file) as { outputs: Record<string, unknown> };
    const values = outputValues(await ran(), "/report.json");
    expect(Object.keys(values).sort()).toEqual(Object.keys(outputs).sort());
  });

  test("of a check", async () => {
    const values = outputValues(await ran(), "/report.json");
    expect(values).toMatchObject({
      "cache-key": "preflight-v1-deps-0123456789abcdef-0123456789abcdef",
      "restore-keys": "preflight-v1-deps-0123456789abcdef\npreflight-v1-deps",
      "read-only": "false",
      hit: "false",
      "hit-rate": "0.333",
      "any-missing": "true",
      "bytes-needed": "55001000",
      "bytes-free": "100000000000",
      report: "/report.json",
    });
    const parsed = (name: string): unknown => JSON.parse(values[name] ?? "");
    expect(parsed("hashes")).toEqual({
      "flake.lock": "0123456789abcdef",
      "Cargo.lock": "0123456789abcdef",
    });
    expect(parsed("verdicts")).toEqual({
      ".#homes.alice": { kind: "missing", source: ["bws-1.0.0"], download: [], trivial: 1 },
      ".#homes.bob": { kind: "missing", source: ["bws-1.0.0"], download: [], trivial: 1 },
      ".#homes.carol": { kind: "own", caches: ["file:///cache"], trivial: 1 },
    });
    expect(parsed("missing")).toEqual([
      {
        name: "bws-1.0.0",
        drvPath: bws.path,
        system: "x86_64-linux",
        heavy: true,
        wantedBy: [".#homes.alice", ".#homes.bob"],
      },
    ]);
    expect(parsed("matrix")).toMatchObject({
      include: [{ name: ".#homes.alice and 1 more", system: "x86_64-linux" }],
    });
    expect(parsed("changed")).toEqual([".#homes.alice", ".#homes.bob", ".#homes.carol"]);
    expect(parsed("store-paths")).toMatchObject({ ".#homes.bob": out(HOMES["homes.bob"]) });
  });

  test.each<[string, Options, Record<string, string>]>([
    [
      "all cached",
      { cached: [bws, tool] },
      {
        hit: "true",
        "hit-rate": "1",
        "any-missing": "false",
        missing: "[]",
        matrix: '{"include":[]}',
      },
    ],
    [
      "no Nix",
      { nix: "none" },
      { hit: "false", "hit-rate": "0", verdicts: "{}", "any-missing": "false" },
    ],
    ["read-only", { trust: READ_ONLY }, { "read-only": "true" }],
  ])("with %s", async (_, options, expected) => {
    expect(outputValues(await ran(options), "r")).toMatchObject(expected);
  });

  test("changed holds what its pin does not", async () => {
    const done = await ran({ cached: [bws, tool] });
    const [alice, ...others] = done.survey.targets;
    if (!alice?.outputs?.[0]) throw new Error("no target");
    const pins = [{ name: alice.pinName, storePath: alice.outputs[0], revision: 1, createdOn: "" }];
    const values = outputValues({ ...done, survey: { ...done.survey, pins } }, "r");
    expect(JSON.parse(values["changed"] ?? "")).toEqual(others.map(({ name }) => name));
  });

  test("changed goes by every output that has a pin", async () => {
    const done = await ran({ cached: [bws, tool] });
    const [alice] = done.survey.targets;
    const [path] = alice?.outputs ?? [];
    if (!alice || !path) throw new Error("no target");
    const dev = storePath("alice-dev");
    const targets = [{ ...alice, outputs: [path, dev], outputNames: ["out", "dev"] }];
    const changed = (second: readonly { name: string; storePath: typeof path }[]) => {
      const held = [{ name: alice.pinName, storePath: path }, ...second];
      const pins = held.map((pin) => ({ ...pin, revision: 1, createdOn: "" }));
      const values = outputValues({ ...done, survey: { ...done.survey, targets, pins } }, "r");
      return JSON.parse(values["changed"] ?? "");
    };
    const name = `${alice.pinName}^dev`;
    expect(changed([])).toEqual([]);
    expect(changed([{ name, storePath: dev }])).toEqual([]);
    expect(changed([{ name, storePath: path }])).toEqual([alice.name]);
  });
});

describe("the JSON report", () => {
  test("is JSON, and holds what was seen, meant and done", async () => {
    const report = JSON.parse(JSON.stringify(jsonReport(await ran({ inputs: { mode: "warm" } }))));
    expect(report).toMatchObject({
      version: 2,
      mode: "warm",
      system: "x86_64-linux",
      trust: { kind: "write" },
      hitRate: 0.333,
      caches: [{ name: "file:///cache", role: "own", reachable: true, error: null }],
    });
    expect(report.targets).toHaveLength(3);
    expect(report.steps[0]).toMatchObject({ do: "configure" });
    expect(report.built.map((one: { name: string }) => one.name)).toContain("bws-1.0.0");
  });

  test("names a cache that is down with the reason", async () => {
    const own = memoryCache("own", { down: new Error("connect ECONNREFUSED") });
    const done = await run(job({ mode: "check" }), WRITE, world({ nix: memoryNix(), own }), SIGNAL);
    expect(jsonReport(done).caches).toMatchObject([
      { name: "own", reachable: false, milliseconds: null, error: "connect ECONNREFUSED" },
    ]);
  });
});
