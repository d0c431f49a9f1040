/**
 * The NAR format: a file tree as one stream of bytes, the same bytes everywhere.
 * Source: nix/src/libutil/archive.cc. Strings are their length in 8 bytes, little endian, the
 * bytes, and zeros up to a multiple of 8. `nix-store --dump` gives the same, one process a path.
 */

import type { Dirent } from "node:fs";
import { lstat, open, readdir, readlink } from "node:fs/promises";
import { UserError } from "../domain/errors.ts";
import { isMissing } from "../host/disk.ts";

const READ = 1024 * 1024;
const FLUSH = 256 * 1024;

/** The NAR of the tree at `path`, in pieces of some 256 kB to 1 MB. */
export async function* narOf(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const writer = new NarWriter();
  writer.string("nix-archive-1");
  try {
    yield* node(Buffer.from(path), writer, signal);
  } catch (cause) {
    if (!isMissing(cause)) throw cause;
    throw new UserError("NCP-308", `${path} is not in the store any more`, {
      hint: "something collected garbage while this run was at work; run it again",
      cause,
    });
  }
  yield writer.take();
}

/** The NAR of one file that is no program. */
export function narOfFile(content: Uint8Array): Uint8Array {
  const writer = new NarWriter();
  for (const token of ["nix-archive-1", "(", "type", "regular", "contents"]) writer.string(token);
  writer.bytes(content);
  writer.string(")");
  return writer.take();
}

async function* node(
  path: Buffer,
  out: NarWriter,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  const stats = await lstat(path);
  out.string("(");
  out.string("type");
  if (stats.isSymbolicLink()) {
    out.string("symlink");
    out.string("target");
    out.bytes(await readlink(path, { encoding: "buffer" }));
  } else if (stats.isDirectory()) {
    out.string("directory");
    for (const entry of await sortedEntries(path)) {
      out.string("entry");
      out.string("(");
      out.string("name");
      out.bytes(entry.name);
      out.string("node");
      yield* node(Buffer.concat([path, SLASH, entry.file]), out, signal);
      out.string(")");
      if (out.size >= FLUSH) yield out.take();
    }
  } else if (stats.isFile()) {
    out.string("regular");
    if (stats.mode & 0o100) {
      out.string("executable");
      out.string("");
    }
    out.string("contents");
    yield* contents(path, stats.size, out);
  } else {
    throw new UserError("NCP-308", `${path}: neither a file, a directory nor a symbolic link`);
  }
  out.string(")");
}

async function* contents(path: Buffer, size: number, out: NarWriter): AsyncGenerator<Uint8Array> {
  out.length(size);
  if (size > 0) {
    const file = await open(path, "r");
    try {
      let left = size;
      while (left > 0) {
        const buffer = Buffer.allocUnsafe(Math.min(READ, left));
        const { bytesRead } = await file.read(buffer, 0, buffer.length);
        if (bytesRead === 0) throw new UserError("NCP-308", `${path}: shorter than it was`);
        left -= bytesRead;
        const piece = bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead);
        if (out.size + piece.length < FLUSH) out.raw(piece);
        else {
          yield out.take();
          yield piece;
        }
      }
    } finally {
      await file.close();
    }
  }
  out.pad(size);
}

const SLASH = Buffer.from("/");
const CASE_HACK = "~nix~case~hack~";

/** Entries by the bytes of their names, which is Nix's order and not that of any locale. */
async function sortedEntries(path: Buffer): Promise<{ name: Buffer; file: Buffer }[]> {
  const entries = await readdir(path, { encoding: "buffer", withFileTypes: true });
  return entries
    .map((entry: Dirent<Buffer>) => ({ file: entry.name, name: realName(entry.name) }))
    .sort((a, b) => Buffer.compare(a.name, b.name));
}

/** On a file system that folds case Nix stores the second of `a` and `A` under a longer name. */
function realName(name: Buffer): Buffer {
  const hack = process.platform === "darwin" ? name.indexOf(CASE_HACK) : -1;
  return hack < 0 ? name : name.subarray(0, hack);
}

/** Strings and numbers as Nix writes them, into its archives and to other Nixes. */
export class NarWriter {
  private buffer = Buffer.alloc(0);
  size = 0;

  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.size);
    this.size += bytes.length;
  }

  string(text: string): void {
    const length = Buffer.byteLength(text);
    this.length(length);
    this.reserve(length);
    this.size += this.buffer.write(text, this.size);
    this.pad(length);
  }

  bytes(content: Uint8Array): void {
    this.length(content.length);
    this.raw(content);
    this.pad(content.length);
  }

  length(n: number): void {
    this.reserve(8);
    this.buffer.writeUInt32LE(n % WORD, this.size);
    this.buffer.writeUInt32LE(Math.floor(n / WORD), this.size + 4);
    this.size += 8;
  }

  pad(n: number): void {
    if (n % 8 !== 0) this.raw(ZEROS.subarray(0, 8 - (n % 8)));
  }

  /** What was written since; it is the caller's. */
  take(): Uint8Array {
    const all = this.buffer.subarray(0, this.size);
    this.buffer = Buffer.alloc(0);
    this.size = 0;
    return all;
  }

  private reserve(bytes: number): void {
    const least = this.size + bytes;
    if (least <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(least, 2 * this.buffer.length, SMALLEST));
    larger.set(this.buffer.subarray(0, this.size));
    this.buffer = larger;
  }
}

const ZEROS = Buffer.alloc(8);
const WORD = 2 ** 32;
const SMALLEST = 1024;
