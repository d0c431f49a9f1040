/** The jobs of one stage: groups that must stay together, balanced over runners. Pure. */

import { requiredFeatures } from "../../domain/derivation.ts";
import type { StorePath } from "../../domain/store-path.ts";
import { formatAttributes } from "../../domain/target.ts";
import type { SurveyedTarget } from "../survey.ts";
import {
  grouped,
  JOB_SECONDS,
  type MatrixRequest,
  TARGET_SECONDS,
  together,
  type Weights,
} from "./graph.ts";

export interface MatrixEntry {
  readonly name: string;
  /** One per line, as the input `targets` takes them. */
  readonly targets: string;
  readonly system: string;
  readonly "runs-on": string;
}

/** What has to be in one job. */
export interface Group {
  /** The job is called by the first. */
  readonly names: readonly string[];
  readonly lines: readonly string[];
  readonly system: string;
  readonly buildable: "here" | "elsewhere";
  /** The missing derivations that are built in it. */
  readonly built: ReadonlySet<StorePath>;
  readonly seconds: number;
}

const RUNNERS: Readonly<Record<string, string>> = {
  "x86_64-linux": "ubuntu-latest",
  "i686-linux": "ubuntu-latest",
  "aarch64-linux": "ubuntu-24.04-arm",
  "aarch64-darwin": "macos-latest",
  "x86_64-darwin": "macos-15-intel",
};

/** What Nix has on any machine, or where its settings say so; the job's Nix is set up as this one. */
const ANYWHERE = [
  ...["nixos-test", "benchmark", "big-parallel"],
  ...["ca-derivations", "recursive-nix", "uid-range"],
];

/** GitHub's x64 machines have /dev/kvm; its ARM ones and its Macs are machines without another below. */
const HOSTED_FEATURES: Readonly<Record<string, readonly string[]>> = {
  "x86_64-linux": ["kvm", ...ANYWHERE],
  "i686-linux": ["kvm", ...ANYWHERE],
};

/** GitHub's own bound on the jobs of one matrix. */
export const JOBS_MOST = 256;

/**
 * A label GitHub hosts for the system, if such a machine has the features; else that of this machine, where
 * it builds for the system (a remote builder, an emulator); else the user's own.
 */
export function runnerOf(
  system: string,
  here: string | undefined,
  buildable: "here" | "elsewhere",
  features: readonly string[] = [],
): string {
  const own = here === undefined ? undefined : RUNNERS[here];
  const has = HOSTED_FEATURES[system] ?? ANYWHERE;
  if (!features.every((feature) => has.includes(feature))) return "self-hosted";
  return RUNNERS[system] ?? (buildable === "here" ? own : undefined) ?? "self-hosted";
}

/** Where all of the group can be built. */
function runnerFor(
  { facts, system: here }: MatrixRequest,
  { system, buildable, built }: Group,
): string {
  const features = [...built].flatMap((path) => {
    const derivation = facts.derivations.get(path);
    return derivation ? requiredFeatures(derivation) : [];
  });
  return runnerOf(system, here, buildable, features);
}

/** Targets that lack the same derivation come into one group; what is `covered` has been built before. */
export function groupsOf(
  request: MatrixRequest,
  targets: readonly SurveyedTarget[],
  weights: Weights,
  covered: ReadonlySet<StorePath>,
): Group[] {
  const { groupOf, lacks } = together(
    request,
    targets,
    (path) => request.derivations.get(path)?.kind === "source" && !covered.has(path),
    // No one runner builds for two systems.
    ({ system }) => system,
  );
  return [...grouped(targets, groupOf)].map(([key, group]): Group => {
    const [first] = group;
    const built = lacks.get(key) ?? new Set();
    return {
      names: group.map(({ name }) => name),
      lines: group.map((target) => targetLine(target)),
      system: first?.system ?? "",
      buildable: group.every(({ buildable }) => buildable === "here") ? "here" : "elsewhere",
      built,
      seconds: TARGET_SECONDS * group.length + weights.sum(built),
    };
  });
}

/** The target as a line again, its attributes kept; a member of a set is named by itself. */
export function targetLine({ written, target, pinName }: SurveyedTarget): string {
  return [written, ...formatAttributes({ ...target, pin: pinName })].join(" ");
}

/** No more jobs than it takes to be done when the longest group is, and never more than GitHub runs. */
export function shards(request: MatrixRequest, groups: readonly Group[]): MatrixEntry[] {
  // What needs a machine of the user's own keeps nothing else from GitHub's.
  const byRunner = [
    ...grouped(groups, (group) => `${group.system} ${runnerFor(request, group)}`).values(),
  ];
  const total = seconds(groups);
  // One job for each system, and the rest by how much there is to do for it.
  const spare = Math.max(0, JOBS_MOST - byRunner.length);
  return byRunner.slice(0, JOBS_MOST).flatMap((mine) => {
    const most = 1 + Math.floor(total > 0 ? (spare * seconds(mine)) / total : 0);
    return balanced(mine, most).flatMap((part) => entry(request, part));
  });
}

/** The longest first, each to the job with the least to do. */
function balanced(groups: readonly Group[], most: number): Group[][] {
  const longest = Math.max(JOB_SECONDS, ...groups.map((group) => group.seconds));
  const count = Math.min(most, groups.length, Math.ceil(seconds(groups) / longest));
  const jobs = Array.from({ length: Math.max(1, count) }, () => ({
    groups: [] as Group[],
    seconds: 0,
  }));
  const order = new Map(groups.map((group, index) => [group, index]));
  for (const group of [...groups].sort((a, b) => b.seconds - a.seconds)) {
    let least = jobs[0];
    for (const job of jobs) if (least === undefined || job.seconds < least.seconds) least = job;
    least?.groups.push(group);
    if (least) least.seconds += group.seconds;
  }
  const at = (group: Group | undefined) => (group && order.get(group)) ?? 0;
  for (const job of jobs) job.groups.sort((a, b) => at(a) - at(b));
  return jobs.map((job) => job.groups).sort((a, b) => at(a[0]) - at(b[0]));
}

function seconds(groups: readonly Group[]): number {
  return groups.reduce((sum, group) => sum + group.seconds, 0);
}

/** Of groups of one runner. */
function entry(request: MatrixRequest, groups: readonly Group[]): MatrixEntry[] {
  const [first] = groups;
  if (first === undefined) return [];
  const names = groups.flatMap((group) => group.names);
  const lines = new Set(groups.flatMap((group) => group.lines));
  return [
    {
      name: `${names[0] ?? ""}${names.length > 1 ? ` and ${names.length - 1} more` : ""}`,
      targets: [...lines].join("\n"),
      system: first.system,
      "runs-on": runnerFor(request, first),
    },
  ];
}
