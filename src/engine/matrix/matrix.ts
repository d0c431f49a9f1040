/** The matrix: what is missing, shared out to jobs so that no derivation is built twice. Pure. */

import type { Finding } from "../../domain/finding.ts";
import { count } from "../../domain/size.ts";
import type { SurveyedTarget } from "../survey.ts";
import { type MatrixRequest, Weights } from "./graph.ts";
import { groupsOf, JOBS_MOST, type MatrixEntry, shards } from "./shards.ts";
import { liftShared } from "./stages.ts";

export type { MatrixEntry } from "./shards.ts";

export interface Matrix {
  /** All of it in one stage: targets that share a derivation are in one job. */
  readonly whole: readonly MatrixEntry[];
  /** What several jobs of `second` need; empty where one stage is as good. */
  readonly first: readonly MatrixEntry[];
  readonly second: readonly MatrixEntry[];
  readonly stages: 0 | 1 | 2;
  /** Missing targets that are in no job. */
  readonly left: readonly {
    readonly name: string;
    readonly why: "no space" | "of this machine only";
  }[];
}

export const NO_MATRIX: Matrix = { whole: [], first: [], second: [], stages: 0, left: [] };

/**
 * Bytes of the three outputs that are matrices, as GitHub counts them: two for each UTF-16 unit. Source:
 * docs.github.com, "Passing information between jobs": 1 MB for all of a job's outputs together.
 */
const BYTES_MOST = 600_000;

export function matrixOf(request: MatrixRequest): Matrix {
  const missing = request.targets.filter(({ verdict }) => verdict.kind === "missing");
  const portable = missing
    .filter(({ target }) => "attrPath" in target.installable)
    .sort((a, b) => b.target.priority - a.target.priority);
  const local = missing.filter(({ target }) => !("attrPath" in target.installable));
  // One job for each system at least; who has more systems than GitHub runs jobs has made them up.
  const systems = new Set([...new Set(portable.map(({ system }) => system))].slice(0, JOBS_MOST));
  let kept = portable.filter(({ system }) => systems.has(system));
  let matrix = stagesOf(request, kept);
  // The least important are left out until it fits: the next run takes them, when these are cached.
  for (let size = sizeOf(matrix); size > BYTES_MOST && kept.length > 0; size = sizeOf(matrix)) {
    kept = kept.slice(0, Math.floor((kept.length * BYTES_MOST * 0.97) / size));
    matrix = stagesOf(request, kept);
  }
  const within = new Set(kept);
  return {
    ...matrix,
    left: [
      ...portable
        .filter((target) => !within.has(target))
        .map(({ name }) => ({ name, why: "no space" as const })),
      ...local.map(({ name }) => ({ name, why: "of this machine only" as const })),
    ],
  };
}

function stagesOf(request: MatrixRequest, targets: readonly SurveyedTarget[]): Matrix {
  if (targets.length === 0) return NO_MATRIX;
  const weights = new Weights(request);
  const whole = shards(request, groupsOf(request, targets, weights, new Set()));
  const lifted = request.stages === "two" ? liftShared(request, targets, weights) : undefined;
  if (!lifted) return { whole, first: [], second: whole, stages: 1, left: [] };
  const rest = targets.filter((target) => !lifted.done.has(target));
  const later = groupsOf(request, rest, weights, lifted.covered);
  return {
    whole,
    first: shards(request, lifted.groups),
    second: shards(request, later),
    stages: 2,
    left: [],
  };
}

/** Whoever hands on all outputs hands on one stage and two. */
function sizeOf({ whole, first, second }: Matrix): number {
  const text = JSON.stringify([whole, first, second]);
  return Math.max(2 * text.length, Buffer.byteLength(text));
}

/** What does not fit is told: a matrix that leaves out in silence reads as if all were cached. */
export function matrixFindings({ left }: Matrix): Finding[] {
  const [first, ...rest] = left.flatMap(({ name, why }) => (why === "no space" ? [name] : []));
  if (first === undefined) return [];
  const more = rest.length > 0 ? ` and ${count(rest.length, "more target")} are` : " is";
  return [
    {
      kind: "notice",
      level: "warning",
      code: "NCP-430",
      title: `the matrix does not hold ${count(rest.length + 1, "target")}`,
      message: `${first}${more} not in the matrix, which GitHub would refuse otherwise`,
      hint: "the next run takes them, when the others are cached; priority= says which come first",
    },
  ];
}
