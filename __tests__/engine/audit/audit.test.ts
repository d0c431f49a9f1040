import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import type { InputName } from "../../../src/action/inputs.ts";
import type { StoredPin } from "../../../src/domain/cache.ts";
import { UserError } from "../../../src/domain/errors.ts";
import { parsePublicKey } from "../../../src/domain/signature.ts";
import type { ProjectFacts } from "../../../src/domain/workflow.ts";
import type { Check } from "../../../src/engine/audit/check.ts";
import { run } from "../../../src/engine/run.ts";
import { derivation, out } from "../../support/graph.ts";
import { storePath } from "../../support/paths.ts";
import {
  type CacheOptions,
  hold,
  job,
  memoryCache,
  memoryNix,
  SIGNAL,
  WRITE,
  world,
} from "../../support/world.ts";

const NOW = Date.parse("2026-11-21T12:00:00Z");
const FACTS: ProjectFacts = {
  workflows: [],
  configurations: [{ where: "Nix's configuration", substituters: [], publicKeys: [] }],
  signatures: "require",
  token: "given",
  locks: [],
};

function key(name: string): string {
  const { publicKey } = generateKeyPairSync("ed25519");
  const bytes = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  return `${name}:${bytes.toString("base64")}`;
}

const lib = derivation("lib");
const tool = derivation("tool", { inputs: [lib] });
const other = derivation("other");
const two = derivation("two", { outputs: ["out", "dev"] });
const PIN = "tool-x86_64-linux";
const DEV = two.outputs.get("dev")?.path ?? out(two);
const days = (n: number) => new Date(NOW - n * 86_400_000).toISOString();

function pin(name: string, path = out(tool), more: Partial<StoredPin> = {}): StoredPin {
  return { name, storePath: path, revision: 3, createdOn: days(12), ...more };
}

interface Case {
  readonly inputs?: Partial<Record<InputName, string>>;
  readonly own?: CacheOptions;
  readonly facts?: Partial<ProjectFacts> | "none";
  /** `gone`: one reference of the target is in no cache. */
  readonly cache?: "whole" | "gone" | "empty";
  readonly substituters?: readonly ReturnType<typeof memoryCache>[];
}

const ACME = "cachix:acme";

async function audited({ inputs, own, facts = {}, cache = "whole", substituters = [] }: Case = {}) {
  const ours = memoryCache("acme", { verbs: ["push", "pin", "pins"], pins: [pin(PIN)], ...own });
  if (cache !== "empty") hold(ours, out(tool), [out(lib)]);
  if (cache === "whole") hold(ours, out(lib));
  for (const path of [out(two), DEV]) hold(ours, path);
  const nix = memoryNix({ flake: { tool, two }, derivations: [lib] });
  const around = world({ nix, own: ours, substituters, now: NOW });
  const here =
    facts === "none"
      ? around
      : { ...around, project: { look: async () => ({ ...FACTS, ...facts }) } };
  const asked = job({ mode: "audit", targets: ".#tool", cache: ACME, ...inputs });
  const done = await run(asked, WRITE, here, SIGNAL);
  const { audit } = done.outcome;
  if (!audit) throw new Error("there was no audit");
  return { ...audit, findings: [...done.plan.findings, ...done.outcome.findings] };
}

async function of(code: string, options: Case = {}): Promise<Check[]> {
  return (await audited(options)).checks.filter((one) => one.code === code);
}

const configured = (
  substituters: readonly string[],
  publicKeys: readonly string[] = [],
  where = "Nix's configuration",
) => ({ configurations: [{ where, substituters, publicKeys }] });

const REFUSED = new UserError("NCP-303", "acme: the token is revoked (HTTP 401)", {
  hint: "make one",
});
const KEY = key("acme.cachix.org-1");
const published = { info: { publicKeys: [KEY].flatMap((text) => parsePublicKey(text) ?? []) } };
const idle = memoryCache("idle", { info: { priority: 1 } });

type Row = readonly [string, string, Case, Case, Readonly<Partial<Record<keyof Check, unknown>>>];

/** What it is, what passes, what does not, and how that is told. */
const ROWS: readonly Row[] = [
  [
    "NCP-601",
    "a closure that lost a path",
    {},
    { cache: "gone" },
    { status: "fail", message: expect.stringContaining(".#tool is gone") },
  ],
  [
    "NCP-602",
    "a target never pushed",
    { cache: "whole" },
    { cache: "empty", own: { pins: [] } },
    { status: "warn", message: expect.stringMatching(/never pushed, or has been collected$/) },
  ],
  [
    "NCP-603",
    "a path without a pin",
    {},
    { own: { pins: [] } },
    {
      status: "warn",
      message: `.#tool is in our cache and has no pin ${PIN}: it may be collected`,
    },
  ],
  [
    "NCP-603",
    "an output without its pin",
    {
      inputs: { targets: ".#two^out,dev" },
      own: { pins: [pin("two-x86_64-linux", out(two)), pin("two-x86_64-linux^dev", DEV)] },
    },
    {
      inputs: { targets: ".#two^out,dev" },
      own: { pins: [pin("two-x86_64-linux", out(two))] },
    },
    {
      status: "warn",
      message: expect.stringMatching(
        /^output \S+-two-dev of .#two\S* is in our cache and has no pin two-x86_64-linux\^dev: /,
      ),
    },
  ],
  [
    "NCP-604",
    "an output's pin on an older path",
    {
      inputs: { targets: ".#two^out,dev" },
      own: { pins: [pin("two-x86_64-linux", out(two)), pin("two-x86_64-linux^dev", DEV)] },
    },
    {
      inputs: { targets: ".#two^out,dev" },
      own: { pins: [pin("two-x86_64-linux", out(two)), pin("two-x86_64-linux^dev", out(other))] },
    },
    { status: "warn", message: expect.stringContaining("pin two-x86_64-linux^dev (") },
  ],
  [
    "NCP-604",
    "a pin on an older path",
    {},
    { own: { pins: [pin(PIN, out(other))] } },
    { status: "warn", message: expect.stringContaining("is on ") },
  ],
  [
    "NCP-605",
    "a pin near its end",
    { inputs: { "pin-keep": "days:30" } },
    { inputs: { "pin-keep": "days:14" } },
    { status: "warn", message: `pin ${PIN} runs out in 2 days` },
  ],
  [
    "NCP-605",
    "a pin past its end",
    {},
    { own: { pins: [pin(PIN, out(tool), { keep: { kind: "days", days: 10 } })] } },
    { status: "fail", message: `pin ${PIN} has run out, 2 days ago` },
  ],
  [
    "NCP-606",
    "a pin that nobody knows",
    {},
    { own: { pins: [pin(PIN), pin("stray", out(other))] } },
    { status: "warn", message: "stray: no target of this audit has such a pin" },
  ],
  [
    "NCP-606",
    "a pin of an output that its target does not want",
    { inputs: { targets: ".#two" }, own: { pins: [pin("two-x86_64-linux", out(two))] } },
    {
      inputs: { targets: ".#two^out" },
      own: { pins: [pin("two-x86_64-linux", out(two)), pin("two-x86_64-linux^dev", DEV)] },
    },
    {
      status: "warn",
      message: expect.stringMatching(/^two-x86_64-linux\^dev: no target of this audit/),
    },
  ],
  [
    "NCP-607",
    "a quota nearly used up",
    { inputs: { quota: "1MB" } },
    { inputs: { quota: "2.2kB" } },
    { status: "warn", message: `1 pin takes 2 kB of 2.2 kB; the largest: ${PIN} 2 kB` },
  ],
  ["NCP-607", "a quota used up", {}, { inputs: { quota: "1kB" } }, { status: "fail" }],
  [
    "NCP-610",
    "no cache named",
    {},
    { inputs: { cache: "cachix:my-cache" } },
    { status: "fail", message: "cachix:my-cache is the name of an example" },
  ],
  [
    "NCP-611",
    "another key of the same name",
    { own: published, facts: configured([], [KEY]) },
    { own: published, facts: configured([], [key("acme.cachix.org-1")]) },
    {
      status: "fail",
      message: expect.stringContaining("is not the key that acme publishes"),
      mend: `write ${KEY}`,
    },
  ],
  [
    "NCP-611",
    "a cache that Nix reads without its key",
    { own: published, facts: configured(["memory://acme/"], [KEY]) },
    { own: published, facts: configured(["memory://acme/"]) },
    {
      status: "fail",
      message: "Nix reads acme and does not trust its key: everything from it is refused",
      mend: `extra-trusted-public-keys = ${KEY}`,
    },
  ],
  [
    "NCP-612",
    "a placeholder for a key",
    { facts: configured([], [KEY]) },
    { facts: configured([], ["acme.cachix.org-1:YOUR_PUBLIC_KEY_HERE="], "flake.nix") },
    { status: "fail", where: "flake.nix", message: expect.stringContaining("is a placeholder") },
  ],
  [
    "NCP-612",
    "a key of one letter",
    { facts: configured([], [KEY]) },
    { facts: configured([], [`acme-1:${"A".repeat(43)}=`]) },
    { status: "fail" },
  ],
  [
    "NCP-612",
    "half a key",
    { facts: configured([], [KEY]) },
    { facts: configured([], [KEY.slice(0, -9)]) },
    { status: "fail", message: expect.stringContaining("is not a public key") },
  ],
  [
    "NCP-613",
    "our cache down",
    {},
    { own: { down: new Error("ECONNREFUSED") } },
    { status: "fail", message: "acme is not reachable: ECONNREFUSED" },
  ],
  [
    "NCP-613",
    "another cache down",
    {},
    { substituters: [memoryCache("far", { down: new Error("timeout") })] },
    { status: "warn", message: "far is not reachable: timeout" },
  ],
  [
    "NCP-614",
    "a cache twice",
    { facts: configured(["https://a.example.org", "https://b.example.org"]) },
    {
      facts: configured(
        ["https://a.example.org", "https://a.example.org/?priority=3"],
        [],
        "flake.nix",
      ),
    },
    { status: "warn", where: "flake.nix" },
  ],
  [
    "NCP-615",
    "a local cache after a remote one",
    { facts: configured(["file:///cache", "https://a.example.org"]) },
    { facts: configured(["https://a.example.org", "file:///cache"]) },
    { status: "warn", mend: "name it first, or write file:///cache?priority=10" },
  ],
  [
    "NCP-616",
    "a cache without signatures",
    { facts: configured(["https://a.example.org"]) },
    { facts: configured(["https://a.example.org?trusted=1"]) },
    { status: "fail" },
  ],
  [
    "NCP-616",
    "http without signatures",
    { facts: { ...configured(["http://127.0.0.1:8080"]), signatures: "accept any" } },
    { facts: { ...configured(["http://a.example.org"]), signatures: "accept any" } },
    { status: "fail", mend: "write https://, and require-sigs = true" },
  ],
  [
    "NCP-616",
    "a Cachix cache without its key",
    { facts: configured(["https://x.cachix.org"], [key("x.cachix.org-1")]) },
    { facts: configured(["https://x.cachix.org"], [KEY]) },
    {
      status: "fail",
      message: "x.cachix.org is read and no key of it is trusted: all that it has is refused",
    },
  ],
  [
    "NCP-617",
    "a cache that no developer's machine reads",
    { facts: configured(["memory://acme"]) },
    {},
    { status: "warn", mend: 'nixConfig.extra-substituters = [ "memory://acme" ]; in flake.nix' },
  ],
  [
    "NCP-618",
    "a token that is refused",
    { own: { info: { permission: "write" } } },
    { own: { info: { trouble: REFUSED } } },
    { status: "fail", message: "acme: the token is revoked (HTTP 401)", mend: "make one" },
  ],
  [
    "NCP-618",
    "a token that opens nothing",
    { own: { info: { permission: "write" } } },
    { own: { down: REFUSED } },
    { status: "fail", mend: "make one" },
  ],
  [
    "NCP-618",
    "a token that may only read",
    {},
    { own: { info: { permission: "read" } } },
    { status: "warn", message: "the token may read acme, and not write" },
  ],
  [
    "NCP-633",
    "a lock that is not committed",
    { facts: { locks: [{ name: "flake.lock", state: "committed" }] } },
    { facts: { locks: [{ name: "flake.lock", state: "not committed" }] } },
    { status: "fail", mend: "git add --force flake.lock && git commit" },
  ],
  [
    "NCP-633",
    "a lock that is not there",
    {},
    { facts: { locks: [{ name: "Cargo.lock", state: "missing" }] } },
    { status: "fail", mend: "cargo generate-lockfile && git add Cargo.lock" },
  ],
];

describe("an audit", () => {
  test.each(ROWS)("%s passes without, and fails with, %s", async (code, _, passes, fails, told) => {
    const good = (await of(code, passes)).filter(({ status }) => status !== "pass");
    expect(good).toEqual([]);
    const bad = (await of(code, fails)).filter(({ status }) => status !== "pass");
    expect(bad).toMatchObject([told]);
    expect(bad[0]?.mend ?? "closures say it").toMatch(/\S/);
  });

  test("says how old a pin is, and how long the next one lasts", async () => {
    expect(await of("NCP-604")).toMatchObject([
      { status: "pass", message: `pin ${PIN}: on its path, 12 days old, revision 3` },
    ]);
    expect(await of("NCP-605", { inputs: { "pin-keep": "days:30" } })).toMatchObject([
      { status: "pass", message: `the pin nearest to being lost is ${PIN}, in 18 days` },
    ]);
  });

  test("takes a pin whose date cannot be read for what it is", async () => {
    const pins = [pin(PIN, out(tool), { createdOn: "yesterday" })];
    expect(await of("NCP-604", { own: { pins } })).toMatchObject([
      { status: "pass", message: `pin ${PIN}: on its path, of unknown age, revision 3` },
    ]);
  });

  test("counts what several pins share once, the largest first", async () => {
    const pins = [pin("lib", out(lib)), pin(PIN), pin("stray", storePath("nowhere"))];
    const { sizes } = await audited({ own: { pins } });
    expect(sizes).toMatchObject({
      bytes: 2000,
      complete: "complete",
      pins: [
        { name: PIN, bytes: 2000, paths: 2, alone: 1000 },
        { name: "lib", bytes: 1000, paths: 1, alone: 0 },
        { name: "stray", bytes: 0, paths: 0, alone: 0 },
      ],
    });
  });

  test("that nobody answered is no pass and no failure, and says so", async () => {
    const down = await audited({
      own: { down: new Error("ENETUNREACH") },
      facts: { token: "absent" },
    });
    const of600 = down.checks
      .filter(({ code }) => code === "NCP-600")
      .map(({ message }) => message);
    expect(of600).toEqual(
      expect.arrayContaining([
        ".#tool: our cache could not be asked",
        "the pins of our cache cannot be read",
        "the keys of our cache could not be compared",
        "what the token may do could not be asked",
        "there is no workflow file here that could be looked at",
      ]),
    );
    expect(down.checks.filter(({ status }) => status === "fail").map(({ code }) => code)).toEqual([
      "NCP-613",
    ]);
  });

  test("without a token says that none was tried", async () => {
    const all = await audited({ facts: { token: "absent" } });
    expect(all.checks).toContainEqual(
      expect.objectContaining({
        status: "unknown",
        message: "no token was given, so none was tried",
      }),
    );
  });

  test("without pins, with a cache that has none, and without a project is an audit all the same", async () => {
    expect((await audited({ own: { verbs: ["push"] } })).sizes).toBeUndefined();
    expect(await of("NCP-603", { own: { verbs: ["push"] } })).toMatchObject([
      { status: "pass", message: "our cache has no pins" },
    ]);
    expect((await audited({ facts: "none" })).checks.length).toBeGreaterThan(5);
  });

  test("fails the run where fail-on names it, and is told at the level of its checks", async () => {
    const options = { own: { pins: [] }, facts: configured([], ["acme-1:CHANGEME"]) };
    const quiet = await audited(options);
    expect(quiet.findings.filter(({ level }) => level === "error")).toEqual([]);
    const loud = await audited({ ...options, inputs: { "fail-on": "audit" } });
    expect(loud.findings.filter(({ level }) => level === "error")).toMatchObject([
      { kind: "audit", code: "NCP-612" },
    ]);
    expect(loud.findings).toContainEqual(
      expect.objectContaining({ kind: "audit", code: "NCP-603", level: "warning" }),
    );
  });

  test("a first cache that has nothing is named where another one has it", async () => {
    const many = Array.from({ length: 30 }, (_, n) => derivation(`p${n}`));
    const full = memoryCache("full", { info: { priority: 30 } });
    for (const one of many) hold(full, out(one));
    const flake = Object.fromEntries(many.map((one) => [one.name, one]));
    const here = world({
      nix: memoryNix({ flake }),
      own: memoryCache("own"),
      substituters: [idle, full],
    });
    const done = await run(job({ mode: "audit", targets: ".#*" }), WRITE, here, SIGNAL);
    expect(done.outcome.audit?.checks.filter(({ code }) => code === "NCP-615")).toMatchObject([
      { status: "warn", message: "idle is asked before others and had none of 30 paths" },
    ]);
  });
});
