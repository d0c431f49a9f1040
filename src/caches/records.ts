/** Evaluation records, ledgers and build figures on their way into a cache and back: compressed, and sealed against change. */

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import {
  type BuildFigures,
  type FigureStore,
  formatFigures,
  laterFigures,
  parseFigures,
} from "../domain/build-figures.ts";
import { describeError } from "../domain/errors.ts";
import type { Memory } from "../domain/evaluation-record.ts";
import {
  type EvaluationRecord,
  formatRecord,
  parseRecord,
  type RecordStore,
} from "../domain/evaluation-record.ts";
import { formatLedger, type Ledger, type LedgerStore, parseLedger } from "../domain/ledger.ts";
import type { Log } from "../domain/ports.ts";
import { compressWhole, decompressWhole } from "../host/compress.ts";

const SEAL = 32;
const MOST = 256 * 1024 * 1024;
/** Of text that is parsed: of empty lists alone it takes 35 times as much memory, and a file of it has some kilobytes. */
const TEXT_MOST = 32 * 1024 * 1024;

export interface MemoryOptions {
  readonly store: RecordStore;
  /** What the targets were evaluated from, as a hash. */
  readonly key: string;
  readonly storeDir: string;
  /**
   * Seals the record where this run has a secret. Without one the seal is a plain checksum: then who
   * can write a record into the cache can write paths into it just as well.
   */
  readonly secret: string | undefined;
  readonly log: Log;
}

/** Throws for what would not be read again. */
function textOf(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > TEXT_MOST) throw new RangeError(`it has ${bytes.length} bytes`);
  return bytes;
}

/** A record that is corrupt, forged or of another version is ignored, and said at debug level. */
export function memory({ store, key, storeDir, secret, log }: MemoryOptions): Memory {
  const seal = (content: Uint8Array) =>
    (secret ? createHmac("sha256", secret) : createHash("sha256"))
      .update(key)
      .update(content)
      .digest();
  return {
    async recall(signal) {
      try {
        const file = await store.read(key, signal);
        if (!file) return undefined;
        const content = file.subarray(SEAL);
        if (file.length < SEAL || !timingSafeEqual(file.subarray(0, SEAL), seal(content))) {
          throw new Error("its seal is not ours");
        }
        const text = await decompressWhole(content, TEXT_MOST);
        return parseRecord(text.toString("utf8"), storeDir);
      } catch (error) {
        signal.throwIfAborted();
        // It may quote what somebody else wrote, and that may be long.
        log.debug(`evaluation record ${key} is ignored: ${describeError(error).slice(0, 500)}`);
        return undefined;
      }
    },
    async remember(record: EvaluationRecord, signal) {
      try {
        const content = await compressWhole({ compression: "zstd" }, textOf(formatRecord(record)));
        await store.write(key, Buffer.concat([seal(content), content]), signal);
      } catch (error) {
        signal.throwIfAborted();
        log.debug(`evaluation record ${key} was not written: ${describeError(error)}`);
      }
    },
  };
}

/**
 * Compressed and sealed, and bound to its key: what this secret did not seal is not there. With a secret it is encrypted
 * as well: it holds the sources that derivations name, a private input's among them, and a cache may have more readers.
 * Without one the seal is a checksum, and the key has to say whose it is.
 */
export function sealed(store: RecordStore, secret: string | undefined): RecordStore {
  return {
    async read(key, signal) {
      const file = await store.read(`evaluation-${key}`, signal);
      if (!file) return undefined;
      const content = secret ? decrypted(file, key, secret) : summed(file, key);
      if (!content) throw new Error("its seal is not ours");
      return decompressWhole(content, MOST);
    },
    async write(key, content, signal) {
      const packed = await compressWhole({ compression: "zstd" }, content);
      const file = secret
        ? encrypted(packed, key, secret)
        : Buffer.concat([sumOf(packed, key), packed]);
      await store.write(`evaluation-${key}`, file, signal);
    },
  };
}

function sumOf(content: Uint8Array, key: string): Buffer {
  return createHash("sha256").update(`evaluation ${key}\n`).update(content).digest();
}

function summed(file: Uint8Array, key: string): Uint8Array | undefined {
  const content = file.subarray(SEAL);
  const isWhole =
    file.length >= SEAL && timingSafeEqual(file.subarray(0, SEAL), sumOf(content, key));
  return isWhole ? content : undefined;
}

const CIPHER = "aes-256-gcm";
/** Bytes, of GCM. */
const NONCE = 12;
const TAG = 16;

function keyFrom(secret: string): Buffer {
  return createHmac("sha256", secret).update("encrypts evaluations").digest();
}

function encrypted(content: Uint8Array, key: string, secret: string): Buffer {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv(CIPHER, keyFrom(secret), nonce).setAAD(Buffer.from(key));
  const body = Buffer.concat([cipher.update(content), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), body]);
}

function decrypted(file: Uint8Array, key: string, secret: string): Uint8Array | undefined {
  if (file.length < NONCE + TAG) return undefined;
  const decipher = createDecipheriv(CIPHER, keyFrom(secret), file.subarray(0, NONCE))
    .setAAD(Buffer.from(key))
    .setAuthTag(file.subarray(NONCE, NONCE + TAG));
  const body = decipher.update(file.subarray(NONCE + TAG));
  try {
    return Buffer.concat([body, decipher.final()]);
  } catch {
    return undefined;
  }
}

/** Not sealed: a figure lets nothing be believed, and a run without secrets needs it just as much. */
export const FIGURES_KEY = "build-figures.json";
const FIGURES_MOST = 8 * 1024 * 1024;

export function figureStore(store: RecordStore, log: Log): FigureStore {
  const read = async (signal: AbortSignal): Promise<Map<string, BuildFigures>> => {
    const file = await store.read(FIGURES_KEY, signal);
    if (!file) return new Map();
    if (file.length > FIGURES_MOST) throw new Error(`it has ${file.length} bytes`);
    return parseFigures(Buffer.from(file).toString("utf8"));
  };
  const recall = async (signal: AbortSignal) => {
    try {
      return await read(signal);
    } catch (error) {
      signal.throwIfAborted();
      log.debug(`${FIGURES_KEY} is ignored: ${describeError(error)}`);
      return new Map<string, BuildFigures>();
    }
  };
  return {
    recall,
    async remember(figures, signal) {
      if (figures.length === 0) return;
      try {
        const kept = await recall(signal);
        for (const one of figures) kept.set(one.name, laterFigures(kept.get(one.name), one));
        await store.write(FIGURES_KEY, Buffer.from(formatFigures(kept.values())), signal);
      } catch (error) {
        signal.throwIfAborted();
        log.debug(`${FIGURES_KEY} was not written: ${describeError(error)}`);
      }
    },
  };
}

export interface LedgerOptions {
  /** Where the default branch's lie: beside our cache, or in GitHub's cache, which the job reads of its base branch. */
  readonly store: RecordStore;
  /** Beside our cache: what evaluation records lie beside, and what the command line can read. */
  readonly own: RecordStore | undefined;
  /** The record's key: what was evaluated, as a hash; undefined where that cannot be named. */
  readonly key: string | undefined;
  /** Target lines, as they tell one set of targets from another. */
  readonly lines: readonly string[];
  readonly system: string;
  readonly storeDir: string;
  readonly secret: string | undefined;
  readonly log: Log;
}

/** zstd's level: some milliseconds more for a file that every run of a pull request reads. */
const LEDGER_LEVEL = 12;
/** Of another set of targets a larger ledger stays this long, in milliseconds. */
const LARGER_STAYS = 7 * 24 * 3_600_000;

/**
 * Sealed twice: a run with the secret believes what was sealed with it; one without, a stranger's pull request, can
 * only see that it is whole. What a ledger says is told, and lets no path be believed.
 */
export function ledgerStore(options: LedgerOptions): LedgerStore {
  const { store: shared, own: beside, key, lines, system, storeDir, secret, log } = options;
  const name = (...parts: readonly string[]) =>
    createHash("sha256").update(JSON.stringify(parts)).digest("hex");
  const names = {
    "these targets": `ledger-${name(system, storeDir, ...lines)}`,
    "any targets": `ledger-${name(system, storeDir, "any targets")}`,
  };
  const own = key === undefined ? undefined : `${name("ledger", key)}-ledger`;
  const sums = (at: string, content: Uint8Array) => {
    const plain = createHash("sha256").update(at).update(content).digest();
    const sealed = secret && createHmac("sha256", secret).update(at).update(content).digest();
    return { plain, sealed: sealed || Buffer.alloc(SEAL) };
  };
  const read = async (
    store: RecordStore | undefined,
    at: string | undefined,
    signal: AbortSignal,
  ): Promise<Ledger | undefined> => {
    if (!store || at === undefined) return undefined;
    try {
      const file = await store.read(at, signal);
      if (!file) return undefined;
      const content = file.subarray(2 * SEAL);
      if (file.length < 2 * SEAL) throw new Error("it is cut off");
      const { plain, sealed } = sums(at, content);
      const good = secret
        ? timingSafeEqual(file.subarray(0, SEAL), sealed)
        : timingSafeEqual(file.subarray(SEAL, 2 * SEAL), plain);
      if (!good) throw new Error("its seal is not ours");
      return parseLedger((await decompressWhole(content, TEXT_MOST)).toString("utf8"));
    } catch (error) {
      signal.throwIfAborted();
      log.debug(`ledger ${at} is ignored: ${describeError(error).slice(0, 500)}`);
      return undefined;
    }
  };
  const write = async (
    store: RecordStore | undefined,
    at: string | undefined,
    content: Uint8Array,
    signal: AbortSignal,
  ) => {
    if (!store || at === undefined) return;
    try {
      const { plain, sealed } = sums(at, content);
      await store.write(at, Buffer.concat([sealed, plain, content]), signal);
    } catch (error) {
      signal.throwIfAborted();
      log.debug(`ledger ${at} was not written: ${describeError(error)}`);
    }
  };
  return {
    base: (which, signal) =>
      read(which === "these targets" ? shared : beside, names[which], signal),
    same: (signal) => read(beside, own, signal),
    async remember(ledger, as, signal) {
      const text = Buffer.from(formatLedger(ledger));
      if (text.length > TEXT_MOST)
        return log.debug(`no ledger is left: it has ${text.length} bytes`);
      const content = await compressWhole(
        { compression: "zstd", compressionLevel: LEDGER_LEVEL },
        text,
      );
      log.debug(`the ledger of ${ledger.nodes.length} derivations has ${content.length} bytes`);
      await write(beside, own, content, signal);
      if (as === "same") return;
      await write(shared, names["these targets"], content, signal);
      const other = await read(beside, names["any targets"], signal);
      const stays =
        other !== undefined &&
        other.nodes.length > ledger.nodes.length &&
        // One of a time to come would stay for ever.
        other.taken <= ledger.taken &&
        ledger.taken - other.taken < LARGER_STAYS;
      if (!stays) await write(beside, names["any targets"], content, signal);
    },
  };
}
