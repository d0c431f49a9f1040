/** Owns the words for work that goes on: how much is done, how fast, how long it will yet take. Pure. */

import type { WorkState } from "../domain/ports.ts";
import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import { plainLine } from "./plain.ts";

/** Seconds before which a rate is chance. */
const SETTLED = 3;

/** From 0 to 1: in bytes where they are known, for paths differ in size; undefined: nobody knows. */
export function fraction({ done, inAll, bytes, bytesInAll }: WorkState): number | undefined {
  if (bytesInAll !== undefined && bytesInAll > 0) return Math.min(1, bytes / bytesInAll);
  if (inAll !== undefined && inAll > 0) return Math.min(1, done / inAll);
  return undefined;
}

/** What a line has to say, most important first; a narrow one leaves the end out. */
export function progressWords(state: WorkState, seconds: number): string[] {
  const { unit, done, inAll, bytes, bytesInAll, now } = state;
  const part = fraction(state);
  const left =
    part !== undefined && part > 0.02 && seconds > SETTLED
      ? (seconds / part) * (1 - part)
      : undefined;
  const rate = bytes > 0 && seconds > SETTLED ? [`${formatBytes(bytes / seconds)}/s`] : [];
  return [
    inAll === undefined
      ? `${count(done, unit)} so far`
      : `${done.toLocaleString("en-US")} of ${count(inAll, unit)}`,
    ...(bytesInAll !== undefined && bytesInAll > 0
      ? [`${formatBytes(bytes)} of ${formatBytes(bytesInAll)}`]
      : bytes > 0
        ? [formatBytes(bytes)]
        : []),
    ...(left === undefined ? [] : [`${formatSeconds(left)} left`]),
    ...rate,
    ...(now.length > 0 ? [now.map(plainLine).join(", ")] : []),
  ];
}

/** The same as one line of a log. */
export function progressLine(what: string, state: WorkState, seconds: number): string {
  return plainLine(
    `${what}, ${formatSeconds(seconds)}: ${progressWords(state, seconds).join(", ")}`,
  );
}
