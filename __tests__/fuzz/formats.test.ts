import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { narPlace } from "../../src/caches/accept.ts";
import { memory } from "../../src/caches/records.ts";
import { formatCacheInfo, parseCacheInfo } from "../../src/domain/cache.ts";
import { buildKind, outputPaths, parseDerivation } from "../../src/domain/derivation.ts";
import { describeError, UserError } from "../../src/domain/errors.ts";
import {
  type EvaluationRecord,
  formatRecord,
  isFresh,
  parseRecord,
} from "../../src/domain/evaluation-record.ts";
import { formatLedger, type LedgerNode, parseLedger } from "../../src/domain/ledger.ts";
import {
  differences,
  fingerprint,
  formatNarInfo,
  NotTakenError,
  parseNarInfo,
} from "../../src/domain/narinfo.ts";
import { findGoodSignature, parsePublicKey } from "../../src/domain/signature.ts";
import { baseName, parseStorePath } from "../../src/domain/store-path.ts";
import { explain, rebuildsOf } from "../../src/engine/rebuilds/rebuild-report.ts";
import { concluded, type Run } from "../../src/engine/result.ts";
import { parseDump } from "../../src/nix/store.ts";
import { plainLine } from "../../src/report/page.ts";
import {
  changeParts,
  pullSentences,
  rebuildLines,
  rebuildsReport,
} from "../../src/report/rebuilds.ts";
import { chance, damaged, PATIENCE, ROUNDS, tryAll } from "../support/fuzz.ts";
import { narInfo } from "../support/graph.ts";
import { ledgerOf } from "../support/ledgers.ts";
import { STORE, storePath } from "../support/paths.ts";

const WORDS = ["StorePath: ", "URL: ", "NarHash: ", "NarSize: ", "References: ", "Sig: ", "\n"];

function placeOf(url: string, root: URL): URL | undefined {
  try {
    return narPlace(url, root);
  } catch (error) {
    if (error instanceof NotTakenError) return undefined;
    throw error;
  }
}

test(
  "narinfos",
  () => {
    const whole = [
      formatNarInfo(narInfo(storePath("a"), [storePath("b"), storePath("c")])),
      formatNarInfo({
        ...narInfo(storePath("signed")),
        signatures: ["a:AAAA", `b:${"A".repeat(86)}==`],
        deriver: baseName(storePath("x.drv")),
        contentAddress: `fixed:r:sha256:${"0".repeat(52)}`,
      }),
    ];
    const key = parsePublicKey(`b:${Buffer.alloc(32, 1).toString("base64")}`);
    if (!key) throw new Error("no key");
    const tally = tryAll(
      damaged(whole, WORDS, 1),
      (text) => parseNarInfo(text, "cache/x.narinfo", STORE),
      (info) => {
        // Whatever is followed stays on its host, or in its folder; and is the same when it is written and read.
        const followed = (root: string) => placeOf(info.url, new URL(root));
        const there = followed("https://cache.example/base/");
        if (there && there.host !== "cache.example") throw new Error(info.url);
        const onDisk = followed("file:///cache/");
        if (onDisk && !onDisk.href.startsWith("file:///cache/")) throw new Error(info.url);
        if (onDisk && !join("/cache", info.url).startsWith("/cache/")) throw new Error(info.url);
        const again = parseNarInfo(formatNarInfo(info), "again", STORE);
        if (fingerprint(again) !== fingerprint(info)) throw new Error("another path");
        findGoodSignature(fingerprint(info), info.signatures, [key]);
        differences({ ...info, deriver: undefined }, again);
      },
    );
    expect(tally.accepted).toBeGreaterThan(ROUNDS / 20);
    expect(tally.refused).toBeGreaterThan(ROUNDS / 20);
  },
  PATIENCE,
);

test(
  "derivations",
  () => {
    const folder = join(import.meta.dirname, "..", "fixtures", "drv", "2.34");
    const whole = readdirSync(folder).map((file) => readFileSync(join(folder, file), "utf8"));
    const words = ["Derive(", "DrvWithVersion(", "[", "]", "(", ")", ",", '"', '\\"', "\\n", "[]"];
    const path = storePath("fuzzed.drv");
    const tally = tryAll(
      damaged(whole, words, 2),
      (text) => parseDerivation(text, path),
      (derivation) => {
        buildKind(derivation);
        const paths = outputPaths(derivation, [...derivation.outputs.keys()]) ?? [];
        for (const one of [...paths, ...derivation.inputs.keys(), ...derivation.sources]) {
          if (parseStorePath(one, STORE) !== one) throw new Error(one);
        }
      },
    );
    expect(tally.accepted).toBeGreaterThan(ROUNDS / 20);
    expect(tally.refused).toBeGreaterThan(ROUNDS / 20);
  },
  PATIENCE,
);

test(
  "nix-cache-info",
  () => {
    const whole = [formatCacheInfo(STORE, 30), "StoreDir: /nix/store\n", "<html>\n</html>"];
    const words = ["StoreDir:", "Priority: ", "WantMassQuery: 1", "\n", ":"];
    let read = 0;
    for (const text of damaged(whole, words, 3)) {
      const info = parseCacheInfo(text);
      if (!info) continue;
      read++;
      const { priority = 0 } = info;
      expect(priority === "no number" || Number.isSafeInteger(priority)).toBe(true);
    }
    expect(read).toBeGreaterThan(ROUNDS / 20);
  },
  PATIENCE,
);

test(
  "ledgers, and what a page says of them",
  () => {
    const made = (flag: string) =>
      ledgerOf(
        [
          { name: "openssl-3.5.1.tar.gz", kind: "download", attributes: { outputHash: flag } },
          { name: "openssl-3.5.1", inputs: ["openssl-3.5.1.tar.gz"], attributes: { flag } },
          { name: "web", inputs: ["openssl-3.5.1"], seconds: 70 },
        ],
        { inputs: [{ name: "nixpkgs", revision: flag, source: "" }] },
      );
    const head = made("new");
    const words = ['"taken":', "9007199254740991", '"inputs":[[],[0],[1]]', "[0,0]", '"branch":"'];
    const read = (text: string) => {
      try {
        return parseLedger(text);
      } catch (error) {
        // The run then goes on without it.
        throw new UserError("NCP-649", describeError(error));
      }
    };
    const tally = tryAll(damaged([formatLedger(made("old"))], words, 13), read, (base) => {
      expect(parseLedger(formatLedger(base))).toEqual(base);
      const rebuilds = rebuildsOf(head, base, new Map(), STORE);
      const event = { event: "pull request", base: "read", rebuilds, misses: [], dirty: [] };
      const run = {
        changes: event,
        job: { mode: "check" },
        survey: { derivations: new Map() },
        outcome: { built: [] },
        result: concluded([["t", "needs a build"]], []),
      } as unknown as Run;
      const { open, folded } = changeParts(run);
      const page = [...pullSentences(run), open, folded];
      expect(page.join("\n")).not.toMatch(/<(?!\/?(code|wbr|details|summary)\b)|^\s*::|##\[/m);
      expect(page.join()).not.toContain("\u001b");
      expect(JSON.parse(JSON.stringify(rebuildsReport(run.changes)))).toBeTruthy();
      for (const line of rebuildLines(run)) expect(plainLine(line)).not.toMatch(/^\s*::|##\[/);
      for (const { outputs } of explain(head, base, head.nodes.flatMap(drvOf))) {
        expect(outputs.map((path) => parseStorePath(path, STORE))).toEqual(outputs);
      }
    });
    expect(tally.accepted).toBeGreaterThan(ROUNDS / 200);
    expect(tally.refused).toBeGreaterThan(ROUNDS / 20);
  },
  PATIENCE,
);

function drvOf({ derivation, name }: LedgerNode) {
  return parseStorePath(`${STORE}/${derivation}-${name}.drv`, STORE) ?? [];
}

test(
  "evaluation records",
  async () => {
    const record = {
      checked: 1_760_000_000_000,
      targets: [
        {
          name: ".#program",
          line: ".#program pin=p priority=90",
          system: "x86_64-linux",
          outputs: [storePath("program")],
          outputNames: ["out"],
          pinName: "p",
          buildable: "here",
          served: [storePath("program")],
          trivial: 0,
        },
      ],
      notices: ["the tree is dirty"],
      closure: [{ cache: "own", narInfo: narInfo(storePath("program"), [storePath("library")]) }],
    } as const;
    const words = [
      '"checked":',
      "1e999",
      "9e99",
      '"outputs":["',
      "null",
      "[]",
      '"version":1',
      "-1",
    ];
    const tally = { accepted: 0, refused: 0 };
    for (const text of damaged([formatRecord(record)], words, 5)) {
      let read: EvaluationRecord;
      try {
        read = parseRecord(text, STORE);
      } catch (error) {
        // Refused in words: the run then goes on without it.
        expect(error).toBeInstanceOf(Error);
        tally.refused++;
        continue;
      }
      tally.accepted++;
      // Whatever is accepted can be shown, judged and written again.
      new Date(read.checked).toISOString();
      isFresh(read.checked, record.checked);
      expect(parseRecord(formatRecord(read), STORE)).toEqual(read);
      for (const { outputs, served, pinName } of read.targets) {
        for (const path of [...outputs, ...served]) expect(parseStorePath(path, STORE)).toBe(path);
        expect(pinName).toMatch(/^[0-9A-Za-z_.+-]*$/);
      }
    }
    expect(tally.accepted).toBeGreaterThan(ROUNDS / 50);
    expect(tally.refused).toBeGreaterThan(ROUNDS / 20);

    // In a cache it lies sealed and compressed: bytes that anybody may have written.
    const kept = new Map<string, Uint8Array>();
    const store = {
      read: async (key: string) => kept.get(key),
      write: async (key: string, content: Uint8Array) => void kept.set(key, content),
    };
    const signal = new AbortController().signal;
    const log = { group() {}, endGroup() {}, info() {}, debug() {} };
    const remembered = memory({ store, key: "k", storeDir: STORE, secret: "s", log });
    await remembered.remember(record, signal);
    const whole = Buffer.from(kept.get("k") ?? []);
    const next = chance(6);
    for (let n = 0; n < ROUNDS; n++) {
      const bytes = Buffer.from(whole);
      const at = next(bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 + next(255));
      kept.set("k", next(2) === 0 ? bytes : whole.subarray(0, at));
      expect(await remembered.recall(signal)).toBeUndefined();
    }
    kept.set("k", whole);
    expect(await remembered.recall(signal)).toEqual(record);
  },
  PATIENCE,
);

test(
  "dumps of the store's database",
  () => {
    const info = narInfo(storePath("a"), [storePath("b")]);
    const entry = `${info.storePath}\n${info.narHash}\n1000\n\n1\n${storePath("b")}\n`;
    const tally = tryAll(
      damaged([entry, entry + entry], ["\n", "0", storePath("c")], 4),
      (text) => parseDump(text, STORE),
      (infos) => {
        for (const one of infos) fingerprint(one);
      },
    );
    expect(tally.refused).toBeGreaterThan(ROUNDS / 20);
  },
  PATIENCE,
);
