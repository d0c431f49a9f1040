/** Owns asking: every cache at once, no path twice, the first in order that has it wins. */

import type { BinaryCache, Presence } from "../domain/cache.ts";
import type { NarInfo } from "../domain/narinfo.ts";
import type { StorePath } from "../domain/store-path.ts";

export interface Served {
  readonly tier: string;
  readonly narInfo: NarInfo;
}

/** What all caches together say of a path. */
export interface Answer {
  /** Our own cache holds it. */
  readonly own: Served | undefined;
  /** The first other cache, in order, that serves it. */
  readonly upstream: Served | undefined;
  /** Somebody did not answer, so that "nobody has it" would be a guess. */
  readonly unknown: Error | undefined;
  readonly gone: Served | undefined;
  /** Why our own cache's answer is not believed. */
  readonly refused: string | undefined;
}

export interface TierCount {
  asked: number;
  hits: number;
  unknown: number;
  readonly refused: string[];
}

export interface Tier {
  readonly cache: BinaryCache;
  readonly role: "own" | "upstream";
}

export class Lookup {
  readonly tiers: readonly Tier[];
  readonly counts = new Map<string, TierCount>();
  private readonly answers = new Map<StorePath, Promise<Answer>>();
  private readonly signal: AbortSignal;

  constructor(tiers: readonly Tier[], signal: AbortSignal) {
    this.tiers = tiers;
    this.signal = signal;
    for (const { cache } of tiers) {
      this.counts.set(cache.name, { asked: 0, hits: 0, unknown: 0, refused: [] });
    }
  }

  ask(path: StorePath): Promise<Answer> {
    let answer = this.answers.get(path);
    if (!answer) {
      answer = this.askAll(path);
      this.answers.set(path, answer);
    }
    return answer;
  }

  /** What was answered before a push is no longer so after it. */
  forget(paths: Iterable<StorePath>): void {
    for (const path of paths) this.answers.delete(path);
  }

  private async askAll(path: StorePath): Promise<Answer> {
    const presences = await Promise.all(
      this.tiers.map(({ cache }) => cache.query(path, this.signal)),
    );
    let own: Served | undefined;
    let upstream: Served | undefined;
    let unknown: Error | undefined;
    let gone: Served | undefined;
    let refused: string | undefined;
    this.tiers.forEach(({ cache, role }, index) => {
      const presence = presences[index] as Presence;
      this.count(cache.name, presence);
      if (presence.kind === "hit") {
        const served = { tier: cache.name, narInfo: presence.narInfo };
        if (role === "own" && presence.origin === "own") own = served;
        else upstream ??= served;
      } else if (presence.kind === "unknown") unknown ??= presence.cause;
      else if (presence.kind === "gone") gone ??= { tier: cache.name, narInfo: presence.narInfo };
      else if (presence.kind === "refused" && role === "own") refused ??= presence.why;
    });
    return { own, upstream, unknown, gone, refused };
  }

  private count(name: string, presence: Presence): void {
    const count = this.counts.get(name);
    if (!count) return;
    count.asked++;
    if (presence.kind === "hit") count.hits++;
    else if (presence.kind === "unknown") count.unknown++;
    else if (presence.kind === "refused") count.refused.push(presence.why);
    else if (presence.kind === "gone")
      count.refused.push(
        `${presence.narInfo.storePath}: its narinfo is served and its NAR is gone`,
      );
  }
}
