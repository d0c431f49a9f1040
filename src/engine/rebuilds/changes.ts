/** Holds a run against the ledgers of earlier ones, and leaves its own. */

import type { BuildFigures } from "../../domain/build-figures.ts";
import { describeError, UserError } from "../../domain/errors.ts";
import type { History, Ledger, SourcesNow } from "../../domain/ledger.ts";
import type { World } from "../../domain/ports.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Assessment } from "../survey/assess.ts";
import { derivationOf } from "../survey/judge.ts";
import type { Survey } from "../survey.ts";
import { type Explained, explain, type Rebuilds, rebuildsOf } from "./rebuild-report.ts";
import { takeLedger } from "./take-ledger.ts";

/** A miss explained, and who has now what the default branch had built. */
export interface ExplainedMiss extends Explained {
  /** The name of a cache; undefined where none has it any more. */
  readonly heldBy: string | undefined;
}

export interface Changes {
  /** This run's own graph, where it was taken for the comparison. */
  readonly ledger?: Ledger | undefined;
  readonly event: History["event"];
  /** `absent`: the default branch left nothing that this run could be compared with. */
  readonly base: "read" | "absent";
  /** Of a pull request. */
  readonly rebuilds: Rebuilds | undefined;
  /** Of any other run: targets first. */
  readonly misses: readonly ExplainedMiss[];
  /** Files that are others than in the commit. */
  readonly dirty: readonly string[];
}

const EXPLAINED_MOST = 10;

/** Undefined where there is nothing to compare, or nothing to compare it for. */
export async function changesOf(
  seen: Survey,
  world: World,
  signal: AbortSignal,
): Promise<Changes | undefined> {
  const { history, nix, log } = world;
  if (!history || !nix || seen.targets.length === 0) return undefined;
  const asked = missesOf(seen);
  if (history.event === "other" && asked.length === 0) return undefined;
  try {
    return await compared(seen, world, history, asked, signal);
  } catch (error) {
    signal.throwIfAborted();
    // What it was to tell is no part of what the run is for.
    if (!(error instanceof UserError)) throw error;
    log.debug(`nothing is compared with an earlier run: ${describeError(error)}`);
    return undefined;
  }
}

async function compared(
  seen: Survey,
  world: World,
  history: History,
  asked: readonly StorePath[],
  signal: AbortSignal,
): Promise<Changes | undefined> {
  const { event } = history;
  const isPull = event === "pull request";
  const base =
    (await history.ledgers.base("these targets", signal)) ??
    (isPull ? undefined : await history.ledgers.base("any targets", signal));
  if (!base) return { event, base: "absent", rebuilds: undefined, misses: [], dirty: [] };
  const sources = await history.sources(signal);
  const { dirty } = sources;
  const head =
    seen.recalled === undefined
      ? await ledgerNow(seen, seen.figures, sources, world)
      : await history.ledgers.same(signal);
  if (!head) return undefined;
  const storeDir = world.nix?.setup.storeDir ?? "";
  if (isPull) {
    const rebuilds = rebuildsOf(head, base, seen.derivations, storeDir);
    return { event, base: "read", ledger: head, rebuilds, misses: [], dirty };
  }
  const misses = await Promise.all(
    explain(head, base, asked)
      .slice(0, EXPLAINED_MOST)
      .map(async (one): Promise<ExplainedMiss> => {
        const answers = await Promise.all(one.outputs.map((path) => seen.lookup.ask(path)));
        const held = answers.every(({ served }) => served !== undefined);
        return { ...one, heldBy: held ? answers[0]?.served?.cache : undefined };
      }),
  );
  return { event, base: "read", ledger: head, rebuilds: undefined, misses, dirty };
}

/** What would be built from source: the targets' own first, then the rest by weight. */
function missesOf(seen: Survey): StorePath[] {
  const roots = seen.targets.flatMap(({ wanted }) => derivationOf(wanted) ?? []);
  const missing = [...seen.derivations.values()].filter(({ kind }) => kind === "source");
  const paths = new Set(missing.map(({ drvPath }) => drvPath));
  return [...new Set([...roots.filter((path) => seen.fresh.build.has(path)), ...paths])];
}

/**
 * Leaves the graph beside the run's evaluation record, and on the default branch as what others are compared with.
 * A run that evaluated nothing hands on what was left of the very same sources.
 */
export async function leaveLedger(
  seen: Survey,
  after: Assessment,
  taken: Ledger | undefined,
  built: readonly BuildFigures[],
  world: World,
  signal: AbortSignal,
): Promise<void> {
  const { history, nix, log, clock } = world;
  const { trust } = seen;
  if (!history || !nix || trust.kind !== "write" || seen.targets.length === 0) return;
  const isBase = trust.pins === "move";
  if (seen.recalled !== undefined && !isBase) return;
  try {
    const sources = await history.sources(signal);
    const figures = new Map([...seen.figures, ...built.map((one) => [one.name, one] as const)]);
    const same = seen.recalled === undefined ? undefined : await history.ledgers.same(signal);
    const ledger =
      seen.recalled === undefined
        ? // Nothing was pushed since: what was seen is so still.
          ((after === seen && built.length === 0 ? taken : undefined) ??
          (await ledgerNow(after, figures, sources, world)))
        : same && { ...same, taken: clock.now(), sources: kept(sources) };
    if (ledger) await history.ledgers.remember(ledger, isBase ? "base" : "same", signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    log.debug(`this run leaves no ledger: ${describeError(error)}`);
  }
}

async function ledgerNow(
  seen: Assessment,
  figures: ReadonlyMap<string, BuildFigures>,
  sources: SourcesNow,
  { nix, clock }: World,
): Promise<Ledger | undefined> {
  if (!nix) return undefined;
  // Looking has read most of them.
  const read = async (path: StorePath) =>
    seen.facts.derivations.get(path) ?? (await nix.derivation(path));
  return takeLedger({ seen, sources: kept(sources), figures, now: clock.now(), read });
}

function kept({ dirty: _, ...sources }: SourcesNow) {
  return sources;
}
