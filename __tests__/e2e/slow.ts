/** Owns which tests wait for the slow suite: faults that last for minutes, and what repeats one thing in many ways. */

import { test } from "@jest/globals";

// biome-ignore lint/style/noProcessEnv: `npm run test:slow` asks for all of them
export const SLOW = process.env["SLOW"] === "1";

/** Milliseconds for one of them. */
const LONG = 1_200_000;

/** Side by side, since waiting is all they do. Elsewhere they are no tests, and not skipped ones either. */
export function slowly(name: string, run: () => Promise<void>): void {
  if (SLOW) test.concurrent(name, run, LONG);
}

/**
 * Of what repeats one thing in many ways, some in every run and all in the slow suite. A name that is
 * none of them would be a test that nobody runs.
 */
export function someOf<T extends string>(
  all: readonly T[],
  some: readonly NoInfer<T>[],
): readonly T[] {
  const unknown = some.filter((one) => !all.includes(one));
  if (unknown.length > 0) throw new Error(`there is no ${unknown.join(", ")}`);
  return SLOW ? all : some;
}

/** A flake with two paths, one of which refers to the other. */
export const ONE = `{ outputs = { self }: { packages.x86_64-linux = rec {
  zero = derivation { name = "zero"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo zero > $out" ]; };
  one = derivation { name = "one"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo \${zero} > $out" ]; };
}; }; }`;
