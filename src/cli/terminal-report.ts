/** What a command ends with in a terminal or a pipe: a table, findings as rustc writes them, the result last. Pure. */

import type { styleText } from "node:util";
import stringWidth from "string-width";
import wrapAnsi from "wrap-ansi";
import type { Finding } from "../domain/finding.ts";
import { count, formatBytes, formatSeconds, number } from "../domain/size.ts";
import { shortName } from "../domain/target.ts";
import { type Audit, type AuditKind, kindsOf } from "../engine/audit/check.ts";
import { isCached, type Run, type SourceBuild, type StepEnd, sources } from "../engine/result.ts";
import { MAY } from "../engine/step.ts";
import { auditCounts, auditLines } from "../report/audit-section.ts";
import { isCounted, lastLine, shortLine, subject } from "../report/headline.ts";
import { plainLine } from "../report/page.ts";
import { rebuildLines } from "../report/rebuilds.ts";
import { cachedByHost } from "../report/tables.ts";
import { typed } from "./typed.ts";

export type Style = Parameters<typeof styleText>[0];

/** Where lines go: how wide it is, and how they are painted. */
export interface Sheet {
  /** Undefined: nothing is wrapped, as in a pipe. */
  readonly width: number | undefined;
  readonly paint: (style: Style, text: string) => string;
}

/** Below it lines are laid out for a narrow window. */
const NARROW = 60;
const ROWS_MOST = 10;
const SAID_MOST = 10;

const isNarrow = ({ width }: Sheet) => width !== undefined && width < NARROW - 1;

/** `  Finished all 4 targets are now cached`: a verb at the right of its column, as cargo has it. */
export function verbLine(
  verb: string,
  text: string,
  sheet: Sheet,
  style: Style = ["bold", "green"],
) {
  const column = isNarrow(sheet) ? 8 : 10;
  const word = verb === "Downloaded" && isNarrow(sheet) ? "Fetched" : verb;
  const lines = broken(text, sheet, column + 1).split("\n");
  return `${sheet.paint(style, word.padStart(column))} ${lines.join(`\n${" ".repeat(column + 1)}`)}`;
}

function broken(text: string, { width }: Sheet, indent: number): string {
  if (width === undefined || stringWidth(text) <= width - indent) return text;
  return wrapAnsi(text, Math.max(8, width - indent), { hard: true });
}

/** Further lines stand below the first's text. */
export function hung(line: string, sheet: Sheet, indent: number, style?: Style): string {
  const lines = broken(line, sheet, indent).split("\n");
  const painted = lines.map((one) => (style === undefined ? one : sheet.paint(style, one)));
  return painted.join(`\n${" ".repeat(indent)}`);
}

/** An indented line, its further ones two columns deeper. */
function hungBelow(line: string, sheet: Sheet): string {
  const text = line.trimStart();
  const indent = line.length - text.length;
  return `${" ".repeat(indent)}${hung(text, sheet, indent + 2)}`;
}

export function runLines(run: Run, sheet: Sheet, how: "all" | "quiet"): string[] {
  const { outcome } = run;
  const body =
    how === "quiet"
      ? []
      : outcome.audit
        ? auditBody(outcome.audit, sheet)
        : [
            ...cachedLine(run, sheet),
            ...spaced(table(run, sheet)),
            ...rebuildLines(run).map((line) => hungBelow(plainLine(line), sheet)),
          ];
  const told = findingBlocks(run.result.findings, sheet, outcome.audit);
  const notes = how === "quiet" ? [] : run.survey.notices.flatMap((one) => noteBlock(one, sheet));
  return led([...body, ...told, ...notes], resultLine(run, sheet, how), sheet);
}

/** Of what was noticed, where there is something to do: what has a page in docs/troubleshooting.md, and what to name. */
function noteBlock(notice: string, sheet: Sheet): string[] {
  const [, code, words] = /^(NCP-\d+) (.+)$/.exec(notice) ?? [];
  if (code === undefined && !notice.startsWith("not looked at")) return [];
  const text = plainLine(typed(words ?? notice)) + (code === undefined ? "" : ` (${code})`);
  return ["", `${sheet.paint("bold", "note:")} ${hung(text, sheet, 6)}`];
}

/** The result stands last, below an empty line where there are more than one above it. */
export function led(lines: readonly string[], last: string, { width }: Sheet): string[] {
  // In a terminal the progress stands above; a pipe begins with the first thing to say.
  const first = lines[0] === "" && width === undefined ? 1 : 0;
  return [...lines.slice(first), ...(lines.length > 1 ? [""] : []), last];
}

const VERBS = { cached: "Cached", "needs a build": "To build" } as const;

/** The log's last line behind a verb instead of the subject; without what stands above, where something does. */
export function resultLine(run: Run, sheet: Sheet, how: "all" | "quiet" = "all"): string {
  const { result, outcome } = run;
  const { worst, end } = result;
  const all = plainLine(lastLine(run)).slice(subject(run).length + 2);
  const { audit } = outcome;
  if (audit) return auditResult(end, all.replace(`; ${auditCounts(audit)}`, ""), sheet);
  const words = how === "quiet" ? all : plainLine(shortLine(run));
  if (end === "fails") return verbLine("Failed", words, sheet, ["bold", "red"]);
  const verb = worst === "cached" || worst === "needs a build" ? VERBS[worst] : "Finished";
  const said =
    worst === "cached" && isCounted(run)
      ? words.replace(/^(.+?) (?:is|are) cached(?=;|$)/, "$1")
      : words;
  const style: Style = verb === "To build" ? ["bold", "yellow"] : ["bold", "green"];
  return verbLine(verb, said, sheet, style);
}

export function auditResult(end: StepEnd, words: string, sheet: Sheet): string {
  return end === "fails"
    ? verbLine("Failed", words, sheet, ["bold", "red"])
    : verbLine("Finished", words, sheet);
}

function spaced(lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", ...lines];
}

/** Which caches have those that are cached, where not all are. */
function cachedLine({ survey, result }: Run, sheet: Sheet): string[] {
  const cached = survey.targets.filter(({ name }) => isCached(result, name));
  if (cached.length === 0 || cached.length === survey.targets.length) return [];
  const hosts = cachedByHost({ survey, result }, ({ cache }) => cache);
  const [only, ...others] = hosts;
  const list = hosts.map(([host, n]) => `${number(n)} in ${host}`);
  const where =
    isNarrow(sheet) || !only
      ? ""
      : others.length === 0
        ? ` (in ${only[0]})`
        : ` (${list.join(", ")})`;
  return [verbLine("Cached", `${count(cached.length, "target")}${where}`, sheet)];
}

interface Row {
  readonly name: string;
  readonly time: string;
  readonly size: string;
  readonly by: string;
}

/** What would be built, where nothing is: the dearest first; a column without a value, or with one, is none. */
function table(run: Run, sheet: Sheet): string[] {
  const { job } = run;
  if (MAY[job.mode].has("build")) return [];
  const builds = sources(run).filter(({ done }) => done === "not built");
  if (builds.length === 0) return [];
  const shown = builds.slice(0, ROWS_MOST).map((one) => rowOf(one, run, sheet));
  const more = builds.length - shown.length;
  const rest = more > 0 ? [`   and ${count(more, "more derivation")}, in --json`] : [];
  if (isNarrow(sheet)) return [...shown.flatMap((row) => narrowRow(row, sheet)), ...rest];
  const shared = new Set(shown.map(({ by }) => by)).size === 1 && shown.length > 1;
  const columns = [
    { title: "From source", of: ({ name }: Row) => name, side: "left" },
    { title: "Time", of: ({ time }: Row) => time, side: "right" },
    { title: "Size", of: ({ size }: Row) => size, side: "right" },
    ...(shared ? [] : [{ title: "Needed by", of: ({ by }: Row) => by, side: "left" }]),
  ].filter(({ of }) => shown.some((row) => of(row) !== ""));
  const widths = columns.map(({ title, of }) =>
    Math.max(stringWidth(title), ...shown.map((row) => stringWidth(of(row)))),
  );
  const line = (cells: readonly string[]) =>
    `   ${cells
      .map((cell, at) => {
        const pad = " ".repeat((widths[at] ?? 0) - stringWidth(cell));
        return columns[at]?.side === "right" ? `${pad}${cell}` : `${cell}${pad}`;
      })
      .join("   ")}`.trimEnd();
  return [
    sheet.paint("bold", line(columns.map(({ title }) => title))),
    ...shown.map((row) => line(columns.map(({ of }) => of(row)))),
    ...(shared && run.survey.targets.length > 1 ? [`   for ${shown[0]?.by ?? ""}`] : []),
    ...rest,
  ].map((one) => hung(one, sheet, 5));
}

function rowOf({ derivation, seconds, bytes }: SourceBuild, { survey }: Run, sheet: Sheet): Row {
  const { first, length } = derivation.wantedBy;
  const names = first.slice(0, 2).map((name) => shortName(name, survey.system));
  return {
    name: plainLine(derivation.name),
    time: seconds === undefined ? "" : formatSeconds(seconds),
    size: bytes === undefined || bytes < 1e5 || isNarrow(sheet) ? "" : formatBytes(bytes),
    by: plainLine(length > 2 ? count(length, "target") : names.join(" ")),
  };
}

function narrowRow({ name, time, by }: Row, sheet: Sheet): string[] {
  const width = sheet.width ?? NARROW;
  const gap = Math.max(1, width - stringWidth(name) - stringWidth(time));
  const first = time === "" ? name : `${name}${" ".repeat(gap)}${time}`;
  return [hung(first, sheet, 2), `  ${hung(`for ${by}`, sheet, 4)}`];
}

export function auditBody(audit: Audit, sheet: Sheet): string[] {
  const counts = auditCounts(audit);
  const some = audit.checks.some(({ status }) => status === "fail" || status === "warn");
  const passed = some ? [verbLine("Passed", counts.replace(/ pass(es)?$/, ""), sheet)] : [];
  // What is stored, and by whom it is held; the checks themselves are the findings.
  const stored = auditLines({ ...audit, checks: [] })
    .slice(2)
    .map(plainLine);
  return [...passed, ...spaced(stored.map((line) => hungBelow(line, sheet)))];
}

/** Errors and warnings, each after an empty line; notices are the report's. */
export function findingBlocks(findings: readonly Finding[], sheet: Sheet, audit?: Audit): string[] {
  const kinds = new Map(
    kindsOf(audit?.checks ?? []).map((kind) => [`audit ${kind.code} ${kind.title}`, kind]),
  );
  return findings
    .filter(({ level }) => level !== "notice")
    .flatMap((finding) => {
      const kind = finding.kind === "audit" ? kinds.get(finding.cause ?? "") : undefined;
      return ["", ...(kind ? auditBlock(finding, kind, sheet) : findingBlock(finding, sheet))];
    });
}

function auditBlock(finding: Finding, { title, places }: AuditKind, sheet: Sheet): string[] {
  const at = [...new Set(places.flatMap(({ where }) => where ?? []))];
  const most = isNarrow(sheet) ? 2 : 5;
  const more = at.length > most ? ` and ${at.length - most} more` : "";
  const messages = [...new Set(places.map(({ message }) => message))];
  const [only] = messages;
  return problem(
    {
      level: finding.level,
      title,
      code: finding.code,
      lines: [
        ...(at.length > 0 ? [`${at.slice(0, most).join(", ")}${more}`] : []),
        ...(messages.length === 1 && only !== undefined && only !== title ? [only] : []),
      ],
      said: [],
      hint: finding.hint,
    },
    sheet,
  );
}

function findingBlock({ level, message, code, hint, title }: Finding, sheet: Sheet): string[] {
  const [first = "", ...said] = message.split("\n");
  const status = /exit code (\d+)/.exec(first)?.[1];
  if (code === "NCP-206" && title !== undefined && status !== undefined) {
    const lines = [`its builder ended with exit code ${status}`];
    const log = said.map((line) => line.replace(/^> /, ""));
    return problem({ level, title, code, lines, said: log, hint }, sheet);
  }
  return problem({ level, title: first, code, lines: [], said, hint }, sheet);
}

export interface Problem {
  readonly level: Finding["level"];
  readonly title: string;
  readonly code: string | undefined;
  readonly lines: readonly string[];
  /** What Nix, a builder or a server printed. */
  readonly said: readonly string[];
  readonly hint: string | undefined;
}

/** `error: …`, where it is, what was printed, `help: …`. */
export function problem(
  { level, title, code, lines, said, hint }: Problem,
  sheet: Sheet,
): string[] {
  const style: Style = level === "error" ? ["bold", "red"] : ["bold", "yellow"];
  const printed = said.map(plainLine).filter((line) => line.trim() !== "");
  const left = printed.length - SAID_MOST;
  const head = `${plainLine(title).replace(/[.:]$/, "")}${code === undefined ? "" : ` (${code})`}`;
  return [
    `${sheet.paint(style, `${level}:`)} ${hung(head, sheet, 2 + level.length, "bold")}`,
    ...lines.map((line) => `  ${hung(plainLine(line), sheet, 2)}`),
    ...printed.slice(-SAID_MOST).map((line) => sheet.paint("dim", `  | ${hung(line, sheet, 4)}`)),
    ...(left > 0 ? [sheet.paint("dim", `  | (${count(left, "line")} before these)`)] : []),
    ...(hint === undefined
      ? []
      : [`${sheet.paint("bold", "help:")} ${hung(plainLine(typed(hint)), sheet, 6)}`]),
  ];
}
