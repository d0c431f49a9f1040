/** What a change rebuilds, and why something is missing that the default branch had built: as page, lines and data. Pure. */

import { count, formatBytes, formatSeconds, number } from "../domain/size.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { Changes, ExplainedMiss } from "../engine/rebuilds/changes.ts";
import type { ChangedInput } from "../engine/rebuilds/compare-ledgers.ts";
import {
  type BaseRun,
  type Rebuild,
  type Rebuilds,
  secondsOf,
} from "../engine/rebuilds/rebuild-report.ts";
import { type Run, sources } from "../engine/result.ts";
import { MAY } from "../engine/step.ts";
import { code, fold, grid, LONGEST, sentence } from "./page.ts";

const MISSES_SHOWN = 5;
const FILES_NAMED = 3;
/** As git shortens a commit. */
const SHORT = 7;

/** How names stand: as code on a page, as they are in a line. */
type Names = (name: string) => string;
export const plain: Names = (name) => name;

const NO_BASE =
  "What this change rebuilds is not known yet: no run on the default branch has left its graph.";

/**
 * A pull request's own headline: what it changes, and how much of that needs a build. Only where no
 * target ended worse than that, and nothing was done: of what was done the states tell.
 */
export function pullHeadline({ changes, result }: Pick<Run, "changes" | "result">) {
  const rebuilds = changes?.rebuilds;
  if (!rebuilds || rebuilds.changed.length === 0) return undefined;
  if (result.lead || result.end === "fails") return undefined;
  const builds = rebuilds.changed.some(({ needs }) => needs === "a build");
  if (result.worst !== (builds ? "needs a build" : "cached")) return undefined;
  const words = changedWords(rebuilds, "need");
  return words.length > LONGEST ? undefined : `t${words.slice(1)}`;
}

/** `This pull request changes 14 of 230 derivations, 2 need a build`. */
function changedWords({ changed, inAll }: Rebuilds, verb: "need" | "needed"): string {
  const all = count(inAll, "derivation");
  if (changed.length === 0) return `This pull request changes none of ${all}`;
  const builds = changed.filter(({ needs }) => needs === "a build").length;
  const need = verb === "needed" ? "needed" : builds > 1 ? "need" : "needs";
  return `This pull request changes ${number(changed.length)} of ${all}, ${builds === 0 ? "none" : number(builds)} ${need} a build`;
}

/** What the page says of a pull request below its headline. */
export function pullSentences(run: Run): string[] {
  const { changes } = run;
  if (changes?.event === "pull request" && changes.base === "absent") return [NO_BASE];
  if (!changes?.rebuilds) return [];
  const all = sentences(run, changes.rebuilds, code);
  return pullHeadline(run) === undefined ? all : all.slice(1);
}

/** The same in a log or on a terminal. */
export function rebuildLines(run: Run): string[] {
  if (!run.changes) return [];
  const { rebuilds, misses, dirty, event, base } = run.changes;
  if (event === "pull request" && base === "absent") return ["", `  ${NO_BASE}`];
  if (rebuilds) return ["", ...sentences(run, rebuilds, plain).map((line) => `  ${line}`)];
  const lines = ofDistinctRoots(misses).slice(0, MISSES_SHOWN);
  return lines.length === 0
    ? []
    : ["", ...lines.map((miss) => `  ${missWords(miss, dirty, plain)}`)];
}

/** What changed each build from source, for a column; undefined where the page is not a pull request's own. */
export function changedBy(run: Run): ReadonlyMap<StorePath, string> | undefined {
  const rebuilds = run.changes?.rebuilds;
  if (!rebuilds || pullHeadline(run) === undefined) return undefined;
  return new Map(rebuilds.changed.map((one) => [one.drvPath, causeWords(one, code)]));
}

/** What the change costs, in the open on a pull request's own page; the changed derivations, or why some are missing, folded. */
export function changeParts(run: Run): { readonly open: string; readonly folded: string } {
  const { changes } = run;
  if (!changes) return { open: "", folded: "" };
  const { rebuilds, misses, dirty } = changes;
  if (!rebuilds) {
    const all = ofDistinctRoots(misses).slice(0, MISSES_SHOWN);
    if (all.length === 0) return { open: "", folded: "" };
    const lines = all.map((miss) => `- ${missWords(miss, dirty, code)}`).join("\n");
    const title = `Why ${all.length === 1 ? "it is" : "they are"} in no binary cache`;
    return { open: "", folded: fold(title, lines) };
  }
  const isOwn = pullHeadline(run) !== undefined;
  const amounts = amountsTable(rebuilds);
  const shown = isOwn ? rebuilds.changed.filter(({ needs }) => needs === "none") : rebuilds.changed;
  const n = shown.length;
  if (n === 0) return { open: isOwn ? amounts : "", folded: "" };
  const rest = isOwn ? ` that ${n === 1 ? "needs" : "need"} no build` : "";
  const title = `${count(n, "changed derivation")}${rest}`;
  const body = [changedTable(shown), ...(isOwn || amounts === "" ? [] : [amounts])];
  return { open: isOwn ? amounts : "", folded: fold(title, body.join("\n\n")) };
}

function sentences({ survey, outcome, job }: Run, rebuilds: Rebuilds, names: Names): string[] {
  const { changed, gone, base, inputs } = rebuilds;
  const builds = changed.filter(({ needs }) => needs === "a build");
  const known = builds.filter(({ seconds }) => seconds !== undefined).length;
  const seconds = secondsOf(changed);
  const others = changed.length - builds.length;
  const took =
    seconds === undefined || seconds < 0.05 || MAY[job.mode].has("build")
      ? ""
      : `${known < builds.length ? `${number(known)} of them` : known === 1 ? "It" : `The ${number(known)}`} took ${formatSeconds(seconds)} last time`;
  const rest =
    others > 0 && builds.length > 0
      ? `the other ${number(others)} ${others > 1 ? "need" : "needs"} no build`
      : "";
  const mine = new Set(builds.map(({ drvPath }) => drvPath));
  const foreign = sources({ survey, outcome }).filter(
    ({ derivation }) => !mine.has(derivation.drvPath),
  );
  const more = foreign.length === 1 ? "1 more needs" : `${number(foreign.length)} more need`;
  return [
    `${changedWords(rebuilds, MAY[job.mode].has("build") ? "needed" : "need")}.`,
    ...(took + rest === "" ? [] : [sentence(joined("; ", took, rest))]),
    ...(foreign.length > 0
      ? [
          `${more} a build, and this pull request does not change ${foreign.length === 1 ? "it" : "them"}.`,
        ]
      : []),
    ...(gone.length > 0
      ? [
          `${count(gone.length, "derivation")} of the base ${gone.length === 1 ? "is" : "are"} gone.`,
        ]
      : []),
    ...inputs.map((input) => `${inputWords(input, names)}.`),
    `Compared with ${baseWords(base, names)}.`,
  ];
}

function amountsTable({ download, closure, base }: Rebuilds): string {
  const rows = [["Download", download] as const, ["Closure size", closure] as const].flatMap(
    ([what, amount]) =>
      amount === undefined || amount.base === amount.now
        ? []
        : [[what, formatBytes(amount.base), signed(amount.now - amount.base)]],
  );
  return rows.length === 0 ? "" : grid(["", `>${code(base.branch || "base")}`, ">Change"], rows);
}

function changedTable(rows: readonly Rebuild[]): string {
  return grid(
    ["Derivation", ">Time", "Changed by"],
    rows.map((one) => [
      code(one.name),
      one.needs === "a build" && one.seconds !== undefined && one.seconds >= 0.05
        ? formatSeconds(one.seconds)
        : "",
      causeWords(one, code),
    ]),
  );
}

function causeWords({ cause, was }: Pick<Rebuild, "cause" | "was">, names: Names): string {
  const before = was === undefined ? "" : `was ${names(was)}`;
  switch (cause.kind) {
    case "new":
      return "new";
    case "dependency": {
      const more = cause.others > 0 ? ` and ${cause.others} more` : "";
      return joined(", ", before, `${names(cause.name)}${more}`);
    }
    case "input": {
      const by = cause.by === undefined ? "" : `by ${names(cause.by)}`;
      return joined(", ", before, names(cause.input.name), by);
    }
    case "own": {
      // A new version has a new source.
      const isSource = was !== undefined && cause.attributes.some((name) => SOURCES.has(name));
      return joined(", ", before, isSource ? "" : attributesWords(cause.attributes, names));
    }
    default:
      return cause satisfies never;
  }
}

function joined(between: string, ...parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join(between);
}

const SOURCES: ReadonlySet<string> = new Set(["src", "srcs"]);
const ATTRIBUTES_NAMED = 3;

function attributesWords(attributes: readonly string[], names: Names): string {
  if (attributes.some((name) => SOURCES.has(name))) return "its source";
  if (attributes.length === 0) return "its builder's arguments";
  const more = attributes.length - ATTRIBUTES_NAMED;
  const named = attributes.slice(0, ATTRIBUTES_NAMED).map(names).join(", ");
  return `its ${named}${more > 0 ? ` and ${more} more` : ""}`;
}

function inputWords({ name, from, to }: ChangedInput, names: Names): string {
  return `${names(name)} goes from ${names(short(from))} to ${names(short(to))}`;
}

function baseWords({ branch, revision, taken }: BaseRun, names: Names): string {
  const at = revision === "" ? `as of ${day(taken)}` : `at ${names(short(revision))}`;
  return `${branch === "" ? "the default branch" : names(branch)} ${at}`;
}

/** `example.org has bws-1.0.0 as built from main on 2026-11-20; yours differs in src (dirty tree: src/main.rs)`. */
export function missWords(miss: ExplainedMiss, dirty: readonly string[], names: Names): string {
  const { base, before, heldBy, way, was, attributes, input, files } = miss;
  const branch = base.branch === "" ? "the default branch" : names(base.branch);
  const has =
    heldBy === undefined
      ? `${branch} had ${names(before)} on ${day(base.taken)}, and no cache has that now`
      : `${names(heldBy)} has ${names(before)} as built from ${branch} on ${day(base.taken)}`;
  const named = attributes.slice(0, ATTRIBUTES_NAMED).map(names).join(", ");
  const what = named === "" ? "its builder's arguments" : named;
  const last = way.at(-1);
  const notes = [
    ...(was === undefined ? [] : [`was ${names(was)}`]),
    ...(way.length > 1 ? [`by way of ${way.slice(0, -1).map(names).join(", ")}`] : []),
  ];
  const noted = notes.length === 0 ? "" : ` (${notes.join("; ")})`;
  const differs =
    last === undefined
      ? `yours differs in ${what}`
      : `yours is built of another ${names(last)}${noted}: it differs in ${what}`;
  const by = input === undefined ? "" : `; ${inputWords(input, names)}`;
  const changed =
    files === "others" && dirty.length > 0
      ? ` (dirty tree: ${dirty.slice(0, FILES_NAMED).map(names).join(", ")}${dirty.length > FILES_NAMED ? ` and ${dirty.length - FILES_NAMED} more` : ""})`
      : "";
  return `${has}; ${differs}${changed}${by}`;
}

/** One line for each thing that differs, however many targets are built of it. */
function ofDistinctRoots(misses: readonly ExplainedMiss[]): ExplainedMiss[] {
  const seen = new Set<string>();
  return misses.filter(({ way, name }) => {
    const root = way.at(-1) ?? name;
    const isNew = !seen.has(root);
    seen.add(root);
    return isNew;
  });
}

/** A commit, or the sum of what has none. */
function short(revision: string): string {
  if (/^sha\d+-/.test(revision)) return `${revision.slice(0, SHORT + 7)}…`;
  return /^[0-9a-f]{40,}$/.test(revision) ? revision.slice(0, SHORT) : revision;
}

function day(taken: number): string {
  return new Date(taken).toISOString().slice(0, 10);
}

function signed(bytes: number): string {
  return `${bytes < 0 ? "−" : "+"}${formatBytes(Math.abs(bytes))}`;
}

/** The output `rebuilds`: `some` of the changed derivations, and how many there are. */
export function rebuildsReport(changes: Changes | undefined, some?: readonly Rebuild[]) {
  const rebuilds = changes?.rebuilds;
  if (!rebuilds) return null;
  const { base, inAll, changed, gone, inputs, download, closure } = rebuilds;
  return {
    base: { ...base, taken: new Date(base.taken).toISOString() },
    derivations: inAll,
    changed: changed.length,
    builds: changed.filter(({ needs }) => needs === "a build").length,
    gone: gone.length,
    minutes: minutesOf(changed) ?? null,
    download: download ?? null,
    closure: closure ?? null,
    inputs,
    list: (some ?? changed).map(({ was, seconds: took, ...one }) => ({
      ...one,
      was: was ?? null,
      seconds: took ?? null,
    })),
  };
}

/** The output `rebuild-minutes`: empty where nobody knows. */
export function rebuildMinutes(changes: Changes | undefined): string {
  const rebuilds = changes?.rebuilds;
  return String((rebuilds && minutesOf(rebuilds.changed)) ?? "");
}

/** What needs no build takes none; undefined where nobody knows. */
function minutesOf(changed: readonly Rebuild[]): number | undefined {
  if (!changed.some(({ needs }) => needs === "a build")) return 0;
  const seconds = secondsOf(changed);
  return seconds === undefined ? undefined : Math.round(seconds / 6) / 10;
}
