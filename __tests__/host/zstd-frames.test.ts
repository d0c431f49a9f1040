import { randomBytes } from "node:crypto";
import * as zlib from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import { decompress, decompressWhole } from "../../src/host/compress.ts";
import { cutBetweenFrames } from "../../src/host/zstd-frames.ts";

const SIGNAL = new AbortController().signal;

async function* of(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield chunk;
}

async function* pieces(content: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

async function all(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const found: Uint8Array[] = [];
  for await (const chunk of content) found.push(chunk);
  return Buffer.concat(found);
}

const unzstd = (content: AsyncIterable<Uint8Array>) => all(decompress("zstd", content, SIGNAL));

/** One RFC 8878 frame as such: magic, descriptor, then blocks (raw 0, RLE 1). */
function byHand(descriptor: number, header: readonly number[], blocks: readonly number[][]) {
  return Buffer.from([0x28, 0xb5, 0x2f, 0xfd, descriptor, ...header, ...blocks.flat()]);
}

/** What programs may leave between frames: zstd passes over it. */
function skippable(bytes: number, kind = 0): Buffer {
  const head = Buffer.from([0x50 + kind, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]);
  head.writeUInt32LE(bytes, 4);
  return Buffer.concat([head, Buffer.alloc(bytes, 0xb5)]);
}

/** NARs are of text, of what does not compress, and of both; a server cuts where it likes. */
function parts(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) =>
    Buffer.concat([
      Buffer.from(`part ${index}, and so on. `.repeat(index * 37)),
      randomBytes((index * 977) % 5_000),
      Buffer.alloc(index % 3 === 0 ? 300_000 : 0, index),
    ]),
  );
}

const LEVELS = [1, 3, 19];

describe.each([1, 2, 50])("a zstd file of %i frames", (count) => {
  const plain = parts(count);
  const frames = plain.map((part, index) =>
    zlib.zstdCompressSync(part, {
      params: {
        [zlib.constants.ZSTD_c_compressionLevel]: LEVELS[index % LEVELS.length] ?? 3,
        [zlib.constants.ZSTD_c_checksumFlag]: index % 2,
        [zlib.constants.ZSTD_c_contentSizeFlag]: index % 4 === 0 ? 0 : 1,
      },
    }),
  );
  const file = Buffer.concat(frames);
  const content = Buffer.concat(plain);

  test("is read to its end, however it comes", async () => {
    expect((await unzstd(of(file))).equals(content)).toBe(true);
    expect((await unzstd(of(...frames))).equals(content)).toBe(true);
    for (const size of [1_000, 1_021, 65_536]) {
      expect((await unzstd(pieces(file, size))).equals(content)).toBe(true);
    }
    expect((await decompressWhole(file, content.length)).equals(content)).toBe(true);
  });

  test("with what is to be skipped before, between and behind them", async () => {
    const spread = frames.flatMap((frame, index) => [skippable(index % 5, index % 16), frame]);
    const file = Buffer.concat([...spread, skippable(100_000, 15)]);
    expect((await unzstd(of(file))).equals(content)).toBe(true);
    expect((await unzstd(pieces(file, 1_021))).equals(content)).toBe(true);
  });

  test("is an error where the last one has no end", async () => {
    for (const bytes of [1, 2, 3, 4, 5, 9]) {
      const short = file.subarray(0, file.length - bytes);
      await expect(unzstd(of(short))).rejects.toThrow();
      await expect(unzstd(pieces(short, 1_000))).rejects.toThrow();
      await expect(decompressWhole(short, content.length)).rejects.toThrow();
    }
  });

  test("is an error where something else follows", async () => {
    const other = Buffer.concat([file, Buffer.from("what is this")]);
    await expect(unzstd(of(other))).rejects.toThrow();
    await expect(unzstd(of(file, Buffer.from("what is this")))).rejects.toThrow();
  });

  test("is an error where one bit of its checksums is another", async () => {
    const at = frames.findLastIndex((_, index) => index % 2 === 1);
    if (at < 0) return;
    const end = frames.slice(0, at + 1).reduce((sum, { length }) => sum + length, 0);
    const spoilt = Buffer.from(file);
    spoilt[end - 1] = (spoilt[end - 1] ?? 0) ^ 1;
    await expect(unzstd(of(spoilt))).rejects.toThrow();
  });
});

/** Raw and RLE blocks, checksums, dictionaries' and sizes' fields: every form a header has. */
const BY_HAND: readonly (readonly [string, Buffer, string])[] = [
  ["an empty frame", byHand(0x20, [0], [[1, 0, 0]]), ""],
  ["a raw block", byHand(0x20, [2], [[(2 << 3) | 1, 0, 0, 0x61, 0x62]]), "ab"],
  ["a repeated byte", byHand(0x20, [9], [[(9 << 3) | 3, 0, 0, 0x63]]), "ccccccccc"],
  [
    "two blocks",
    byHand(
      0x20,
      [3],
      [
        [(1 << 3) | 0, 0, 0, 0x61],
        [(2 << 3) | 3, 0, 0, 0x62],
      ],
    ),
    "abb",
  ],
  ["a window", byHand(0x00, [0x40], [[(1 << 3) | 1, 0, 0, 0x61]]), "a"],
  [
    "a size of two bytes",
    byHand(0x60, [0, 0], [[(256 << 3) | 3, (256 << 3) >> 8, 0, 0x62]]),
    "b".repeat(256),
  ],
  ["a size of four bytes", byHand(0xa0, [1, 0, 0, 0], [[(1 << 3) | 1, 0, 0, 0x61]]), "a"],
  [
    "a size of eight bytes",
    byHand(0xe0, [1, 0, 0, 0, 0, 0, 0, 0], [[(1 << 3) | 1, 0, 0, 0x61]]),
    "a",
  ],
  ["a dictionary's number, none", byHand(0x21, [0, 1], [[(1 << 3) | 1, 0, 0, 0x61]]), "a"],
  ["nothing but what is skipped", skippable(0), ""],
];

describe.each(BY_HAND)("between two frames, %s", (_, frame, text) => {
  const [before, after] = ["before", "after"].map((word) =>
    zlib.zstdCompressSync(Buffer.from(word)),
  );
  const file = Buffer.concat([before ?? frame, frame, after ?? frame]);

  test("is read, cut at every byte", async () => {
    for (let at = 0; at <= file.length; at++) {
      const content = await unzstd(of(file.subarray(0, at), file.subarray(at)));
      expect(content.toString()).toBe(`before${text}after`);
    }
  });

  test("is read byte by byte", async () => {
    expect((await unzstd(pieces(file, 1))).toString()).toBe(`before${text}after`);
  });

  test("is an error wherever it ends early, and none where a frame ends", async () => {
    const ends = new Set([before?.length ?? 0, (before?.length ?? 0) + frame.length]);
    for (let at = 1; at < file.length; at++) {
      const read = unzstd(of(file.subarray(0, at)));
      if (ends.has(at)) await read;
      else await expect(read).rejects.toThrow();
    }
  });

  test("is a piece of its own", async () => {
    const found: Buffer[] = [];
    for await (const piece of cutBetweenFrames(of(file))) found.push(Buffer.from(piece));
    expect(found).toEqual([before, frame, after]);
  });
});

test("what is no zstd at all is passed on as it came, for the decoder to name", async () => {
  const noise = Buffer.from("this was never compressed");
  expect((await all(cutBetweenFrames(pieces(noise, 5)))).equals(noise)).toBe(true);
});

test("a file that comes to more than was allowed is refused", async () => {
  const bomb = Buffer.concat(
    Array.from({ length: 9 }, () => zlib.zstdCompressSync(Buffer.alloc(1e6))),
  );
  await expect(decompressWhole(bomb, 8e6)).rejects.toThrow("more than 8000000 bytes");
  expect(await decompressWhole(bomb, 9e6)).toHaveLength(9e6);
});
