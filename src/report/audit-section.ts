/** The audit as words: sections of the summary, lines of the log. Pure. */

import { count, formatBytes } from "../domain/size.ts";
import { baseName, type StorePath } from "../domain/store-path.ts";
import type { Audit, Check, CheckStatus, HeavyPath } from "../engine/audit/check.ts";
import { code, fold, grid, markdown, type Section } from "./page.ts";
import { auditWords } from "./words.ts";

const SIGNS: Readonly<Record<CheckStatus, string>> = {
  fail: "❌",
  warn: "⚠️",
  unknown: "❔",
  pass: "✅",
};

const WORST: readonly CheckStatus[] = ["fail", "warn", "unknown", "pass"];

function worstFirst(checks: readonly Check[]): Check[] {
  return [...checks].sort((a, b) => WORST.indexOf(a.status) - WORST.indexOf(b.status));
}

export function auditSections(audit: Audit | undefined, quota: number | undefined): Section[] {
  if (!audit) return [];
  const checks = worstFirst(audit.checks);
  const troubles = checks.filter(({ status }) => status !== "pass");
  const passed = checks.filter(({ status }) => status === "pass");
  const columns = ["", "check", "what is so", "what mends it"];
  const words = auditWords(audit.checks);
  const body = [
    `${markdown(`${words.charAt(0).toUpperCase()}${words.slice(1)}`)}.`,
    ...(troubles.length > 0 ? [grid(columns, troubles.map(row))] : []),
    ...(passed.length > 0
      ? [
          fold(
            `${count(passed.length, "check")} ${passed.length === 1 ? "passes" : "pass"}`,
            grid(columns, passed.map(row)),
          ),
        ]
      : []),
  ].join("\n\n");
  return [
    { title: "Audit", body },
    { title: "What is pinned", body: pinned(audit, quota) },
  ];
}

function row({ status, group, code: id, message, mend, where, more = [] }: Check): string[] {
  const place = where === undefined ? "" : `${code(where)}: `;
  const places = more.map((one) => code(one.where)).slice(0, PLACES_MOST);
  const left = more.length - places.length;
  const also =
    places.length === 0 ? "" : `; also ${places.join(", ")}${left > 0 ? ` and ${left} more` : ""}`;
  return [
    SIGNS[status],
    `${group} ${id}`,
    `${place}${markdown(message)}${also}`,
    mend === undefined ? "" : markdown(mend),
  ];
}

function pinned({ sizes }: Audit, quota: number | undefined): string {
  if (!sizes) return "";
  const rows = sizes.pins.map(({ name, bytes, paths, alone }) => [
    code(name),
    formatBytes(bytes),
    paths.toLocaleString("en-US"),
    formatBytes(alone),
  ]);
  const least = sizes.complete === "complete" ? "" : "at least ";
  const of = quota === undefined ? "" : ` of ${formatBytes(quota)}`;
  const all = `${least}${formatBytes(sizes.bytes)}${of}, what several share counted once.`;
  const columns = ["pin", ">in our cache", ">paths", ">held by it alone"];
  const heavy = sizes.largest.map((one) => [
    code(nameOf(one.path)),
    formatBytes(one.bytes),
    markdown(holdersOf(one)),
    markdown(wayOf(one)),
  ]);
  const largest = grid(["path", ">in our cache", "held by", "by way of"], heavy);
  return [
    `${all}\n\n${grid(columns, rows)}`,
    ...(heavy.length > 0 ? [fold(`the largest ${count(heavy.length, "path")}`, largest)] : []),
  ].join("\n\n");
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

/** Further places of one finding that are named. */
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
    const by = root === undefined ? "nothing: nix-store --gc frees it" : `${root}${more}`;
    const via = way.length < 2 ? "" : `, by way of ${way.slice(0, -1).map(nameOf).join(" → ")}`;
    lines.push(`  ${nameOf(path)}: ${formatBytes(bytes)}, held by ${by}${via}`);
  }
  return lines;
}
