/** When an evaluation record answers for the evaluation, and what a run leaves for the next. */

import type {
  EvaluationRecord,
  RecordMember,
  RecordTarget,
} from "../../domain/evaluation-record.ts";
import type { Job } from "../../domain/job.ts";
import type { StorePath } from "../../domain/store-path.ts";
import { parseTarget } from "../../domain/target.ts";
import { isHit } from "../../domain/verdict.ts";
import { MAY } from "../step.ts";
import type { AssessedTarget, Assessment } from "./assess.ts";
import { BuildGraph } from "./build-graph.ts";
import { Closures } from "./closures.ts";
import type { Facts } from "./facts.ts";
import type { FoundTarget, FoundTargets } from "./found.ts";
import { nothing } from "./judge.ts";
import type { Lookup } from "./lookup.ts";

/**
 * The targets of an earlier run, where every one of them is still served, whole: a record spares an
 * evaluation, and no look. Which paths there are to ask it tells at once, so that none waits for
 * another. With anything amiss nothing is recalled, and the run evaluates.
 */
export async function recall(
  record: EvaluationRecord,
  job: Job,
  lookup: Lookup,
  signal: AbortSignal,
): Promise<FoundTargets | undefined> {
  // To push a trivial root its derivation is needed, and that takes an evaluation.
  const rootsAreServed = record.targets.every(({ outputs, served }) =>
    outputs.every((path) => served.includes(path)),
  );
  if (MAY[job.mode].has("push") && !rootsAreServed) return undefined;
  const roots = [...new Set(record.targets.flatMap(({ served }) => served))];
  for (const { narInfo } of record.closure) lookup.ask(narInfo.storePath).catch(() => undefined);
  const closures = new Closures(lookup);
  const found = await Promise.all(roots.map((path) => closures.of(path)));
  signal.throwIfAborted();
  if (found.some((availability) => availability !== "whole")) return undefined;
  return { targets: record.targets.map(recalledTarget), notices: record.notices };
}

function recalledTarget(record: RecordTarget): FoundTarget {
  return {
    name: record.name,
    written: record.name,
    target: parseTarget(record.line),
    system: record.system,
    wanted: { kind: "recalled", paths: record.served, trivial: record.trivial },
    outputs: record.outputs,
    outputNames: record.outputNames,
    buildable: record.buildable,
    pinName: record.pinName,
    imports: [],
    failure: undefined,
  };
}

/** What a run may leave for the next: only what is cached, whole, and known to be so. */
export function recordOf(
  { targets, facts, fresh, deep }: Assessment,
  notices: readonly string[],
  now: number,
): EvaluationRecord | undefined {
  const fit = targets.every(
    ({ name, verdict, outputs }) => isHit(verdict) && outputs !== undefined && !deep.lacks(name),
  );
  if (!fit || targets.length === 0) return undefined;
  const members: RecordMember[] = [];
  for (const path of fresh.fetch) {
    const answer = facts.answers.get(path);
    const served = answer?.served;
    // What is only passed on is asked for anew: nobody knows who of them will answer tomorrow.
    if (served && served.via === undefined) {
      members.push({ cache: served.cache, narInfo: served.narInfo });
    }
  }
  const graph = new BuildGraph(facts, nothing);
  const kept = targets.map((target) => recordTarget(target, facts, graph));
  return { checked: now, targets: kept, notices, closure: members };
}

function recordTarget(found: AssessedTarget, facts: Facts, graph: BuildGraph): RecordTarget {
  const { name, target, system, outputs, outputNames, buildable, pinName, wanted, verdict } = found;
  const wants = wanted ? [wanted] : [];
  const { fetch } = graph.tops(wants);
  const whole = outputs?.every((path) => fetch.has(path));
  return {
    name,
    line: target.line,
    system,
    outputs: outputs ?? [],
    outputNames,
    pinName,
    buildable,
    served: whole ? (outputs ?? []) : tops(graph.reach(wants).fetch, facts),
    trivial: isHit(verdict) && "trivial" in verdict ? verdict.trivial : 0,
  };
}

/** Those that no other one refers to: with them, the rest comes. */
function tops(paths: ReadonlySet<StorePath>, facts: Facts): StorePath[] {
  const below = new Set<StorePath>();
  for (const path of paths) {
    const answer = facts.answers.get(path);
    for (const reference of answer?.served?.narInfo.references ?? []) {
      if (reference !== path) below.add(reference);
    }
  }
  return [...paths].filter((path) => !below.has(path));
}
