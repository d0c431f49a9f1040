/** Owns the bench's table: Markdown out of results, and its place in the README. */

import { readFile, writeFile } from "node:fs/promises";
import { count } from "../src/domain/size.ts";
import type { Spread } from "./measure.ts";
import type { Goal, LoadedResult, Result } from "./row.ts";

/** On which machine and with what: only what is the same in all of it stands in one table. */
export interface Circumstances {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly nixVersion: string;
  readonly nodeVersion: string;
}

const BEGIN = "<!-- bench -->";
const END = "<!-- /bench -->";

export function table(results: readonly LoadedResult[], where: Circumstances): string {
  const gigabytes = Math.round(where.memoryBytes / 1024 ** 3);
  const lines = [
    `Measured on ${days(results)}, ${where.cores} cores (${where.processor}), ${gigabytes} GB of memory, Nix ${where.nixVersion}, Node ${where.nodeVersion};`,
    `medians (lowest to highest), ours and the peer in turn on the same loopback servers. Load average of the machine before a row: ${loads(results)}.`,
    "",
    "| what | ours | peer | times faster | goal | | over plain HTTP/1.1 |",
    "|---|---|---|---|---|---|---|",
    ...rows(results),
  ];
  return `${lines.join("\n")}\n`;
}

/** The newest day; a row of another one says so itself. */
function newest(results: readonly LoadedResult[]): string {
  return (
    results
      .map(({ date }) => date)
      .sort()
      .at(-1) ?? ""
  );
}

function days(results: readonly LoadedResult[]): string {
  const last = newest(results);
  return results.every(({ date }) => date === last)
    ? last
    : `${last}, where a row says no other day`;
}

/** A row over TLS and HTTP/2, with the same over plain HTTP behind it. */
function rows(results: readonly LoadedResult[]): string[] {
  const far = results.filter(({ network }) => network !== "plain HTTP");
  const near = new Map(
    results.flatMap((one) => (one.network === "plain HTTP" ? [[one.row, one] as const] : [])),
  );
  const alone = [...near.values()].filter(({ row }) => !far.some((one) => one.row === row));
  const last = newest(results);
  return [
    ...far.map((one) => line(one, near.get(one.row), last)),
    ...alone.map((one) => line(one, one, last)),
  ];
}

/** Of the machine as a whole, our own rows before included: 1 is one busy core. */
function loads(results: readonly LoadedResult[]): string {
  const all = results.flatMap(({ load }) => load ?? []);
  const show = (value: number) => value.toFixed(1);
  return all.length === 0
    ? "not recorded"
    : `${show(Math.min(...all))} to ${show(Math.max(...all))}`;
}

function line(result: LoadedResult, near: LoadedResult | undefined, last: string): string {
  const { what, ours, peer, peerIs, unit, goal, note, rounds } = result;
  const show = (spread: Spread | undefined) => (spread ? figures(spread, unit) : "");
  const cells = [
    what,
    show(ours),
    peer ? `${show(peer)} \`${peerIs}\`` : "",
    times(result),
    goalWords(goal, result),
    [note, rounds > 0 ? count(rounds, "round") : "", otherDay(result, last)]
      .filter(Boolean)
      .join("; "),
    near
      ? [show(near.ours), show(near.peer), times(near), otherDay(near, last)]
          .filter(Boolean)
          .join(" / ")
      : "",
  ];
  return `| ${cells.join(" | ")} |`;
}

function otherDay({ date }: LoadedResult, last: string): string {
  return date === last ? "" : `on ${date}`;
}

function times({ ratio }: Result): string {
  return ratio ? range(ratio, (value) => `${value.toFixed(value < 10 ? 1 : 0)}×`) : "";
}

function figures(spread: Spread, unit: Result["unit"]): string {
  return range(spread, (value) => {
    if (unit === "count") return `${value}`;
    if (unit === "bytes") {
      const megabytes = value / 1024 ** 2;
      return `${megabytes.toFixed(megabytes < 10 ? 1 : 0)} MB`;
    }
    return value >= 10_000
      ? `${(value / 1000).toFixed(1)} s`
      : value >= 1_000
        ? `${(value / 1000).toFixed(2)} s`
        : `${value.toFixed(0)} ms`;
  });
}

function range({ median, min, max }: Spread, show: (value: number) => string): string {
  return min === max ? show(median) : `${show(median)} (${show(min)}–${show(max)})`;
}

function goalWords(goal: Goal, result: Result): string {
  const met = isMet(goal, result);
  const mark = met === undefined ? "" : met ? " ✓" : " ✗";
  switch (goal.kind) {
    case "times the peer":
      return `${goal.atLeast}×${mark}`;
    case "milliseconds":
      return `${goal.atMost} ms${mark}`;
    case "bytes":
      return `${goal.atMost / 1024 ** 2} MB${mark}`;
    case "count":
      return `${goal.atMost}${mark}`;
    case "none":
      return "";
    default:
      return goal satisfies never;
  }
}

/** Undefined where nothing was measured. */
export function isMet(goal: Goal, { ours, ratio }: Result): boolean | undefined {
  switch (goal.kind) {
    case "times the peer":
      return ratio && ratio.median >= goal.atLeast;
    case "milliseconds":
    case "bytes":
    case "count":
      return ours && ours.median <= goal.atMost;
    case "none":
      return undefined;
    default:
      return goal satisfies never;
  }
}

/** The README's three: an everyday project, a whole system, a first push; over the network that people have. */
const HEADLINES = ["everyday-1", "verdicts-3", "push"];

export function headlines(results: readonly LoadedResult[], where: Circumstances): string {
  const chosen = HEADLINES.flatMap((name) =>
    results.filter(({ row, network }) => row === name && network !== "plain HTTP"),
  );
  const lines = chosen.map((result) => {
    const { what, ours, peer, peerIs } = result;
    const show = (spread: Spread | undefined) =>
      spread ? figures({ ...spread, min: spread.median, max: spread.median }, result.unit) : "";
    const ratio = result.ratio?.median ?? Number.NaN;
    return `| ${what} | ${show(ours)} | ${show(peer)} \`${peerIs}\` | ${ratio.toFixed(ratio < 10 ? 1 : 0)}× |`;
  });
  return `${[
    `Measured on ${[...new Set(chosen.map(({ date }) => date))].sort().join(" and ")}, ${where.cores} cores, Nix ${where.nixVersion}, over TLS and HTTP/2 with 20 ms round trips; load average before a row: ${loads(chosen)}.`,
    "",
    "| what | ours | Nix | times faster |",
    "|---|---|---|---|",
    ...lines,
  ].join("\n")}\n`;
}

/** Puts the table between a document's markers; throws where they are not. */
export async function writeInto(file: string, text: string): Promise<void> {
  const document = await readFile(file, "utf8");
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`${file} has no ${BEGIN} … ${END}`);
  const before = document.slice(0, begin + BEGIN.length);
  await writeFile(file, `${before}\n${text}${document.slice(end)}`);
}
