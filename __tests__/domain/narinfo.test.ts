import { describe, expect, test } from "@jest/globals";
import {
  dependencies,
  differences,
  fingerprint,
  formatNarInfo,
  NotTakenError,
  parseNarInfo,
} from "../../src/domain/narinfo.ts";
import { findGoodSignature, parsePublicKey } from "../../src/domain/signature.ts";
import { storePath, sum } from "../support/paths.ts";
import { userError } from "../support/thrown.ts";

const DERIVER = "qqpc911h8l92rs0sci3mspb8xh52228i-x.drv";
const WHERE = "https://cache/56mp.narinfo";

// nix-store --generate-binary-cache-key test-1 sec pub; nix store sign -k sec PATH;
// nix copy --to file://DIR PATH   (Nix 2.8, the path made by builtins.toFile)
const RECORDED = `StorePath: /nix/store/56mpyszbcgnvyrj1ai01pahapg2xg1gk-b
URL: nar/1397prx8gc81gv6p1k45ffpqap7rrnxlkxbly9a1z5l6m2xglgfw.nar.xz
Compression: xz
FileHash: sha256:1397prx8gc81gv6p1k45ffpqap7rrnxlkxbly9a1z5l6m2xglgfw
FileSize: 204
NarHash: sha256:0m2cww9s59igmicj9iapswaffc4m6i9lk8p7kpw3czq5n2hw771g
NarSize: 208
References: qqpc911h8l92rs0sci3mspb8xh52228i-z xzdc2x2gw25hj9wm4h6jrpz0cm584xzy-a
Sig: test-1:bA51ujgqjCG1b6gR4t7k23zkqm5QFHDezZcU0eu//ljPp91I0YIFMHtdHyG1+c2qUngcB7RSiUlWvfTglkabCA==
CA: text:sha256:15is993xnrc6vcvbw4dls77dd4mbhwlr2s0q1phrsd0vmg1cqm40
`;
const PUBLIC_KEY = "test-1:lsbNfweSTD355LPCB4HStuWUrYtGu/wW8TV39WbYnK4=";

const parse = (text: string) => parseNarInfo(text, WHERE, "/nix/store");
/** The recorded one with the line of `field` replaced, or without it. */
const change = (field: string, line?: string) =>
  RECORDED.replace(new RegExp(`^${field}:.*\n`, "m"), line === undefined ? "" : `${line}\n`);

describe("a narinfo that Nix wrote", () => {
  test("is read", () => {
    expect(parse(RECORDED)).toEqual({
      storePath: "/nix/store/56mpyszbcgnvyrj1ai01pahapg2xg1gk-b",
      url: "nar/1397prx8gc81gv6p1k45ffpqap7rrnxlkxbly9a1z5l6m2xglgfw.nar.xz",
      compression: "xz",
      fileHash: "dc3dfabaa886961f54f274f549bbcdf95c85af7385cc70cd7e01b1877abe278d",
      fileSize: 204,
      narHash: "2f9cc3a1b0057f36f89de7a24953349530e714d757c52459ac2fa6a213e74c54",
      narSize: 208,
      references: [
        "/nix/store/qqpc911h8l92rs0sci3mspb8xh52228i-z",
        "/nix/store/xzdc2x2gw25hj9wm4h6jrpz0cm584xzy-a",
      ],
      deriver: undefined,
      signatures: [expect.stringMatching(/^test-1:bA51/)],
      contentAddress: "text:sha256:15is993xnrc6vcvbw4dls77dd4mbhwlr2s0q1phrsd0vmg1cqm40",
    });
  });

  test("is written back, byte for byte", () => {
    expect(formatNarInfo(parse(RECORDED))).toBe(RECORDED);
  });

  test("carries a signature over the fingerprint we compute", () => {
    const info = parse(RECORDED);
    const key = parsePublicKey(PUBLIC_KEY);
    if (!key) throw new Error("no key");
    expect(fingerprint(info)).toBe(
      "1;/nix/store/56mpyszbcgnvyrj1ai01pahapg2xg1gk-b;sha256:0m2cww9s59igmicj9iapswaffc4m6i9lk8p7kpw3czq5n2hw771g;208;/nix/store/qqpc911h8l92rs0sci3mspb8xh52228i-z,/nix/store/xzdc2x2gw25hj9wm4h6jrpz0cm584xzy-a",
    );
    expect(findGoodSignature(fingerprint(info), info.signatures, [key])).toBe(key);
    const other = { ...info, narSize: info.narSize + 1 };
    expect(findGoodSignature(fingerprint(other), info.signatures, [key])).toBeUndefined();
  });
});

describe("what other servers write", () => {
  const recorded = parse(RECORDED);

  test.each([
    ["unknown fields", `${RECORDED}Future: of: narinfos\nBare: \n`],
    [
      "hex sums",
      change(
        "NarHash",
        "NarHash: sha256:2f9cc3a1b0057f36f89de7a24953349530e714d757c52459ac2fa6a213e74c54",
      ),
    ],
    ["SRI sums", change("NarHash", "NarHash: sha256-L5zDobAFfzb4neeiSVM0lTDnFNdXxSRZrC+mohPnTFQ=")],
    [
      "references in another order, and twice",
      change(
        "References",
        "References: xzdc2x2gw25hj9wm4h6jrpz0cm584xzy-a  qqpc911h8l92rs0sci3mspb8xh52228i-z xzdc2x2gw25hj9wm4h6jrpz0cm584xzy-a",
      ),
    ],
    ["an unknown deriver", `${RECORDED}Deriver: unknown-deriver\n`],
    // A name reaches from the line's end before it to the colon: nobody knows this one.
    [
      "an empty line before a field nobody knows",
      RECORDED.replace("Compression", "\nX: y\nCompression"),
    ],
    ["a size with a plus", change("NarSize", "NarSize: +00208")],
    [
      "a path with doubled slashes",
      change("StorePath", "StorePath: /nix//store/./56mpyszbcgnvyrj1ai01pahapg2xg1gk-b"),
    ],
    ["a second URL, which is the one that counts", `URL: nar/other.nar\n${RECORDED}`],
  ])("%s make no difference", (_, text) => {
    expect(parse(text)).toEqual(recorded);
  });

  test.each([
    ["no Compression", change("Compression"), { compression: "bzip2" }],
    ["an empty Compression", change("Compression", "Compression: "), { compression: "bzip2" }],
    [
      "FileHash of another algorithm",
      change("FileHash", `FileHash: sha512:${"0".repeat(128)}`),
      { fileHash: undefined },
    ],
    [
      "no FileHash, no FileSize",
      change("FileHash").replace(/^FileSize.*\n/m, ""),
      { fileHash: undefined, fileSize: undefined },
    ],
    ["no references", change("References", "References: "), { references: [] }],
    ["no References line", change("References"), { references: [] }],
    // The value begins behind the blank, wherever that is: here it is the next line.
    ["References without a blank", change("References", "References:\n"), { references: [] }],
    ["a deriver", `${RECORDED}Deriver: ${DERIVER}\n`, { deriver: DERIVER }],
    [
      "several signatures",
      `${RECORDED}Sig: b:2\nSig: c:3\n`,
      { signatures: [recorded.signatures[0], "b:2", "c:3"] },
    ],
    ["no signature", change("Sig"), { signatures: [] }],
    ["a URL with a query", change("URL", "URL: nar/a.nar?hash=b"), { url: "nar/a.nar?hash=b" }],
  ])("%s", (_, text, expected) => {
    expect(parse(text)).toEqual({ ...recorded, ...expected });
  });
});

describe("what is not a narinfo", () => {
  test.each([
    ["nothing", "", "line 1: there is no StorePath"],
    ["an HTML page", "<html>\n<body>", 'is not "Name: value"'],
    ["CRLF", RECORDED.replaceAll("\n", "\r\n"), "line 1: "],
    ["no newline at the end", RECORDED.trimEnd(), "line 10: CA does not end with a line"],
    ["an empty line at the end", `${RECORDED}\n`, 'line 11: "" is not "Name: value"'],
    ["an empty deriver", `${RECORDED}Deriver: \n`, 'line 11: Deriver ""'],
    [
      "a deriver with its folder",
      `${RECORDED}Deriver: /nix/store/${DERIVER}\n`,
      "line 11: Deriver",
    ],
    ["a CA that is none", change("CA", "CA: hello"), 'line 10: CA "hello"'],
    [
      "a second CA",
      `${RECORDED}CA: text:sha256:15is993xnrc6vcvbw4dls77dd4mbhwlr2s0q1phrsd0vmg1cqm40\n`,
      "line 11: a second CA",
    ],
    [
      "a sum without its algorithm",
      change("NarHash", `NarHash: ${"0".repeat(64)}`),
      "line 6: NarHash",
    ],
    ["no URL", change("URL"), "there is no URL"],
    ["no NarHash", change("NarHash"), "there is no NarHash"],
    ["no NarSize", change("NarSize"), "there is no NarSize"],
    ["a size of nothing", change("NarSize", "NarSize: 0"), "NarSize, or it is 0"],
    ["a negative size", change("NarSize", "NarSize: -1"), 'line 7: NarSize "-1" is not a number'],
    ["a size in words", change("FileSize", "FileSize: 2e9"), 'line 5: FileSize "2e9"'],
    ["a size past all bounds", change("NarSize", `NarSize: ${"9".repeat(40)}`), "line 7"],
    ["a damaged sum", change("FileHash", "FileHash: sha256:xyz"), 'line 4: FileHash "sha256:xyz"'],
    [
      "another store",
      change("StorePath", "StorePath: /gnu/store/56mpyszbcgnvyrj1ai01pahapg2xg1gk-b"),
      "line 1",
    ],
    [
      "a path below one",
      change("StorePath", "StorePath: /nix/store/56mpyszbcgnvyrj1ai01pahapg2xg1gk-b/c"),
      "line 1",
    ],
    [
      "a reference with a slash",
      change("References", "References: ../../etc/passwd"),
      'line 8: reference "../../etc/passwd"',
    ],
    ["a second References", `${RECORDED}References: \n`, "line 11: a second References"],
  ])("%s is named with its line", (_, text, message) => {
    const error = userError(() => parse(text));
    expect(error.code).toBe("NCP-301");
    expect(error.message).toContain(`${WHERE}, line `);
    expect(error.message).toContain(message);
  });
});

test("a NAR by another algorithm's sum is read, and taken by no Nix", () => {
  const error = userError(() => parse(change("NarHash", `NarHash: sha512:${"0".repeat(128)}`)));
  expect(error).toBeInstanceOf(NotTakenError);
  expect(error).toMatchObject({ taking: "passed over" });
});

describe("what the store says beside what a cache says", () => {
  const ours = {
    storePath: storePath("a"),
    narHash: sum("a"),
    narSize: 100,
    references: [storePath("b"), storePath("a")],
    deriver: undefined,
  };
  const theirs = { ...parse(RECORDED), ...ours, deriver: undefined };

  test("is the same, whatever the order of its references", () => {
    const turned = { ...theirs, references: [...theirs.references].reverse() };
    expect(differences(ours, turned)).toEqual([]);
  });

  test.each([
    ["StorePath", { storePath: storePath("c") }],
    ["NarHash", { narHash: sum("b") }],
    ["NarSize", { narSize: 101 }],
    ["References", { references: [storePath("b")] }],
  ])("differs in %s", (field, change) => {
    const found = differences(ours, { ...theirs, ...change });
    expect(found).toEqual([expect.stringMatching(`^${field}`)]);
  });

  test("a path depends on what it refers to, itself left out", () => {
    expect(dependencies(ours)).toEqual([storePath("b")]);
  });
});
