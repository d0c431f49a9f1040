/** Compression as streams: Node's own where it has one, the system's xz and bzip2 otherwise. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { PassThrough, Readable, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import * as zlib from "node:zlib";
import { UserError } from "../domain/errors.ts";
import { toolEnvironment } from "./environment.ts";
import { folderOf, missingProgram } from "./programs.ts";
import { cutBetweenFrames } from "./zstd-frames.ts";

export type Compression = "zstd" | "xz" | "none";

/** How a NAR is packed; without a level, as the program has it. */
export interface Packing {
  readonly compression: Compression;
  readonly compressionLevel?: number | undefined;
}

/** What a NAR file of this compression ends in. */
export const EXTENSIONS: Readonly<Record<Compression, string>> = {
  zstd: ".nar.zst",
  xz: ".nar.xz",
  none: ".nar",
};

/**
 * `expectedBytes`, where given, must be what `content` has: a small input then takes a small state
 * instead of some 4 MB, and many can be compressed side by side.
 */
export function compress(
  { compression, compressionLevel: level }: Packing,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  expectedBytes?: number,
): AsyncIterable<Uint8Array> {
  switch (compression) {
    case "none":
      return content;
    case "zstd":
      return expectedBytes !== undefined && expectedBytes <= SMALL
        ? atOnce(content, level)
        : through(zlib.createZstdCompress(zstdOptions(expectedBytes, level)), content, signal);
    case "xz":
      return filter(
        "xz",
        ["--compress", "--stdout", "--threads=0", `-${level ?? XZ_LEVEL}`],
        content,
        signal,
      );
    default:
      return compression satisfies never;
  }
}

/** Why this machine cannot pack NARs so; undefined where it can. To be asked before there is anything to pack. */
export function packingTrouble(
  name: string,
  { compression }: Pick<Packing, "compression">,
): UserError | undefined {
  if (compression !== "xz" || has("xz")) return undefined;
  return missingProgram("xz", `${name}: to push NARs that are compressed with xz`);
}

function has(command: "xz" | "bzip2"): boolean {
  return folderOf(command, toolEnvironment()["PATH"] ?? "") !== undefined;
}

/** For what is in memory as a whole: no stream, which for a small NAR costs more than compressing. */
export function compressWhole(
  { compression, compressionLevel: level }: Packing & { readonly compression: "zstd" | "none" },
  content: Uint8Array,
): Promise<Uint8Array> {
  if (compression === "none") return Promise.resolve(content);
  return new Promise((resolve, reject) => {
    zlib.zstdCompress(content, zstdOptions(content.length, level), (error, compressed) => {
      if (error) reject(error);
      else resolve(compressed);
    });
  });
}

/** To the end of its input. Rejects where it would come to more than `most` bytes. */
export async function decompressWhole(content: Uint8Array, most: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const unstopped = new AbortController().signal;
  for await (const chunk of decompress("zstd", inOnePiece(content), unstopped)) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > most) throw new RangeError(`it would come to more than ${most} bytes`);
  }
  return Buffer.concat(chunks);
}

async function* inOnePiece(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
}

const CHUNK = 256 * 1024;

/** Up to so many bytes a stream's own cost, half a millisecond, is more than the compression's. */
const SMALL = 128 * 1024;

/** Of a level above it, xz takes its time for little. */
const XZ_LEVEL = 2;

function zstdOptions(
  expectedBytes: number | undefined,
  level: number | undefined,
): zlib.ZstdOptions {
  return {
    chunkSize: CHUNK,
    ...(level === undefined ? {} : { params: { [zlib.constants.ZSTD_c_compressionLevel]: level } }),
    ...(expectedBytes === undefined ? {} : { pledgedSrcSize: expectedBytes }),
  };
}

async function* atOnce(
  content: AsyncIterable<Uint8Array>,
  level: number | undefined,
): AsyncGenerator<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  yield zlib.zstdCompressSync(Buffer.concat(chunks), zstdOptions(undefined, level));
}

/**
 * Decompresses what a narinfo calls `compression`, to the end of its input: servers join a frame for each
 * chunk that they keep. As in Nix that name says only whether there is any: which, the first bytes tell
 * (libarchive), but for Brotli, which has no mark of its own. Throws NCP-309 for what cannot be unpacked
 * here, which says nothing of the bytes.
 */
export function decompress(
  compression: string,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  switch (compression) {
    case "none":
    case "":
      return content;
    case "deflate":
      return inflated(content, signal);
    case "br":
      return through(zlib.createBrotliDecompress(), content, signal);
    default:
      return byMark(compression, content, signal);
  }
}

/** The first bytes of what each program makes, in hex. */
const MARKS: readonly (readonly [RegExp, "zstd" | "gzip" | "xz" | "bzip2"])[] = [
  [/^28b52ffd/, "zstd"],
  [/^5.2a4d18/, "zstd"], // a frame that is to be skipped
  [/^1f8b/, "gzip"],
  [/^fd377a585a00/, "xz"],
  [/^5d0000/, "xz"], // .lzma, which xz reads
  [/^425a68/, "bzip2"],
];
const LONGEST_MARK = 6;

/** The first bytes, and the whole with them. */
async function begun(content: AsyncIterable<Uint8Array>) {
  const chunks = content[Symbol.asyncIterator]();
  let begin: Uint8Array = Buffer.alloc(0);
  while (begin.length < LONGEST_MARK) {
    const { done, value } = await chunks.next();
    if (done) break;
    begin = begin.length === 0 ? value : Buffer.concat([begin, value]);
  }
  const whole = (async function* () {
    try {
      yield begin;
      for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
    } finally {
      await chunks.return?.();
    }
  })();
  return { begin: Buffer.from(begin.subarray(0, LONGEST_MARK)), whole, chunks };
}

/** With zlib's two bytes before it, as HTTP has it, or bare, as some servers send it and curl takes it. */
async function* inflated(
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { begin, whole } = await begun(content);
  const isZlib =
    begin.length > 1 && (begin.readUInt8(0) & 15) === 8 && begin.readUInt16BE(0) % 31 === 0;
  yield* through(isZlib ? zlib.createInflate() : zlib.createInflateRaw(), whole, signal);
}

async function* byMark(
  compression: string,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { begin, whole, chunks } = await begun(content);
  const hex = begin.toString("hex");
  const made = MARKS.find(([mark]) => mark.test(hex))?.[1];
  switch (made) {
    case "zstd":
      return yield* through(zlib.createZstdDecompress(), cutBetweenFrames(whole), signal);
    case "gzip":
      return yield* through(zlib.createGunzip(), whole, signal);
    case "xz":
    case "bzip2":
      return yield* filter(made, ["--decompress", "--stdout"], whole, signal);
    case undefined:
      await chunks.return?.();
      throw new UserError(
        "NCP-309",
        `cannot be checked here: a NAR that is called "${compression.slice(0, 40)}" is compressed in no way known here`,
        { hint: "Nix may read it all the same; use verify: nar for this cache" },
      );
    default:
      return made satisfies never;
  }
}

async function* through(
  transform: Transform,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  // One chunk at a time and as it came: joined, two frames would look like one.
  const source = Readable.from(content, { objectMode: true, highWaterMark: 1 });
  const done = pipeline(source, transform, { signal });
  // A failure shows in the loop below; without a handler here it would also end the process.
  done.catch(() => undefined);
  for await (const chunk of transform as AsyncIterable<Buffer>) yield chunk;
  await done;
}

async function* filter(
  command: "xz" | "bzip2",
  args: readonly string[],
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  // Not left to spawn, whose word of it comes after that of the pipes that nobody holds.
  if (!has(command)) throw missingProgram(command, `a NAR that is compressed with ${command}`);
  const env = { ...toolEnvironment() } as NodeJS.ProcessEnv;
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], signal, env });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-2_000);
  });
  const ended = once(child, "close") as Promise<[number | null]>;
  ended.catch(() => undefined);
  const fed = pipeline(Readable.from(content, { objectMode: false }), child.stdin, { signal });
  fed.catch(() => child.kill());
  const out = child.stdout.pipe(new PassThrough());
  try {
    for await (const chunk of out as AsyncIterable<Buffer>) yield chunk;
    await fed;
    const [code] = await ended;
    if (code !== 0) throw new Error(`${command} ended with ${code}: ${complaint.trim()}`);
  } finally {
    child.kill();
  }
}
