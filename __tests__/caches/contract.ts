/** Owns the contract: what every cache that can be written to must do, whatever kind it is. */

import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type BinaryCache, can, type NarSource } from "../../src/domain/cache.ts";
import { UserError } from "../../src/domain/errors.ts";
import { sha256FromBytes } from "../../src/domain/hash.ts";
import type { RealisationId } from "../../src/domain/realisation.ts";
import { baseName, type StorePath } from "../../src/domain/store-path.ts";
import { push } from "../../src/engine/apply/push.ts";
import { Lookup } from "../../src/engine/survey/lookup.ts";
import { decompress } from "../../src/host/compress.ts";
import { type FaultSuite, faultContract } from "./contract-faults.ts";
import { type MadeUp, madeUp, narsOf, storeOf } from "./made-up.ts";

export interface Subject extends AsyncDisposable {
  /** moto reckons a signature over the name as it was before it was escaped, and S3 over what it is escaped to. */
  readonly exclamationMarks?: "not signed rightly";
  /** Empty, opened as our own, with the right to write. */
  readonly cache: BinaryCache;
  /** A second client of the same cache, which remembers nothing of the first. */
  reopen(): Promise<BinaryCache>;
}

const signal = new AbortController().signal;
const quiet = () => undefined;

/**
 * Registers the tests; `start` gives an empty cache for `/nix/store`, once for all of them. `faults`
 * may be left out by a second variant of a cache that has them already.
 */
export function cacheContract(
  name: string,
  start: () => Promise<Subject>,
  faults?: FaultSuite,
): void {
  if (faults) faultContract(name, faults);
  describe(`${name} keeps the contract of a cache`, () => {
    let subject: Subject;
    beforeAll(async () => {
      subject = await start();
    });
    afterAll(async () => {
      await subject[Symbol.asyncDispose]();
    });

    const send = (paths: readonly MadeUp[], nar: NarSource = narsOf(paths)) => {
      if (!can(subject.cache, "push")) throw new Error(`${name} cannot push`);
      const infos = paths.map(({ info }) => info);
      return subject.cache.push(infos, nar, quiet, signal);
    };
    /** A chain of three: each refers to the one before. */
    const chain = (prefix: string): readonly [MadeUp, MadeUp, MadeUp] => {
      const leaf = madeUp(`${prefix}-leaf`);
      const stem = madeUp(`${prefix}-stem`, [leaf]);
      return [leaf, stem, madeUp(`${prefix}-root`, [stem])];
    };
    const ask = async ({ info }: MadeUp, of = subject.cache) => of.query(info.storePath, signal);

    test("it says that it is there, and that it may be written to", async () => {
      const info = await subject.cache.describe(signal);
      expect(info.permission).not.toBe("read");
      expect(info.trouble).toBeUndefined();
      expect([undefined, "/nix/store"]).toContain(info.storeDir);
      expect(await subject.cache.mayPush?.(signal)).toBeUndefined();
    });

    test("what nobody pushed is a miss", async () => {
      expect((await ask(madeUp("never-pushed"))).kind).toBe("miss");
    });

    test("what was pushed is a hit of its own, for another client too", async () => {
      const [leaf, stem, root] = chain("pushed");
      const result = await send([root, leaf, stem]);
      expect([...result.failed]).toEqual([]);
      expect(result.pushed.map(({ path }) => path)).toHaveLength(3);
      const presence = await ask(root, await subject.reopen());
      if (presence.kind !== "hit") throw new Error(JSON.stringify(presence));
      expect(presence.origin).toBe("own");
      expect(presence.narInfo).toMatchObject({
        storePath: root.info.storePath,
        narHash: root.info.narHash,
        narSize: root.info.narSize,
        references: root.info.references,
      });
    });

    test("its NAR has the size it says, and the bytes that were pushed", async () => {
      const path = madeUp("with-bytes", [], { bytes: 300_000 });
      await send([path]);
      const presence = await ask(path);
      if (presence.kind !== "hit") throw new Error(presence.kind);
      const { narInfo } = presence;
      const stored: Uint8Array[] = [];
      for await (const chunk of subject.cache.readNar(narInfo, signal)) stored.push(chunk);
      const file = Buffer.concat(stored);
      const said = await subject.cache.narSize(narInfo, signal);
      // Who says no size says none in the narinfo, either: nothing is compared with nothing.
      expect(said).toBe(narInfo.fileSize === undefined ? "not told" : file.length);
      if (narInfo.fileHash) {
        expect(sha256FromBytes(createHash("sha256").update(file).digest())).toBe(narInfo.fileHash);
      }
      const nar: Uint8Array[] = [];
      for await (const chunk of decompress(narInfo.compression, pieces(file), signal)) {
        nar.push(chunk);
      }
      expect(Buffer.concat(nar).equals(path.nar)).toBe(true);
    });

    test("a realisation that is written is served as it is, where the cache keeps them", async () => {
      const { cache } = subject;
      const { info } = madeUp("realised");
      const id = `sha256:${"1".repeat(64)}!out` as RealisationId;
      const outPath = baseName(info.storePath);
      const text = JSON.stringify({ dependentRealisations: {}, id, outPath, signatures: [] });
      const realisation = { path: info.storePath, dependents: [] };
      if (!cache.realise || subject.exclamationMarks) return;
      expect(await cache.realisation?.(id, signal)).toEqual({ kind: "miss" });
      await cache.realise({ ...realisation, id, text, dependentPaths: [] }, signal);
      const told = await (await subject.reopen()).realisation?.(id, signal);
      expect(told).toEqual({ kind: "hit", realisation });
    });

    test("a path is served only after its references", async () => {
      if (!can(subject.cache, "push")) throw new Error(`${name} cannot push`);
      const [leaf, stem, root] = chain("ordered");
      const looks: Promise<string>[] = [];
      const order: StorePath[] = [];
      await subject.cache.push(
        [root, stem, leaf].map(({ info }) => info),
        async function* (path, inner) {
          // The leaf is the slowest: nothing but order keeps the others back.
          if (path === leaf.info.storePath) await new Promise((done) => setTimeout(done, 50));
          yield* narsOf([leaf, stem, root])(path, inner);
        },
        ({ path }) => {
          order.push(path);
          const before = path === root.info.storePath ? stem : leaf;
          looks.push(ask(before).then(({ kind }) => kind));
        },
        signal,
      );
      expect(order).toEqual([leaf, stem, root].map(({ info }) => info.storePath));
      expect(await Promise.all(looks)).toEqual(["hit", "hit", "hit"]);
    });

    test("a second push sends nothing, and the same paths once more do no harm", async () => {
      const cache = subject.cache;
      if (!can(cache, "push")) throw new Error(`${name} cannot push`);
      const paths = chain("twice");
      const roots = [paths[2].info.storePath];
      const run = () => {
        const lookup = new Lookup([{ cache, role: "own" }], signal);
        const job = { pushFilter: undefined, pushMax: undefined, force: "trust" as const };
        return push(job, cache, lookup, storeOf(paths), roots, quiet, signal);
      };
      expect((await run()).pushed).toHaveLength(3);
      const second = await run();
      expect(second.pushed).toEqual([]);
      expect([...second.failed]).toEqual([]);
      expect([...(await send(paths)).failed]).toEqual([]);
      expect((await ask(paths[2])).kind).toBe("hit");
    });

    test("one path that fails takes what refers to it along, and nothing else", async () => {
      const [leaf, stem, root] = chain("failing");
      const other = madeUp("failing-not");
      const result = await send([leaf, stem, root, other], async function* (path, inner) {
        if (path === stem.info.storePath) throw new Error("the stem vanished");
        yield* narsOf([leaf, root, other])(path, inner);
      });
      expect([...result.failed.keys()].sort()).toEqual(
        [stem.info.storePath, root.info.storePath].sort(),
      );
      expect(result.failed.get(stem.info.storePath)?.message).toContain("the stem vanished");
      const kinds = await Promise.all(
        [leaf, stem, root, other].map(async (path) => (await ask(path)).kind),
      );
      expect(kinds).toEqual(["hit", "miss", "miss", "hit"]);
      // What failed is made good by the next push, which sends only that.
      const again = await send([stem, root], narsOf([stem, root]));
      expect([...again.failed]).toEqual([]);
      expect((await ask(root)).kind).toBe("hit");
    });

    test.each([
      ["other bytes", (nar: Uint8Array) => Buffer.alloc(nar.length, "not what was promised ")],
      ["fewer bytes", (nar: Uint8Array) => nar.subarray(0, nar.length - 8)],
      ["more bytes", (nar: Uint8Array) => Buffer.concat([nar, Buffer.alloc(8)])],
    ])("a NAR of %s than the store says is refused, and not served", async (what, spoil) => {
      const path = madeUp(`spoilt-${what.replaceAll(" ", "-")}`);
      const result = await send([path], narsOf([{ ...path, nar: spoil(path.nar) }]));
      const error = result.failed.get(path.info.storePath);
      expect(error).toBeInstanceOf(UserError);
      expect((error as UserError).code).toBe("NCP-308");
      expect((await ask(path)).kind).toBe("miss");
    });

    test("a pin is on the path that was pinned last, where the cache has pins", async () => {
      const { cache } = subject;
      if (!can(cache, "pin")) {
        expect(can(cache, "pins")).toBe(false);
        return;
      }
      const [first, second] = [madeUp("pinned-first"), madeUp("pinned-second")];
      await send([first, second]);
      const keep = { kind: "revisions", revisions: 2 } as const;
      await cache.pin({ name: "release", storePath: first.info.storePath, keep }, signal);
      await cache.pin({ name: "release", storePath: second.info.storePath, keep }, signal);
      for (const kind of ["forever", "days"] as const) {
        const how = kind === "days" ? { kind, days: 30 } : { kind };
        await cache.pin({ name: kind, storePath: first.info.storePath, keep: how }, signal);
      }
      const other = await subject.reopen();
      const pins = can(other, "pins") ? await other.pins(signal) : undefined;
      if (pins === undefined) return;
      const found = pins.map(({ name: pin, storePath, revision }) => [pin, storePath, revision]);
      expect(found.sort()).toEqual([
        ["days", first.info.storePath, 1],
        ["forever", first.info.storePath, 1],
        ["release", second.info.storePath, 2],
      ]);
    });
  });
}

async function* pieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000);
}
