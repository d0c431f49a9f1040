import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { formatCacheInfo, parseCacheInfo } from "../../src/domain/cache-info.ts";
import { buildKind, outputPaths, parseDerivation } from "../../src/domain/derivation.ts";
import { differences, fingerprint, formatNarInfo, parseNarInfo } from "../../src/domain/narinfo.ts";
import { findGoodSignature, parsePublicKey } from "../../src/domain/signature.ts";
import { parseStorePath } from "../../src/domain/store-path.ts";
import { parseDump } from "../../src/nix/store.ts";
import { damaged, PATIENCE, ROUNDS, tryAll } from "../support/fuzz.ts";
import { narInfo } from "../support/graph.ts";
import { STORE, storePath } from "../support/paths.ts";

const WORDS = ["StorePath: ", "URL: ", "NarHash: ", "NarSize: ", "References: ", "Sig: ", "\n"];

test(
  "narinfos",
  () => {
    const whole = [
      formatNarInfo(narInfo(storePath("a"), [storePath("b"), storePath("c")])),
      formatNarInfo({
        ...narInfo(storePath("signed")),
        signatures: ["a:AAAA", `b:${"A".repeat(86)}==`],
        deriver: "x.drv",
        contentAddress: "fixed:r:sha256:x",
      }),
    ];
    const key = parsePublicKey(`b:${Buffer.alloc(32, 1).toString("base64")}`);
    if (!key) throw new Error("no key");
    const tally = tryAll(
      damaged(whole, WORDS, 1),
      (text) => parseNarInfo(text, "cache/x.narinfo", STORE),
      (info) => {
        // Whatever is accepted stays in its cache, and is the same when it is written and read.
        const there = new URL(info.url, "https://cache.example/base/");
        if (!there.href.startsWith("https://cache.example/base/")) throw new Error(info.url);
        if (join("/cache", info.url).startsWith("/cache/") === false) throw new Error(info.url);
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
      expect(Number.isSafeInteger(info.priority ?? 0)).toBe(true);
    }
    expect(read).toBeGreaterThan(ROUNDS / 20);
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
