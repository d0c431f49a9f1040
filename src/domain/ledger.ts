/** The ledger: the graph of what a run's targets are built of, in a form small enough to keep for each branch. */

import type { BuildKind } from "./derivation.ts";

/**
 * What a run knew of a derivation's outputs: a cache has them, nobody has, or nobody was asked, since what
 * rests on it is cached.
 */
export type LedgerVerdict = "cached" | "missing" | "not asked";

export interface LedgerNode {
  /** `openssl-3.5.1`. */
  readonly name: string;
  /** The hash part of the derivation's path. */
  readonly derivation: string;
  readonly kind: BuildKind;
  readonly verdict: LedgerVerdict;
  /** Output name to the hash part of its path; empty where it is known only after the build. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Places in the list of nodes, all before its own. */
  readonly inputs: readonly number[];
  /** Base names of the sources in the store that it takes as they are. */
  readonly sources: readonly string[];
  /** Attribute to a short sum of its value; hashes and versions of other builds are no part of that. */
  readonly attributes: ReadonlyMap<string, string>;
  /** What its last build took, where one was measured. */
  readonly seconds: number | undefined;
  /** NarSize of its outputs. */
  readonly bytes: number | undefined;
}

/** An input of `flake.nix`, as its lock has it. */
export interface LockedInput {
  readonly name: string;
  /** What tells one state of it from another: the commit, else a sum. */
  readonly revision: string;
  /** The base name of its source in the store; empty where the lock does not say it. */
  readonly source: string;
}

/** What the targets were evaluated from. */
export interface Sources {
  readonly branch: string;
  readonly revision: string;
  /** A sum of all that git tracks but `flake.lock`; empty where there is no git. */
  readonly tree: string;
  readonly inputs: readonly LockedInput[];
}

/** What this run evaluates. */
export interface SourcesNow extends Sources {
  /** Files that git tracks and that are others than in the commit. */
  readonly dirty: readonly string[];
}

export interface LedgerTarget {
  readonly name: string;
  /** Its derivation's place in the list. */
  readonly node: number;
}

export interface Ledger {
  /** Milliseconds since the epoch. */
  readonly taken: number;
  readonly sources: Sources;
  readonly targets: readonly LedgerTarget[];
  /** Inputs first. */
  readonly nodes: readonly LedgerNode[];
  /** Bytes that a fresh machine would download for all targets. */
  readonly download: number;
  /** NarSize of the targets' runtime closures; undefined where a part of it is in no cache. */
  readonly closure: number | undefined;
}

/** Where ledgers lie; whatever goes wrong there, the run goes on without. */
export interface LedgerStore {
  /** What the default branch's last run left for these targets, or for others of this system. */
  base(which: "these targets" | "any targets", signal: AbortSignal): Promise<Ledger | undefined>;
  /** What an earlier run left of the very same sources, where those can be named. */
  same(signal: AbortSignal): Promise<Ledger | undefined>;
  /** `base`: as the default branch's too. */
  remember(ledger: Ledger, as: "base" | "same", signal: AbortSignal): Promise<void>;
}

/** What there is to compare this run with. */
export interface History {
  readonly ledgers: LedgerStore;
  /** What asks: a pull request is told what it rebuilds, any other run why something is missing. */
  readonly event: "pull request" | "other";
  sources(signal: AbortSignal): Promise<SourcesNow>;
}

const VERSION = 1;
const KINDS: readonly BuildKind[] = ["source", "download", "trivial"];
const VERDICTS: readonly LedgerVerdict[] = ["cached", "missing", "not asked"];
const HASH = 32;
const NODES_MOST = 200_000;

/** By column, since like compresses well beside like; what many nodes say is said once. */
export function formatLedger(ledger: Ledger): string {
  const { nodes, taken, sources, targets, download, closure } = ledger;
  const pairs = new Table();
  const files = new Table();
  return JSON.stringify({
    version: VERSION,
    taken,
    sources,
    targets: targets.map(({ name, node }) => [name, node]),
    download,
    closure: closure ?? null,
    names: nodes.map(({ name }) => name),
    derivations: nodes.map(({ derivation }) => derivation).join(""),
    kinds: nodes.map(({ kind }) => KINDS.indexOf(kind)).join(""),
    verdicts: nodes.map(({ verdict }) => VERDICTS.indexOf(verdict)).join(""),
    outputNames: nodes.map(({ outputs }) => [...outputs.keys()].join(" ")),
    outputs: nodes.map(({ outputs }) => [...outputs.values()].join(" ")).join(","),
    inputs: nodes.map(({ inputs }) => inputs),
    files: nodes.map((node) => node.sources.map((one) => files.place(one))),
    attributes: nodes.map((node) =>
      [...node.attributes].map(([name, sum]) => pairs.place(`${name} ${sum}`)),
    ),
    seconds: nodes.map(({ seconds }) => (seconds === undefined ? null : Math.round(seconds))),
    bytes: nodes.map(({ bytes }) => bytes ?? null),
    pairs: pairs.texts,
    fileNames: files.texts,
  });
}

class Table {
  readonly texts: string[] = [];
  private readonly places = new Map<string, number>();

  place(text: string): number {
    let place = this.places.get(text);
    if (place === undefined) {
      place = this.texts.push(text) - 1;
      this.places.set(text, place);
    }
    return place;
  }
}

/** Reads what `formatLedger` wrote; throws for anything else, with what is wrong. */
export function parseLedger(text: string): Ledger {
  const raw = record(JSON.parse(text), "the ledger");
  if (raw["version"] !== VERSION) throw new Error(`it is of version ${String(raw["version"])}`);
  const names = array(raw["names"]).map((name) => matching(name, /^[0-9A-Za-z+\-._?=]{1,211}$/));
  if (names.length > NODES_MOST) throw new Error(`it has ${names.length} derivations`);
  const pairs = array(raw["pairs"]).map((pair) => matching(pair, /^\S{1,200} \S{1,16}$/));
  const fileNames = array(raw["fileNames"]).map(baseNameIn);
  const derivations = string(raw["derivations"]);
  const kinds = string(raw["kinds"]);
  const verdicts = string(raw["verdicts"]);
  const outputs = string(raw["outputs"]).split(",");
  const column = (key: string) => {
    const values = array(raw[key]);
    if (values.length !== names.length) throw new Error(`${key} are ${values.length}`);
    return values;
  };
  const [outputNames, inputs, files, attributes, seconds, bytes] = [
    column("outputNames"),
    column("inputs"),
    column("files"),
    column("attributes"),
    column("seconds"),
    column("bytes"),
  ];
  const nodes = names.map((name, at): LedgerNode => {
    const paths = (outputs[at] ?? "").split(" ");
    return {
      name,
      derivation: hash(derivations.slice(at * HASH, (at + 1) * HASH)),
      kind: one(KINDS, Number(kinds[at])),
      verdict: one(VERDICTS, Number(verdicts[at])),
      outputs: new Map(
        matching(outputNames[at], /^[0-9A-Za-z+\-._?= ]*$/)
          .split(" ")
          .filter(Boolean)
          .map((output, place) => [output, paths[place] ? hash(paths[place]) : ""]),
      ),
      inputs: places(inputs[at], at),
      sources: array(files[at]).map((file) => one(fileNames, Number(file))),
      attributes: new Map(
        array(attributes[at]).map((pair) => {
          const [key = "", sum = ""] = one(pairs, Number(pair)).split(" ");
          return [key, sum];
        }),
      ),
      seconds: amount(seconds[at]),
      bytes: amount(bytes[at]),
    };
  });
  return {
    taken: time(raw["taken"]),
    sources: parseSources(raw["sources"]),
    targets: array(raw["targets"]).map((target) => {
      const [name, node] = array(target);
      return { name: short(name), node: place(node, nodes.length) };
    }),
    nodes,
    download: required(raw["download"]),
    closure: amount(raw["closure"]),
  };
}

function parseSources(value: unknown): Sources {
  const raw = record(value, "what it was evaluated from");
  return {
    branch: short(raw["branch"]),
    revision: matching(raw["revision"], /^[0-9a-f]{0,64}$/),
    tree: matching(raw["tree"], /^[0-9a-f]{0,64}$/),
    inputs: array(raw["inputs"]).map((input) => {
      const { name, revision, source } = record(input, "an input");
      return { name: short(name), revision: short(revision), source: short(source) };
    }),
  };
}

function record(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) throw new Error(`${what} is no object`);
  return value as Readonly<Record<string, unknown>>;
}

function array(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Error("a list is missing");
  return value;
}

function string(value: unknown): string {
  if (typeof value !== "string") throw new Error("a text is missing");
  return value;
}

/** It is shown: no name of a branch, an input or a target is longer. */
function short(value: unknown): string {
  const text = string(value);
  if (text.length > 1_000) throw new Error(`a text has ${text.length} characters`);
  return text;
}

function matching(value: unknown, pattern: RegExp): string {
  const text = string(value);
  if (!pattern.test(text)) throw new Error(`"${text.slice(0, 100)}" is no part of a ledger`);
  return text;
}

function hash(text: string): string {
  return matching(text, /^[0-9a-df-np-sv-z]{32}$/);
}

function baseNameIn(value: unknown): string {
  return matching(value, /^[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\-._?=]{1,211}$/);
}

function one<T>(list: readonly T[], at: number): T {
  const found = list[at];
  if (found === undefined) throw new Error(`it has no ${at}`);
  return found;
}

/** Inputs stand before what is built of them: so nothing can lead in a circle. */
function place(value: unknown, below: number): number {
  if (!Number.isInteger(value) || Number(value) < 0 || Number(value) >= below) {
    throw new Error(`${String(value)} is no place before ${below}`);
  }
  return Number(value);
}

/** Each once: whoever writes one down a million times has a reader look at it as often. */
function places(value: unknown, below: number): number[] {
  const found = array(value).map((input) => place(input, below));
  if (new Set(found).size < found.length) throw new Error("an input stands there twice");
  return found;
}

/** Milliseconds that a Date can hold: it throws for others where it is shown. */
function time(value: unknown): number {
  const found = required(value);
  if (Number.isNaN(new Date(found).valueOf())) throw new Error("its time is none");
  return found;
}

function amount(value: unknown): number | undefined {
  return value === null ? undefined : required(value);
}

function required(value: unknown): number {
  if (typeof value !== "number" || !(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) {
    throw new Error("a number is missing");
  }
  return value;
}
