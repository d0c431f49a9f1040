/** Owns gathering: which derivations there are under a target, and who has their outputs. */

import { allowsSubstitutes, type Derivation, outputPaths } from "../../domain/derivation.ts";
import type { DerivationOutputs } from "../../domain/ports.ts";
import type { StorePath } from "../../domain/store-path.ts";
import { type Availability, Closures } from "./closures.ts";
import type { Answer, Lookup } from "./lookup.ts";

export interface Facts {
  readonly derivations: ReadonlyMap<StorePath, Derivation>;
  readonly answers: ReadonlyMap<StorePath, Answer>;
  readonly availability: ReadonlyMap<StorePath, Availability>;
}

/** How far to look below an output that a cache has. */
export type Depth = "until cached" | "until upstream";

export class FactFinder implements Facts {
  readonly derivations = new Map<StorePath, Derivation>();
  readonly answers: ReadonlyMap<StorePath, Answer>;
  readonly availability: ReadonlyMap<StorePath, Availability>;
  private readonly closures: Closures;
  private readonly read: (path: StorePath) => Promise<Derivation>;
  private readonly explored = new Map<string, Promise<void>>();
  private readonly reading = new Map<StorePath, Promise<Derivation>>();

  constructor(lookup: Lookup, read: (path: StorePath) => Promise<Derivation>) {
    this.closures = new Closures(lookup);
    this.answers = this.closures.answers;
    this.availability = this.closures.availability;
    this.read = read;
  }

  /** Reads a derivation once. */
  async derivation(path: StorePath): Promise<Derivation> {
    let reading = this.reading.get(path);
    if (!reading) {
      reading = this.read(path);
      this.reading.set(path, reading);
    }
    const derivation = await reading;
    this.derivations.set(path, derivation);
    return derivation;
  }

  /**
   * Looks at a derivation as Nix does: where its outputs are cached, nothing under it is asked for.
   * Every path goes its own way as soon as its answer is there, so a slow one holds up no other.
   */
  explore({ drvPath, outputNames }: DerivationOutputs, depth: Depth): Promise<void> {
    const key = `${depth} ${drvPath}!${[...outputNames].sort().join(",")}`;
    let done = this.explored.get(key);
    if (!done) {
      done = this.exploreOnce(drvPath, outputNames, depth);
      this.explored.set(key, done);
    }
    return done;
  }

  private async exploreOnce(
    drvPath: StorePath,
    outputNames: readonly string[],
    depth: Depth,
  ): Promise<void> {
    const derivation = await this.derivation(drvPath);
    const paths = outputPaths(derivation, outputNames);
    if (paths && (allowsSubstitutes(derivation) || depth === "until upstream")) {
      const found = await Promise.all(paths.map((path) => this.path(path)));
      const cached = found.every((availability) => availability === "whole");
      // Where a tier did not answer, looking further down would only guess.
      const unsure =
        found.includes("unknown") && !found.includes("absent") && !found.includes("broken");
      if (allowsSubstitutes(derivation)) {
        if (depth === "until cached" && (cached || unsure)) return;
        if (depth === "until upstream" && paths.every((path) => this.answers.get(path)?.upstream)) {
          return;
        }
      }
    }
    // A fixed-output derivation's inputs only serve to fetch it, and are wanted just as much.
    await Promise.all(
      [...derivation.inputs].map(([input, names]) =>
        this.explore({ drvPath: input, outputNames: names }, depth),
      ),
    );
  }

  /** Asks for a path and for everything it refers to. */
  path(path: StorePath): Promise<Availability> {
    return this.closures.of(path);
  }
}
