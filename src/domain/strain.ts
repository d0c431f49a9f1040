/** Owns strain: what it cost to get a cache's answers beyond asking once and being answered soon. */

import { count, formatSeconds } from "./size.ts";

export interface Strain {
  /** Requests that failed and were worth another try, by what was wrong: `HTTP 429`, `closed`. */
  readonly troubles: ReadonlyMap<string, number>;
  /** Answers of a few kilobytes that took longer than `SLOW`. */
  readonly slow: number;
  /** Milliseconds of the slowest of these. */
  readonly slowest: number;
}

/** Milliseconds from which on a small answer is late: a hundred times a journey around the world. */
export const SLOW = 3_000;

/** `12 requests were turned away (9 HTTP 429, 3 connection closed); …`; undefined where all was well. */
export function strainWords({ troubles, slow, slowest }: Strain): string | undefined {
  const parts: string[] = [];
  const all = [...troubles.values()].reduce((sum, n) => sum + n, 0);
  if (all > 0) {
    const kinds = [...troubles].sort((a, b) => b[1] - a[1]).map(([what, n]) => `${n} × ${what}`);
    parts.push(`${count(all, "request")} had to be tried again (${kinds.join(", ")})`);
  }
  if (slow > 0) {
    parts.push(
      `${count(slow, "answer")} took longer than ${formatSeconds(SLOW / 1000)}, the slowest ${formatSeconds(slowest / 1000)}`,
    );
  }
  return parts.length > 0 ? parts.join("; ") : undefined;
}
