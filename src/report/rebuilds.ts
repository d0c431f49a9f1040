/** What a change rebuilds, and why something is missing that the default branch had built: as page, lines and data. Pure. */

import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import type { Changes, ExplainedMiss } from "../engine/rebuilds/changes.ts";
import type { ChangedInput } from "../engine/rebuilds/compare-ledgers.ts";
import {
  type BaseRun,
  type Rebuild,
  type Rebuilds,
  secondsOf,
} from "../engine/rebuilds/rebuild-report.ts";
import type { Run } from "../engine/result.ts";
import { code, fold, grid, markdown, type Section } from "./page.ts";

const ROWS_OPEN = 5;
const MISSES_SHOWN = 5;
const FILES_NAMED = 3;
/** As git shortens a commit. */
const SHORT = 7;

/** How names stand: as code on a page, as they are in a line. */
type Names = (name: string) => string;
const plain: Names = (name) => name;

export function rebuildSections({ changes }: Run): Section[] {
  if (!changes) return [];
  if (changes.rebuilds)
    return [{ title: "What this change rebuilds", body: report(changes.rebuilds) }];
  if (changes.event === "pull request" && changes.base === "absent") {
    return [{ title: "What this change rebuilds", heading: "none", body: NO_BASE }];
  }
  const lines = ofDistinctRoots(changes.misses)
    .slice(0, MISSES_SHOWN)
    .map((miss) => `- ${missWords(miss, changes.dirty, code)}`);
  return [{ title: "Why it is missing", body: lines.join("\n") }];
}

const NO_BASE =
  "What this change rebuilds is not known yet: no run on the default branch has left its graph.";

/** The same in a log or on a terminal. */
export function rebuildLines({ changes }: Run): string[] {
  if (!changes) return [];
  const { rebuilds, misses, dirty, event, base } = changes;
  if (event === "pull request" && base === "absent") return ["", `  ${NO_BASE}`];
  if (rebuilds) return ["", ...sentences(rebuilds, plain).map((line) => `  ${line}`)];
  const lines = ofDistinctRoots(misses).slice(0, MISSES_SHOWN);
  return lines.length === 0
    ? []
    : ["", ...lines.map((miss) => `  ${missWords(miss, dirty, plain)}`)];
}

/** For the command `why`: a target, and the way down to what differs. */
export function whyLines({ survey, changes, job }: Run): string[] {
  return survey.targets.flatMap(({ name, verdict, wanted }): string[] => {
    switch (verdict.kind) {
      case "own":
      case "upstream":
        return [`${name} is cached: ${verdict.holders.map(({ cache }) => cache).join(", ")}`];
      case "unknown":
        return [`${name} could not be checked: ${verdict.why}`];
      case "failed":
        return [`${name} does not evaluate: ${verdict.message.split("\n")[0] ?? ""}`];
      case "missing":
        break;
      default:
        return verdict satisfies never;
    }
    const drvPath =
      wanted?.kind === "derivation" || wanted?.kind === "shell" ? wanted.drvPath : undefined;
    const miss = changes?.misses.find((one) => one.drvPath === drvPath);
    if (miss)
      return [`${name} is in no binary cache: ${missWords(miss, changes?.dirty ?? [], plain)}`];
    const why =
      changes?.base === "read"
        ? "the default branch built nothing of that name"
        : `no run on the default branch has left its graph beside ${job.cacheName} yet`;
    return [`${name} is in no binary cache: ${why}`];
  });
}

function sentences(rebuilds: Rebuilds, names: Names): string[] {
  const { changed, inAll, gone, base, inputs } = rebuilds;
  const builds = changed.filter(({ needs }) => needs === "a build");
  const seconds = secondsOf(changed);
  const unknown = builds.filter((one) => one.seconds === undefined).length;
  const need =
    builds.length === 0
      ? "none needs a build"
      : `${builds.length} ${builds.length === 1 ? "needs" : "need"} a build`;
  const took =
    seconds === undefined
      ? []
      : unknown === 0
        ? [
            `${builds.length === 1 ? "It" : `The ${builds.length}`} took ${formatSeconds(seconds)} last time`,
          ]
        : [`${builds.length - unknown} of them took ${formatSeconds(seconds)} last time`];
  const rest = [
    ...took,
    ...(gone.length > 0
      ? [`${count(gone.length, "derivation")} of the base ${gone.length === 1 ? "is" : "are"} gone`]
      : []),
  ];
  return [
    changed.length === 0
      ? `This change rebuilds nothing: all ${count(inAll, "derivation")} are the base's.`
      : `This change is felt by ${changed.length} of ${count(inAll, "derivation")}, ${need}.`,
    [
      ...(rest.length > 0 ? [`${rest.join("; ")}.`] : []),
      ...inputs.map((input) => `${inputWords(input, names)}.`),
      `Compared with ${baseWords(base, names)}.`,
    ].join(" "),
  ];
}

function report(rebuilds: Rebuilds): string {
  const { changed, base, download, closure } = rebuilds;
  const [result = "", rest = ""] = sentences(rebuilds, code);
  const builds = changed.filter(({ needs }) => needs === "a build");
  const others = changed.filter(({ needs }) => needs === "none");
  const amounts = [["Download", download] as const, ["Closure size", closure] as const].flatMap(
    ([what, amount]) =>
      amount === undefined || amount.base === amount.now
        ? []
        : [[what, formatBytes(amount.base), signed(amount.now - amount.base)]],
  );
  return [
    `**${result}** ${rest}`,
    ...(builds.length > 0 ? [rebuildTable(builds.slice(0, ROWS_OPEN))] : []),
    ...(amounts.length > 0
      ? [grid(["", `>${markdown(base.branch || "base")}`, ">Change"], amounts)]
      : []),
    ...(builds.length > ROWS_OPEN
      ? [
          fold(
            `${builds.length - ROWS_OPEN} more that need a build`,
            rebuildTable(builds.slice(ROWS_OPEN)),
          ),
        ]
      : []),
    ...(others.length > 0
      ? [
          fold(
            `${count(others.length, "changed derivation")} that ${others.length === 1 ? "needs" : "need"} no build`,
            rebuildTable(others),
          ),
        ]
      : []),
  ].join("\n\n");
}

function rebuildTable(rows: readonly Rebuild[]): string {
  return grid(
    ["Derivation", ">Time", "Changed by"],
    rows.map((one) => [
      code(one.name),
      one.needs === "a build" && one.seconds !== undefined ? formatSeconds(one.seconds) : "",
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
      return joined(before, `${names(cause.name)}${more}`);
    }
    case "input": {
      const by = cause.by === undefined ? "" : `by ${names(cause.by)}`;
      return joined(before, names(cause.input.name), by);
    }
    case "own": {
      // A new version has a new source.
      const isSource = was !== undefined && cause.attributes.some((name) => SOURCES.has(name));
      return joined(before, isSource ? "" : attributesWords(cause.attributes, names));
    }
    default:
      return cause satisfies never;
  }
}

function joined(...parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join(", ");
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
function missWords(miss: ExplainedMiss, dirty: readonly string[], names: Names): string {
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
  const seconds = secondsOf(changed);
  return {
    base: { ...base, taken: new Date(base.taken).toISOString() },
    derivations: inAll,
    changed: changed.length,
    builds: changed.filter(({ needs }) => needs === "a build").length,
    gone: gone.length,
    minutes: seconds === undefined ? null : minutesOf(seconds),
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
  if (!rebuilds) return "";
  const builds = rebuilds.changed.some(({ needs }) => needs === "a build");
  const seconds = secondsOf(rebuilds.changed);
  if (!builds) return "0";
  return seconds === undefined ? "" : String(minutesOf(seconds));
}

function minutesOf(seconds: number): number {
  return Math.round(seconds / 6) / 10;
}
