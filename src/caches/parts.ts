/** Owns sending a stream in parts: some side by side, the last one only when the whole is known good. */

import { PART_BYTES, PartBuffer, type PartMemory } from "./part-buffer.ts";

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
