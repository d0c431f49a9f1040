/** Owns large store paths: bytes that compress to about half, as programs do. */

import { open } from "node:fs/promises";
import type { StorePath } from "../../src/domain/store-path.ts";
import { generator } from "../shape.ts";
import type { Bench } from "../site.ts";

const BLOCK = 4 * 1024 * 1024;

/** Adds a file of `bytes` bytes to the machine's store. */
export async function largePath(bench: Bench, bytes: number): Promise<StorePath> {
  const source = bench.folder(`large-${bytes}`);
  const random = generator(bytes);
  const file = await open(source, "w");
  const words = Array.from({ length: 2_000 }, () => Math.floor(random() * 2 ** 32));
  const block = Buffer.alloc(BLOCK);
  for (let left = bytes; left > 0; left -= BLOCK) {
    // Every third word is new, the others come from a small stock.
    for (let at = 0; at < BLOCK; at += 4) {
      const word = at % 12 === 0 ? random() * 2 ** 32 : (words[Math.floor(random() * 2_000)] ?? 0);
      block.writeUInt32LE(word >>> 0, at);
    }
    await file.write(block, 0, Math.min(BLOCK, left));
  }
  await file.close();
  const path = (await bench.machine.nix("nix-store", ["--add", source])).trim();
  await bench.remove(source);
  return path as StorePath;
}
