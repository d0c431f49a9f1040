/** Owns the memory of an upload's parts: buffers used again and again, and never more than the budget. */

import { createHash, type Hash } from "node:crypto";
import { ByteBudget } from "../domain/budget.ts";

/** What Cachix's own client sends; S3 allows 5 MiB to 5 GiB and 10,000 parts: 320 GB. */
export const PART_BYTES = 32 * 1024 * 1024;

/**
 * Whole parts lie in buffers that are used again: freshly made ones would wait for the garbage
 * collector, which does not hurry for what lies outside its heap (measured: 70 MB more).
 */
export class PartMemory {
  readonly budget: ByteBudget;
  private readonly spare: Buffer[] = [];

  constructor(bytes: number) {
    this.budget = new ByteBudget(bytes);
  }

  takeBuffer(): Buffer {
    return this.spare.pop() ?? Buffer.allocUnsafeSlow(PART_BYTES);
  }

  giveBuffer(buffer: Buffer): void {
    this.spare.push(buffer);
  }
}

const MIB = 1024 * 1024;

/**
 * What an upload holds in memory at most: one part, and what is between dump, compressor and part.
 * Compressing makes nothing larger by more than a 128th and a few bytes.
 */
export function memoryFor({ narSize }: { readonly narSize: number }) {
  const file = narSize + Math.ceil(narSize / 128) + 1024;
  const expected = file < PART_BYTES ? ("less" as const) : ("whole part" as const);
  return { bytes: Math.min(PART_BYTES, file) + Math.min(8 * MIB, 2 * narSize), expected };
}

/** One part as it fills: in one buffer where it may get large, else in pieces as they came. */
export class PartBuffer {
  readonly partNumber: number;
  private readonly memory: PartMemory;
  private buffer: Buffer | undefined;
  private readonly pieces: Uint8Array[] = [];
  private readonly hash: Hash = createHash("md5");
  private size = 0;

  constructor(partNumber: number, memory: PartMemory, expected: "whole part" | "less") {
    this.partNumber = partNumber;
    this.memory = memory;
    this.buffer = expected === "whole part" ? memory.takeBuffer() : undefined;
  }

  get isFull(): boolean {
    return this.size >= PART_BYTES;
  }

  /** Takes what fits and gives the rest back. */
  add(chunk: Uint8Array): Uint8Array {
    const piece = chunk.subarray(0, PART_BYTES - this.size);
    this.hash.update(piece);
    if (this.buffer) this.buffer.set(piece, this.size);
    else this.pieces.push(piece);
    this.size += piece.length;
    return chunk.subarray(piece.length);
  }

  /** The part's bytes, good until `release`; its MD5 in base 64. */
  end(): { readonly content: readonly Uint8Array[]; readonly md5: string } {
    const content = this.buffer ? [this.buffer.subarray(0, this.size)] : this.pieces;
    return { content, md5: this.hash.digest("base64") };
  }

  release(): void {
    if (this.buffer) this.memory.giveBuffer(this.buffer);
    this.buffer = undefined;
  }
}
