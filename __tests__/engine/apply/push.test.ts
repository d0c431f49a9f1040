import { describe, expect, test } from "@jest/globals";
import { can, ReferenceNotPushed } from "../../../src/domain/cache.ts";
import { UserError } from "../../../src/domain/errors.ts";
import type { StorePath } from "../../../src/domain/store-path.ts";
import { pushFindings } from "../../../src/engine/apply/apply-findings.ts";
import { push } from "../../../src/engine/apply/push.ts";
import { Lookup } from "../../../src/engine/survey/lookup.ts";
import { boundedPattern } from "../../../src/host/bounded-pattern.ts";
import { storePath } from "../../support/paths.ts";
import { hold, memoryCache, memoryNix, SIGNAL } from "../../support/world.ts";

const paths = {
  program: storePath("program-1"),
  library: storePath("library-source"),
  glibc: storePath("glibc-2"),
  notes: storePath("notes-source"),
};
const store = new Map<StorePath, readonly StorePath[]>([
  [paths.program, [paths.library, paths.glibc]],
  [paths.library, [paths.glibc]],
  [paths.glibc, []],
  [paths.notes, []],
]);

async function sent(options: {
  readonly roots?: readonly StorePath[];
  readonly own?: readonly StorePath[];
  readonly upstream?: readonly StorePath[];
  readonly filter?: RegExp;
  readonly force?: "force" | "trust";
  readonly most?: number;
  /** NARs that are larger than the others' 1,000 bytes. */
  readonly large?: readonly StorePath[];
}) {
  const own = memoryCache("own", { verbs: ["push"] });
  const upstream = memoryCache("upstream");
  for (const path of options.own ?? []) hold(own, path);
  for (const path of options.upstream ?? []) hold(upstream, path);
  const lookup = new Lookup(
    [
      { cache: own, role: "own" },
      { cache: upstream, role: "upstream" },
    ],
    SIGNAL,
  );
  if (!can(own, "push")) throw new Error("no push");
  const nix = memoryNix({ store });
  const result = await push(
    {
      pushFilter: options.filter && boundedPattern(options.filter, "push-filter"),
      pushMax: options.most,
      force: options.force ?? "trust",
    },
    own,
    lookup,
    {
      ...nix,
      closure: async (roots, signal) => {
        const closure = await nix.closure(roots, signal);
        const sized = [...closure].map(
          ([path, info]) =>
            [path, options.large?.includes(path) ? { ...info, narSize: 2_000_000 } : info] as const,
        );
        return new Map(sized);
      },
    },
    options.roots ?? [paths.program],
    () => undefined,
    SIGNAL,
  );
  return { ...result, sent: own.sent.map((path) => path.slice(44)).sort(), lookup };
}

describe("what a push sends", () => {
  const ALL = ["glibc-2", "library-source", "program-1"];

  test.each([
    ["all that nobody has", {}, ALL],
    ["not what our cache has", { own: [paths.glibc] }, ["library-source", "program-1"]],
    ["not what an upstream has", { upstream: [paths.glibc] }, ["library-source", "program-1"]],
    ["nothing, where all is there", { own: Object.values(paths) }, []],
    ["by force also what our cache says it has", { own: [paths.program], force: "force" }, ALL],
    [
      "by force a root that an upstream has, and no member of its",
      { upstream: [paths.program, paths.glibc], force: "force" },
      ["library-source", "program-1"],
    ],
    ["not what the filter names", { roots: [paths.notes], filter: /-source$/ }, []],
    ["what the filter names, where a sent path refers to it", { filter: /-source$/ }, ALL],
    [
      "not the closure of what the filter names",
      { roots: [paths.library], filter: /-source$/ },
      ["glibc-2"],
    ],
    [
      "several roots once",
      { roots: [paths.program, paths.library, paths.notes] },
      [...ALL, "notes-source"].sort(),
    ],
  ] as [string, Parameters<typeof sent>[0], string[]][])("%s", async (_, options, expected) => {
    expect((await sent(options)).sent).toEqual(expected);
  });

  test.each([
    ["nothing where all is below it", {}, ALL],
    ["a root that is above it", { large: [paths.program] }, ["glibc-2", "library-source"]],
    ["what refers to it, and so on", { large: [paths.glibc] }, []],
    ["what refers to it, and no more", { large: [paths.library] }, ["glibc-2"]],
    [
      "nothing for what a cache has",
      { large: [paths.glibc], upstream: [paths.glibc] },
      ALL.slice(1),
    ],
    [
      "both, with a filter",
      { large: [paths.library], filter: /-source$/, roots: [paths.program, paths.notes] },
      ["glibc-2"],
    ],
  ] as [string, Parameters<typeof sent>[0], string[]][])(
    "push-max keeps out %s",
    async (_, options, expected) => {
      const { sent: names, keptOut, closure } = await sent({ most: 1_000_000, ...options });
      expect(names).toEqual(expected);
      const large = keptOut.filter(({ why }) => why === "its size").map(({ path }) => path);
      expect(large).toEqual(
        (options.large ?? []).filter((path) => !options.upstream?.includes(path)),
      );
      const out = new Set(keptOut.map(({ path }) => path));
      for (const path of names) {
        const info = [...closure.values()].find(({ storePath: one }) => one.endsWith(path));
        expect(info?.references.some((reference) => out.has(reference))).toBe(false);
      }
    },
  );

  test("roots that are not in the store are told, and the others sent", async () => {
    const absent = storePath("absent");
    const result = await sent({ roots: [absent, paths.glibc] });
    expect([result.absent, result.sent]).toEqual([[absent], ["glibc-2"]]);
  });

  test("roots that only an upstream has are told", async () => {
    const { upstreamOnly } = await sent({ upstream: [paths.program, paths.library, paths.glibc] });
    expect(upstreamOnly).toEqual([paths.program]);
  });

  test("what was sent is asked for anew", async () => {
    const { lookup } = await sent({});
    expect((await lookup.ask(paths.program)).own?.cache).toBe("own");
  });
});

describe("what a push failed of", () => {
  const refused = new UserError("NCP-305", "own: PUT http://c/nar/x answers 507 (disk full)");
  const follows = new ReferenceNotPushed("NCP-310", "its reference glibc-2 was not pushed", {
    cause: refused,
  });

  test("is told for the path that failed; those that only follow it are told with it", () => {
    const failed = new Map<StorePath, Error>([
      [paths.glibc, refused],
      [paths.library, follows],
      [paths.program, follows],
    ]);
    const found = pushFindings({ onPushFailure: "error" }, { to: "own", failed, pushed: 6 });
    expect(found).toMatchObject([
      {
        level: "error",
        code: "NCP-305",
        title: "3 of 9 store paths could not be pushed",
        message: expect.stringContaining("glibc-2 was not pushed: own: PUT"),
      },
    ]);
    expect(found[0]?.message).toMatch(/; 2 paths that refer to such a one are not pushed either$/);
    expect(found[0]?.message).toContain("507 (disk full)");
  });

  test("is a cause of its own where no reference failed", () => {
    const [only, ...more] = pushFindings(
      { onPushFailure: "warn" },
      { to: "https://acme.example", failed: new Map([[paths.glibc, refused]]), pushed: 0 },
    );
    expect(only?.title).toBe("nothing was pushed, acme.example answered HTTP 507");
    expect(only?.message).toContain("507 (disk full)");
    expect(more).toEqual([]);
  });
});
