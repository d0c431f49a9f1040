import { describe, expect, test } from "@jest/globals";
import type { Changes, ExplainedMiss } from "../../src/engine/rebuilds/changes.ts";
import { type Rebuild, rebuildsOf } from "../../src/engine/rebuilds/rebuild-report.ts";
import type { Run } from "../../src/engine/result.ts";
import {
  rebuildLines,
  rebuildMinutes,
  rebuildSections,
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

const sections = (given: Changes | undefined) => rebuildSections({ changes: given } as Run);
const bodyOf = (given: Changes) => sections(given)[0]?.body ?? "";

describe("the page of a pull request", () => {
  test("says how many changed, what needs a build, how long it took, by what", () => {
    const page = bodyOf(changes([WEB, CLI, OPENSSL, rebuild("curl-8.15.0")]));
    expect(page).toContain("felt by 4 of 230 derivations, 2 need a build.");
    expect(page).toContain("The 2 took 3m 30s last time");
    expect(page).toContain("<code>main</code> at <code>3f2c1ab</code>");
    expect(page).toMatch(/acme-web-2\.3\.2.* 2m.10s .* its source/);
    expect(page).toMatch(/\| Download \| 1\.84.GB \| \+70.MB \|/);
    expect(page).toMatch(/\| Closure size \| 6\.2.GB \| \+110.MB \|/);
    expect(page).toContain("2 changed derivations that need no build");
    expect(page).toContain("was <code>openssl-3.5.0</code> |");
  });

  test("shows five rows, and folds the rest", () => {
    const many = Array.from({ length: 8 }, (_, at) => rebuild(`p${at}`, { needs: "a build" }));
    const page = bodyOf(changes(many));
    expect(page).toContain("3 more that need a build");
    expect(page.indexOf("<code>p4</code>")).toBeLessThan(page.indexOf("<details>"));
    expect(page).not.toContain("last time");
  });

  test("names the inputs that changed, with both revisions", () => {
    const input = { name: "nixpkgs", from: "a".repeat(40), to: "b".repeat(40) };
    const cause = { kind: "input", input, by: "openssl-3.5.1" } as const;
    const page = bodyOf(changes([{ ...CLI, cause }], { inputs: [input] }));
    expect(page).toContain(
      "<code>nixpkgs</code> goes from <code>aaaaaaa</code> to <code>bbbbbbb</code>.",
    );
    expect(page).toContain("<code>nixpkgs</code>, by <code>openssl-3.5.1</code>");
  });

  test("says so where nothing is rebuilt, and where there is nothing to compare with", () => {
    expect(bodyOf(changes([]))).toContain("rebuilds nothing: all 230 derivations are the base's");
    const absent: Changes = { ...changes([]), base: "absent", rebuilds: undefined };
    expect(bodyOf(absent)).toContain("no run on the default branch has left its graph");
    expect(rebuildLines({ changes: absent } as Run).join()).toContain(
      "no run on the default branch",
    );
    expect(sections({ ...absent, event: "other" }).map(({ body }) => body)).toEqual([""]);
    expect(sections(undefined)).toEqual([]);
  });

  test("takes no name for markup", () => {
    const cause = { kind: "own", attributes: ["<b>|x|"] } as const;
    expect(bodyOf(changes([{ ...CLI, cause }]))).not.toContain("<b>");
  });
});

test("the outputs count what needs a build, and minutes only where they are known", () => {
  const given = changes([WEB, CLI, OPENSSL]);
  expect(rebuildMinutes(given)).toBe("3.5");
  expect(rebuildsReport(given)).toMatchObject({ changed: 3, builds: 2, minutes: 3.5, gone: 0 });
  expect(rebuildsReport(given, [WEB])?.list).toHaveLength(1);
  expect(rebuildMinutes(changes([{ ...WEB, seconds: undefined }]))).toBe("");
  expect(rebuildMinutes(changes([OPENSSL]))).toBe("0");
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
