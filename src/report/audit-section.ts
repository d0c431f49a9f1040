/** The audit as words: headline, blocks of a page, lines of a log. Pure. */

import type { Finding } from "../domain/finding.ts";
import { count, formatBytes } from "../domain/size.ts";
import { baseName, type StorePath } from "../domain/store-path.ts";
import {
  type Audit,
  type AuditKind,
  type Check,
  type CheckGroup,
  type CheckStatus,
  type HeavyPath,
  kindsOf,
} from "../engine/audit/check.ts";
import type { Result } from "../engine/result.ts";
import { capital, code, fold, grid, type LinkTo, markdown, placed, sentence } from "./page.ts";

const WORST: readonly CheckStatus[] = ["fail", "warn", "unknown", "pass"];

function worstFirst(checks: readonly Check[]): Check[] {
  return [...checks].sort((a, b) => WORST.indexOf(a.status) - WORST.indexOf(b.status));
}

/** `2 problems, 3 warnings`: what fails the step, and what only warns. */
export function auditHeadline({ findings }: Pick<Result, "findings">, audit: Audit): string {
  const of = (level: Finding["level"]) => findings.filter((one) => one.level === level).length;
  const words = [
    ...(of("error") > 0 ? [count(of("error"), "problem")] : []),
    ...(of("warning") > 0 ? [count(of("warning"), "warning")] : []),
  ];
  return words.length > 0 ? words.join(", ") : auditCounts(audit);
}

/** `all 21 checks pass`, `40 of 45 checks pass`. */
export function auditCounts({ checks }: Pick<Audit, "checks">): string {
  const passed = checks.filter(({ status }) => status === "pass").length;
  const all = count(checks.length, "check");
  const [only, ...others] = checks;
  if (others.length === 0 && only?.status === "unknown") return "the one check could not be made";
  if (passed === checks.length) return passed === 1 ? "the one check passes" : `all ${all} pass`;
  return `${passed} of ${all} ${passed === 1 ? "passes" : "pass"}`;
}

/** Every count by its state: `of 21 checks 2 fail, 1 warns`. */
function auditWords(checks: readonly Check[]): string {
  const of = (status: Check["status"]) => checks.filter((one) => one.status === status).length;
  const [fail, warn, unknown] = [of("fail"), of("warn"), of("unknown")];
  if (fail + warn + unknown === 0) return auditCounts({ checks });
  const words = [
    ...(fail > 0 ? [`${fail} ${fail === 1 ? "fails" : "fail"}`] : []),
    ...(warn > 0 ? [`${warn} ${warn === 1 ? "warns" : "warn"}`] : []),
    ...(unknown > 0 ? [`${unknown} could not be made`] : []),
  ];
  return `of ${count(checks.length, "check")} ${words.join(", ")}`;
}

/** Blocks that are open; the others fold. */
const BLOCKS_MOST = 20;
/** Places of a block that stand behind its title. */
const PLACES_OPEN = 2;
const ROWS_MOST = 200;

/** What an audit's page holds between its heading and its footer; at most three folds. */
export function auditParts(
  audit: Audit,
  result: Pick<Result, "findings">,
  quota: number | undefined,
  linkTo: LinkTo,
): string[] {
  const levels = new Map(result.findings.map(({ cause, level }) => [cause, level]));
  const isError = ({ code: id, title }: AuditKind) =>
    levels.get(`audit ${id} ${title}`) === "error";
  const kinds = kindsOf(audit.checks)
    .filter(({ status }) => status !== "unknown")
    .sort((a, b) => Number(isError(b)) - Number(isError(a)));
  const shown = kinds.slice(0, BLOCKS_MOST);
  const more = kinds.length - shown.length;
  const counts = auditCounts(audit);
  // Where all pass the headline says so.
  const isSaid = counts === auditHeadline(result, audit);
  const first = [...(isSaid ? [] : [sentence(counts)]), pinnedWords(audit, quota)].join(" ");
  return [
    markdown(first.trim()),
    ...shown.map((kind) => block(kind, isError(kind) ? "❌" : "⚠️", linkTo)),
    ...(more > 0 ? [`And ${count(more, "more finding")}, in the report.`] : []),
    ...foldedPlaces(kinds, linkTo),
    ...passing(audit.checks),
    ...pinnedFold(audit),
  ];
}

/** What a full stop behind it would change, or double. */
const END = /[.!?:}/=]$/;

function block({ title, places, mend }: AuditKind, sign: string, linkTo: LinkTo): string {
  const at = places.flatMap(({ where }) => where ?? []);
  const open = at.length <= PLACES_OPEN ? at.map((where) => placed(where, linkTo)).join(", ") : "";
  const messages = new Set(places.map(({ message }) => message));
  const [only = ""] = messages;
  const why = messages.size === 1 && only !== title ? [markdown(capital(only))] : [];
  return [
    `**${sign} ${markdown(capital(title))}**${open === "" ? "" : ` (${open})`}`,
    ...why,
    ...(mend === undefined ? [] : [`Fix: ${markdown(mend)}${END.test(mend) ? "" : "."}`]),
  ].join("<br>\n");
}

/** All places that stand behind no title, in one table. */
function foldedPlaces(kinds: readonly AuditKind[], linkTo: LinkTo): string[] {
  const rows = kinds
    .filter(({ places }) => places.length > PLACES_OPEN)
    .flatMap(({ places }) =>
      places.map(({ where, message }) => [
        where === undefined ? "" : placed(where, linkTo),
        markdown(message),
      ]),
    );
  if (rows.length === 0) return [];
  const table = grid(["Place", "Finding"], rows.slice(0, ROWS_MOST));
  return [fold(count(rows.length, "place"), table)];
}

const AREAS: Readonly<Record<CheckGroup, string>> = {
  closures: "Closures are complete",
  pins: "Pins are in place",
  quota: "Quota",
  keys: "Keys",
  caches: "Binary caches",
  token: "Token",
  workflows: "Workflows",
  locks: "Lock files",
};

/** By area; what could not be made stands beside what passes. */
function passing(checks: readonly Check[]): string[] {
  const passed = checks.filter(({ status }) => status === "pass");
  const open = checks.filter(({ status }) => status === "unknown");
  if (passed.length + open.length === 0) return [];
  const of = (all: readonly Check[], group: CheckGroup) => {
    const n = all.filter((one) => one.group === group).length;
    return n === 0 ? "" : String(n);
  };
  const groups = (Object.keys(AREAS) as CheckGroup[]).filter(
    (group) => of(passed, group) + of(open, group) !== "",
  );
  const rows = groups.map((group) => [AREAS[group], of(passed, group), of(open, group)]);
  const table = grid(["Area", ">Checks", ">Could not be made"], rows);
  const why = open.slice(0, 10).map(({ message }) => `- ${markdown(message)}`);
  const title = `${count(passed.length, "check")} that ${passed.length === 1 ? "passes" : "pass"}${open.length > 0 ? `, ${open.length} that could not be made` : ""}`;
  return [fold(title, [table, ...(why.length > 0 ? [why.join("\n")] : [])].join("\n\n"))];
}

function pinnedWords({ sizes }: Audit, quota: number | undefined): string {
  if (!sizes) return "";
  const least = sizes.complete === "complete" ? "" : "at least ";
  const of = quota === undefined ? "" : ` of ${formatBytes(quota)}`;
  const [one, many] = ["closure takes", "closures take"];
  return `${sizes.pins.length} pinned ${sizes.pins.length === 1 ? one : many} ${least}${formatBytes(sizes.bytes)}${of}.`;
}

function pinnedFold({ sizes }: Audit): string[] {
  if (!sizes || sizes.pins.length === 0) return [];
  const rows = sizes.pins.map(({ name, bytes, alone }) => [
    code(name),
    bytes > 0 ? formatBytes(bytes) : "",
    alone > 0 ? formatBytes(alone) : "",
  ]);
  const heavy = sizes.largest.map((one) => [
    code(nameOf(one.path)),
    one.bytes > 0 ? formatBytes(one.bytes) : "",
    markdown(`${holdersOf(one)}; ${wayOf(one)}`),
  ]);
  const pins = grid(["Pin", ">In the cache", ">Held by it alone"], rows.slice(0, ROWS_MOST));
  const largest = heavy.length === 0 ? [] : [grid(["Store path", ">Size", "Held by"], heavy)];
  return [
    fold(
      `${count(rows.length, "pin")} and the largest store paths`,
      [pins, ...largest].join("\n\n"),
    ),
  ];
}

/** Its name without the hash. */
function nameOf(path: StorePath): string {
  return baseName(path).slice(33);
}

function holdersOf({ pins }: HeavyPath): string {
  const [only] = pins;
  return pins.length === 1 && only !== undefined ? `${only} alone` : count(pins.length, "pin");
}

/** What lies between the pin's own path and it; nothing where the pin is on it. */
function wayOf({ way }: HeavyPath): string {
  return way.length < 2 ? "pinned itself" : way.slice(0, -1).map(nameOf).join(" → ");
}

/** Further places of one finding that a log names. */
const PLACES_MOST = 10;

/** A log of thousands of lines is read by nobody. */
const LINES_MOST = 200;

export function auditLines(audit: Audit | undefined): string[] {
  if (!audit) return [];
  const lines = ["", `  audit: ${auditWords(audit.checks)}`];
  const checks = worstFirst(audit.checks);
  for (const { status, code: id, message, mend, where, more = [] } of checks.slice(0, LINES_MOST)) {
    lines.push(`  ${status} ${id}: ${where === undefined ? "" : `${where}: `}${message}`);
    for (const one of more.slice(0, PLACES_MOST)) {
      lines.push(`    also ${one.where}${one.message === message ? "" : `: ${one.message}`}`);
    }
    if (more.length > PLACES_MOST) lines.push(`    and ${more.length - PLACES_MOST} more places`);
    if (status !== "pass" && mend !== undefined) lines.push(`    → ${mend}`);
  }
  const left = checks.length - LINES_MOST;
  if (left > 0) lines.push(`  and ${count(left, "more check")}, in the report`);
  for (const { name, bytes, paths, alone } of audit.sizes?.pins.slice(0, LINES_MOST) ?? []) {
    const own = alone === bytes ? "" : `, ${formatBytes(alone)} held by it alone`;
    lines.push(`  pin ${name}: ${formatBytes(bytes)} in ${count(paths, "path")}${own}`);
  }
  for (const one of audit.sizes?.largest ?? []) {
    const held = `${holdersOf(one)}; ${wayOf(one)}`;
    lines.push(`  ${nameOf(one.path)}: ${formatBytes(one.bytes)}, held by ${held}`);
  }
  if (audit.store && audit.store.length > 0) lines.push("  the largest in this machine's store:");
  for (const { path, bytes, holders, way } of audit.store ?? []) {
    const [root] = holders;
    const more = holders.length > 1 ? ` and ${count(holders.length - 1, "more root")}` : "";
    const via = way.length < 2 ? "" : `, by way of ${way.slice(0, -1).map(nameOf).join(" → ")}`;
    const by =
      root === undefined
        ? "held by no garbage collector root: nix-store --gc would delete it"
        : `held by ${root}${more}${via}`;
    lines.push(`  ${nameOf(path)}: ${formatBytes(bytes)}, ${by}`);
  }
  return lines;
}
