/**
 * Owns inputs nobody would write: whole ones, damaged by a seeded chance, the same in every run.
 * FUZZ=100000 npm test -- --testPathPatterns=fuzz turns the number of them up.
 */

import { UserError } from "../../src/domain/errors.ts";

// biome-ignore lint/style/noProcessEnv: how many is the caller's to say
export const ROUNDS = Number(process.env["FUZZ"] ?? 3000);
/** Milliseconds for one test: what takes longer hangs. */
export const PATIENCE = 20_000 + ROUNDS * 5;

/** Whole numbers below `most`, by the generator of Park and Miller. */
export type Chance = (most: number) => number;

export function chance(seed: number): Chance {
  let state = seed;
  return (most) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % most;
  };
}

const ODD = [
  "",
  "\u0000",
  "\n",
  "\r\n",
  "\t",
  " ",
  "\u001b[31m",
  "\u202e",
  "\u2028",
  "\ufeff",
  "\ud800",
  "💥",
  "::error::",
  "##[group]",
  "..",
  "/",
  "\\",
  '"',
  "'",
  "`",
  "$(id)",
  "\u0024{x}",
  "%00",
  "%2e%2e/",
  "|",
  "<script>",
  "__proto__",
  "constructor",
  "-1",
  "1e999",
  "9".repeat(400),
  "=".repeat(50),
];

/** `whole` inputs, each damaged up to six times with `words` of its own format and odd text. */
export function* damaged(
  whole: readonly string[],
  words: readonly string[],
  seed: number,
): Generator<string> {
  const next = chance(seed);
  const pick = (from: readonly string[]) => from[next(from.length)] ?? "";
  for (let n = 0; n < ROUNDS; n++) {
    let text = pick(whole);
    for (let times = next(6) + 1; times > 0; times--) text = damage(text, pick, next, whole, words);
    yield text;
  }
}

function damage(
  text: string,
  pick: (from: readonly string[]) => string,
  next: Chance,
  whole: readonly string[],
  words: readonly string[],
): string {
  const at = next(text.length + 1);
  const end = Math.min(text.length, at + next(30));
  const cut = text.slice(0, at);
  switch (next(8)) {
    case 0:
      return cut + text.slice(end);
    case 1:
      return cut + text.slice(at, end) + text.slice(at);
    case 2:
      return cut + pick(words) + text.slice(at);
    case 3:
      return cut + pick(ODD) + text.slice(at);
    case 4:
      return cut + String.fromCharCode(next(0x180)) + text.slice(at + 1);
    case 5:
      return cut;
    case 6:
      return cut + pick(whole).slice(next(60));
    default:
      return cut + (next(2) === 0 ? pick(words) : pick(ODD)).repeat(next(300)) + text.slice(end);
  }
}

export interface Tally {
  accepted: number;
  refused: number;
}

/**
 * Gives every input to `read`, which may throw a UserError and nothing else, and what it returns to
 * `check`. Counts both, so that a test can show that neither was all there was.
 */
export function tryAll<T>(
  inputs: Iterable<string>,
  read: (text: string) => T,
  check: (value: T, text: string) => void,
): Tally {
  const tally = { accepted: 0, refused: 0 };
  for (const text of inputs) {
    try {
      const value = read(text);
      tally.accepted++;
      check(value, text);
    } catch (error) {
      if (!(error instanceof UserError)) {
        throw new Error(`on ${JSON.stringify(text).slice(0, 2_000)}`, { cause: error });
      }
      tally.refused++;
      if (error.message === "") throw new Error(`no message on ${JSON.stringify(text)}`);
    }
  }
  return tally;
}
