/** Owns the job summary: the run as a Markdown page. Pure. */

import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import { isHit } from "../domain/verdict.ts";
import type { RoomOnFileSystem } from "../engine/room.ts";
import type { Run } from "../engine/run.ts";
import { auditSection } from "./audit.ts";
import { allFindings } from "./json.ts";
import { code, markdown } from "./plain.ts";
import { doneWords, headline, recalledWords, targetBytes, verdictWords } from "./words.ts";

/** GitHub refuses a step's summary over 1 MiB whole. */
const BYTES_MOST = 1024 * 1024;
const ROWS_SHOWN = 30;
const ROWS_MOST = 2_000;

export function summary(run: Run): string {
  const sections = [
    `## Nix Cache Preflight\n\n**${markdown(headline(run))}**`,
    findings(run),
    auditSection(run.outcome.audit, run.job.quota),
    targets(run),
    missing(run),
    done(run),
    withheld(run),
    room(run),
    tiers(run),
    key(run),
  ].filter((section) => section !== "");
  return joined(sections);
}

/** Sections are dropped from the end until the page fits; what was dropped is said. */
function joined(sections: readonly string[]): string {
  const note = "\n\n_The page was too long and is cut; the JSON report holds everything._\n";
  let text = "";
  for (const section of sections) {
    const next = text === "" ? section : `${text}\n\n${section}`;
    if (Buffer.byteLength(next) > BYTES_MOST - note.length) return text + note;
    text = next;
  }
  return `${text}\n`;
}

function findings(run: Run): string {
  // What an audit found has a section of its own.
  const shown = allFindings(run).filter(
    ({ level, kind }) => level !== "notice" && kind !== "audit",
  );
  if (shown.length === 0) return "";
  const lines = shown.slice(0, 20).map(({ level, code: id, message, hint }) => {
    const sign = level === "error" ? "❌" : "⚠️";
    const first = message.split("\n").slice(0, 3).join(" ").slice(0, 600);
    return `- ${sign} ${markdown(first)}${id ? ` (${id})` : ""}${hint ? `<br>${markdown(hint)}` : ""}`;
  });
  const rest = shown.length > 20 ? `\n- and ${shown.length - 20} more, in the report` : "";
  return lines.join("\n") + rest;
}

function targets(run: Run): string {
  const { survey } = run;
  if (survey.targets.length === 0) return "";
  // What is not cached comes first: that is what the page is opened for.
  const ordered = [...survey.targets].sort(
    (a, b) => Number(isHit(a.verdict)) - Number(isHit(b.verdict)),
  );
  const rows = ordered.map((target) => {
    const bytes = targetBytes(survey, target);
    const sign = isHit(target.verdict) ? "✅" : target.verdict.kind === "missing" ? "🔨" : "❔";
    const words = markdown(verdictWords(survey, target.verdict));
    const here = target.local === "here" ? "yes" : "";
    return `| ${sign} | ${code(target.name)} | ${words} | ${here} | ${bytes === undefined ? "" : formatBytes(bytes)} |`;
  });
  return `### Targets\n\n${table("| | target | on a fresh machine | here | size |\n|-|-|-|-|-:|", rows)}`;
}

function missing({ survey }: Run): string {
  const source = [...survey.derivations.values()].filter(({ kind }) => kind === "source");
  if (source.length === 0) return "";
  const rows = source.map(
    ({ name, heavy, wantedBy, system }) =>
      `| ${code(name)} | ${heavy === "heavy" ? "heavy" : ""} | ${count(wantedBy.length, "target")} | ${markdown(system)} |`,
  );
  return `### In no cache\n\n${table("| derivation | weight | wanted by | system |\n|-|-|-|-|", rows)}`;
}

function table(head: string, rows: readonly string[]): string {
  const shown = rows.slice(0, ROWS_SHOWN);
  const folded = rows.slice(ROWS_SHOWN, ROWS_MOST);
  const more = rows.length - shown.length - folded.length;
  const rest =
    folded.length === 0
      ? ""
      : `\n\n<details><summary>${folded.length} more</summary>\n\n${head}\n${folded.join("\n")}\n\n</details>`;
  return `${head}\n${shown.join("\n")}${rest}${more > 0 ? `\n\nand ${more} more, in the report` : ""}`;
}

function done({ outcome }: Run): string {
  const { steps, verified, pinned } = outcome;
  if (steps.length === 0) return "";
  const words = doneWords(outcome);
  const lines = steps.map(
    ({ what, begin, end }) => `| ${markdown(what)} | ${formatSeconds((end - begin) / 1000)} |`,
  );
  const proofs = verified.map(({ target, outcome: how, detail, paths }) => {
    const pin = pinned.find((one) => one.target === target);
    const pinWords = pin ? `pin ${code(pin.name)} ${pin.state}` : "";
    const words = `${markdown(how)}${detail ? ` (${markdown(detail)})` : ""}`;
    return `| ${how === "verified" ? "✅" : "⚠️"} | ${code(target)} | ${words} | ${paths} | ${pinWords} |`;
  });
  const proof =
    proofs.length > 0
      ? `\n\n### Read back\n\n${table("| | target | outcome | paths | pin |\n|-|-|-|-:|-|", proofs)}`
      : "";
  return `### Done\n\n${words.length > 0 ? `${markdown(words.join(", "))}.\n\n` : ""}${table("| step | time |\n|-|-:|", lines)}${proof}`;
}

function withheld({ plan, survey }: Run): string {
  if (survey.trust.kind !== "read-only") return "";
  const why = `This run is read-only: ${markdown(survey.trust.why)}.`;
  if (plan.withheld.length === 0) return why;
  const rows = plan.withheld.map(({ target, paths }) => `| ${code(target)} | ${paths.length} |`);
  return `${why} It would have pushed:\n\n${table("| target | roots |\n|-|-:|", rows)}`;
}

function room({ plan, job }: Run): string {
  const { fileSystems, unknownBuilds } = plan.room;
  if (fileSystems.length === 0) return "";
  const rows = fileSystems.map((fs) => {
    const uses = fs.needs.map(({ what, bytes }) => `${what} ${formatBytes(bytes)}`).join(", ");
    return `| ${code(fs.fileSystem.mountPoint)} | ${bar(fs)} | ${formatBytes(fs.fileSystem.freeBytes)} | ${markdown(uses)} | ${formatBytes(fs.bytesAfter)} |`;
  });
  const unknown =
    unknownBuilds > 0
      ? `\n\n${count(unknownBuilds, "build")} of unknown size; say space= on its target.`
      : "";
  return `### Room\n\n${table("| file system | | free | this run needs | after |\n|-|-|-:|-|-:|", rows)}\n\n${formatBytes(job.minFree)} is to stay free.${unknown}`;
}

/** Used, needed and free as twenty signs. */
function bar({ fileSystem, bytesNeeded }: RoomOnFileSystem): string {
  const { totalBytes, freeBytes } = fileSystem;
  if (totalBytes <= 0) return "";
  const part = (bytes: number) => Math.max(0, Math.round((bytes / totalBytes) * 20));
  const used = Math.min(20, part(totalBytes - freeBytes));
  const needed = Math.min(20 - used, bytesNeeded > 0 ? Math.max(1, part(bytesNeeded)) : 0);
  return "█".repeat(used) + "▒".repeat(needed) + "░".repeat(20 - used - needed);
}

function tiers({ survey }: Run): string {
  if (survey.tiers.length === 0) return "";
  const rows = survey.tiers.map(({ name, role, state, count: answers }) => {
    const reach =
      state.kind === "reachable" ? `${Math.round(state.milliseconds)} ms` : "not reachable";
    const priority = state.kind === "reachable" ? (state.info.priority ?? "") : "";
    return `| ${code(name)} | ${role} | ${reach} | ${priority} | ${answers.hits} of ${answers.asked} |`;
  });
  return `### Caches\n\n${table("| cache | role | answers in | priority | hits |\n|-|-|-:|-:|-:|", rows)}`;
}

function key({ survey }: Run): string {
  const memo = survey.recalled === undefined ? "" : `; ${markdown(recalledWords(survey.recalled))}`;
  return `Cache key: ${code(survey.key.key)}${memo}.`;
}
