import { describe, expect, test } from "@jest/globals";
import { type Compression, compress, decompress } from "../../src/host/compress.ts";

const SIGNAL = new AbortController().signal;

async function* chunks(content: Uint8Array, size = 100_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

async function all(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const found: Uint8Array[] = [];
  for await (const chunk of content) found.push(chunk);
  return Buffer.concat(found);
}

const CONTENT = Buffer.from("a line of text\n".repeat(200_000));

describe.each<Compression>(["zstd", "xz", "none"])("compression with %s", (compression) => {
  test("goes there and back", async () => {
    const packed = await all(compress(compression, chunks(CONTENT), SIGNAL));
    if (compression !== "none") expect(packed.length).toBeLessThan(CONTENT.length / 100);
    expect((await all(decompress(compression, chunks(packed), SIGNAL))).equals(CONTENT)).toBe(true);
  });

  test("of nothing is nothing", async () => {
    const packed = await all(compress(compression, chunks(Buffer.alloc(0)), SIGNAL));
    expect(await all(decompress(compression, chunks(packed), SIGNAL))).toHaveLength(0);
  });

  test("fails with what its source fails with", async () => {
    const failing = (async function* () {
      yield CONTENT.subarray(0, 1000);
      throw new Error("the source is gone");
    })();
    await expect(all(compress(compression, failing, SIGNAL))).rejects.toThrow("the source is gone");
  });
});

describe("what cannot be unpacked", () => {
  test.each(["zstd", "xz", "gzip", "br", "bzip2"])("is an error with %s", async (compression) => {
    const noise = Buffer.from("this was never compressed");
    await expect(all(decompress(compression, chunks(noise), SIGNAL))).rejects.toThrow();
  });

  test.each<Compression>(["zstd", "xz"])("half a file is an error with %s", async (compression) => {
    const packed = await all(compress(compression, chunks(CONTENT), SIGNAL));
    const half = packed.subarray(0, packed.length >> 1);
    await expect(all(decompress(compression, chunks(half), SIGNAL))).rejects.toThrow();
  });

  test("an unknown compression is named", async () => {
    await expect(all(decompress("lzip", chunks(CONTENT), SIGNAL))).rejects.toThrow(
      'called "lzip" is compressed in no way known here',
    );
  });
});

// As Nix, which goes by the first bytes (libarchive): a cache that says xz of all that it has is read.
test.each(["xz", "gzip", "shrink"])("what is called %s and is zstd is read", async (name) => {
  const packed = await all(compress("zstd", chunks(CONTENT), SIGNAL));
  expect((await all(decompress(name, chunks(packed, 1), SIGNAL))).equals(CONTENT)).toBe(true);
});

test.each(["none", ""])("%j is not compressed", async (compression) => {
  expect(await all(decompress(compression, chunks(Buffer.from("x")), SIGNAL))).toEqual(
    Buffer.from("x"),
  );
});
