/** Tables and folds of a page: what is built from source, what became of the targets, who has them. Pure. */

import { cacheHost } from "../domain/location.ts";
import { count, formatBytes, formatSeconds, number } from "../domain/size.ts";
import type { StorePath } from "../domain/store-path.ts";
import { shortName } from "../domain/target.ts";
import { answeredBy, type Holder } from "../domain/verdict.ts";
import {
  countOf,
  FINAL_STATES,
  type FinalState,
  isCached,
  namesOf,
  type Run,
  type SourceBuild,
  secondsOf,
} from "../engine/result.ts";
import type { Survey } from "../engine/survey.ts";
import { code, fold, grid, markdown, ROWS_MOST } from "./page.ts";

/** Rows that stand open; the rest folds. */
export const OPEN = 5;
/** Names in a cell before they are only counted. */
const NAMED = 2;
/** Names of a fold; what is beyond is counted by flake output, or stands in the report. */
const LISTED = 50;

type Named = Pick<Survey, "system" | "targets">;

/** How many targets a short name stands for; made once for all that a page names. */
const shared = new WeakMap<Named["targets"], ReadonlyMap<string, number>>();

function sharedNames({ system, targets }: Named): ReadonlyMap<string, number> {
  const known = shared.get(targets);
  if (known) return known;
  const counts = new Map<string, number>();
  for (const { name } of targets) {
    const short = shortName(name, system);
    counts.set(short, (counts.get(short) ?? 0) + 1);
  }
  shared.set(targets, counts);
  return counts;
}

/** Names as code, short where no other target would be taken for it. */
export function names(all: readonly string[], survey: Named): string[] {
  const counts = sharedNames(survey);
  return all.map((name) => {
    const short = shortName(name, survey.system);
    return code((counts.get(short) ?? 0) > 1 ? name : short);
  });
}

/** The dearest builds from source, and a fold with the rest. */
export function sourceTables(
  run: Run,
  builds: readonly SourceBuild[],
  changedBy?: ReadonlyMap<StorePath, string>,
): { readonly open: string; readonly folded: string } {
  if (builds.length === 0) return { open: "", folded: "" };
  const rows = sourceRows(run, builds, changedBy);
  const by = changedBy ? "Changed by" : "Needed by";
  const columns = ["From source", ">Time", rows.some((row) => row[3]) ? by : ">Size"];
  const cells = (some: readonly Row[]) =>
    some.map(([name, time, size, last]) => [name, time, columns[2] === by ? last : size]);
  // What became of the targets stands open already: of what they were built is the second question.
  if (stateTable(run) !== "" && run.result.worst !== "no disk space") {
    const done = builds.every((one) => one.done === "built") ? "built" : "from source";
    return {
      open: "",
      folded: fold(`${count(rows.length, "derivation")} ${done}`, grid(columns, cells(rows))),
    };
  }
  const rest = rows.slice(OPEN);
  const seconds = secondsOf(builds.slice(OPEN));
  const time = seconds === undefined || seconds < 0.05 ? "" : `, ${formatSeconds(seconds)}`;
  return {
    open: grid(columns, cells(rows.slice(0, OPEN))),
    folded:
      rest.length === 0
        ? ""
        : fold(`${count(rest.length, "more derivation")}${time}`, grid(columns, cells(rest))),
  };
}

type Row = readonly [name: string, time: string, size: string, by: string];

function sourceRows(
  run: Run,
  builds: readonly SourceBuild[],
  changedBy: ReadonlyMap<StorePath, string> | undefined,
): Row[] {
  const { survey } = run;
  const named = saysWhoNeeds(run, builds);
  const alike = new Map<string, number>();
  return builds.map(({ derivation, seconds, bytes }) => {
    const { name, drvPath, heavy, wantedBy, system } = derivation;
    // Two of one name are told apart by how often it stood there.
    const nth = (alike.get(name) ?? 0) + 1;
    alike.set(name, nth);
    const warn = heavy === "heavy" && run.result.end !== "passes" ? "⚠️ " : "";
    const foreign = system === survey.system ? "" : ` (${markdown(system)})`;
    const targets =
      wantedBy.length <= NAMED
        ? names(wantedBy.first, survey).join(", ")
        : count(wantedBy.length, "target");
    const by = changedBy ? (changedBy.get(drvPath) ?? "not changed") : named ? targets : "";
    return [
      `${warn}${code(name)}${nth > 1 ? ` (${nth})` : ""}${foreign}`,
      seconds === undefined || seconds < 0.05 ? "" : formatSeconds(seconds),
      bytes === undefined || bytes < 100_000 ? "" : formatBytes(bytes),
      by,
    ];
  });
}

/** Whether a column of those that need each says more than the sentence above: they differ, or are not all. */
function saysWhoNeeds({ result }: Run, builds: readonly SourceBuild[]): boolean {
  const lists = builds.map(({ derivation }) => derivation.wantedBy);
  const kinds = new Set(lists.map((one) => JSON.stringify(one))).size;
  return kinds > 1 || lists.some(({ length }) => length <= NAMED && length < result.states.size);
}

const SIGNS: Readonly<Record<FinalState, string>> = {
  "not evaluated": "❌ does not evaluate",
  "build failed": "❌ not built",
  "no disk space": "❌ not built, disk space is short",
  "not pushed": "⚠️ not pushed",
  "not verified": "⚠️ not verified",
  unknown: "⚠️ not known",
  "needs a build": "🔨 needs a build",
  built: "🔨 built here",
  "now cached": "✅ now cached",
  cached: "✅ cached",
};

/** States of which a person wants to know the targets. */
const BAD: readonly FinalState[] = [
  "not evaluated",
  "build failed",
  "no disk space",
  "not pushed",
  "not verified",
  "unknown",
];

/** A row for each state, where more than one target ended badly, or some in several ways. */
export function stateTable({ survey, result }: Run): string {
  const states = FINAL_STATES.filter((state) => countOf(result, state) > 0);
  const bad = states.filter((state) => BAD.includes(state));
  if (bad.length === 0 || states.length < 2) return "";
  // The headline names the only one.
  const onlyEvaluation = bad.length === 1 && bad[0] === "not evaluated";
  if (onlyEvaluation && countOf(result, "not evaluated") === 1) return "";
  const rows = states
    .filter((state) => state !== "cached" || isShort(result))
    .map((state) => [sign(state), few(names(namesOf(result, state), survey))]);
  return rows.length === 0 ? "" : grid(["State", "Targets"], rows.slice(0, OPEN));
}

/** On a phone the column would be as narrow as its longest word. */
function sign(state: FinalState): string {
  return SIGNS[state].replace(/^[^,]+/, (words) => words.replaceAll(" ", "\u00a0"));
}

/** So few are cached that the table of states names them. */
function isShort(result: Run["result"]): boolean {
  return countOf(result, "cached") <= OPEN;
}

/** The names of the targets that ended badly, where they are all of one kind. */
export function badNames({ survey, result }: Run): string {
  const states = FINAL_STATES.filter((state) => countOf(result, state) > 0);
  const [only] = states;
  if (states.length !== 1 || only === undefined || !BAD.includes(only)) return "";
  return result.states.size === 1 ? "" : few(names(namesOf(result, only), survey));
}

export function few(all: readonly string[], most = OPEN): string {
  const more = all.length - most;
  if (more <= 0) return all.join(", ");
  return `${all.slice(0, most).join(", ")} and ${number(more)} more`;
}

/** Names of targets that need, or needed, a build, where no row of a table names them. */
export function buildNames(run: Run, builds: readonly SourceBuild[], column: string): string {
  const { survey, result } = run;
  const some = namesOf(result, "needs a build", "built");
  const lists = builds.slice(0, ROWS_MOST).map(({ derivation: { wantedBy } }) => wantedBy);
  const isShown = column === "Needed by" && saysWhoNeeds(run, builds);
  const told = lists.flatMap((one) => (one.length <= NAMED ? one.first : []));
  const named = new Set(isShown ? told : []);
  if (some.length < 2 || some.every((name) => named.has(name))) return "";
  if (stateTable(run) !== "" && some.length <= OPEN) return "";
  const verb = countOf(result, "needs a build") > 0 ? "need" : "needed";
  return fold(
    `${count(some.length, "target")} that ${verb} a build`,
    few(names(some, survey), LISTED),
  );
}

/** Cached targets by the cache that has them; many of them by flake output. */
export function cachedFold(run: Run): string {
  const { survey, result } = run;
  const cached = new Set(namesOf(result, "cached"));
  if (cached.size === 0 || (isShort(result) && stateTable(run) !== "")) return "";
  const title = count(cached.size, "cached target");
  if (cached.size > LISTED) return fold(title, byOutput(run, cached));
  const holders = Map.groupBy(
    survey.targets.filter(({ name }) => cached.has(name)),
    ({ verdict }) =>
      verdict.kind === "own" || verdict.kind === "upstream"
        ? [...new Set(verdict.holders.map((one) => cacheHost(answeredBy(one))))].join(", ")
        : "",
  );
  const lines = [...holders].map(([host, targets]) => {
    const from =
      host === ""
        ? "With nothing to download: "
        : `From ${host.split(", ").map(code).join(", ")}: `;
    return `${from}${names(
      targets.map(({ name }) => name),
      survey,
    ).join(", ")}`;
  });
  return fold(title, lines.join("\n\n"));
}

function byOutput({ survey }: Run, cached: ReadonlySet<string>): string {
  const outputs = Map.groupBy(survey.targets, ({ name }) => {
    const path = name.slice(name.indexOf("#") + 1);
    return path.split(".")[0] ?? path;
  });
  const rows = [...outputs].map(([output, targets]) => [
    code(output),
    number(targets.filter(({ name }) => cached.has(name)).length),
    number(targets.length),
  ]);
  return grid(["Flake output", ">Cached", ">Targets"], rows);
}

/** How many of the cached targets each host has, the most first; `of` says which cache of a holder counts. */
export function cachedByHost(
  { survey, result }: Pick<Run, "survey" | "result">,
  of: (holder: Holder) => string,
): (readonly [host: string, targets: number])[] {
  const counts = new Map<string, number>();
  for (const { name, verdict } of survey.targets) {
    if (!isCached(result, name)) continue;
    if (verdict.kind !== "own" && verdict.kind !== "upstream") continue;
    const [holder] = verdict.holders;
    if (!holder) continue;
    const host = cacheHost(of(holder));
    counts.set(host, (counts.get(host) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/** `12 targets come from acme.cachix.org, 2 from cache.nixos.org`. */
export function holdersWords({ survey, result }: Run): string {
  const all = cachedByHost({ survey, result }, answeredBy);
  const [first, ...more] = all;
  if (!first) return "";
  if (more.length === 0) {
    if (result.states.size === 1) return `The target comes from ${code(first[0])}.`;
    return first[1] === result.states.size ? `The targets come from ${code(first[0])}.` : "";
  }
  if (all.reduce((sum, [, n]) => sum + n, 0) !== result.states.size) return "";
  const rest = more.map(([host, n]) => `${number(n)} from ${code(host)}`);
  const [one, many] = ["target comes", "targets come"];
  return `${number(first[1])} ${first[1] === 1 ? one : many} from ${[code(first[0]), ...rest].join(", ")}.`;
}
