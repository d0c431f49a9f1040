import { describe, expect, test } from "@jest/globals";
import type { BinaryCache, Presence } from "../../../src/domain/cache.ts";
import { UserError } from "../../../src/domain/errors.ts";
import type { VerifyLevel } from "../../../src/domain/job.ts";
import type { NarInfo, PathInfo } from "../../../src/domain/narinfo.ts";
import type { StorePath } from "../../../src/domain/store-path.ts";
import { verify } from "../../../src/engine/apply/verify.ts";
import { Lookup } from "../../../src/engine/survey/lookup.ts";
import { narInfo, pathInfo } from "../../support/graph.ts";
import { storePath, sum } from "../../support/paths.ts";
import { hold, type MemoryCache, memoryCache, SIGNAL, served, world } from "../../support/world.ts";

const [root, library, base] = [storePath("root"), storePath("library"), storePath("base")];
/** root refers to library, library to base. */
const CLOSURE = new Map<StorePath, PathInfo>([
  [root, pathInfo(root, [library])],
  [library, pathInfo(library, [base])],
  [base, pathInfo(base)],
]);

function whole(name = "own"): MemoryCache {
  const cache = memoryCache(name);
  hold(cache, root, [library]);
  hold(cache, library, [base]);
  hold(cache, base);
  return cache;
}

interface Options {
  readonly own?: BinaryCache;
  readonly upstream?: BinaryCache;
  readonly level?: VerifyLevel;
  readonly pushed?: readonly StorePath[];
  readonly closure?: ReadonlyMap<StorePath, PathInfo>;
  readonly decompress?: (content: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;
}

async function verified(options: Options = {}) {
  const { own = whole(), upstream = memoryCache("upstream"), level = "nar" } = options;
  const { clock, slept } = world();
  const lookup = new Lookup(
    [
      { cache: own, role: "own" },
      { cache: upstream, role: "upstream" },
    ],
    SIGNAL,
  );
  const result = await verify(
    {
      cache: own,
      lookup,
      clock,
      decompress: (_, content) => options.decompress?.(content) ?? content,
      good: new Set(),
    },
    {
      roots: [root],
      closure: options.closure ?? CLOSURE,
      level,
      pushed: new Set(options.pushed ?? []),
      deadline: 120_000,
    },
    SIGNAL,
  );
  return { ...result, slept };
}

function changed(path: StorePath, change: Partial<NarInfo>): Presence {
  const references = CLOSURE.get(path)?.references ?? [];
  return { kind: "hit", narInfo: { ...narInfo(path, references), ...change }, origin: "own" };
}

function withAnswer(path: StorePath, presence: Presence): MemoryCache {
  const cache = whole();
  cache.content.set(path, presence);
  return cache;
}

describe("verification", () => {
  test.each<VerifyLevel>(["narinfo", "nar"])("verified at level %s", async (level) => {
    const result = await verified({ level });
    expect(result).toMatchObject({ outcome: "verified", detail: undefined, failing: [], paths: 3 });
  });

  test("verified where a reference is another cache's", async () => {
    const own = whole();
    own.content.delete(base);
    const upstream = memoryCache("upstream");
    hold(upstream, base);
    expect((await verified({ own, upstream })).outcome).toBe("verified");
  });

  test("verified without a store to compare with, by what the cache itself refers to", async () => {
    const own = whole();
    expect(await verified({ own, closure: new Map() })).toMatchObject({
      outcome: "verified",
      paths: 3,
    });
    own.content.delete(base);
    expect(await verified({ own, closure: new Map() })).toMatchObject({
      outcome: "gone",
      failing: [base],
    });
  });

  test.each([
    ["gone: a miss of what nobody pushed", root, { kind: "miss" }, "gone", "no cache serves it"],
    ["gone: a reference is in no cache", base, { kind: "miss" }, "gone", "no cache serves it"],
    [
      "gone: the narinfo is served, the NAR is not",
      library,
      { kind: "gone", narInfo: narInfo(library) },
      "gone",
      "its NAR is not",
    ],
    [
      "rejected: the answer must not be believed",
      library,
      { kind: "refused", why: "it is signed by nobody" },
      "rejected",
      "it is signed by nobody",
    ],
    [
      "mismatch: other bytes",
      root,
      changed(root, { narHash: sum("other") }),
      "mismatch",
      "NarHash is",
    ],
    ["mismatch: another size", root, changed(root, { narSize: 1 }), "mismatch", "NarSize is 1"],
    [
      "mismatch: other references",
      root,
      changed(root, { references: [library, base] }),
      "mismatch",
      "References differ",
    ],
    [
      "mismatch: a NAR of another length",
      root,
      changed(root, { fileSize: 999 }),
      "mismatch",
      "its NAR has 1000 bytes, not 999",
    ],
    [
      "unknown: nobody answered",
      root,
      { kind: "unknown", cause: new Error("connect ETIMEDOUT") },
      "unknown",
      "connect ETIMEDOUT",
    ],
    [
      "upstream only: our cache passes on another's",
      root,
      { ...served(root, [library]), origin: "upstream" },
      "upstream only",
      "served by an unsigned upstream, passed on by own",
    ],
  ] as [string, StorePath, Presence, string, string][])(
    "%s",
    async (_, path, presence, outcome, detail) => {
      const result = await verified({ own: withAnswer(path, presence) });
      expect(result.outcome).toBe(outcome);
      expect(result.detail).toContain(detail);
      expect(result.detail).toContain(path.slice(11));
      expect(result.failing).toContain(path);
    },
  );

  test("upstream only: a root that another cache has", async () => {
    const own = whole();
    own.content.delete(root);
    const upstream = memoryCache("upstream");
    hold(upstream, root, [library]);
    const result = await verified({ own, upstream });
    expect(result).toMatchObject({
      outcome: "upstream only",
      detail: `${root.slice(11)}: served by upstream`,
    });
  });

  test("not yet visible: what was pushed is asked for until the deadline", async () => {
    const own = whole();
    own.content.delete(root);
    const result = await verified({ own, pushed: [root] });
    expect(result.outcome).toBe("not yet visible");
    expect(result.slept.length).toBeGreaterThan(5);
    expect(result.slept.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(120_000);
  });

  test("verified as soon as it is seen", async () => {
    const own = whole();
    own.content.delete(root);
    let asked = 0;
    const late: BinaryCache = {
      ...own,
      query: async (path, signal) => {
        // Twice in the first round: as our cache, and among all caches.
        if (path === root && ++asked === 3) hold(own, root, [library]);
        return own.query(path, signal);
      },
    };
    const result = await verified({ own: late, pushed: [root] });
    expect(result.outcome).toBe("verified");
    expect(result.slept).toHaveLength(1);
  });

  test("a verdict that cannot change is not waited for", async () => {
    const own = withAnswer(root, { kind: "refused", why: "no" });
    expect((await verified({ own, pushed: [root] })).slept).toEqual([]);
  });

  test("of several troubles the worst gives the name, and all are listed", async () => {
    const own = whole();
    own.content.set(root, changed(root, { narHash: sum("other") }));
    own.content.set(base, { kind: "miss" });
    own.content.set(library, { kind: "refused", why: "no" });
    const result = await verified({ own });
    expect(result.outcome).toBe("mismatch");
    expect(new Set(result.failing)).toEqual(new Set([root, library, base]));
  });

  test("narinfos that refer to each other come to an end", async () => {
    const own = whole();
    hold(own, base, [root]);
    expect((await verified({ own, closure: new Map() })).outcome).toBe("verified");
  });

  test("a question about the NAR that fails is not an answer", async () => {
    const own: BinaryCache = {
      ...whole(),
      narSize: async () => {
        throw new Error("HEAD answers 500");
      },
    };
    expect(await verified({ own })).toMatchObject({
      outcome: "unknown",
      detail: expect.stringContaining("HEAD answers 500"),
    });
  });
});

describe("verification of the bytes", () => {
  const bytes = Buffer.from("the nar");
  const honest = {
    narHash: sum("the nar"),
    narSize: bytes.length,
    fileHash: sum("the nar"),
    fileSize: 1000,
  };
  const info = new Map([[root, { ...pathInfo(root), ...honest }]]);

  function holding(change: Partial<NarInfo>, content: Buffer): BinaryCache {
    const cache = memoryCache("own");
    cache.content.set(root, {
      kind: "hit",
      narInfo: { ...narInfo(root), ...honest, ...change },
      origin: "own",
    });
    return {
      ...cache,
      async *readNar() {
        yield content.subarray(0, 3);
        yield content.subarray(3);
      },
    };
  }

  test.each([
    ["they are right", {}, bytes, "verified", undefined],
    ["no FileHash is stated", { fileHash: undefined }, bytes, "verified", undefined],
    ["one bit is another", {}, Buffer.from("the nas"), "mismatch", "FileHash"],
    ["the file is another", { fileHash: sum("x") }, bytes, "mismatch", "FileHash"],
    [
      "the NAR is another",
      { fileHash: undefined },
      Buffer.from("the nas"),
      "mismatch",
      "its NAR is not what its NarHash names",
    ],
    ["it is too long", { fileHash: undefined }, Buffer.from("the narr"), "mismatch", "NarSize"],
    ["it is empty", { fileHash: undefined }, Buffer.alloc(0), "mismatch", "NarHash"],
  ])("%s", async (_, change, content, outcome, detail) => {
    const result = await verified({ own: holding(change, content), level: "full", closure: info });
    expect(result.outcome).toBe(outcome);
    if (detail === undefined) expect(result.detail).toBeUndefined();
    else expect(result.detail).toContain(detail);
  });

  test("what cannot be unpacked is a mismatch", async () => {
    const decompress = () =>
      (async function* (): AsyncGenerator<Uint8Array> {
        yield Buffer.from("x");
        throw new Error("unexpected end of file");
      })();
    const result = await verified({
      own: holding({}, bytes),
      level: "full",
      closure: info,
      decompress,
    });
    expect(result.detail).toContain("its NAR cannot be unpacked: unexpected end of file");
  });

  describe("and our store has other bytes of the path", () => {
    const theirs = { narHash: sum("the nar"), narSize: 7, fileHash: undefined };
    /** As this machine's store has it: the same path and references, another NAR. */
    const ours = new Map([[root, { ...pathInfo(root), narHash: sum("our nar"), narSize: 7 }]]);

    test.each(["narinfo", "nar", "full"] as const)(
      "at %s, another build's that is whole is cached, and is called that",
      async (level) => {
        const result = await verified({ own: holding(theirs, bytes), level, closure: ours });
        expect(result.outcome).toBe("another build");
        expect(result.detail).toContain("the derivation is not reproducible");
        expect(result.slept).toEqual([]);
      },
    );

    test.each([
      ["bytes that its narinfo does not name", theirs, Buffer.from("the nas")],
      ["a narinfo that names no such bytes", { ...theirs, narHash: sum("a lie") }, bytes],
      ["nothing to read", theirs, Buffer.alloc(0)],
    ])("with %s it is a mismatch", async (_, change, content) => {
      const result = await verified({
        own: holding(change, content),
        level: "narinfo",
        closure: ours,
      });
      expect(result.outcome).toBe("mismatch");
      expect(result.detail).toContain("NarHash is");
    });
  });

  test("what only Nix can unpack is not known, not a mismatch, and not waited for", async () => {
    const decompress = (): never => {
      throw new UserError("NCP-309", 'cannot be checked here: the NAR is compressed with "lz4"');
    };
    const result = await verified({
      own: holding({ compression: "lz4" }, bytes),
      level: "full",
      closure: info,
      decompress,
    });
    expect(result.outcome).toBe("unknown");
    expect(result.detail).toContain('cannot be checked here: the NAR is compressed with "lz4"');
    expect(result.slept).toEqual([]);
  });
});
