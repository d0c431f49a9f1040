/** Takes the ledger of a run: every derivation under its targets, read once, with what is known of each. */

import { createHash } from "node:crypto";
import { type BuildFigures, figuresName, figuresOf } from "../../domain/build-figures.ts";
import {
  buildKind,
  type Derivation,
  isFixedOutput,
  structuredAttributes,
} from "../../domain/derivation.ts";
import type { Ledger, LedgerNode, LedgerVerdict, Sources } from "../../domain/ledger.ts";
import { mapLimited } from "../../domain/limit.ts";
import { baseName, hashPart, type StorePath, storeDirOf } from "../../domain/store-path.ts";
import type { Assessment } from "../survey/assess.ts";
import { derivationOf } from "../survey/judge.ts";

export interface LedgerRequest {
  readonly seen: Assessment;
  readonly sources: Sources;
  readonly figures: ReadonlyMap<string, BuildFigures>;
  readonly now: number;
  readonly read: (path: StorePath) => Promise<Derivation>;
}

const FILES_AT_ONCE = 64;

/** Undefined where no target has a derivation: nothing was evaluated, or nothing can be read. */
export async function takeLedger(request: LedgerRequest): Promise<Ledger | undefined> {
  const { seen, sources, now } = request;
  const roots = seen.targets.flatMap(({ name, wanted }) => {
    const drvPath = derivationOf(wanted);
    return drvPath === undefined ? [] : [{ name, drvPath }];
  });
  if (roots.length === 0) return undefined;
  const derivations = await below(
    roots.map(({ drvPath }) => drvPath),
    request.read,
  );
  const ordered = inputsFirst(
    roots.map(({ drvPath }) => drvPath),
    derivations,
  );
  const places = new Map(ordered.map(({ path }, place) => [path, place]));
  const sumOf = shortSums();
  const nodes = ordered.map((one): LedgerNode => {
    const attributes = attributesOf(one, derivations, sumOf);
    return { ...nodeOf(one, places, request), attributes };
  });
  return {
    taken: now,
    sources,
    targets: roots.map(({ name, drvPath }) => ({ name, node: places.get(drvPath) ?? 0 })),
    nodes,
    download: downloadOf(seen),
    closure: closureOf(seen),
  };
}

async function below(
  roots: readonly StorePath[],
  read: LedgerRequest["read"],
): Promise<Map<StorePath, Derivation>> {
  const found = new Map<StorePath, Derivation>();
  const seen = new Set(roots);
  for (let wave = [...seen]; wave.length > 0; ) {
    const derivations = await mapLimited(wave, FILES_AT_ONCE, read);
    wave = [];
    for (const derivation of derivations) {
      found.set(derivation.path, derivation);
      for (const input of derivation.inputs.keys()) {
        if (seen.has(input)) continue;
        seen.add(input);
        wave.push(input);
      }
    }
  }
  return found;
}

function inputsFirst(
  roots: readonly StorePath[],
  derivations: ReadonlyMap<StorePath, Derivation>,
): Derivation[] {
  const ordered = new Set<Derivation>();
  const visited = new Set<StorePath>();
  const stack: { readonly derivation: Derivation; readonly inputs: StorePath[] }[] = [];
  const enter = (path: StorePath) => {
    const derivation = derivations.get(path);
    if (!derivation || visited.has(path)) return;
    visited.add(path);
    stack.push({ derivation, inputs: [...derivation.inputs.keys()].reverse() });
  };
  for (const root of roots) {
    enter(root);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const input = top.inputs.pop();
      if (input !== undefined) enter(input);
      else {
        stack.pop();
        ordered.add(top.derivation);
      }
    }
  }
  return [...ordered];
}

function nodeOf(
  derivation: Derivation,
  places: ReadonlyMap<StorePath, number>,
  { seen, figures }: LedgerRequest,
): Omit<LedgerNode, "attributes"> {
  const { path, name, outputs, inputs, sources } = derivation;
  const kind = buildKind(derivation);
  const paths = [...outputs.values()].flatMap((output) => output.path ?? []);
  const sizes = paths.flatMap((one) => seen.facts.answers.get(one)?.served?.narInfo.narSize ?? []);
  const figure = kind === "source" ? figuresOf(figures, name) : undefined;
  const whole = sizes.length === paths.length && paths.length > 0;
  return {
    name,
    derivation: hashPart(path),
    kind,
    verdict: verdictOf(path, paths, seen),
    outputs: new Map(
      [...outputs].map(([one, output]) => [one, output.path ? hashPart(output.path) : ""]),
    ),
    inputs: [...inputs.keys()].flatMap((input) => places.get(input) ?? []).sort((a, b) => a - b),
    sources: sources.map(baseName).sort(),
    seconds: figure?.seconds,
    bytes: whole ? sizes.reduce((sum, size) => sum + size, 0) : figure?.outputBytes,
  };
}

function verdictOf(
  drvPath: StorePath,
  outputs: readonly StorePath[],
  { facts, fresh }: Assessment,
): LedgerVerdict {
  if (fresh.build.has(drvPath)) return "missing";
  const asked = outputs.some((path) => facts.availability.get(path) === "whole");
  return asked ? "cached" : "not asked";
}

const SUM = 4;
const NAME = /^\S{1,200}$/;

/**
 * Of another build its name stands in a value, without hash and version: that it changed is told where it is
 * made. Of a source and a download, which are the derivation's own, the hash stays.
 */
function attributesOf(
  derivation: Derivation,
  derivations: ReadonlyMap<StorePath, Derivation>,
  sumOf: (text: string) => string,
): Map<string, string> {
  const own = new Set<string>(derivation.sources.map(baseName));
  for (const input of derivation.inputs.keys()) {
    const made = derivations.get(input);
    if (!made || !isFixedOutput(made)) continue;
    for (const { path } of made.outputs.values()) if (path) own.add(baseName(path));
  }
  const storeDir = storeDirOf(derivation.path);
  const pattern = new RegExp(
    `${storeDir.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}/([0-9a-df-np-sv-z]{32}-([0-9A-Za-z+\\-._?=]+))`,
    "g",
  );
  const plain = (value: string) =>
    value.includes(storeDir)
      ? value.replace(pattern, (_, base: string, called: string) =>
          own.has(base) ? base : figuresName(called),
        )
      : value;
  const sums = new Map([["builder", sumOf(plain(derivation.builder))]]);
  for (const [name, value] of valuesOf(derivation)) {
    if (!derivation.outputs.has(name) && NAME.test(name)) sums.set(name, sumOf(plain(value)));
  }
  return sums;
}

function* valuesOf(derivation: Derivation): Generator<readonly [string, string]> {
  const structured = structuredAttributes(derivation);
  for (const [name, value] of derivation.environment) if (name !== "__json") yield [name, value];
  for (const [name, value] of Object.entries(structured ?? {})) {
    yield [name, typeof value === "string" ? value : JSON.stringify(value)];
  }
}

const KNOWN_MOST = 20_000;

/** Most values stand in many derivations. */
function shortSums(): (text: string) => string {
  const known = new Map<string, string>();
  return (text) => {
    const before = known.get(text);
    if (before !== undefined) return before;
    const sum = createHash("sha256").update(text).digest("base64url").slice(0, SUM);
    if (text.length < 200 && known.size < KNOWN_MOST) known.set(text, sum);
    return sum;
  };
}

function downloadOf({ facts, fresh }: Assessment): number {
  let bytes = 0;
  for (const path of fresh.fetch) {
    const narInfo = facts.answers.get(path)?.served?.narInfo;
    bytes += narInfo?.fileSize ?? narInfo?.narSize ?? 0;
  }
  return bytes;
}

function closureOf({ targets, facts }: Assessment): number | undefined {
  const seen = new Set<StorePath>();
  const stack: StorePath[] = [];
  for (const { outputs } of targets) {
    if (!outputs) return undefined;
    stack.push(...outputs);
  }
  let bytes = 0;
  for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const narInfo = facts.answers.get(path)?.served?.narInfo;
    if (!narInfo) return undefined;
    bytes += narInfo.narSize;
    stack.push(...narInfo.references);
  }
  return bytes;
}
