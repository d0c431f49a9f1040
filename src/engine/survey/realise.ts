/** Owns asking caches for the outputs of content-addressed derivations, as Nix asks for them before it builds. */

import { unknownOutputs } from "../../domain/content-address.ts";
import { allowsSubstitutes, type Derivation, type Substitution } from "../../domain/derivation.ts";
import {
  type RealisationId,
  RealisationNames,
  type RealisationReading,
  resolve,
} from "../../domain/realisation.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Availability } from "./answer.ts";
import type { Lookup } from "./lookup.ts";

/**
 * Of a derivation whose outputs no cache is known to have. `by nobody`: every cache said so, and it is built.
 * `before its inputs`: it may still be had once they are built.
 */
export type Unrealised = "by nobody" | "before its inputs";

export interface RealiserParts {
  readonly lookup: Lookup;
  readonly read: (path: StorePath) => Promise<Derivation>;
  readonly substitution: Substitution;
  /** Undefined where it is not known how this Nix asks: then nobody is. */
  readonly reading: RealisationReading | undefined;
  /** What is known so far, and asking for a path with all that it refers to. */
  readonly facts: {
    readonly derivations: ReadonlyMap<StorePath, Derivation>;
    readonly availability: ReadonlyMap<StorePath, Availability>;
    path(path: StorePath): Promise<Availability>;
  };
}

type Asked =
  | { readonly kind: "had"; readonly paths: ReadonlyMap<string, StorePath> }
  /** Its path is served, and not every realisation that it depends on. */
  | {
      readonly kind: "lacking";
      readonly paths: ReadonlyMap<string, StorePath>;
      readonly dependents: readonly RealisationId[];
    }
  | { readonly kind: "nobody" | "unknown" };

export class Realiser {
  readonly unrealised = new Map<StorePath, Unrealised>();
  private readonly parts: RealiserParts;
  private readonly names: RealisationNames;
  private readonly realised = new Map<StorePath, Map<string, StorePath>>();

  constructor(parts: RealiserParts) {
    this.parts = parts;
    this.names = new RealisationNames(parts.read);
  }

  /** Whether there is anything to ask for: outputs whose paths the derivation does not say. */
  isFor(derivation: Derivation): boolean {
    const open = unknownOutputs(derivation);
    return this.parts.reading !== undefined && (open === "floating" || open === "deferred");
  }

  /** The derivation with the paths that its outputs were found to have. */
  told(derivation: Derivation): Derivation {
    const made = this.realised.get(derivation.path);
    if (!made) return derivation;
    const outputs = new Map(derivation.outputs);
    for (const [name, path] of made) {
      const output = outputs.get(name);
      if (output) outputs.set(name, { ...output, path });
    }
    return { ...derivation, outputs };
  }

  /** `explore` looks at the inputs, which is needed where no cache knows the derivation itself. */
  async realise(
    derivation: Derivation,
    outputs: readonly string[],
    explore: (found: readonly StorePath[]) => Promise<void>,
  ): Promise<void> {
    const isAllowed = allowsSubstitutes(derivation, this.parts.substitution);
    const asked: Asked = isAllowed ? await this.ask(derivation, outputs) : { kind: "nobody" };
    if (asked.kind === "had") this.keep(derivation, asked.paths);
    await explore(asked.kind === "had" ? [...asked.paths.values()] : []);
    if (asked.kind === "had" || asked.kind === "unknown") return;
    const isFetched = [...derivation.inputs].every(([input, names]) =>
      names.every((name) => this.isFetched(input, name)),
    );
    const after = await this.askAfter(derivation, outputs, asked, isFetched);
    if (after.kind === "had" && isFetched) this.keep(derivation, after.paths);
    else if (after.kind === "nobody" || !isAllowed)
      this.unrealised.set(derivation.path, "by nobody");
    else if (!isFetched) this.unrealised.set(derivation.path, "before its inputs");
  }

  private pathOf(input: StorePath, name: string): StorePath | undefined {
    return this.parts.facts.derivations.get(input)?.outputs.get(name)?.path;
  }

  private isFetched(input: StorePath, name: string): boolean {
    const { facts, substitution } = this.parts;
    const derivation = facts.derivations.get(input);
    const path = this.pathOf(input, name);
    const isWhole = path !== undefined && facts.availability.get(path) === "whole";
    return derivation !== undefined && isWhole && allowsSubstitutes(derivation, substitution);
  }

  private keep({ path }: Derivation, made: ReadonlyMap<string, StorePath>): void {
    this.realised.set(path, new Map([...(this.realised.get(path) ?? []), ...made]));
  }

  private async ask(derivation: Derivation, outputs: readonly string[]): Promise<Asked> {
    return together(
      await Promise.all(
        outputs.map(async (output): Promise<Asked> => {
          const id = await this.names.idOf(derivation, output);
          return id === undefined ? { kind: "unknown" } : this.askOne(id, output);
        }),
      ),
    );
  }

  /** With its inputs at hand Nix asks again: for what they make of the derivation. */
  private async askAfter(
    derivation: Derivation,
    outputs: readonly string[],
    before: Asked,
    isFetched: boolean,
  ): Promise<Asked> {
    if (before.kind === "lacking" && isFetched) {
      // What was fetched as an input counts as realised, whoever told its path.
      const inputs = await this.inputIds(derivation);
      if (before.dependents.every((id) => inputs.has(id))) return { ...before, kind: "had" };
    }
    return together(
      await Promise.all(
        outputs.map(async (output): Promise<Asked> => {
          const resolved = resolve(derivation, output, (input, name) => this.pathOf(input, name));
          if (!resolved) return { kind: "unknown" };
          const { id, path } = resolved;
          const asked = await (path === undefined
            ? this.askOne(id, output)
            : this.at(path, output));
          return asked.kind === "lacking" ? { kind: "nobody" } : asked;
        }),
      ),
    );
  }

  private async inputIds(derivation: Derivation): Promise<ReadonlySet<RealisationId>> {
    const ids = new Set<RealisationId>();
    for (const [path, names] of derivation.inputs) {
      const input = await this.parts.read(path);
      for (const name of names) {
        const id = await this.names.idOf(input, name);
        if (id !== undefined) ids.add(id);
      }
    }
    return ids;
  }

  private async askOne(id: RealisationId, output: string): Promise<Asked> {
    const { lookup, reading } = this.parts;
    const answer = await lookup.realisation(id);
    if (answer.kind !== "hit") return { kind: answer.kind === "miss" ? "nobody" : "unknown" };
    const { path, dependents } = answer.realisation;
    const asked = await this.at(path, output);
    if (asked.kind !== "had" || reading === "alone" || dependents.length === 0) return asked;
    const below = await this.below(dependents, id);
    if (below === "had") return asked;
    if (below === "unknown" || reading === "either") return { kind: "unknown" };
    return { kind: "lacking", paths: asked.paths, dependents };
  }

  private async at(path: StorePath, output: string): Promise<Asked> {
    const availability = await this.parts.facts.path(path);
    if (availability === "unknown") return { kind: "unknown" };
    return availability === "whole"
      ? { kind: "had", paths: new Map([[output, path]]) }
      : { kind: "nobody" };
  }

  /** Of all that a realisation depends on, each once: a cache may say that they go in a circle. */
  private async below(
    dependents: readonly RealisationId[],
    itself: RealisationId,
  ): Promise<"had" | "nobody" | "unknown"> {
    const seen = new Set<RealisationId>([itself]);
    for (let wave = [...dependents]; wave.length > 0; ) {
      for (const id of wave) seen.add(id);
      const answers = await Promise.all(wave.map((id) => this.parts.lookup.realisation(id)));
      const next = new Set<RealisationId>();
      for (const answer of answers) {
        if (answer.kind !== "hit") return answer.kind === "miss" ? "nobody" : "unknown";
        const { kind } = await this.at(answer.realisation.path, "");
        if (kind !== "had") return kind === "unknown" ? "unknown" : "nobody";
        for (const id of answer.realisation.dependents) if (!seen.has(id)) next.add(id);
      }
      wave = [...next];
    }
    return "had";
  }
}

/** Of several outputs: without one of them all are built. */
function together(all: readonly Asked[]): Asked {
  const paths = new Map<string, StorePath>();
  const dependents = new Set<RealisationId>();
  for (const one of all) {
    if (one.kind === "nobody") return one;
    if (one.kind === "had" || one.kind === "lacking") {
      for (const [name, path] of one.paths) paths.set(name, path);
    }
    if (one.kind === "lacking") for (const id of one.dependents) dependents.add(id);
  }
  if (all.some(({ kind }) => kind === "unknown")) return { kind: "unknown" };
  if (all.some(({ kind }) => kind === "lacking")) {
    return { kind: "lacking", paths, dependents: [...dependents] };
  }
  return { kind: "had", paths };
}
