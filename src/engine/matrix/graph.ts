/** Owns the graph of what is missing, as the stages of a matrix look at it. Pure. */

import type { StorePath } from "../../domain/store-path.ts";
import { byWeight, type SurveyedDerivation } from "../survey/derivations.ts";
import type { SurveyedTarget } from "../survey.ts";
import { DisjointSets, grouped } from "./disjoint-sets.ts";
import type { MatrixRequest } from "./request.ts";

/** Which missing derivation needs which: the part of the graph that a fresh machine would build. */
export class MissingGraph {
  private readonly request: Pick<MatrixRequest, "derivations" | "facts">;

  constructor(request: Pick<MatrixRequest, "derivations" | "facts">) {
    this.request = request;
  }

  private inputs(drvPath: StorePath): StorePath[] {
    const inputs = this.request.facts.derivations.get(drvPath)?.inputs.keys() ?? [];
    return [...inputs].filter((path) => this.request.derivations.has(path));
  }

  /** `roots` and all that is missing below them. */
  below(roots: Iterable<StorePath>): Set<StorePath> {
    const seen = new Set(roots);
    const stack = [...seen];
    for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
      for (const input of this.inputs(path)) {
        if (seen.has(input)) continue;
        seen.add(input);
        stack.push(input);
      }
    }
    return seen;
  }

  /** Where the second stage meets what the first one built: that has to be in the cache by then. */
  exits(
    targets: readonly SurveyedTarget[],
    covered: ReadonlySet<StorePath>,
  ): readonly SurveyedDerivation[] {
    const found = new Set<SurveyedDerivation>();
    const seen = new Set<StorePath>();
    const stack = targets.flatMap(({ wanted }) =>
      wanted?.kind === "derivation" ? [wanted.drvPath] : [],
    );
    for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
      if (seen.has(path)) continue;
      seen.add(path);
      const derivation = this.request.derivations.get(path);
      // What is trivial is built wherever it is wanted, and what it needs is wanted there.
      if (derivation?.kind === "source" && covered.has(path)) found.add(derivation);
      else stack.push(...this.inputs(path));
    }
    return [...found].sort(byWeight);
  }

  /** Exits that are built from the same missing sources go together, where one system builds them. */
  parts(
    exits: readonly SurveyedDerivation[],
  ): { readonly members: SurveyedDerivation[]; readonly built: Set<StorePath> }[] {
    const sets = new DisjointSets<SurveyedDerivation>();
    const owners = new Map<string, SurveyedDerivation>();
    for (const exit of exits) {
      const stack = [exit.drvPath];
      for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
        const key = `${exit.system} ${path}`;
        const owner = owners.get(key);
        if (owner === exit) continue;
        const isSource = this.request.derivations.get(path)?.kind === "source";
        if (owner && isSource) {
          sets.join(owner, exit);
          continue;
        }
        owners.set(key, exit);
        stack.push(...this.inputs(path));
      }
    }
    const built = new Map<SurveyedDerivation, Set<StorePath>>();
    for (const [key, owner] of owners) {
      const path = key.slice(key.indexOf(" ") + 1) as StorePath;
      if (this.request.derivations.get(path)?.kind !== "source") continue;
      const group = sets.groupOf(owner);
      built.set(group, (built.get(group) ?? new Set()).add(path));
    }
    return [...grouped(exits, (exit) => sets.groupOf(exit))].map(([group, members]) => ({
      members,
      built: built.get(group) ?? new Set(),
    }));
  }
}
