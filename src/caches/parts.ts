/** Sends a stream in parts: some side by side, the last one only when the whole is known good. */

import { createHash, type Hash } from "node:crypto";
import { ByteBudget } from "../domain/limit.ts";

const PARTS_AT_ONCE = 4;

export interface PartsRequest<Sent> {
  readonly content: AsyncIterable<Uint8Array>;
  /** Throws where the bytes are not what they should be; called before the last part leaves. */
  readonly seal: () => void;
  readonly memory: PartMemory;
  readonly expected: "whole part" | "less";
  readonly send: (part: PartBuffer, signal: AbortSignal) => Promise<Sent>;
}

/**
 * Gives what `send` gave, in order. A content of one part is sealed before any of it leaves the
 * machine. The caller holds memory for one part; more is taken where `memory` has some.
 */
export async function sendParts<Sent>(
  { content, seal, memory, expected, send }: PartsRequest<Sent>,
  signal: AbortSignal,
): Promise<Sent[]> {
  const failed = new AbortController();
  const either = failed.signal;
  const stop = () => failed.abort(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  signal.throwIfAborted();
  const parts: Promise<Sent>[] = [];
  const underWay = new Set<Promise<void>>();
  let slots = 1;
  const launch = (part: PartBuffer) => {
    const sending = send(part, either).finally(() => part.release());
    parts.push(sending);
    const settled: Promise<void> = sending.then(
      () => {
        underWay.delete(settled);
      },
      (error: unknown) => {
        underWay.delete(settled);
        failed.abort(error);
      },
    );
    underWay.add(settled);
  };
  try {
    let next = new PartBuffer(1, memory, expected);
    for await (const chunk of content) {
      for (let rest = chunk; rest.length > 0; ) {
        either.throwIfAborted();
        // A full part is sent when more comes, so that the last one is never empty.
        if (next.isFull) {
          launch(next);
          while (underWay.size >= slots) {
            if (slots < PARTS_AT_ONCE && memory.budget.tryTake(PART_BYTES)) slots++;
            else await Promise.race(underWay);
          }
          next = new PartBuffer(next.partNumber + 1, memory, expected);
        }
        rest = next.add(rest);
      }
    }
    seal();
    launch(next);
    return await Promise.all(parts);
  } catch (error) {
    failed.abort(error);
    await Promise.allSettled(parts);
    throw either.reason ?? error;
  } finally {
    signal.removeEventListener("abort", stop);
    memory.budget.give((slots - 1) * PART_BYTES);
  }
}

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
