/** Owns NAR bytes on the Cachix stand-in's side: compressing seeds, decompressing uploads to hash them. */

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdDecompress, zstdCompressSync } from "node:zlib";
import { type Sha256, sha256FromBytes } from "../../src/domain/hash.ts";

/** As the upload's query and the NAR's file name write it. */
export type NarExtension = "zst" | "xz";

export function sha256(bytes: Uint8Array): Sha256 {
  return sha256FromBytes(createHash("sha256").update(bytes).digest());
}

/** The name a narinfo gives the compression. */
export function compressionName(extension: NarExtension): string {
  return extension === "zst" ? "zstd" : "xz";
}

export async function compress(nar: Uint8Array, extension: NarExtension): Promise<Buffer> {
  if (extension === "zst") return zstdCompressSync(nar);
  const chunks: Buffer[] = [];
  for await (const chunk of xz(["-c", "-0"], Buffer.from(nar))) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Hash and size of what `file` decompresses to; throws when it does not decompress to its end. */
export async function hashNar(
  file: Buffer,
  extension: NarExtension,
): Promise<{ readonly narHash: Sha256; readonly narSize: number }> {
  const hash = createHash("sha256");
  let narSize = 0;
  for await (const chunk of extension === "zst" ? zstdFrames(file) : xz(["-dc"], file)) {
    hash.update(chunk);
    narSize += chunk.length;
  }
  return { narHash: sha256FromBytes(hash.digest()), narSize };
}

/** Node's decoder stops silently behind a frame that ends inside a chunk: go on from there. */
async function* zstdFrames(file: Buffer): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < file.length; ) {
    const decoder = createZstdDecompress();
    const source = Readable.from(slices(file.subarray(offset)));
    source.pipe(decoder);
    yield* decoder as AsyncIterable<Buffer>;
    source.destroy();
    if (decoder.bytesWritten === 0) throw new Error("zstd: not a frame");
    offset += decoder.bytesWritten;
  }
}

function* slices(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 1 << 20) yield bytes.subarray(at, at + (1 << 20));
}

/** Node has no xz; the binary is on every machine that has Nix. */
async function* xz(args: readonly string[], input: Buffer): AsyncGenerator<Buffer> {
  const child = spawn("xz", args, { stdio: ["pipe", "pipe", "pipe"] });
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaint += chunk.toString("utf8");
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  // A failure to write shows as xz's own exit; both are awaited below.
  const fed = pipeline(Readable.from(slices(input)), child.stdin).catch(() => {});
  ended.catch(() => {});
  yield* child.stdout as AsyncIterable<Buffer>;
  await fed;
  const code = await ended;
  if (code !== 0) throw new Error(`xz ${args.join(" ")} ended with ${code}: ${complaint.trim()}`);
}
