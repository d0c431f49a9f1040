/** The evaluation record: what a verified run found, so that the next one need not evaluate it again. */

import { formatNarInfo, type NarInfo, parseNarInfo } from "./narinfo.ts";
import { parseStorePath, type StorePath } from "./store-path.ts";
import { parseTarget } from "./target.ts";

export interface RecordTarget {
  readonly name: string;
  /** The target line it came from, as the job has it. */
  readonly line: string;
  readonly system: string;
  readonly outputs: readonly StorePath[];
  /** What they are called; none of a shell's. */
  readonly outputNames: readonly string[];
  readonly pinName: string;
  readonly buildable: "here" | "elsewhere";
  /** What caches have to serve for the verdict to hold: its outputs, or what a trivial build takes. */
  readonly served: readonly StorePath[];
  readonly trivial: number;
}

export interface RecordMember {
  /** The name of the cache that served it. */
  readonly cache: string;
  readonly narInfo: NarInfo;
}

export interface EvaluationRecord {
  /** Milliseconds since the epoch when the whole closure was last asked for. */
  readonly checked: number;
  readonly targets: readonly RecordTarget[];
  readonly notices: readonly string[];
  readonly closure: readonly RecordMember[];
}

/** Past this age, in milliseconds, every path of the closure is asked for again. */
export const CLOSURE_AGE = 24 * 3_600_000;

/** Whether the closure need not be asked for; a time to come is no time it was asked at. */
export function isFresh(checked: number, now: number): boolean {
  return checked <= now && now - checked < CLOSURE_AGE;
}

const VERSION = 2;

/** Where an evaluation record is kept; whatever goes wrong there, the run goes on without. */
export interface RecordStore {
  read(key: string, signal: AbortSignal): Promise<Uint8Array | undefined>;
  write(key: string, content: Uint8Array, signal: AbortSignal): Promise<void>;
}

export function formatRecord(record: EvaluationRecord): string {
  const { checked, targets, notices, closure } = record;
  return JSON.stringify({
    version: VERSION,
    checked,
    targets,
    notices,
    closure: closure.map(({ cache, narInfo }) => [cache, formatNarInfo(narInfo)]),
  });
}

/** Reads what `formatRecord` wrote; throws for anything else, with what is wrong. */
export function parseRecord(text: string, storeDir: string): EvaluationRecord {
  const raw = JSON.parse(text) as Record<string, unknown>;
  if (raw["version"] !== VERSION) throw new Error(`it is of version ${String(raw["version"])}`);
  return {
    checked: time(raw["checked"]),
    notices: array(raw["notices"]).map(string),
    targets: array(raw["targets"]).map((one) => parseRecordTarget(one, storeDir)),
    closure: array(raw["closure"]).map((one) => {
      const [cache, narInfo] = array(one).map(string);
      if (cache === undefined || narInfo === undefined) throw new Error("a member is no pair");
      return { cache, narInfo: parseNarInfo(narInfo, "record", storeDir) };
    }),
  };
}

function parseRecordTarget(raw: unknown, storeDir: string): RecordTarget {
  if (typeof raw !== "object" || raw === null) throw new Error("a target is no object");
  const { name, line, system, outputs, outputNames, pinName, buildable, served, trivial } =
    raw as Record<string, unknown>;
  const paths = (value: unknown) =>
    array(value).map((one) => {
      const path = parseStorePath(string(one), storeDir);
      if (!path) throw new Error(`"${String(one).slice(0, 100)}" is not in ${storeDir}`);
      return path;
    });
  const pin = string(pinName);
  if (!/^[0-9A-Za-z_.+-]{0,200}$/.test(pin)) throw new Error(`"${pin}" is no pin name`);
  return {
    name: string(name),
    line: parseTarget(string(line)).line,
    system: string(system),
    outputs: paths(outputs),
    outputNames: array(outputNames).map(outputName),
    pinName: pin,
    buildable: buildable === "here" ? "here" : "elsewhere",
    served: paths(served),
    trivial: number(trivial),
  };
}

function outputName(value: unknown): string {
  const name = string(value);
  if (!/^[0-9A-Za-z+\-._?=]{1,211}$/.test(name)) throw new Error(`"${name}" is no output's name`);
  return name;
}

function array(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Error("a list is missing");
  return value;
}

function string(value: unknown): string {
  if (typeof value !== "string") throw new Error("a text is missing");
  return value;
}

/** Milliseconds that a Date can hold: it throws for others where it is shown. */
function time(value: unknown): number {
  if (Number.isNaN(new Date(number(value)).valueOf())) throw new Error("its time is none");
  return number(value);
}

function number(value: unknown): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new Error("a number is missing");
  return value;
}

/** What an earlier run with the same sources, caches and Nix left. */
export interface Memory {
  recall(signal: AbortSignal): Promise<EvaluationRecord | undefined>;
  remember(record: EvaluationRecord, signal: AbortSignal): Promise<void>;
}
