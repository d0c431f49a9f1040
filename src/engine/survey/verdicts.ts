/** The verdict on each target, out of the facts. Pure. */

import { BitSet } from "../../domain/bit-set.ts";
import { type BuildFigures, figuresOf } from "../../domain/build-figures.ts";
import type { UnknownOutputs } from "../../domain/content-address.ts";
import { type BuildKind, buildKind } from "../../domain/derivation.ts";
import { describeError } from "../../domain/errors.ts";
import { isHeavy, isNamedHeavy } from "../../domain/heavy.ts";
import type { Job } from "../../domain/job.ts";
import type { StorePath } from "../../domain/store-path.ts";
import { FEW, type Few, type Verdict } from "../../domain/verdict.ts";
import type { Builds, Tops } from "./build-graph.ts";
import type { Facts } from "./facts.ts";
import type { FoundTarget } from "./found.ts";
import { derivationOf } from "./judge.ts";
import { holdersOf, type Tally, tallies, tallyOfTops } from "./tally.ts";

/** The verdicts on all targets, which share one graph of what would be built. */
export function verdictsOf(
  targets: readonly FoundTarget[],
  facts: Facts,
  derivations: ReadonlyMap<StorePath, SurveyedDerivation>,
  { graph, tops }: Builds,
): Verdict[] {
  const known = tallies(facts, graph.inputsFirst(), derivations);
  const all = [...tops.values()];
  const places = new Map([...tops.keys()].map((name, place) => [name, place]));
  const wanting = graph.wanting(all);
  const counts = (kind: BuildKind) => {
    const sets = [...wanting].flatMap(([{ drvPath }, set]) =>
      derivations.get(drvPath)?.kind === kind ? [set] : [],
    );
    return BitSet.counts(sets, all.length);
  };
  const built = {
    source: counts("source"),
    download: counts("download"),
    trivial: counts("trivial"),
  };
  return targets.map((target): Verdict => {
    const own = tops.get(target.name) ?? NOTHING_WANTED;
    const { first, ...below } = tallyOfTops(own, facts, known);
    const few = (kind: BuildKind): Few<StorePath> => ({
      first: first[kind].map(({ drvPath }) => drvPath),
      length: built[kind][places.get(target.name) ?? all.length] ?? 0,
    });
    const build = { source: few("source"), download: few("download"), trivial: few("trivial") };
    return verdictOf(target, facts, own, { ...below, build });
  });
}

const NOTHING_WANTED: Tops = { build: [], fetch: new Set(), unknown: undefined, lost: [] };

function verdictOf(
  { wanted, failure, outputs }: FoundTarget,
  facts: Facts,
  { fetch, lost }: Tops,
  {
    build,
    unknown,
    open,
    fetched,
  }: Omit<Tally, "first"> & { readonly build: Readonly<Record<BuildKind, Few<StorePath>>> },
): Verdict {
  if (!wanted || failure) {
    return {
      kind: "failed",
      message: failure?.message ?? "it was not evaluated",
      nearest: failure?.nearest ?? [],
    };
  }
  const { source, download } = build;
  if (wanted.kind === "derivation" && open !== undefined && open !== "built for sure") {
    return { kind: "unknown", why: `${open.name} ${OPEN_WORDS[open.outputs]}` };
  }
  const trivial = wanted.kind === "recalled" ? wanted.trivial : build.trivial.length;
  if (wanted.kind === "evaluation" && source.length === 0 && download.length === 0) {
    // Next to nothing to build, and still nobody knows what comes behind it.
    if (trivial > 0) {
      return { kind: "missing", missing: { source: build.trivial, download, trivial: 0 } };
    }
    const needed = wanted.needs.map(({ drvPath }) => drvPath).join(", ");
    return { kind: "unknown", why: `its evaluation needs ${needed}, which Nix could not fetch` };
  }
  if (unknown !== undefined && source.length === 0 && download.length === 0) {
    const cause = facts.answers.get(unknown)?.unknown;
    return { kind: "unknown", why: cause ? describeError(cause) : "a cache did not answer" };
  }
  if (source.length > 0 || download.length > 0 || lost.length > 0) {
    return { kind: "missing", missing: { source, download, trivial } };
  }
  // The path itself where it is served; of a trivial one, what its build would fetch.
  const roots = outputs?.filter((path) => fetch.has(path)) ?? [];
  const { own, holders } = roots.length > 0 ? holdersOf(facts, roots) : fetched;
  return {
    kind: own === "some of it" ? "own" : "upstream",
    holders: [...holders.values()],
    trivial,
  };
}

/** What no cache can be asked for by its path. */
export const OPEN_WORDS: Readonly<Record<Exclude<UnknownOutputs, "impure">, string>> = {
  floating:
    "is content-addressed: its store path is known only when it is built, or by a cache's realisations, and not every cache says whether it has them",
  deferred:
    "is built of something content-addressed: its store path is known only when that is built, or by a cache's realisations, and not every cache says whether it has them",
  dynamic: "is built of a derivation that is built itself: its store path is known only then",
};

export interface SurveyedDerivation {
  readonly drvPath: StorePath;
  readonly name: string;
  readonly system: string;
  readonly kind: BuildKind;
  readonly heavy: "heavy" | "light";
  /** Bytes its build takes, where a target's `space=` says so. */
  readonly space: number | undefined;
  /** What the last build of this name took. */
  readonly figures: BuildFigures | undefined;
  /** Names of the targets for which it would be built. */
  readonly wantedBy: Few<string>;
  /** All of them, by their place among the targets asked about. */
  readonly wanting: BitSet;
  readonly outputNames: readonly string[];
  /** Its place among all, by weight. */
  readonly rank: number;
}

export function describeDerivations(
  job: Pick<Job, "heavy">,
  facts: Facts,
  targets: readonly FoundTarget[],
  { graph, tops, shared }: Builds,
  learnt: ReadonlyMap<string, BuildFigures>,
): Map<StorePath, SurveyedDerivation> {
  const spaces = new Map<StorePath, number>();
  for (const { target, wanted } of targets) {
    const drvPath = derivationOf(wanted);
    if (drvPath !== undefined && target.space !== undefined) {
      spaces.set(drvPath, Math.max(target.space, spaces.get(drvPath) ?? 0));
    }
  }
  const names = [...tops.keys()];
  const found: (SurveyedDerivation & { rank: number })[] = [];
  for (const [{ drvPath, outputs }, wanting] of graph.wanting([...tops.values()], shared)) {
    const derivation = facts.derivations.get(drvPath);
    if (!derivation) continue;
    // Whoever names it means it, also where it is trivial to build. What has its hash is downloaded all the same.
    const isNamed = isNamedHeavy(job.heavy, derivation.name);
    const plain = buildKind(derivation);
    const kind = isNamed && plain === "trivial" ? "source" : plain;
    const space = spaces.get(drvPath);
    // A download is another file each time, whatever its name.
    const figures = kind === "source" ? figuresOf(learnt, derivation.name) : undefined;
    const weight = {
      bytes: figures ? Math.max(figures.buildBytes, figures.outputBytes) : space,
      seconds: figures?.seconds,
    };
    found.push({
      drvPath,
      name: derivation.name,
      system: derivation.system,
      kind,
      heavy:
        isNamed || (kind === "source" && isHeavy(job.heavy, derivation.name, weight))
          ? "heavy"
          : "light",
      space,
      figures,
      wantedBy: {
        first: wanting.first(FEW).flatMap((place) => names[place] ?? []),
        length: wanting.size,
      },
      wanting,
      outputNames: [...outputs],
      rank: 0,
    });
  }
  found.sort(byWeight);
  found.forEach((one, rank) => {
    one.rank = rank;
  });
  return new Map(found.map((derivation) => [derivation.drvPath, derivation]));
}

/** Heavy ones first, then those that most targets want, then by name. */
export function byWeight(a: SurveyedDerivation, b: SurveyedDerivation): number {
  return (
    Number(b.heavy === "heavy") - Number(a.heavy === "heavy") ||
    b.wantedBy.length - a.wantedBy.length ||
    (a.name < b.name ? -1 : a.name > b.name ? 1 : a.drvPath < b.drvPath ? -1 : 1)
  );
}
