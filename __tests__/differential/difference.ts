/** Owns holding two judges against each other: a seeded generator of worlds, real Nix, and ours. */

import { limiter } from "../../src/domain/limit.ts";
import { type Chance, chance } from "../support/fuzz.ts";
import { DEVIATIONS, type Deviation } from "./deviations.ts";

// biome-ignore lint/style/noProcessEnv: how many, and which, is the caller's to say
const { WORLDS = "", WORLDS_SEED = "20261125" } = process.env;

/** A case to judge; `what` names it in a failure and in the table of deviations. */
export interface World {
  readonly what: string;
}

export interface Comparison<W extends World> {
  readonly name: string;
  /** Each of them always, before any that chance makes. */
  readonly always: readonly W[];
  /** How many chance makes in the normal suite, and its share of the slow suite's worlds in hundredths. */
  readonly usual: number;
  readonly share: number;
  make(next: Chance, n: number): W;
  /** What real Nix does, in a word or a few. */
  nix(world: W): Promise<string>;
  /** What we say that it would do. */
  ours(world: W): Promise<string>;
  /** After the last world. */
  end?(): Promise<void>;
}

export interface Difference {
  readonly kind: string;
  readonly what: string;
  readonly nix: string;
  readonly ours: string;
  readonly world: unknown;
}

export interface Tally {
  readonly worlds: number;
  readonly answers: ReadonlyMap<string, number>;
  readonly differences: readonly Difference[];
  readonly deviated: ReadonlyMap<Deviation, number>;
}

/** Worlds under way at once: Nix's processes are what takes the time. */
const AT_ONCE = 3;

export async function compare<W extends World>(comparison: Comparison<W>): Promise<Tally> {
  const { name, always, usual, share } = comparison;
  const random = WORLDS === "" ? usual : Math.ceil((Number(WORLDS) * share) / 100);
  const next = chance(seedOf(name));
  const worlds = [...always];
  for (let n = 0; n < random; n++) worlds.push(comparison.make(next, n));
  const limit = limiter(AT_ONCE);
  const answers = new Map<string, number>();
  const differences: Difference[] = [];
  const deviated = new Map<Deviation, number>();
  await Promise.all(
    worlds.map((world) =>
      limit(async () => {
        const nix = await comparison.nix(world).catch(failure);
        const ours = await comparison.ours(world).catch(failure);
        answers.set(nix, (answers.get(nix) ?? 0) + 1);
        if (nix === ours) return;
        const difference = { kind: name, what: world.what, nix, ours, world };
        const known = DEVIATIONS.find((deviation) => covers(deviation, difference));
        if (known) deviated.set(known, (deviated.get(known) ?? 0) + 1);
        else differences.push(difference);
      }),
    ),
  );
  await comparison.end?.();
  return { worlds: worlds.length, answers, differences, deviated };
}

/** A judge that fails differs from the other one; the worlds beside it go on. */
function failure(error: unknown): string {
  return `fails: ${error instanceof Error ? error.stack?.slice(0, 600) : String(error)}`;
}

export function covers(deviation: Deviation, { kind, what, nix, ours }: Difference): boolean {
  return (
    deviation.kind === kind &&
    new RegExp(deviation.what).test(what) &&
    deviation.ours === ours &&
    (deviation.nix === undefined || deviation.nix === nix)
  );
}

/** The same worlds in every run of a seed, whichever comparisons run beside it. */
function seedOf(name: string): number {
  let seed = Number(WORLDS_SEED);
  for (const char of name) seed = (seed * 31 + char.charCodeAt(0)) % 2_147_483_646;
  return seed + 1;
}

/** What a failure says: the seed that gives these worlds again, each world by name, the first ones whole. */
export function explain({ differences }: Tally): string {
  const lines = differences.map(({ what, nix, ours }) => `${what} | Nix ${nix} | we: ${ours}`);
  const whole = differences.slice(0, 3).map(({ world }) => JSON.stringify(world, null, 1));
  return [
    `WORLDS_SEED=${WORLDS_SEED}: ${differences.length} differences`,
    ...lines.sort().slice(0, 400),
    ...whole.map((text) => text.slice(0, 1_500)),
  ].join("\n");
}
