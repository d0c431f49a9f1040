/**
 * Owns what derivations tell beside the caches: what is likely in a closure's next levels, asked for ahead while it
 * comes level by level; and which paths are sources.
 */

import {
  allowsSubstitutes,
  type Derivation,
  isFixedOutput,
  outputPaths,
  type Substitution,
} from "../../domain/derivation.ts";
import { mapLimited } from "../../domain/limit.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Lookup } from "./lookup.ts";

/**
 * Guesses that may be open at once: so many at first, and one more with each that turned out right. So no run asks
 * for more than `FIRST` paths, and as many as were guessed right, that it did not need.
 */
const FIRST = 32;
const MOST = 256;
/** Questions that fill the way to a cache: with so many of them a guess would only stand before the next. */
const FULL = 192;
/** Derivations that are read at once. */
const BATCH = 16;
const FILES_AT_ONCE = 64;

export interface AheadParts {
  readonly lookup: Lookup;
  readonly read: (path: StorePath) => Promise<Derivation>;
  readonly substitution: Substitution;
  /** How many questions wait for their answer. */
  readonly asking: () => number;
}

/**
 * What a path refers to at run time is made by its derivation's inputs, or theirs. Guesses become facts only
 * when a served path names them: one that nobody names is as if it had not been asked for.
 */
export class Ahead {
  private readonly parts: AheadParts;
  private readonly makers = new Map<StorePath, Derivation>();
  private readonly guessed = new Set<StorePath>();
  private readonly named = new Set<StorePath>();
  private readonly done = new Set<StorePath>();
  /** Makers of paths that are in the closure; and of those that may be. */
  private sure: Derivation[] = [];
  private perhaps: Derivation[] = [];
  private window = FIRST;
  private isRunning = false;

  constructor(parts: AheadParts) {
    this.parts = parts;
  }

  /** Its outputs are asked for, whatever comes of it. */
  asks(derivation: Derivation): void {
    for (const { path } of derivation.outputs.values()) if (path) this.makers.set(path, derivation);
  }

  /**
   * A target, whose outputs are asked for: so is what it is made of, with the first question instead of behind its
   * answer. What is served refers to some of that; of what is not, all of it is asked for.
   */
  begins(target: Derivation): void {
    if (this.guessed.size < this.window) void this.guessBelow(target);
  }

  /** `path` is in a closure that is asked for, and refers to something. */
  refers(path: StorePath): void {
    this.below(path);
  }

  /** A served path names it. */
  names(path: StorePath): void {
    this.named.add(path);
    if (this.guessed.delete(path)) this.window = Math.min(MOST, this.window + 1);
    this.below(path);
  }

  private below(path: StorePath): void {
    const maker = this.makers.get(path);
    if (!maker) return;
    if (!this.done.has(maker.path)) this.sure.push(maker);
    if (!this.isRunning) void this.run();
  }

  private async run(): Promise<void> {
    this.isRunning = true;
    while (this.isWorthIt()) {
      const batch = this.sure.length > 0 ? this.sure : this.perhaps.splice(0, BATCH);
      if (batch === this.sure) this.sure = [];
      if (batch.length === 0) break;
      await Promise.all(batch.map((derivation) => this.guessBelow(derivation)));
    }
    this.isRunning = false;
  }

  /** Once nothing is asked any more, nothing is guessed. */
  private isWorthIt(): boolean {
    const asking = this.parts.asking();
    return asking > 0 && asking < FULL && this.guessed.size < this.window;
  }

  private async guessBelow(derivation: Derivation): Promise<void> {
    if (this.done.has(derivation.path)) return;
    this.done.add(derivation.path);
    await Promise.all(
      [...derivation.inputs].map(async ([path, names]) => {
        // What cannot be read is told by whoever needs it.
        const input = await this.parts.read(path).catch(() => undefined);
        if (input) this.guess(input, names);
      }),
    );
  }

  private guess(input: Derivation, names: readonly string[]): void {
    // A source is fetched to build with, and hardly ever referred to.
    if (this.done.has(input.path) || isFixedOutput(input)) return;
    this.asks(input);
    const paths = names.every((name) => input.outputs.has(name)) ? outputPaths(input, names) : [];
    const isNamed = paths?.some((path) => this.named.has(path));
    (isNamed ? this.sure : this.perhaps).push(input);
    if (!allowsSubstitutes(input, this.parts.substitution)) return;
    for (const path of paths ?? []) {
      if (this.named.has(path) || this.guessed.size >= this.window) continue;
      if (this.parts.lookup.expect(path)) this.guessed.add(path);
    }
  }
}

/** Of every derivation from these on down: only where something lacks is that much read. */
export async function sourcesBelow(
  roots: Iterable<StorePath>,
  read: (path: StorePath) => Promise<Derivation>,
): Promise<ReadonlySet<StorePath>> {
  const sources = new Set<StorePath>();
  const seen = new Set(roots);
  for (let wave = [...seen]; wave.length > 0; ) {
    const derivations = await mapLimited(wave, FILES_AT_ONCE, read);
    wave = [];
    for (const derivation of derivations) {
      for (const source of derivation.sources) sources.add(source);
      for (const input of derivation.inputs.keys()) {
        if (seen.has(input)) continue;
        seen.add(input);
        wave.push(input);
      }
    }
  }
  return sources;
}
