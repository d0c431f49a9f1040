/** The audit as words: sections of the summary, lines of the log. Pure. */

import { count, formatBytes } from "../domain/size.ts";
import type { Audit, Check, CheckStatus } from "../engine/audit/check.ts";
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

function row({ status, group, code: id, message, mend, where }: Check): string[] {
  const place = where === undefined ? "" : `${code(where)}: `;
  return [
    SIGNS[status],
    `${group} ${id}`,
    `${place}${markdown(message)}`,
    mend === undefined ? "" : markdown(mend),
  ];
}

function pinned({ sizes }: Audit, quota: number | undefined): string {
  if (!sizes) return "";
  const rows = sizes.pins.map(({ name, bytes, paths }) => [
    code(name),
    formatBytes(bytes),
    paths.toLocaleString("en-US"),
  ]);
  const least = sizes.complete === "complete" ? "" : "at least ";
  const of = quota === undefined ? "" : ` of ${formatBytes(quota)}`;
  const all = `${least}${formatBytes(sizes.bytes)}${of}, what several share counted once.`;
  return `${all}\n\n${grid(["pin", ">in our cache", ">paths"], rows)}`;
}

/** A log of thousands of lines is read by nobody. */
const LINES_MOST = 200;

export function auditLines(audit: Audit | undefined): string[] {
  if (!audit) return [];
  const lines = ["", `  audit: ${auditWords(audit.checks)}`];
  const checks = worstFirst(audit.checks);
  for (const { status, code: id, message, mend, where } of checks.slice(0, LINES_MOST)) {
    lines.push(`  ${status} ${id}: ${where === undefined ? "" : `${where}: `}${message}`);
    if (status !== "pass" && mend !== undefined) lines.push(`    → ${mend}`);
  }
  const left = checks.length - LINES_MOST;
  if (left > 0) lines.push(`  and ${count(left, "more check")}, in the report`);
  for (const { name, bytes, paths } of audit.sizes?.pins.slice(0, LINES_MOST) ?? []) {
    lines.push(`  pin ${name}: ${formatBytes(bytes)} in ${count(paths, "path")}`);
  }
  return lines;
}
