/** What a change rebuilds: this run's graph held against the base's, and why what is missing is another build. Pure. */

import type { Ledger, LedgerNode } from "../../domain/ledger.ts";
import { hashPart, parseStorePath, type StorePath, storeDirOf } from "../../domain/store-path.ts";
import type { SurveyedDerivation } from "../survey/verdicts.ts";
import { type Cause, type ChangedInput, Comparison } from "./compare-ledgers.ts";

export interface Rebuild {
  readonly name: string;
  readonly drvPath: StorePath;
  /** What the base has of it, where that has another name. */
  readonly was: string | undefined;
  readonly cause: Cause;
  /** `none`: a cache has it, or nothing that is built needs it. */
  readonly needs: "a build" | "none";
  /** What its last build took. */
  readonly seconds: number | undefined;
}

export interface Rebuilds {
  readonly base: BaseRun;
  /** Derivations that are built from source, cached or not. */
  readonly inAll: number;
  /** New ones among them; dearest first. */
  readonly changed: readonly Rebuild[];
  readonly gone: readonly string[];
  readonly inputs: readonly ChangedInput[];
  /** Undefined where something needs a build: what it will weigh in a cache is not known. */
  readonly download: Amounts | undefined;
  /** Undefined where a part of it is in no cache. */
  readonly closure: Amounts | undefined;
}

export interface BaseRun {
  readonly branch: string;
  readonly revision: string;
  /** Milliseconds since the epoch. */
  readonly taken: number;
}

interface Amounts {
  readonly base: number;
  readonly now: number;
}

/** What this run would have built, by derivation. */
type Missing = ReadonlyMap<StorePath, SurveyedDerivation>;

export function rebuildsOf(
  ledger: Ledger,
  base: Ledger,
  missing: Missing,
  storeDir: string,
): Rebuilds {
  const comparison = new Comparison(ledger, base);
  const changed = [...comparison.changed].flatMap((place): Rebuild[] => {
    const node = ledger.nodes[place];
    const drvPath = node && derivationPath(node, storeDir);
    if (node?.kind !== "source" || drvPath === undefined) return [];
    const before = comparison.before(place);
    const { seconds } = node;
    return [
      {
        name: node.name,
        drvPath,
        was: before && before.name !== node.name ? before.name : undefined,
        cause: comparison.cause(place),
        needs: missing.get(drvPath)?.kind === "source" ? "a build" : "none",
        seconds,
      },
    ];
  });
  const builds = changed.some(({ needs }) => needs === "a build");
  return {
    base: baseOf(base),
    inAll: ledger.nodes.filter(({ kind }) => kind === "source").length,
    changed: changed.sort(dearestFirst),
    gone: comparison.gone.flatMap((place) => {
      const node = base.nodes[place];
      return node?.kind === "source" ? [node.name] : [];
    }),
    inputs: comparison.inputs,
    download: builds ? undefined : { base: base.download, now: ledger.download },
    closure:
      base.closure === undefined || ledger.closure === undefined
        ? undefined
        : { base: base.closure, now: ledger.closure },
  };
}

function baseOf({ sources, taken }: Ledger): BaseRun {
  return { branch: sources.branch, revision: sources.revision, taken };
}

function dearestFirst(a: Rebuild, b: Rebuild): number {
  return (
    Number(b.needs === "a build") - Number(a.needs === "a build") ||
    (b.seconds ?? 0) - (a.seconds ?? 0) ||
    (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  );
}

/** Seconds that the builds among them took last, one after the other; undefined where none was ever measured. */
export function secondsOf(changed: readonly Rebuild[]): number | undefined {
  const known = changed.flatMap(({ needs, seconds }) =>
    needs === "a build" && seconds !== undefined ? [seconds] : [],
  );
  return known.length === 0 ? undefined : known.reduce((sum, seconds) => sum + seconds, 0);
}

/** Why something is missing that the default branch built under the same name. */
export interface Explained {
  readonly name: string;
  readonly drvPath: StorePath;
  readonly base: BaseRun;
  /** What the base has of it. */
  readonly before: string;
  /** Its outputs in the base's run: whether a cache has them still is another question. */
  readonly outputs: readonly StorePath[];
  /** Names from an input of it down to the first that was itself changed. */
  readonly way: readonly string[];
  /** What that one was called before, where it has another name now. */
  readonly was: string | undefined;
  /** Its attributes that differ; empty: the arguments of its builder. */
  readonly attributes: readonly string[];
  /** The input of `flake.nix` that changed it. */
  readonly input: ChangedInput | undefined;
  /** Whether it takes files of the project itself that are others now. */
  readonly files: "others" | "the same";
}

/** Of those that the base knows under the same name, or of another version; in the order given. */
export function explain(ledger: Ledger, base: Ledger, paths: readonly StorePath[]): Explained[] {
  const comparison = new Comparison(ledger, base);
  const places = new Map(ledger.nodes.map(({ derivation }, place) => [derivation, place]));
  return paths.flatMap((drvPath): Explained[] => {
    const place = places.get(hashPart(drvPath));
    const before = place === undefined ? undefined : comparison.before(place);
    const node = place === undefined ? undefined : ledger.nodes[place];
    if (place === undefined || !before || !node) return [];
    const way = comparison.way(place);
    const last = way.at(-1) ?? place;
    const root = ledger.nodes[last];
    const rootBefore = comparison.before(last);
    const cause = comparison.cause(place);
    const input = cause.kind === "input" ? cause.input : undefined;
    return [
      {
        name: node.name,
        drvPath,
        base: baseOf(base),
        before: before.name,
        outputs: outputsOf(before, storeDirOf(drvPath)),
        way: way.slice(1).flatMap((one) => ledger.nodes[one]?.name ?? []),
        was: rootBefore && rootBefore.name !== root?.name ? rootBefore.name : undefined,
        attributes: comparison.ownAttributes(last),
        input,
        files:
          input === undefined && comparison.newSources(last).length > 0 ? "others" : "the same",
      },
    ];
  });
}

function derivationPath({ name, derivation }: LedgerNode, storeDir: string) {
  return parseStorePath(`${storeDir}/${derivation}-${name}.drv`, storeDir);
}

function outputsOf({ name, outputs }: LedgerNode, storeDir: string): StorePath[] {
  return [...outputs].flatMap(([output, hash]) => {
    const suffix = output === "out" ? "" : `-${output}`;
    return parseStorePath(`${storeDir}/${hash}-${name}${suffix}`, storeDir) ?? [];
  });
}
