import { spawnSync } from "node:child_process";
import { gzipSync } from "node:zlib";
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
    const packed = await all(compress({ compression }, chunks(CONTENT), SIGNAL));
    if (compression !== "none") expect(packed.length).toBeLessThan(CONTENT.length / 100);
    expect((await all(decompress(compression, chunks(packed), SIGNAL))).equals(CONTENT)).toBe(true);
  });

  test("of nothing is nothing", async () => {
    const packed = await all(compress({ compression }, chunks(Buffer.alloc(0)), SIGNAL));
    expect(await all(decompress(compression, chunks(packed), SIGNAL))).toHaveLength(0);
  });

  test("fails with what its source fails with", async () => {
    const failing = (async function* () {
      yield CONTENT.subarray(0, 1000);
      throw new Error("the source is gone");
    })();
    await expect(all(compress({ compression }, failing, SIGNAL))).rejects.toThrow(
      "the source is gone",
    );
  });
});

test.each(["zstd", "xz"] as const)(
  "a higher level makes %s smaller, or no larger",
  async (compression) => {
    // Words in an order that repeats only after a while: levels differ in how far they look back.
    const words = Buffer.from(
      Array.from({ length: 40_000 }, (_, at) => `${(at * at) % 977} `).join(""),
    );
    const sizes = await Promise.all(
      [1, 9].map(async (compressionLevel) => {
        const packed = await all(
          compress({ compression, compressionLevel }, chunks(words), SIGNAL),
        );
        expect((await all(decompress(compression, chunks(packed), SIGNAL))).equals(words)).toBe(
          true,
        );
        return packed.length;
      }),
    );
    expect(sizes[1]).toBeLessThan(sizes[0] ?? 0);
  },
);

describe("what cannot be unpacked", () => {
  test.each(["zstd", "xz", "gzip", "br", "bzip2"])("is an error with %s", async (compression) => {
    const noise = Buffer.from("this was never compressed");
    await expect(all(decompress(compression, chunks(noise), SIGNAL))).rejects.toThrow();
  });

  test.each<Compression>(["zstd", "xz"])("half a file is an error with %s", async (compression) => {
    const packed = await all(compress({ compression }, chunks(CONTENT), SIGNAL));
    const half = packed.subarray(0, packed.length >> 1);
    await expect(all(decompress(compression, chunks(half), SIGNAL))).rejects.toThrow();
  });

  test.each(["lz4", "lzip"])("%j is named, and nothing is said of the bytes", async (name) => {
    await expect(all(decompress(name, chunks(CONTENT), SIGNAL))).rejects.toMatchObject({
      code: "NCP-309",
      message: expect.stringContaining(`called "${name}" is compressed in no way known here`),
    });
  });
});

// As Nix, which goes by the first bytes (libarchive): a cache that says xz of all that it has is read.
test.each(["xz", "gzip", "shrink"])("what is called %s and is zstd is read", async (name) => {
  const packed = await all(compress({ compression: "zstd" }, chunks(CONTENT), SIGNAL));
  expect((await all(decompress(name, chunks(packed, 1), SIGNAL))).equals(CONTENT)).toBe(true);
});

test.each(["none", ""])("%j is not compressed", async (compression) => {
  expect(await all(decompress(compression, chunks(Buffer.from("x")), SIGNAL))).toEqual(
    Buffer.from("x"),
  );
});

const PACKERS = {
  gzip: (content: Buffer) => gzipSync(content),
  xz: (content: Buffer) => packed("xz", content),
  bzip2: (content: Buffer) => packed("bzip2", content),
};

function packed(command: string, content: Buffer): Buffer {
  return spawnSync(command, ["--compress", "--stdout"], { input: content }).stdout;
}

// As for zstd (zstd-frames.test.ts): tools that compress in parallel, and `cat`, make such files.
describe.each(["gzip", "xz", "bzip2"] as const)("%s of several members", (compression) => {
  const parts = ["one", "", "three ".repeat(50_000)].map((text) => Buffer.from(text));
  const members = parts.map(PACKERS[compression]);
  const file = Buffer.concat(members);
  const content = Buffer.concat(parts);

  test("is read to its end, cut between them and within them", async () => {
    const ends = [members[0]?.length ?? 0, (members[0]?.length ?? 0) + (members[1]?.length ?? 0)];
    for (const at of [...ends.flatMap((end) => [end - 1, end, end + 1, end + 2]), 3]) {
      const halves = (async function* () {
        yield file.subarray(0, at);
        yield file.subarray(at);
      })();
      expect((await all(decompress(compression, halves, SIGNAL))).equals(content)).toBe(true);
    }
    expect((await all(decompress(compression, chunks(file), SIGNAL))).equals(content)).toBe(true);
  });

  test("is an error where the last one has no end", async () => {
    for (const bytes of [1, 5, 20]) {
      const short = file.subarray(0, file.length - bytes);
      await expect(all(decompress(compression, chunks(short), SIGNAL))).rejects.toThrow();
    }
  });
});
