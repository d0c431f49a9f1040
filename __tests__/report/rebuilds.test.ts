import { describe, expect, test } from "@jest/globals";
import type { Changes, ExplainedMiss } from "../../src/engine/rebuilds/changes.ts";
import { type Rebuild, rebuildsOf } from "../../src/engine/rebuilds/rebuild-report.ts";
import { concluded, type FinalState, type Run } from "../../src/engine/result.ts";
import { headline, icon, lastLine } from "../../src/report/headline.ts";
import {
  changedBy,
  changeParts,
  pullHeadline,
  pullSentences,
  rebuildLines,
  rebuildMinutes,
  rebuildsReport,
} from "../../src/report/rebuilds.ts";
import { ledgerOf } from "../support/ledgers.ts";
import { STORE, storePath } from "../support/paths.ts";

const BASE = { branch: "main", revision: `3f2c1ab${"0".repeat(33)}`, taken: 1_763_596_800_000 };

function rebuild(name: string, more: Partial<Rebuild> = {}): Rebuild {
  return {
    name,
    drvPath: storePath(`${name}.drv`),
    was: undefined,
    cause: { kind: "dependency", name: "openssl-3.5.1", was: "openssl-3.5.0", others: 0 },
    needs: "none",
    seconds: undefined,
    ...more,
  };
}

const WEB = rebuild("acme-web-2.3.2", {
  cause: { kind: "own", attributes: ["src"] },
  needs: "a build",
  seconds: 130,
});
const CLI = rebuild("acme-cli-0.9.4", { needs: "a build", seconds: 80 });
const OPENSSL = rebuild("openssl-3.5.1", {
  was: "openssl-3.5.0",
  cause: { kind: "own", attributes: ["src", "version"] },
});

function changes(changed: readonly Rebuild[], more: Partial<Changes["rebuilds"]> = {}): Changes {
  const rebuilds = {
    base: BASE,
    inAll: 230,
    changed,
    gone: [],
    inputs: [],
    download: { base: 1.84e9, now: 1.91e9 },
    closure: { base: 6.2e9, now: 6.31e9 },
    ...more,
  };
  return { event: "pull request", base: "read", rebuilds, misses: [], dirty: [] };
}

/** A run with these changes, whose targets ended so; `missing` would be built from source. */
function runWith(
  changed: Changes | undefined,
  states: readonly FinalState[] = ["needs a build", "cached"],
  missing: readonly string[] = ["acme-web-2.3.2", "acme-cli-0.9.4"],
): Run {
  const names = states.map((state, at) => [`.#t${at}`, state] as const);
  return {
    changes: changed,
    job: { mode: states.includes("now cached") ? "warm" : "check", failOn: [] },
    survey: {
      system: "x86_64-linux",
      trust: { kind: "write" },
      fresh: { fetch: new Set() },
      derivations: new Map(
        missing.map((name) => [
          name,
          {
            kind: "source",
            name,
            drvPath: storePath(`${name}.drv`),
            wantedBy: { first: [], length: 1 },
          },
        ]),
      ),
    },
    plan: {},
    outcome: {
      built: [],
      substituted: { paths: 0 },
      pushed: [],
      unpushed: [],
      keptOut: [],
      verified: [],
      pinned: [],
      steps: [],
      findings: [],
    },
    result: concluded(names, []),
    begin: 0,
    end: 3700,
  } as unknown as Run;
}

const said = (run: Run) => pullSentences(run).join(" ");

describe("the page of a pull request", () => {
  test("has a headline of its own, and what the builds were changed by", () => {
    const run = runWith(changes([WEB, CLI, OPENSSL, rebuild("curl-8.15.0")]));
    expect(headline(run)).toBe("this pull request changes 4 of 230 derivations, 2 need a build");
    expect(icon(run.result)).toBe("🔨");
    expect(lastLine(run)).toBe(
      "Nix cache: this pull request changes 4 of 230 derivations, 2 need a build; of the 2 targets, 1 is cached and 1 needs a build; 3.7s",
    );
    expect(said(run)).toBe(
      "The 2 took 3m 30s last time; the other 2 need no build. Compared with <code>main</code> at <code>3f2c1ab</code>.",
    );
    expect([...(changedBy(run)?.values() ?? [])]).toEqual([
      "its source",
      "<code>openssl-3.5.1</code>",
      "was <code>openssl-3.5.0</code>",
      "<code>openssl-3.5.1</code>",
    ]);
    const { open, folded } = changeParts(run);
    expect(open).toMatch(/\| Download \| 1\.84.GB \| \+70.MB \|/);
    expect(open).toMatch(/\| Closure size \| 6\.2.GB \| \+110.MB \|/);
    expect(folded).toContain("2 changed derivations that need no build");
    expect(folded).not.toContain("acme-web");
  });

  test("is the run's own where a target ended worse, or something was done", () => {
    const given = changes([WEB, OPENSSL]);
    for (const state of ["unknown", "build failed", "built", "now cached"] as const) {
      const run = runWith(given, [state, "cached"]);
      expect([state, pullHeadline(run)]).toEqual([state, undefined]);
      const verb = state === "now cached" ? "needed" : "needs";
      expect(said(run)).toContain(
        `This pull request changes 2 of 230 derivations, 1 ${verb} a build.`,
      );
      expect(changedBy(run)).toBeUndefined();
      expect(changeParts(run).open).toBe("");
      // Folded they are all there, with what the change costs.
      expect(changeParts(run).folded).toMatch(
        /2 changed derivations<[\s\S]*acme-web[\s\S]*Download/,
      );
    }
  });

  test("never says that nothing needs a build where something else does", () => {
    const run = runWith(changes([OPENSSL]));
    expect(pullHeadline(run)).toBeUndefined();
    expect(said(run)).toContain("changes 1 of 230 derivations, none needs a build.");
    expect(said(run)).toContain("2 more need a build, and this pull request does not change them.");
    const good = runWith(changes([OPENSSL]), ["cached", "cached"], []);
    expect(headline(good)).toBe(
      "this pull request changes 1 of 230 derivations, none needs a build",
    );
    expect(icon(good.result)).toBe("✅");
  });

  test("tells apart what it changes and what needs a build all the same", () => {
    const run = runWith(changes([WEB]), ["needs a build", "cached"], ["acme-web-2.3.2", "old"]);
    expect(headline(run)).toBe("this pull request changes 1 of 230 derivations, 1 needs a build");
    expect(said(run)).toContain("1 more needs a build, and this pull request does not change it.");
  });

  test("names the inputs that changed, with both revisions", () => {
    const input = { name: "nixpkgs", from: "a".repeat(40), to: "b".repeat(40) };
    const cause = { kind: "input", input, by: "openssl-3.5.1" } as const;
    const run = runWith(changes([{ ...CLI, cause }], { inputs: [input] }));
    expect(said(run)).toContain(
      "<code>nixpkgs</code> goes from <code>aaaaaaa</code> to <code>bbbbbbb</code>.",
    );
    expect([...(changedBy(run)?.values() ?? [])]).toEqual([
      "<code>nixpkgs</code>, by <code>openssl-3.5.1</code>",
    ]);
  });

  test("says so where nothing is changed, and where there is nothing to compare with", () => {
    const none = runWith(changes([]), ["cached"], []);
    expect(headline(none)).toBe(".#t0 is cached");
    expect(said(none)).toContain("This pull request changes none of 230 derivations.");
    const absent: Changes = { ...changes([]), base: "absent", rebuilds: undefined };
    expect(said(runWith(absent))).toContain("no run on the default branch has left its graph");
    expect(rebuildLines(runWith(absent)).join()).toContain("no run on the default branch");
    for (const other of [{ ...absent, event: "other" } as const, undefined]) {
      expect(pullSentences(runWith(other))).toEqual([]);
      expect(changeParts(runWith(other))).toEqual({ open: "", folded: "" });
    }
  });

  test("takes no name for markup", () => {
    const cause = { kind: "own", attributes: ["<b>|x|"] } as const;
    const run = runWith(changes([{ ...CLI, cause }]));
    expect([...(changedBy(run)?.values() ?? [])].join()).not.toContain("<b>");
  });
});

test("the outputs count what needs a build, and minutes only where they are known", () => {
  const given = changes([WEB, CLI, OPENSSL]);
  expect(rebuildMinutes(given)).toBe("3.5");
  expect(rebuildsReport(given)).toMatchObject({ changed: 3, builds: 2, minutes: 3.5, gone: 0 });
  expect(rebuildsReport(given, [WEB])?.list).toHaveLength(1);
  const said = (given: Changes) => [rebuildMinutes(given), rebuildsReport(given)?.minutes];
  expect(said(changes([{ ...WEB, seconds: undefined }]))).toEqual(["", null]);
  expect(said(changes([{ ...WEB, seconds: 1 }]))).toEqual(["0", 0]);
  // What needs no build takes none.
  for (const none of [[OPENSSL], []]) expect(said(changes(none))).toEqual(["0", 0]);
  expect(rebuildMinutes(undefined)).toBe("");
});

describe("a miss that the default branch had built", () => {
  const miss: ExplainedMiss = {
    name: "bws-1.0.0",
    drvPath: storePath("bws-1.0.0.drv"),
    base: BASE,
    before: "bws-1.0.0",
    outputs: [],
    way: [],
    was: undefined,
    attributes: ["src"],
    input: undefined,
    files: "others",
    heldBy: "acme.cachix.org",
  };
  const told = (one: ExplainedMiss, dirty: readonly string[] = []) =>
    rebuildLines({
      changes: { event: "other", base: "read", rebuilds: undefined, misses: [one, one], dirty },
    } as unknown as Run).filter((line) => line !== "");

  test("is told once, with what differs and the files of a dirty tree", () => {
    expect(told(miss, ["src/main.rs"])).toEqual([
      "  acme.cachix.org has bws-1.0.0 as built from main on 2025-11-20; yours differs in src (dirty tree: src/main.rs)",
    ]);
  });

  test("is not said to be there where no cache has it any more", () => {
    expect(told({ ...miss, heldBy: undefined, attributes: [] })).toEqual([
      "  main had bws-1.0.0 on 2025-11-20, and no cache has that now; yours differs in its builder's arguments",
    ]);
  });

  test("names what it is built of, where that is what differs", () => {
    const input = { name: "nixpkgs", from: "1", to: "2" };
    expect(
      told({ ...miss, way: ["curl-8", "openssl-3.5.1"], was: "openssl-3.5.0", input }),
    ).toEqual([
      "  acme.cachix.org has bws-1.0.0 as built from main on 2025-11-20; yours is built of another openssl-3.5.1 (was openssl-3.5.0; by way of curl-8): it differs in src; nixpkgs goes from 1 to 2",
    ]);
  });
});

test("what is built and what is cached add up, dearest first", () => {
  const list = (flag: string) => [
    { name: "lib", attributes: { flag } },
    { name: "slow", inputs: ["lib"], seconds: 90 },
    { name: "quick", inputs: ["lib"], seconds: 3 },
    { name: "app", inputs: ["slow", "quick"], kind: "trivial" as const },
  ];
  const { changed, inAll } = rebuildsOf(ledgerOf(list("b")), ledgerOf(list("a")), new Map(), STORE);
  expect(inAll).toBe(3);
  expect(changed.map(({ name, needs }) => [name, needs])).toEqual([
    ["slow", "none"],
    ["quick", "none"],
    ["lib", "none"],
  ]);
});
