/** Gathers the facts: which derivations there are under a target, and who has their outputs. */

import {
  allowsSubstitutes,
  type Derivation,
  outputPaths,
  type Substitution,
} from "../../domain/derivation.ts";
import type { DerivationOutputs } from "../../domain/ports.ts";
import type { RealisationReading } from "../../domain/realisation.ts";
import type { StorePath } from "../../domain/store-path.ts";
import { Ahead, sourcesBelow } from "./ahead.ts";
import type { Answer, Availability } from "./answer.ts";
import { Closures } from "./closures.ts";
import type { Lookup } from "./lookup.ts";
import { Realiser, type Unrealised } from "./realise.ts";

export interface Facts {
  readonly derivations: ReadonlyMap<StorePath, Derivation>;
  readonly answers: ReadonlyMap<StorePath, Answer>;
  readonly availability: ReadonlyMap<StorePath, Availability>;
  /** What Nix may take from caches; undefined: what a derivation lets it. */
  readonly substitution?: Substitution;
  /** Sources that no cache has: evaluation puts them into the store, so that nobody need. */
  readonly sources?: ReadonlySet<StorePath>;
  /** Content-addressed ones that no cache is known to have. The others' outputs have paths. */
  readonly unrealised?: ReadonlyMap<StorePath, Unrealised>;
}

/** How far to look below an output that a cache has. */
export type Depth = "until cached" | "until upstream";
type Level = "target" | "input";

export class FactFinder implements Facts {
  readonly derivations = new Map<StorePath, Derivation>();
  readonly answers: ReadonlyMap<StorePath, Answer>;
  readonly availability: ReadonlyMap<StorePath, Availability>;
  readonly substitution: Substitution;
  readonly sources: ReadonlySet<StorePath>;
  readonly unrealised: ReadonlyMap<StorePath, Unrealised>;
  private readonly realiser: Realiser;
  private readonly roots = new Set<StorePath>();
  private allSources: Promise<ReadonlySet<StorePath>> | undefined;
  private readonly closures: Closures;
  private readonly ahead: Ahead;
  private readonly read: (path: StorePath) => Promise<Derivation>;
  private readonly explored = new Map<string, Promise<void>>();
  private readonly reading = new Map<StorePath, Promise<Derivation>>();

  constructor(
    lookup: Lookup,
    read: (path: StorePath) => Promise<Derivation>,
    substitution: Substitution = "where allowed",
    reading?: RealisationReading,
  ) {
    this.substitution = substitution;
    this.ahead = new Ahead({
      lookup,
      read: (path) => this.load(path),
      substitution,
      asking: () => this.closures.asking,
    });
    const isSource = async (path: StorePath) => {
      this.allSources ??= sourcesBelow(this.roots, this.read);
      return (await this.allSources).has(path);
    };
    this.closures = new Closures(lookup, isSource, this.ahead);
    this.sources = this.closures.sources;
    this.answers = this.closures.answers;
    this.availability = this.closures.availability;
    this.read = read;
    this.realiser = new Realiser({
      lookup,
      read: (path) => this.load(path),
      substitution,
      reading,
      facts: this,
    });
    this.unrealised = this.realiser.unrealised;
  }

  /** Reads a derivation once. */
  async derivation(path: StorePath): Promise<Derivation> {
    const derivation = await this.load(path);
    this.derivations.set(path, this.realiser.told(derivation));
    return derivation;
  }

  private load(path: StorePath): Promise<Derivation> {
    let reading = this.reading.get(path);
    if (!reading) {
      reading = this.read(path);
      this.reading.set(path, reading);
    }
    return reading;
  }

  /**
   * Looks at a derivation as Nix does: where its outputs are cached, nothing under it is asked for.
   * Every path goes its own way as soon as its answer is there, so a slow one holds up no other.
   */
  explore(wanted: DerivationOutputs, depth: Depth, level: Level = "target"): Promise<void> {
    const { drvPath, outputNames } = wanted;
    const key = `${depth} ${drvPath}!${[...outputNames].sort().join(",")}`;
    this.roots.add(drvPath);
    let done = this.explored.get(key);
    if (!done) {
      done = this.exploreOnce(wanted, depth, level);
      this.explored.set(key, done);
    }
    return done;
  }

  private async exploreOnce(
    { drvPath, outputNames }: DerivationOutputs,
    depth: Depth,
    level: Level,
  ): Promise<void> {
    const derivation = await this.derivation(drvPath);
    if (this.realiser.isFor(derivation)) {
      await this.realiser.realise(derivation, outputNames, async (found) => {
        const isEnough = depth === "until cached" || found.every((path) => this.isUpstream(path));
        if (found.length === 0 || !isEnough) await this.exploreInputs(derivation, depth);
      });
      this.derivations.set(drvPath, this.realiser.told(derivation));
      return;
    }
    const paths = outputPaths(derivation, outputNames);
    const allowed = allowsSubstitutes(derivation, this.substitution);
    if (paths && (allowed || depth === "until upstream")) {
      this.ahead.asks(derivation);
      const asking = paths.map((path) => this.path(path));
      if (level === "target") this.ahead.begins(derivation);
      const found = await Promise.all(asking);
      const cached = found.every((availability) => availability === "whole");
      // Where a substituter did not answer, looking further down would only guess.
      const unsure =
        found.includes("unknown") && !found.includes("absent") && !found.includes("broken");
      if (allowed) {
        if (depth === "until cached" && (cached || unsure)) return;
        if (depth === "until upstream" && paths.every((path) => this.isUpstream(path))) return;
      }
    }
    // A fixed-output derivation's inputs only serve to fetch it, and are wanted just as much.
    await this.exploreInputs(derivation, depth);
  }

  private isUpstream(path: StorePath): boolean {
    return this.answers.get(path)?.upstream !== undefined;
  }

  private async exploreInputs({ inputs }: Derivation, depth: Depth): Promise<void> {
    await Promise.all(
      [...inputs].map(([drvPath, names]) =>
        this.explore({ drvPath, outputNames: names }, depth, "input"),
      ),
    );
  }

  /** Asks for a path and for everything it refers to. */
  path(path: StorePath): Promise<Availability> {
    return this.closures.of(path);
  }
}
