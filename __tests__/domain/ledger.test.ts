import { describe, expect, test } from "@jest/globals";
import { formatLedger, parseLedger } from "../../src/domain/ledger.ts";
import { compressWhole } from "../../src/host/compress.ts";
import { ledgerOf, usualLedger } from "../support/ledgers.ts";

const LEDGER = ledgerOf(
  [
    { name: "openssl-3.5.1.tar.gz", kind: "download", attributes: { outputHash: "abcd" } },
    { name: "openssl-3.5.1", inputs: ["openssl-3.5.1.tar.gz"], seconds: 70 },
    { name: "web", kind: "trivial", inputs: ["openssl-3.5.1"] },
  ],
  { inputs: [{ name: "nixpkgs", revision: "abc", source: "" }] },
);

describe("a ledger", () => {
  test("is read as it was written", () => {
    expect(parseLedger(formatLedger(LEDGER))).toStrictEqual(LEDGER);
    const node = {
      ...LEDGER.nodes[0],
      outputs: new Map([
        ["out", ""],
        ["dev", "0".repeat(32)],
      ]),
      bytes: 7,
    };
    const floating = {
      ...LEDGER,
      nodes: [node, ...LEDGER.nodes.slice(1)],
      closure: 12,
    } as typeof LEDGER;
    expect(parseLedger(formatLedger(floating))).toStrictEqual(floating);
  });

  test("of 5,000 derivations takes less than 500 kB", async () => {
    const text = formatLedger(usualLedger(5_000));
    const packed = await compressWhole(
      { compression: "zstd", compressionLevel: 12 },
      Buffer.from(text),
    );
    expect(packed.length).toBeLessThan(500_000);
    // Hashes cannot be compressed: 20 bytes for each derivation, and 20 for each output.
    expect(packed.length).toBeGreaterThan(5_000 * 40);
  });

  test.each<[string, (text: string) => string, RegExp]>([
    ["of another version", (text) => text.replace('"version":1', '"version":9'), /of version 9/],
    ["that is cut off", (text) => text.slice(0, -10), /JSON/],
    ["with a name that is none", (text) => text.replace('"web"', '"<b>"'), /<b>/],
    [
      "that leads in a circle",
      (text) => text.replace('"inputs":[[],[0],[1]]', '"inputs":[[1],[0],[1]]'),
      /no place before 0/,
    ],
    [
      "without a column",
      (text) => text.replace(/"seconds":\[[^\]]*\]/, '"seconds":[]'),
      /seconds are 0/,
    ],
    ["with a time that is none", (text) => text.replace(/"taken":\d+/, '"taken":"x"'), /number/],
    [
      "of a time that no calendar has",
      (text) => text.replace(/"taken":\d+/, '"taken":9007199254740991'),
      /its time is none/,
    ],
    [
      "with an input twice",
      (text) => text.replace('"inputs":[[],[0],[1]]', '"inputs":[[],[0,0],[1]]'),
      /twice/,
    ],
    [
      "of a branch that fills the page",
      (text) => text.replace('"branch":"', `"branch":"${"b".repeat(1_001)}`),
      /characters/,
    ],
    ["that is no object", () => "7", /no object/],
  ])("%s is refused, with what is wrong", (_, change, why) => {
    const text = formatLedger(LEDGER);
    const changed = change(text);
    expect(changed).not.toBe(text);
    expect(() => parseLedger(changed)).toThrow(why);
  });
});
