/** Owns the tally of each derivation that would be built: what else is built below it, added up once for all targets. Pure. */

import { type UnknownOutputs, unknownOutputs } from "../../domain/content-address.ts";
import { type BuildKind, buildKind } from "../../domain/derivation.ts";
import type { StorePath } from "../../domain/store-path.ts";
import { FEW, type Holder, holderWords } from "../../domain/verdict.ts";
import type { BuildNode, Tops } from "./build-graph.ts";
import type { Facts } from "./facts.ts";

/** A derivation of which nobody can say whether a cache has it. */
export interface OpenQuestion {
  readonly name: string;
  readonly outputs: Exclude<UnknownOutputs, "impure">;
}

interface Ranked {
  readonly drvPath: StorePath;
  readonly kind: BuildKind;
  readonly rank: number;
}

/** What is built and fetched below some derivations, themselves included. */
export interface Tally {
  /** The first by rank. */
  readonly first: Readonly<Record<BuildKind, readonly Ranked[]>>;
  readonly unknown: StorePath | undefined;
  /**
   * Where nothing is built for sure, what nobody can be asked for: what lies below that is built only if
   * it is itself. An impure one is always built.
   */
  readonly open: OpenQuestion | "built for sure" | undefined;
  /** `anew`: something impure is among it, so that no cache has what is built of that. */
  readonly made: "anew" | "once";
  readonly fetched: Fetched;
}

/** Who serves what is fetched. */
export interface Fetched {
  readonly own: "some of it" | "none of it";
  readonly holders: ReadonlyMap<string, Holder>;
}

const NONE: Tally = {
  first: { source: [], download: [], trivial: [] },
  unknown: undefined,
  open: undefined,
  made: "once",
  fetched: { own: "none of it", holders: new Map() },
};

/** A tally for each of the nodes, which are given inputs first. */
export function tallies(
  facts: Facts,
  nodes: readonly BuildNode[],
  derivations: ReadonlyMap<StorePath, Ranked>,
): ReadonlyMap<BuildNode, Tally> {
  const found = new Map<BuildNode, Tally>();
  for (const node of nodes) found.set(node, tallyOf(node, facts, derivations, found));
  return found;
}

/** Of several together, as a target names them. */
export function tallyOfTops(
  { build, fetch, unknown }: Tops,
  facts: Facts,
  known: ReadonlyMap<BuildNode, Tally>,
): Tally {
  const below = build.map((node) => known.get(node) ?? NONE);
  return {
    first: firstOf(below, undefined),
    unknown: unknown ?? below.find((one) => one.unknown !== undefined)?.unknown,
    open: openOf(below),
    made: madeOf(below),
    fetched: fetchedOf(facts, fetch, below),
  };
}

function tallyOf(
  node: BuildNode,
  facts: Facts,
  derivations: ReadonlyMap<StorePath, Ranked>,
  known: ReadonlyMap<BuildNode, Tally>,
): Tally {
  const below = node.inputs.map((input) => known.get(input) ?? NONE);
  const derivation = facts.derivations.get(node.drvPath);
  const unrealised = facts.unrealised?.get(node.drvPath);
  const outputs = derivation && unrealised !== "by nobody" ? unknownOutputs(derivation) : undefined;
  const made =
    outputs === "impure" || (outputs === "deferred" && madeOf(below) === "anew") ? "anew" : "once";
  let open: Tally["open"];
  if (made === "anew") open = "built for sure";
  else if (derivation && outputs !== undefined && outputs !== "impure") {
    const question = { name: derivation.name, outputs };
    // Where nobody has it as it stands, it is had only after what is below it.
    open = (unrealised && openOf(below)) ?? question;
  } else if (derivation && buildKind(derivation) !== "trivial") open = "built for sure";
  else open = openOf(below);
  return {
    first: firstOf(below, derivations.get(node.drvPath)),
    unknown: node.unknown[0] ?? below.find((one) => one.unknown !== undefined)?.unknown,
    open,
    made,
    fetched: fetchedOf(facts, node.fetches, below),
  };
}

function madeOf(below: readonly Tally[]): Tally["made"] {
  return below.some(({ made }) => made === "anew") ? "anew" : "once";
}

function openOf(below: readonly Tally[]): Tally["open"] {
  const all = below.flatMap(({ open }) => open ?? []);
  return all.includes("built for sure") ? "built for sure" : all[0];
}

/** The first of all are among the first of each. */
function firstOf(below: readonly Tally[], itself: Ranked | undefined): Tally["first"] {
  const of = (kind: BuildKind): readonly Ranked[] => {
    const lists = below.map(({ first }) => first[kind]).filter((list) => list.length > 0);
    const mine = itself?.kind === kind ? [itself] : [];
    const [only = mine] = lists;
    if (lists.length + mine.length <= 1) return only;
    return [...new Set([...mine, ...lists.flat()])].sort((a, b) => a.rank - b.rank).slice(0, FEW);
  };
  return { source: of("source"), download: of("download"), trivial: of("trivial") };
}

function fetchedOf(facts: Facts, paths: Iterable<StorePath>, below: readonly Tally[]): Fetched {
  const mine = holdersOf(facts, paths);
  const all = [mine, ...below.map(({ fetched }) => fetched)].filter(
    ({ own, holders }) => own === "some of it" || holders.size > 0,
  );
  const [only = mine] = all;
  if (all.length <= 1) return only;
  return {
    own: all.some(({ own }) => own === "some of it") ? "some of it" : "none of it",
    holders: new Map(all.flatMap(({ holders }) => [...holders])),
  };
}

export function holdersOf(facts: Facts, paths: Iterable<StorePath>): Fetched {
  const holders = new Map<string, Holder>();
  let own: Fetched["own"] = "none of it";
  for (const path of paths) {
    const answer = facts.answers.get(path);
    if (answer?.own) own = "some of it";
    if (!answer?.served) continue;
    const { narInfo: _, ...holder } = answer.served;
    holders.set(holderWords(holder), holder);
  }
  return { own, holders };
}
