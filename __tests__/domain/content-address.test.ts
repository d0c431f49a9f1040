import { describe, expect, test } from "@jest/globals";
import { contentAddressOf, parseContentAddress } from "../../src/domain/content-address.ts";
import type { StorePath } from "../../src/domain/store-path.ts";

const path = (base: string) => `/nix/store/${base}` as StorePath;

// Made by Nix 2.8: builtins.toFile, and `nix-store --add-fixed` with and without --recursive.
const TEXT = {
  storePath: path("56mpyszbcgnvyrj1ai01pahapg2xg1gk-b"),
  references: [
    path("qqpc911h8l92rs0sci3mspb8xh52228i-z"),
    path("xzdc2x2gw25hj9wm4h6jrpz0cm584xzy-a"),
  ],
  contentAddress: "text:sha256:15is993xnrc6vcvbw4dls77dd4mbhwlr2s0q1phrsd0vmg1cqm40",
};
const FLAT_SHA256 = {
  storePath: path("8zv8i345w2xn27jrxj4cyjc6x3b4am1q-hello"),
  references: [],
  contentAddress: "fixed:sha256:00xyyr3fi8l6hb839bv3f7yb86yjv7xi1cgh1xnhipym4asvb4aq",
};
const FLAT_SHA1 = {
  storePath: path("032avhrrgjp8441c41iid7ywc92j4z76-hello"),
  references: [],
  contentAddress: "fixed:sha1:iwjz551fyw0cxcjgf4l6c879zabd6wpm",
};
const RECURSIVE = {
  storePath: path("gwina1sjk7g95wq6fxc6b7s1hza53h74-hello"),
  references: [],
  contentAddress: "fixed:r:sha256:04zwf782yjwnh3q6hz5izfd6jyip8kgw6g6yj43fiqhbyhdd0dqw",
};

describe("the name of a path vouches for its content", () => {
  test.each([
    ["a text with references", TEXT],
    ["a file by SHA-256", FLAT_SHA256],
    ["a file by SHA-1", FLAT_SHA1],
    ["a NAR", RECURSIVE],
  ])("%s", (_, info) => {
    expect(contentAddressOf(info)).toBe("good");
    const renamed = { ...info, storePath: `${info.storePath}x` as StorePath };
    expect(contentAddressOf(renamed)).toBe("other");
    expect(contentAddressOf({ ...info, contentAddress: undefined })).toBe("none");
  });

  test("with other references it is another path, and a flat file has none", () => {
    expect(contentAddressOf({ ...TEXT, references: [] })).toBe("other");
    expect(contentAddressOf({ ...FLAT_SHA256, references: TEXT.references })).toBe("impossible");
  });

  test.each(["", "hello", "text:sha1:0", "fixed:sha3:0", "text:r:sha256:0", "fixed:r:sha256:x"])(
    "%j is no address",
    (text) => {
      expect(parseContentAddress(text)).toBeUndefined();
    },
  );
});
