/** Owns the bulk question: which of many paths nobody has, asked together. */

import * as z from "zod/mini";
import type { CachixApi } from "./cachix-api.ts";

/**
 * The protocol allows 32,768 hashes and 1 MB. As JSON a hash takes 35 bytes, so that 32,768 of them
 * are 1.15 MB, and refused: the bytes are the tighter bound.
 */
const HASHES_MOST = 29_900;

/**
 * Fewer are asked for one by one. Bulk and then a narinfo is two journeys where a narinfo alone is
 * one; it pays where many paths are missing, as before a push.
 */
const FEW = 32;

export type BulkAnswer = "missing" | "ask";

/**
 * Collects what is asked for in one turn of the event loop. `missing`: neither this cache nor an
 * upstream has it. `ask` says nothing: "present" may mean the upstream, or nobody any more.
 */
export class BulkQuestion {
  private readonly api: CachixApi;
  private waiting = new Map<string, ((answer: BulkAnswer) => void)[]>();

  constructor(api: CachixApi) {
    this.api = api;
  }

  ask(hash: string, signal: AbortSignal): Promise<BulkAnswer> {
    if (this.waiting.size === 0) setImmediate(() => void this.send(signal));
    return new Promise((resolve) => {
      const others = this.waiting.get(hash);
      if (others) others.push(resolve);
      else this.waiting.set(hash, [resolve]);
    });
  }

  private async send(signal: AbortSignal): Promise<void> {
    const { waiting } = this;
    this.waiting = new Map();
    const hashes = [...waiting.keys()];
    const answer = (of: readonly string[], missing: ReadonlySet<string>) => {
      for (const hash of of) {
        for (const resolve of waiting.get(hash) ?? []) {
          resolve(missing.has(hash) ? "missing" : "ask");
        }
      }
    };
    if (hashes.length <= FEW) return answer(hashes, new Set());
    for (let at = 0; at < hashes.length; at += HASHES_MOST) {
      const chunk = hashes.slice(at, at + HASHES_MOST);
      answer(chunk, await this.missing(chunk, signal));
    }
  }

  /** Never throws: where bulk fails, every narinfo is asked for, and says itself what is wrong. */
  private async missing(
    hashes: readonly string[],
    signal: AbortSignal,
  ): Promise<ReadonlySet<string>> {
    try {
      const call = { method: "POST", path: "/narinfo", body: hashes, signal } as const;
      const answer = await this.api.ask(call);
      if (answer.status !== 200) return new Set();
      return new Set(this.api.read(answer, z.array(z.string()), "POST /narinfo"));
    } catch {
      return new Set();
    }
  }
}
