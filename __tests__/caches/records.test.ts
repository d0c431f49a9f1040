import { createHash } from "node:crypto";
import { readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { fileRecords } from "../../src/caches/file/file.ts";
import { ledgerStore, type MemoryOptions, memory, sealed } from "../../src/caches/records.ts";
import type { EvaluationRecord, RecordStore } from "../../src/domain/evaluation-record.ts";
import type { Log } from "../../src/domain/ports.ts";
import { compressWhole } from "../../src/host/compress.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { narInfo } from "../support/graph.ts";
import { ledgerOf } from "../support/ledgers.ts";
import { STORE, storePath } from "../support/paths.ts";
import { SIGNAL } from "../support/world.ts";

const RECORD: EvaluationRecord = {
  checked: 1_760_000_000_000,
  targets: [],
  notices: ["ünï"],
  closure: [{ cache: "own", narInfo: narInfo(storePath("program")) }],
};

function memoryIn(folder: Folder, options: Partial<MemoryOptions> = {}) {
  const told: string[] = [];
  const log: Log = {
    group: () => {},
    endGroup: () => {},
    info: (line) => told.push(`info ${line}`),
    debug: (line) => told.push(line),
  };
  const store = fileRecords(folder.path);
  const made = memory({ store, key: "key", storeDir: STORE, secret: undefined, log, ...options });
  return { ...made, told, file: folder.at("memos", options.key ?? "key") };
}

describe("what a run remembers", () => {
  test.each([undefined, "a secret"])("is recalled as it was, with secret %s", async (secret) => {
    await using folder = await temporaryFolder();
    const { remember, recall, told } = memoryIn(folder, { secret });
    await remember(RECORD, SIGNAL);
    expect(await recall(SIGNAL)).toStrictEqual(RECORD);
    expect(told).toEqual([]);
  });

  test("is nothing at first, and that is no trouble", async () => {
    await using folder = await temporaryFolder();
    const { recall, told } = memoryIn(folder);
    expect(await recall(SIGNAL)).toBeUndefined();
    expect(told).toEqual([]);
  });

  test.each<[string, Partial<MemoryOptions>, Partial<MemoryOptions>]>([
    ["another secret", { secret: "mine" }, { secret: "theirs" }],
    ["no secret where there is one", { secret: undefined }, { secret: "mine" }],
    ["a secret where there is none now", { secret: "mine" }, { secret: undefined }],
  ])("sealed with %s is not believed", async (_, writer, reader) => {
    await using folder = await temporaryFolder();
    await memoryIn(folder, writer).remember(RECORD, SIGNAL);
    const { recall, told } = memoryIn(folder, reader);
    expect(await recall(SIGNAL)).toBeUndefined();
    expect(told).toEqual(["evaluation record key is ignored: its seal is not ours"]);
  });

  test("for other sources is not believed under this name", async () => {
    await using folder = await temporaryFolder();
    const other = memoryIn(folder, { key: "other", secret: "mine" });
    await other.remember(RECORD, SIGNAL);
    const { recall, told, file } = memoryIn(folder, { secret: "mine" });
    await writeFile(file, await readFile(other.file));
    expect(await recall(SIGNAL)).toBeUndefined();
    expect(told).toEqual(["evaluation record key is ignored: its seal is not ours"]);
  });

  test("of another store is not believed, though the seal is ours", async () => {
    await using folder = await temporaryFolder();
    await memoryIn(folder).remember(RECORD, SIGNAL);
    const { recall, told } = memoryIn(folder, { storeDir: "/other/store" });
    expect(await recall(SIGNAL)).toBeUndefined();
    expect(told[0]).toMatch(/^evaluation record key is ignored: .*\/other\/store/);
  });

  test.each<[string, (bytes: Buffer) => Buffer]>([
    ["no bytes", () => Buffer.alloc(0)],
    ["half a seal", (bytes) => bytes.subarray(0, 31)],
    ["a seal and nothing behind it", (bytes) => bytes.subarray(0, 32)],
    ["all but the last byte", (bytes) => bytes.subarray(0, -1)],
    ["one byte more", (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])],
    ["another bit in the seal", (bytes) => flipped(bytes, 3)],
    ["another bit behind the seal", (bytes) => flipped(bytes, 40)],
  ])("and of which there is %s is not believed", async (_, change) => {
    await using folder = await temporaryFolder();
    const { remember, recall, told, file } = memoryIn(folder);
    await remember(RECORD, SIGNAL);
    await writeFile(file, change(await readFile(file)));
    expect(await recall(SIGNAL)).toBeUndefined();
    expect(told).toEqual(["evaluation record key is ignored: its seal is not ours"]);
  });

  test("and that would come to gigabytes in memory is not unpacked", async () => {
    await using folder = await temporaryFolder();
    const { remember, recall, told, file } = memoryIn(folder);
    await remember(RECORD, SIGNAL);
    const content = await bomb();
    const seal = createHash("sha256").update("key").update(content).digest();
    await writeFile(file, Buffer.concat([seal, content]));
    expect(await recall(SIGNAL)).toBeUndefined();
    expect(told).toEqual([expect.stringContaining("it would come to more than 33554432 bytes")]);
  });

  test("in a store that fails is a word at debug level, and no failure", async () => {
    await using folder = await temporaryFolder();
    const failing = async () => {
      throw new Error("HTTP 500");
    };
    const { remember, recall, told } = memoryIn(folder, {
      store: { read: failing, write: failing },
    });
    await remember(RECORD, SIGNAL);
    expect(await recall(SIGNAL)).toBeUndefined();
    expect(told).toEqual([
      "evaluation record key was not written: HTTP 500",
      "evaluation record key is ignored: HTTP 500",
    ]);
  });

  test("is given up where the run is interrupted", async () => {
    await using folder = await temporaryFolder();
    const controller = new AbortController();
    const interrupted = async () => {
      controller.abort(new Error("SIGTERM"));
      throw new Error("cut off");
    };
    const store = { read: interrupted, write: interrupted };
    const { recall, remember } = memoryIn(folder, { store });
    await expect(recall(controller.signal)).rejects.toThrow("SIGTERM");
    await expect(remember(RECORD, controller.signal)).rejects.toThrow("SIGTERM");
  });
});

describe("evaluation records beside a file:// cache", () => {
  test("are the forty written last", async () => {
    await using folder = await temporaryFolder();
    const store = fileRecords(folder.path);
    for (let n = 0; n < 40; n++) {
      await store.write(`key-${n}`, Buffer.from(`${n}`), SIGNAL);
      await utimes(folder.at("memos", `key-${n}`), 1_000 + n, 1_000 + n);
    }
    await store.write("key-40", Buffer.from("40"), SIGNAL);
    const names = await readdir(folder.at("memos"));
    expect(names.sort()).toEqual(Array.from({ length: 40 }, (_, n) => `key-${n + 1}`).sort());
    expect(await store.read("key-0", SIGNAL)).toBeUndefined();
    expect(Buffer.from((await store.read("key-40", SIGNAL)) ?? []).toString()).toBe("40");
  });

  test("are not read where something else stands in their place", async () => {
    await using folder = await temporaryFolder();
    await folder.write("memos/key/file", "");
    await expect(fileRecords(folder.path).read("key", SIGNAL)).rejects.toThrow("EISDIR");
  });
});

/** Lists of lists, in some kilobytes. */
function bomb(): Promise<Uint8Array> {
  return compressWhole({ compression: "zstd" }, Buffer.from(`[${"[],".repeat(14_000_000)}[]]`));
}

function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[at] = (changed[at] ?? 0) ^ 1;
  return changed;
}

describe("a ledger", () => {
  const LEDGER = ledgerOf([{ name: "openssl-3.5.1" }, { name: "web", inputs: ["openssl-3.5.1"] }]);
  const small = ledgerOf([{ name: "web" }]);

  interface LedgerPlace {
    readonly secret?: string;
    readonly lines?: string[];
    readonly key?: string;
    readonly shared?: RecordStore;
    readonly own?: "nothing";
  }

  function ledgersIn(folder: Folder, more: LedgerPlace = {}) {
    const told: string[] = [];
    const log: Log = {
      group: () => {},
      endGroup: () => {},
      info: () => {},
      debug: (line) => told.push(line),
    };
    const store = fileRecords(folder.path);
    const ledgers = ledgerStore({
      store: more.shared ?? store,
      own: more.own === "nothing" ? undefined : store,
      key: more.key,
      lines: more.lines ?? [".#web"],
      system: "x86_64-linux",
      storeDir: STORE,
      secret: more.secret,
      log,
    });
    return { ...ledgers, told };
  }

  test("is read by a run with the secret that sealed it, and by one that has none", async () => {
    await using folder = await temporaryFolder();
    await ledgersIn(folder, { secret: "mine" }).remember(LEDGER, "base", SIGNAL);
    for (const secret of ["mine", undefined]) {
      const { base } = ledgersIn(folder, secret === undefined ? {} : { secret });
      expect(await base("these targets", SIGNAL)).toStrictEqual(LEDGER);
    }
  });

  test.each([
    ["by another secret", "theirs"],
    ["without one", undefined],
  ])("that was sealed %s is not believed by a run with a secret", async (_, secret) => {
    await using folder = await temporaryFolder();
    const writer = ledgersIn(folder, secret === undefined ? {} : { secret });
    await writer.remember(LEDGER, "base", SIGNAL);
    const { base, told } = ledgersIn(folder, { secret: "mine" });
    expect(await base("these targets", SIGNAL)).toBeUndefined();
    expect(told.join()).toContain("its seal is not ours");
  });

  test("of one name is not believed under another", async () => {
    await using folder = await temporaryFolder();
    await ledgersIn(folder, { lines: [".#other"] }).remember(small, "base", SIGNAL);
    const store = fileRecords(folder.path);
    const names = await readdir(folder.at("memos"));
    const content = await readFile(folder.at("memos", names[0] ?? ""));
    for (const name of names) await store.write(name, content, SIGNAL);
    const { base } = ledgersIn(folder, { lines: [".#other"] });
    const found = [await base("these targets", SIGNAL), await base("any targets", SIGNAL)];
    expect(found.filter((one) => one !== undefined)).toHaveLength(1);
  });

  test("that was changed or cut off is ignored", async () => {
    await using folder = await temporaryFolder();
    await ledgersIn(folder).remember(LEDGER, "base", SIGNAL);
    for (const name of await readdir(folder.at("memos"))) {
      const content = await readFile(folder.at("memos", name));
      content[70] = (content[70] ?? 0) ^ 1;
      await writeFile(folder.at("memos", name), content);
    }
    expect(await ledgersIn(folder).base("these targets", SIGNAL)).toBeUndefined();
    for (const name of await readdir(folder.at("memos")))
      await writeFile(folder.at("memos", name), "x");
    const { base, told } = ledgersIn(folder);
    expect(await base("these targets", SIGNAL)).toBeUndefined();
    expect(told.join()).toContain("cut off");
  });

  test("that would come to gigabytes in memory is not unpacked", async () => {
    await using folder = await temporaryFolder();
    await ledgersIn(folder).remember(LEDGER, "base", SIGNAL);
    const content = await bomb();
    for (const name of await readdir(folder.at("memos"))) {
      const seal = createHash("sha256").update(name).update(content).digest();
      await writeFile(folder.at("memos", name), Buffer.concat([Buffer.alloc(32), seal, content]));
    }
    const { base, told } = ledgersIn(folder);
    expect(await base("these targets", SIGNAL)).toBeUndefined();
    expect(told).toEqual([expect.stringContaining("it would come to more than 33554432 bytes")]);
  });

  test("of a pull request is no base, and is there for the same sources again", async () => {
    await using folder = await temporaryFolder();
    const { remember, same, base } = ledgersIn(folder, { key: "tree" });
    await remember(LEDGER, "same", SIGNAL);
    expect(await base("these targets", SIGNAL)).toBeUndefined();
    expect(await base("any targets", SIGNAL)).toBeUndefined();
    expect(await same(SIGNAL)).toStrictEqual(LEDGER);
    expect(await ledgersIn(folder, { key: "another" }).same(SIGNAL)).toBeUndefined();
  });

  test("of a few targets does not take the place of a larger one for any", async () => {
    await using folder = await temporaryFolder();
    await ledgersIn(folder, { lines: [".#*"] }).remember(LEDGER, "base", SIGNAL);
    const few = ledgersIn(folder, { lines: [".#one"] });
    await few.remember(small, "base", SIGNAL);
    expect(await few.base("any targets", SIGNAL)).toStrictEqual(LEDGER);
    expect(await few.base("these targets", SIGNAL)).toStrictEqual(small);
    const later = { ...small, taken: LEDGER.taken + 8 * 24 * 3_600_000 };
    await few.remember(later, "base", SIGNAL);
    expect(await few.base("any targets", SIGNAL)).toStrictEqual(later);
    // Nor does one of a time to come stay.
    const wrong = { ...LEDGER, taken: later.taken + 365 * 24 * 3_600_000 };
    await few.remember(wrong, "base", SIGNAL);
    await few.remember(later, "base", SIGNAL);
    expect(await few.base("any targets", SIGNAL)).toStrictEqual(later);
  });

  test("lies where other jobs find it at once, and there alone, where our cache keeps nothing", async () => {
    await using folder = await temporaryFolder();
    await using other = await temporaryFolder();
    const shared = fileRecords(other.path);
    const both = ledgersIn(folder, { shared, key: "tree" });
    await both.remember(LEDGER, "base", SIGNAL);
    expect(await readdir(other.at("memos"))).toHaveLength(1);
    expect(await readdir(folder.at("memos"))).toHaveLength(2);
    expect(await both.same(SIGNAL)).toStrictEqual(LEDGER);

    const alone = ledgersIn(folder, { shared, key: "tree", own: "nothing" });
    await alone.remember(small, "base", SIGNAL);
    expect(await alone.base("these targets", SIGNAL)).toStrictEqual(small);
    expect(await alone.same(SIGNAL)).toBeUndefined();
    expect(await alone.base("any targets", SIGNAL)).toBeUndefined();
    expect(await readdir(other.at("memos"))).toHaveLength(1);
  });
});

describe("an evaluation that is carried", () => {
  // Nothing that a compressor could make shorter: what is not encrypted stands there as it is.
  const CONTENT = Buffer.from(createHash("sha512").update("a private source").digest());

  function placed() {
    const files = new Map<string, Uint8Array>();
    const store: RecordStore = {
      read: async (key) => files.get(key),
      write: async (key, content) => void files.set(key, content),
    };
    const file = () => Buffer.from([...files.values()][0] ?? []);
    return { store, files, file };
  }

  test("comes back by the secret that it was left with, and says nothing to who lacks it", async () => {
    const { store, file } = placed();
    await sealed(store, "ours").write("key", CONTENT, SIGNAL);
    expect(file().includes(CONTENT)).toBe(false);
    expect(await sealed(store, "ours").read("key", SIGNAL)).toEqual(CONTENT);
    for (const secret of [undefined, "theirs"]) {
      await expect(sealed(store, secret).read("key", SIGNAL)).rejects.toThrow("not ours");
    }
  });

  test("without a secret can be read by everybody, and by nobody with one", async () => {
    const { store, file } = placed();
    await sealed(store, undefined).write("key", CONTENT, SIGNAL);
    expect(file().includes(CONTENT)).toBe(true);
    expect(await sealed(store, undefined).read("key", SIGNAL)).toEqual(CONTENT);
    await expect(sealed(store, "ours").read("key", SIGNAL)).rejects.toThrow("not ours");
  });

  test.each([undefined, "ours"])(
    "changed, cut off or of another key is none, with secret %s",
    async (secret) => {
      const { store, files, file } = placed();
      await sealed(store, secret).write("key", CONTENT, SIGNAL);
      const good = file();
      for (const at of [0, 20, good.length - 1]) {
        const bad = Buffer.from(good);
        bad[at] = (bad[at] ?? 0) ^ 1;
        files.set("evaluation-key", bad);
        await expect(sealed(store, secret).read("key", SIGNAL)).rejects.toThrow("not ours");
      }
      for (const cut of [0, 5, 30, good.length - 1]) {
        files.set("evaluation-key", good.subarray(0, cut));
        await expect(sealed(store, secret).read("key", SIGNAL)).rejects.toThrow("not ours");
      }
      files.set("evaluation-other", good);
      await expect(sealed(store, secret).read("other", SIGNAL)).rejects.toThrow("not ours");
    },
  );
});
