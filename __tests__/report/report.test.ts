import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import type { InputName } from "../../src/action/inputs.ts";
import type { Derivation } from "../../src/domain/derivation.ts";
import type { Trust } from "../../src/domain/job.ts";
import type { Run } from "../../src/engine/result.ts";
import { run } from "../../src/engine/run.ts";
import { jsonReport, outputValues } from "../../src/report/json.ts";
import { summary } from "../../src/report/summary.ts";
import { findingLines, textReport } from "../../src/report/text.ts";
import { closing, headline } from "../../src/report/words.ts";
import { derivation, out } from "../support/graph.ts";
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
    [
      "something missing",
      {},
      "1 of 3 targets is cached; bws-1.0.0 would be built from source in 2 of them.",
    ],
    ["all cached", { cached: [bws, tool] }, "All 3 targets are cached."],
    ["one target, cached", { inputs: { targets: ".#homes.carol" } }, "The target is cached."],
    [
      "one target, missing",
      { inputs: { targets: ".#homes.bob" } },
      "The target is not cached; bws-1.0.0 would be built from source for it.",
    ],
    [
      "built by this run",
      { inputs: { mode: "warm" } },
      "1 of 3 targets was cached; bws-1.0.0 was built from source for 2 of them; now all are cached.",
    ],
    [
      "nothing to look for",
      { inputs: { targets: ".#nothing" } },
      "There is no target to look for.",
    ],
    ["no Nix", { nix: "none" }, "There is no Nix here: keys and disk only."],
    [
      "no space",
      { freeBytes: 1 },
      "There is not enough disk space on /: this run needs 55 MB there (store 1 kB, build outputs 5 MB, build directory 50 MB, workspace 0 B; 55 MB of it a guess) and 1 GB is to stay free, and 1 B is free.",
    ],
    [
      "a target that failed",
      { nix: { failures: [{ attrPath: "homes.dave", message: "x", nearest: [] }] } },
      "1 of 4 targets is cached; bws-1.0.0 would be built from source in 2 of them; 1 target did not evaluate.",
    ],
  ])("%s", async (_, options, expected) => {
    expect(headline(await ran(options))).toBe(expected);
  });
});

describe("the log", () => {
  test("of a check", async () => {
    const done = await ran();
    expect(
      [...textReport(done), ...findingLines(done), closing(done)].join("\n"),
    ).toMatchInlineSnapshot(`
"1 of 3 targets is cached; bws-1.0.0 would be built from source in 2 of them.

  .#homes.alice: missing: from source: bws-1.0.0; 1 trivial
  .#homes.bob: missing: from source: bws-1.0.0; 1 trivial
  .#homes.carol: own (file:///cache), 1 trivial to build

  /: 100 GB free, 100 GB after (store 1 kB, build outputs 5 MB, build directory 50 MB, workspace 0 B)
  1 build reckoned by the rule (half the closure of its inputs, at least 50 MB)
  file:///cache: reachable, answers in 0 ms, priority 0: 1 of 5 paths (1 kB)
  key: preflight-v1-deps-0123456789abcdef-0123456789abcdef
warning NCP-402: bws-1.0.0 is in no cache and would be built from source (heavy), wanted by 2 targets
1 of 3 targets is cached; bws-1.0.0 would be built from source in 2 of them; 1 warning; 0.0 s"
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
  test("of a check", async () => {
    expect(summary(await ran())).toMatchInlineSnapshot(`
"## Nix Cache Preflight

**1 of 3 targets is cached; bws-1.0.0 would be built from source in 2 of them.**

hit rate 33 % · <code>check</code> · x86&#95;64-linux · Nix 2.26.3 · 0.0 s

- ⚠️ bws-1.0.0 is in no cache and would be built from source &#40;heavy&#41;, wanted by 2 targets (NCP-402)

### Targets

|  | target | on a fresh machine | from |
|-|-|-|-|
| 🔨 | <code>.&#35;homes.alice</code> | missing: bws-1.0.0 |  |
| 🔨 | <code>.&#35;homes.bob</code> | missing: bws-1.0.0 |  |
| ✅ | <code>.&#35;homes.carol</code> | own, 1 trivial to build | <code>file&#58;///cache</code> |

### In no cache

| derivation | weight | wanted by |
|-|-|-|
| <code>bws-1.0.0</code> | heavy | <code>.&#35;homes.alice</code>, <code>.&#35;homes.bob</code> |

### Disk space

| file system |  | free now | this run needs | free after |
|-|-|-:|-|-:|
| <code>/</code> | ██████████▒░░░░░░░░░ | 100 GB | store 1 kB, build outputs 5 MB, build directory 50 MB, workspace 0 B | 100 GB |

█ taken, ▒ needed by this run, ░ free after. 1 GB is to stay free.

| build | in the build directory | in the store | known from |
|-|-:|-:|-|
| <code>bws-1.0.0</code> | 50 MB | 5 MB | rule: half the closure of its inputs, at least 50 MB |

### Caches

| cache | role |  | answers in | priority | hits | hit rate | size |
|-|-|-|-:|-:|-:|-:|-:|
| <code>file&#58;///cache</code> | own | reachable | 0 ms | 0 | 1 of 5 | 20 % | 1 kB |

Cache key: <code>preflight-v1-deps-0123456789abcdef-0123456789abcdef</code>.
"
`);
  });

  test("of a warming run", async () => {
    expect(
      summary(await ran({ inputs: { mode: "warm", targets: ".#homes.bob" } })),
    ).toMatchInlineSnapshot(`
"## Nix Cache Preflight

**The target was not cached; bws-1.0.0 was built from source for it; now it is cached.**

hit rate 0 % · <code>warm</code> · x86&#95;64-linux · Nix 2.26.3 · 0.0 s

### Targets

|  | target | on a fresh machine | from |
|-|-|-|-|
| ✅ | <code>.&#35;homes.bob</code> | cached now; was missing: bws-1.0.0 | <code>file&#58;///cache</code> |

### Was in no cache

| derivation | weight | wanted by |
|-|-|-|
| <code>bws-1.0.0</code> | heavy | <code>.&#35;homes.bob</code> |

### Done

|  | how many | bytes | time |
|-|-|-:|-:|
| Built | 2 derivations | 2 kB | 0.0 s |
| Pushed | 2 paths | 20 B | 0.0 s |
| Verified | 1 of 1 target | 1 kB | 0.0 s |
| Pinned | 1 of 1 target |  | 0.0 s |

<details><summary>Built: bws-1.0.0, home-bob</summary>

| derivation | size | time |
|-|-:|-:|
| <code>bws-1.0.0</code> | 1 kB | 0.0 s |
| <code>home-bob</code> | 1 kB | 0.0 s |

</details>

<details><summary>Pushed: bws-1.0.0, home-bob</summary>

| path | bytes |
|-|-:|
| <code>bws-1.0.0</code> | 10 B |
| <code>home-bob</code> | 10 B |

</details>

**Read back from the cache**

|  | target | outcome | paths | bytes | time | pin |
|-|-|-|-:|-:|-:|-|
| ✅ | <code>.&#35;homes.bob</code> | verified | 1 | 1 kB | 0.0 s | <code>homes.bob-x86&#95;64-li…</code> confirmed |

### Timeline

\`\`\`mermaid
gantt
  dateFormat x
  axisFormat %H:%M:%S
  tickInterval 1second
  section Look
    Keys caches targets :1000000, 1000001
  section Prepare
    1 cache to Nix's configuration :1000000, 1000001
  section Build
    bws-1.0.0 heavy :1000000, 1000001
    1 target :1000000, 1000001
  section Push
    bws-1.0.0 :1000000, 1000001
    .#35;homes.bob :1000000, 1000001
  section Verify
    .#35;homes.bob :1000000, 1000001
  section Pin
    homes.bob-x86_64-linux :1000000, 1000001
\`\`\`

### Disk space

| file system |  | free now | this run needs | free after |
|-|-|-:|-|-:|
| <code>/</code> | ██████████▒░░░░░░░░░ | 100 GB | store 0 B, build outputs 5 MB, build directory 50 MB, workspace 0 B | 100 GB |

█ taken, ▒ needed by this run, ░ free after. 1 GB is to stay free.

| build | in the build directory | in the store | known from |
|-|-:|-:|-|
| <code>bws-1.0.0</code> | 50 MB | 5 MB | rule: half the closure of its inputs, at least 50 MB |

### Caches

| cache | role |  | answers in | priority | hits | hit rate | size |
|-|-|-|-:|-:|-:|-:|-:|
| <code>file&#58;///cache</code> | own | reachable | 0 ms | 0 | 2 of 4 | 50 % | 2 kB |

Cache key: <code>preflight-v1-deps-0123456789abcdef-0123456789abcdef</code>.
"
`);
  });

  test("of a read-only run", async () => {
    const page = summary(await ran({ inputs: { mode: "warm" }, trust: READ_ONLY }));
    expect(page).toContain(
      "This run is read-only: the pull request is from a fork. It would have pushed:",
    );
    expect(page).toContain("| <code>.&#35;homes.alice</code> | <code>home-alice</code> |");
  });

  test("of a machine without Nix", async () => {
    expect(summary(await ran({ nix: "none" }))).toMatchInlineSnapshot(`
"## Nix Cache Preflight

**There is no Nix here: keys and disk only.**

<code>check</code> · 0.0 s

### Disk space

| file system |  | free now | this run needs | free after |
|-|-|-:|-|-:|
| <code>/</code> | ██████████░░░░░░░░░░ | 100 GB | workspace 0 B | 100 GB |

█ taken, ▒ needed by this run, ░ free after. 1 GB is to stay free.

### Caches

| cache | role |  | answers in | priority | hits | size |
|-|-|-|-:|-:|-:|-:|
| <code>file&#58;///cache</code> | own | reachable | 0 ms | 0 | 0 of 0 | 0 B |

Cache key: <code>preflight-v1-deps-0123456789abcdef-0123456789abcdef</code>.
"
`);
  });

  test("gives no meaning to what others wrote", async () => {
    const message = "<img src=x>\n| a | b |\n[link](http://evil) `code`\u001b[31m";
    const failures = [{ attrPath: 'homes."<b>|`"', message, nearest: ["<i>"] }];
    const page = summary(await ran({ nix: { failures } }));
    for (const sign of ["<img", "<b>", "<i>", "[link]", "`", "\u001b"]) {
      expect(page).not.toContain(sign);
    }
    const rows = page.split("\n").filter((line) => line.startsWith("| ❌"));
    // A row of four cells has five bars, whatever the name and the message hold.
    expect(rows.map((row) => row.split("|").length)).toEqual([6]);
  });

  test.each([
    ["names", "n"],
    ["names at the bound of a store path", "n".repeat(190)],
    ["names full of signs", "<|>".repeat(60)],
  ])("of 5,000 targets with %s stays under 1 MiB", async (_, name) => {
    const flake = Object.fromEntries(
      Array.from({ length: 5000 }, (_one, n) => [`homes.${name}${n}`, derivation(`d-${n}`)]),
    );
    const page = summary(await ran({ nix: { flake } }));
    expect(Buffer.byteLength(page)).toBeLessThan(1024 * 1024);
    expect(page).toContain("0 of 5,000 targets are cached");
    expect(page).toMatch(/in the report|the JSON report holds everything/);
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
