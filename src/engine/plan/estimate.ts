/** What a build will take: the last figure of its name, else `space=`, else a rule. Pure. */

import { dependencies } from "../../domain/narinfo.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Facts } from "../survey/facts.ts";
import type { SurveyedDerivation } from "../survey/verdicts.ts";

/** Where an estimate comes from; `nothing`: a download, of which no cache knows the size. */
export type Basis = "figures" | "space" | "rule" | "nothing";

export interface Estimate {
  readonly drvPath: StorePath;
  readonly name: string;
  readonly basis: Basis;
  /** In the build directory, while it is built. */
  readonly bytes: number;
  readonly inodes: number;
  /** In the store, from then on. */
  readonly outputBytes: number;
}

/** What builds take together, however many they are. */
export interface BuildSums {
  readonly count: number;
  readonly outputBytes: number;
  /** Without what rests on the rule alone. */
  readonly knownOutputBytes: number;
  /** Of each, those of the largest that may run side by side, largest first. */
  readonly largest: Readonly<Record<"bytes" | "knownBytes" | "inodes", readonly number[]>>;
}

export function sumsOf(builds: readonly Estimate[], atOnce: number): BuildSums {
  const known = builds.filter(({ basis }) => basis !== "rule");
  const outputs = (of: readonly Estimate[]) =>
    of.reduce((sum, { outputBytes }) => sum + outputBytes, 0);
  return {
    count: builds.length,
    outputBytes: outputs(builds),
    knownOutputBytes: outputs(known),
    largest: {
      bytes: largestOf(
        builds.map(({ bytes }) => bytes),
        atOnce,
      ),
      knownBytes: largestOf(
        known.map(({ bytes }) => bytes),
        atOnce,
      ),
      inodes: largestOf(
        builds.map(({ inodes }) => inodes),
        atOnce,
      ),
    },
  };
}

/** Of both together, which have no build in common. */
export function sumOf(a: BuildSums, b: BuildSums, atOnce: number): BuildSums {
  const of = (what: keyof BuildSums["largest"]) =>
    largestOf([...a.largest[what], ...b.largest[what]], atOnce);
  return {
    count: a.count + b.count,
    outputBytes: a.outputBytes + b.outputBytes,
    knownOutputBytes: a.knownOutputBytes + b.knownOutputBytes,
    largest: { bytes: of("bytes"), knownBytes: of("knownBytes"), inodes: of("inodes") },
  };
}

/** A build's directory goes when it ends: no more of them are there than run side by side. */
function largestOf(sizes: readonly number[], atOnce: number): readonly number[] {
  return sizes.toSorted((a, b) => b - a).slice(0, Math.max(1, atOnce));
}

/** Bytes to a file, on the whole: what a NAR or a build of unknown content is taken to hold. */
const BYTES_PER_INODE = 32 * 1024;

/**
 * The rule, for a build of which nobody knows anything: half of the closure of its inputs while it
 * is built, a tenth of that in the store, and never less than the least.
 */
export const RULE = { buildShare: 0.5, outputShare: 0.1, least: 50_000_000 } as const;
/** Nobody knows what a build that died of a full disk still wanted: half as much again. */
const DIED = 1.5;
/** The closure is walked for so many; further ones are taken to be as large as the largest. */
const WALKED = 100;

export const RULE_IN_WORDS = "half the closure of its inputs, at least 50 MB";

export function inodesFor(bytes: number): number {
  return Math.ceil(bytes / BYTES_PER_INODE);
}

export function estimates(facts: Facts, builds: readonly SurveyedDerivation[]): Estimate[] {
  let walked = 0;
  let largest = 0;
  return builds.map((build): Estimate => {
    const { drvPath, name, kind, figures, space } = build;
    if (figures) {
      const { buildInodes } = figures;
      const factor = figures.end === "full disk" ? DIED : 1;
      const bytes = Math.ceil(figures.buildBytes * factor);
      const outputBytes = Math.ceil(figures.outputBytes * factor);
      const inodes = buildInodes ?? inodesFor(bytes);
      return { drvPath, name, basis: "figures", bytes, inodes, outputBytes };
    }
    if (space !== undefined) {
      const inodes = inodesFor(space);
      return { drvPath, name, basis: "space", bytes: space, inodes, outputBytes: 0 };
    }
    if (kind !== "source") {
      return { drvPath, name, basis: "nothing", bytes: 0, inodes: 0, outputBytes: 0 };
    }
    const closure = walked++ < WALKED ? inputClosure(facts, drvPath) : largest;
    largest = Math.max(largest, closure);
    const bytes = Math.max(RULE.least, Math.round(closure * RULE.buildShare));
    return {
      drvPath,
      name,
      basis: "rule",
      bytes,
      inodes: inodesFor(bytes),
      outputBytes: Math.round(bytes * RULE.outputShare),
    };
  });
}

/** NarSize of all that its inputs refer to, as far as a cache told it. */
function inputClosure(facts: Facts, drvPath: StorePath): number {
  const seen = new Set<StorePath>();
  const stack: StorePath[] = [];
  for (const [input, names] of facts.derivations.get(drvPath)?.inputs ?? []) {
    const outputs = facts.derivations.get(input)?.outputs;
    for (const name of names) {
      const path = outputs?.get(name)?.path;
      if (path) stack.push(path);
    }
  }
  let bytes = 0;
  for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const answer = facts.answers.get(path);
    const narInfo = answer?.served?.narInfo;
    if (!narInfo) continue;
    bytes += narInfo.narSize;
    stack.push(...dependencies(narInfo));
  }
  return bytes;
}
