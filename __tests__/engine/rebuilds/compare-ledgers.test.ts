import { describe, expect, test } from "@jest/globals";
import type { Ledger } from "../../../src/domain/ledger.ts";
import { type Cause, Comparison } from "../../../src/engine/rebuilds/compare-ledgers.ts";
import {
  hashOf,
  ledgerOf,
  type Made,
  type MadeLedger,
  usualLedger,
} from "../../support/ledgers.ts";

/** Two programs on one library, each with a source of its own that is downloaded. */
function project(
  change: Readonly<Record<string, Partial<Made>>> = {},
  more: readonly Made[] = [],
): Made[] {
  const list: Made[] = [
    {
      name: "openssl-3.5.0.tar.gz",
      key: "tls.tar",
      kind: "download",
      attributes: { outputHash: "a" },
    },
    {
      name: "openssl-3.5.0",
      key: "openssl",
      inputs: ["tls.tar"],
      attributes: { name: "openssl-3.5.0", version: "3.5.0", src: "tls", configureFlags: "x" },
    },
    { name: "setup-hook", kind: "trivial", inputs: ["openssl"], attributes: { deps: "openssl" } },
    { name: "curl-8.15.0", key: "curl", inputs: ["openssl"], attributes: { version: "8.15.0" } },
    {
      name: "git-2.50.1",
      key: "git",
      inputs: ["curl", "setup-hook"],
      attributes: { version: "2" },
    },
    {
      name: "acme-web",
      key: "web",
      inputs: ["git"],
      sources: [`${"0".repeat(32)}-web`],
      attributes: { src: "web" },
    },
    { name: "acme-docs", key: "docs", attributes: { src: "docs" } },
    ...more,
  ];
  return list.map((made) => ({ ...made, ...change[made.key ?? made.name] }));
}

const TARGETS = { targets: ["web", "docs"] };
const BASE = ledgerOf(project(), TARGETS);

function compared(head: Ledger, base = BASE) {
  const comparison = new Comparison(head, base);
  const place = (name: string) => head.nodes.findIndex((node) => node.name === name);
  return {
    comparison,
    changed: [...comparison.changed].map((at) => head.nodes[at]?.name ?? "").sort(),
    gone: comparison.gone.map((at) => base.nodes[at]?.name),
    cause: (name: string): Cause => comparison.cause(place(name)),
    way: (name: string) => comparison.way(place(name)).map((at) => head.nodes[at]?.name),
  };
}

const built = (
  change: Parameters<typeof project>[0],
  more: MadeLedger = {},
  added: readonly Made[] = [],
  without: readonly string[] = [],
) => {
  const list = project(change, added).filter(({ key }) => !without.includes(key ?? ""));
  return compared(ledgerOf(list, { ...TARGETS, ...more }));
};

/** Another version: its name, its version and what is downloaded for it. */
const BUMP: Parameters<typeof project>[0] = {
  "tls.tar": { name: "openssl-3.5.1.tar.gz", attributes: { outputHash: "b" } },
  openssl: {
    name: "openssl-3.5.1",
    attributes: { name: "openssl-3.5.1", version: "3.5.1", src: "tls2", configureFlags: "x" },
  },
};

describe("two ledgers", () => {
  test("of the same graph differ in nothing", () => {
    const { changed, gone, comparison } = built({});
    expect([changed, gone, comparison.inputs]).toEqual([[], [], []]);
  });

  test("tell a bumped dependency from what is built of it", () => {
    const { cause, changed, comparison } = built(BUMP);
    expect(changed).toEqual([
      "acme-web",
      "curl-8.15.0",
      "git-2.50.1",
      "openssl-3.5.1",
      "openssl-3.5.1.tar.gz",
      "setup-hook",
    ]);
    expect(cause("openssl-3.5.1")).toEqual({ kind: "own", attributes: ["src", "version"] });
    const dependency = {
      kind: "dependency",
      name: "openssl-3.5.1",
      was: "openssl-3.5.0",
      others: 0,
    };
    for (const name of ["curl-8.15.0", "git-2.50.1", "acme-web", "setup-hook"]) {
      expect(cause(name)).toEqual(dependency);
    }
    expect(comparison.gone).toEqual([]);
  });

  test("give the way down to what differs, by name", () => {
    expect(built(BUMP).way("acme-web")).toEqual([
      "acme-web",
      "git-2.50.1",
      "curl-8.15.0",
      "openssl-3.5.1",
    ]);
    expect(built(BUMP).way("openssl-3.5.1")).toEqual(["openssl-3.5.1"]);
  });

  test("name a derivation's own change before that of what it needs", () => {
    const { cause } = built({ ...BUMP, web: { attributes: { src: "other" } } });
    expect(cause("acme-web")).toEqual({ kind: "own", attributes: ["src"] });
  });

  test("see a source that only a builder's arguments name", () => {
    const { cause } = built({ web: { sources: [`${"1".repeat(32)}-web`] } });
    expect(cause("acme-web")).toEqual({ kind: "own", attributes: [] });
  });

  test("count two roots of one derivation", () => {
    const { cause } = built({
      openssl: { attributes: { configureFlags: "y" } },
      git: { attributes: { version: "2" }, inputs: ["curl", "setup-hook"] },
      "setup-hook": { attributes: { deps: "other" } },
    });
    expect(cause("git-2.50.1")).toMatchObject({ kind: "dependency", others: 1 });
  });

  test("hold a download that gives the same bytes for the same, however it is fetched", () => {
    const fetcher = { name: "fetcher", attributes: { version: "1" } };
    const download = (made: Made): Made =>
      made.key === "tls.tar" ? { ...made, inputs: ["fetcher"] } : made;
    const base = ledgerOf([fetcher, ...project().map(download)], TARGETS);
    const now = [{ ...fetcher, attributes: { version: "2" } }, ...project().map(download)];
    expect(compared(ledgerOf(now, TARGETS), base).changed).toEqual([]);
  });

  test("tell what is new and what is gone", () => {
    const added = [{ name: "wget-1", attributes: { version: "1" } }];
    const { cause, changed, gone } = built(
      { docs: { inputs: ["setup-hook"], attributes: { src: "docs", deps: "wget" } } },
      { targets: ["wget-1", "docs"] },
      added,
      ["web"],
    );
    expect(cause("wget-1")).toEqual({ kind: "new" });
    expect(changed).toEqual(["acme-docs", "wget-1"]);
    expect(gone).toEqual(["acme-web"]);
  });

  test("pair two of one name from the top, each with its own", () => {
    const two = (flag: string): Made[] => [
      { name: "zlib-1", key: "a", attributes: { flags: "static" } },
      { name: "zlib-1", key: "b", attributes: { flags: flag } },
      { name: "one", inputs: ["a"], attributes: { x: flag } },
      { name: "two", inputs: ["b"], attributes: { x: "same" } },
    ];
    const targets = { targets: ["one", "two"] };
    const { cause } = compared(ledgerOf(two("shared"), targets), ledgerOf(two("both"), targets));
    expect(cause("two")).toMatchObject({ kind: "dependency", name: "zlib-1" });
    expect(cause("one")).toEqual({ kind: "own", attributes: ["x"] });
  });
});

describe("an input of the flake", () => {
  const input = (revision: string) => [
    { name: "nixpkgs", revision, source: `${hashOf(revision)}-source` },
  ];
  const base = ledgerOf(project(), { ...TARGETS, tree: "aa", inputs: input("old") });
  const given = { name: "nixpkgs", from: "old", to: "new" };

  test("is the cause where nothing else of the project changed", () => {
    const now = ledgerOf(project(BUMP), { ...TARGETS, tree: "aa", inputs: input("new") });
    const { cause } = compared(now, base);
    expect(cause("acme-web")).toEqual({ kind: "input", input: given, by: "openssl-3.5.1" });
    expect(cause("openssl-3.5.1")).toEqual({ kind: "input", input: given, by: undefined });
  });

  test("is not claimed to be where the project's own files changed, too, or nobody knows", () => {
    for (const tree of ["bb", ""]) {
      const now = ledgerOf(project(BUMP), { ...TARGETS, tree, inputs: input("new") });
      expect(compared(now, base).cause("acme-web").kind).toBe("dependency");
    }
  });

  test("nor where two of them changed", () => {
    const other = { name: "crane", revision: "1", source: "" };
    const before = ledgerOf(project(), {
      ...TARGETS,
      tree: "aa",
      inputs: [...input("old"), other],
    });
    const inputs = [...input("new"), { ...other, revision: "2" }];
    const now = ledgerOf(project(BUMP), { ...TARGETS, tree: "aa", inputs });
    expect(compared(now, before).cause("acme-web").kind).toBe("dependency");
  });

  test("is named where it is the very source that is built", () => {
    const change = { web: { sources: [`${hashOf("new")}-source`] } };
    const now = ledgerOf(project(change), { ...TARGETS, tree: "bb", inputs: input("new") });
    expect(compared(now, base).cause("acme-web")).toEqual({
      kind: "input",
      input: given,
      by: undefined,
    });
  });
});

test("of a change in the size of nixpkgs, every first cause is the bumped one or what it pulled along", () => {
  const bumped = 40;
  const now = usualLedger(1_700, new Set([bumped]));
  const { comparison, gone } = compared(now, usualLedger(1_700));
  expect(comparison.changed.size).toBeGreaterThan(900);
  expect(gone).toEqual([]);
  const root = now.nodes[bumped]?.name;
  for (const place of comparison.changed) {
    const cause = comparison.cause(place);
    if (place === bumped) expect(cause.kind).toBe("own");
    else expect(cause).toMatchObject({ kind: "dependency", name: root, others: 0 });
    expect(comparison.way(place).at(-1)).toBe(bumped);
  }
});
