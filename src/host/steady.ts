/** Owns telling of long work at a steady pace, where lines cannot be taken back. */

import type { Log, WorkState } from "../domain/ports.ts";

/** Milliseconds between two lines: seldom enough for a log, and often enough to be believed alive. */
const PACE = 10_000;

/** `words` makes a line of how far it is after so many seconds; what ends before the first is not told. */
export function steadyWatch(
  print: (line: string) => void,
  words: (what: string, state: WorkState, seconds: number) => string,
  pace = PACE,
): NonNullable<Log["watch"]> {
  return (what, state) => {
    const begun = performance.now();
    const timer = setInterval(() => {
      print(words(what, state(), (performance.now() - begun) / 1000));
    }, pace);
    // A process that has nothing else to do is not kept alive to say so.
    timer.unref();
    return { [Symbol.dispose]: () => clearInterval(timer) };
  };
}
