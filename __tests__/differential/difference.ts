/** Owns holding two judges against each other: a seeded generator of worlds, real Nix, and ours. */

import { limiter } from "../../src/domain/limit.ts";
import { type Chance, chance } from "../support/fuzz.ts";
import { DEVIATIONS, type Deviation } from "./deviations.ts";

// biome-ignore lint/style/noProcessEnv: how many, and which, is the caller's to say
const { WORLDS = "", WORLDS_SEED = "20261125", WORLD = "" } = process.env;

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
  /** What a set of worlds needs before its first question; a Nix's start is most of a world's time. */
  prepare?(worlds: readonly W[]): Promise<void>;
  /** Worlds that one Nix judges. */
  readonly together?: Together<W>;
  /** What real Nix does, in a word or a few. */
  nix(world: W): Promise<string>;
  /** What we say that it would do. */
  ours(world: W): Promise<string>;
  /** After the last world. */
  end?(): Promise<void>;
}

interface Together<W extends World> {
  readonly size: number;
  /**
   * What Nix does with each of them, beside what we say; undefined where it cannot be told of this one,
   * which is then asked about alone.
   */
  nix(worlds: readonly W[], ours: readonly string[]): Promise<readonly (string | undefined)[]>;
  /** The same world anew, to be asked about alone where a set of them made a difference. */
  anew(world: W): Promise<W>;
}

export interface Difference {
  readonly kind: string;
  /** Its place among the worlds of its kind: `WORLD="KIND NUMBER"` judges it alone. */
  readonly number: number;
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

/** Sets of worlds under way at once: Nix's processes are what takes the time. */
const AT_ONCE = 3;

interface Numbered<W extends World> {
  readonly number: number;
  readonly world: W;
}

export async function compare<W extends World>(comparison: Comparison<W>): Promise<Tally> {
  const { name, always, usual, share, together } = comparison;
  const random = WORLDS === "" ? usual : Math.ceil((Number(WORLDS) * share) / 100);
  const next = chance(seedOf(name));
  const worlds = [...always];
  for (let n = 0; n < random; n++) worlds.push(comparison.make(next, n));
  const [onlyKind, onlyNumber] = WORLD.split(/ (?=\d+$)/);
  const asked = worlds
    .map((world, number): Numbered<W> => ({ number, world }))
    .filter(({ number }) => WORLD === "" || (onlyKind === name && Number(onlyNumber) === number));
  const answers = new Map<string, number>();
  const differences: Difference[] = [];
  const deviated = new Map<Deviation, number>();
  const limit = limiter(AT_ONCE);
  await Promise.all(
    setsOf(asked, together?.size ?? 1).map((set) =>
      limit(async () => {
        for (const { number, world, nix, ours } of await judged(comparison, set)) {
          answers.set(nix, (answers.get(nix) ?? 0) + 1);
          if (nix === ours) continue;
          const difference = { kind: name, number, what: world.what, nix, ours, world };
          const known = DEVIATIONS.find((deviation) => covers(deviation, difference));
          if (known) deviated.set(known, (deviated.get(known) ?? 0) + 1);
          else differences.push(difference);
        }
      }),
    ),
  );
  await comparison.end?.();
  return { worlds: asked.length, answers, differences, deviated };
}

interface Judged<W extends World> extends Numbered<W> {
  readonly nix: string;
  readonly ours: string;
}

/** A set of worlds; what makes a difference among others is judged again alone, and that counts. */
async function judged<W extends World>(
  comparison: Comparison<W>,
  set: readonly Numbered<W>[],
): Promise<readonly Judged<W>[]> {
  const { prepare, together } = comparison;
  const worlds = set.map(({ world }) => world);
  await prepare?.(worlds);
  const alone = async (world: W) => comparison.nix(world).catch(failure);
  if (!together) {
    return await Promise.all(
      set.map(async (one) => ({
        ...one,
        nix: await alone(one.world),
        ours: await comparison.ours(one.world).catch(failure),
      })),
    );
  }
  const all: string[] = [];
  for (const world of worlds) all.push(await comparison.ours(world).catch(failure));
  const told =
    set.length === 1 ? [] : await together.nix(worlds, all).catch((): readonly undefined[] => []);
  const found: Judged<W>[] = [];
  for (const [index, one] of set.entries()) {
    const ours = all[index] ?? "";
    const nix = told[index];
    if (nix === ours || set.length === 1) {
      found.push({ ...one, nix: nix ?? (await alone(one.world)), ours });
      continue;
    }
    const world = await together.anew(one.world);
    await prepare?.([world]);
    const again = { nix: await alone(world), ours: await comparison.ours(world).catch(failure) };
    found.push({ ...one, ...again });
  }
  return found;
}

function setsOf<T>(all: readonly T[], size: number): (readonly T[])[] {
  const count = Math.ceil(all.length / size);
  return Array.from({ length: count }, (_, n) => all.slice(n * size, (n + 1) * size));
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
  const lines = differences.map(
    ({ kind, number, what, nix, ours }) =>
      `WORLD="${kind} ${number}": ${what} | Nix ${nix} | we: ${ours}`,
  );
  const whole = differences.slice(0, 3).map(({ world }) => JSON.stringify(world, null, 1));
  return [
    `WORLDS_SEED=${WORLDS_SEED}: ${differences.length} differences`,
    ...lines.sort().slice(0, 400),
    ...whole.map((text) => text.slice(0, 1_500)),
  ].join("\n");
}
