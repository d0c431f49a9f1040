/** Owns the audit as words: a table of the summary, lines of the log. Pure. */

import { count, formatBytes } from "../domain/size.ts";
import type { Audit, Check, CheckStatus, PinSizes } from "../engine/audit/check.ts";
import { code, markdown } from "./plain.ts";
import { auditWords } from "./words.ts";

const SIGNS: Readonly<Record<CheckStatus, string>> = {
  fail: "❌",
  warn: "⚠️",
  unknown: "❔",
  pass: "✅",
};

const WORST: readonly CheckStatus[] = ["fail", "warn", "unknown", "pass"];
const SHOWN = 60;
/** Of the rows that are folded: a check for each of 5,000 targets would be a page of its own. */
const FOLDED = 500;

function worstFirst(checks: readonly Check[]): Check[] {
  return [...checks].sort((a, b) => WORST.indexOf(a.status) - WORST.indexOf(b.status));
}

export function auditSection(audit: Audit | undefined, quota: number | undefined): string {
  if (!audit) return "";
  const checks = worstFirst(audit.checks);
  const troubles = checks.filter(({ status }) => status !== "pass");
  const passed = checks.filter(({ status }) => status === "pass");
  const head = "| | check | what is so | what mends it |\n|-|-|-|-|";
  const parts = [`### Audit\n\n${markdown(auditWords(audit.checks))}.`];
  if (troubles.length > 0) {
    parts.push(`${head}\n${troubles.slice(0, SHOWN).map(row).join("\n")}${rest(troubles, SHOWN)}`);
  }
  if (passed.length > 0) {
    parts.push(
      `<details><summary>${count(passed.length, "check")} ${passed.length === 1 ? "passes" : "pass"}</summary>\n\n${head}\n${passed.slice(0, FOLDED).map(row).join("\n")}${rest(passed, FOLDED)}\n\n</details>`,
    );
  }
  if (audit.sizes) parts.push(sizesTable(audit.sizes, quota));
  return parts.join("\n\n");
}

function rest(all: readonly unknown[], shown: number): string {
  return all.length > shown ? `\n\nand ${all.length - shown} more, in the report` : "";
}

function row({ status, group, code: id, message, mend, where }: Check): string {
  const place = where === undefined ? "" : `${code(where)}: `;
  return `| ${SIGNS[status]} | ${group} ${id} | ${place}${markdown(message)} | ${mend === undefined ? "" : markdown(mend)} |`;
}

function sizesTable({ pins, bytes, complete }: PinSizes, quota: number | undefined): string {
  const rows = pins
    .slice(0, SHOWN)
    .map(({ name, bytes: one, paths }) => `| ${code(name)} | ${formatBytes(one)} | ${paths} |`);
  const least = complete === "complete" ? "" : "at least ";
  const of = quota === undefined ? "" : ` of ${formatBytes(quota)}`;
  return `### What is pinned\n\n${least}${formatBytes(bytes)}${of}, what several share counted once.\n\n| pin | in our cache | paths |\n|-|-:|-:|\n${rows.join("\n")}${rest(pins, SHOWN)}`;
}

export function auditLines(audit: Audit | undefined): string[] {
  if (!audit) return [];
  const lines = ["", `  audit: ${auditWords(audit.checks)}`];
  for (const { status, code: id, message, mend, where } of worstFirst(audit.checks)) {
    lines.push(`  ${status} ${id}: ${where === undefined ? "" : `${where}: `}${message}`);
    if (status !== "pass" && mend !== undefined) lines.push(`    → ${mend}`);
  }
  for (const { name, bytes, paths } of audit.sizes?.pins ?? []) {
    lines.push(`  pin ${name}: ${formatBytes(bytes)} in ${count(paths, "path")}`);
  }
  return lines;
}
