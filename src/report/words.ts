/** Owns the sentences: what the log, the summary and the terminal say in the same words. Pure. */

import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import { isHit, type Verdict } from "../domain/verdict.ts";
import type { Check } from "../engine/audit/check.ts";
import type { Outcome } from "../engine/outcome.ts";
import type { Run } from "../engine/run.ts";
import type { Survey, SurveyedTarget } from "../engine/survey.ts";

/** What a person would say: `9 of 12 targets are cached; bws-1.0.0 would be built in 3 of them.` */
export function headline({ survey, plan, outcome }: Run): string {
  const { targets } = survey;
  const lack = plan.findings.find(({ kind, level }) => kind === "disk" && level === "error");
  if (lack) return `There is ${lack.message}.`;
  if (survey.system === undefined) return "There is no Nix here: keys and disk only.";
  if (targets.length === 0) return "There is no target to look for.";
  const hits = targets.filter(({ verdict }) => isHit(verdict)).length;
  const parts = [cachedWords(hits, targets.length)];
  const source = [...survey.derivations.values()].filter(({ kind }) => kind === "source");
  const [first] = source;
  if (first) {
    const built = outcome.built.length > 0;
    const verb = built ? "was missing" : "would be built from source";
    const where =
      first.wantedBy.length === 1 ? "in one of them" : `in ${first.wantedBy.length} of them`;
    const more = source.length > 1 ? `, and ${count(source.length - 1, "more derivation")}` : "";
    parts.push(`${first.name} ${verb} ${targets.length === 1 ? "for it" : where}${more}`);
  }
  const failed = targets.filter(({ verdict }) => verdict.kind === "failed").length;
  if (failed > 0) parts.push(`${count(failed, "target")} did not evaluate`);
  const unknown = targets.filter(({ verdict }) => verdict.kind === "unknown").length;
  if (unknown > 0)
    parts.push(`${count(unknown, "target")} ${unknown === 1 ? "is" : "are"} unknown`);
  if (outcome.audit) parts.push(auditWords(outcome.audit.checks));
  return `${parts.join("; ")}.`;
}

/** `all 21 checks pass`, `2 of 21 checks fail, 1 warns`. */
export function auditWords(checks: readonly Check[]): string {
  const of = (status: Check["status"]) => checks.filter((one) => one.status === status).length;
  const [fail, warn, unknown] = [of("fail"), of("warn"), of("unknown")];
  const all = count(checks.length, "check");
  if (fail + warn + unknown === 0) return `all ${all} pass`;
  const words = [
    ...(fail > 0 ? [`${fail} ${fail === 1 ? "fails" : "fail"}`] : []),
    ...(warn > 0 ? [`${warn} ${warn === 1 ? "warns" : "warn"}`] : []),
    ...(unknown > 0 ? [`${unknown} could not be made`] : []),
  ];
  return `of ${all} ${words.join(", ")}`;
}

function cachedWords(hits: number, all: number): string {
  if (all === 1) return `The target is ${hits === 1 ? "" : "not "}cached`;
  if (hits === all) return `All ${count(all, "target")} are cached`;
  return `${hits} of ${count(all, "target")} ${hits === 1 ? "is" : "are"} cached`;
}

/** `own (file:///cache)`, `missing: bws-1.0.0 and 3 more`, …: the verdict in a few words. */
export function verdictWords(survey: Survey, verdict: Verdict): string {
  const nameOf = (path: string) => survey.derivations.get(path as never)?.name ?? path;
  switch (verdict.kind) {
    case "own":
    case "upstream": {
      const from = verdict.tiers.length > 0 ? ` (${verdict.tiers.join(", ")})` : "";
      const trivial = verdict.trivial > 0 ? `, ${verdict.trivial} trivial to build` : "";
      return `${verdict.kind}${from}${trivial}`;
    }
    case "missing": {
      const { source, download, trivial } = verdict.missing;
      const parts = [
        ...(source.length > 0 ? [`from source: ${fewNames(source.map(nameOf))}`] : []),
        ...(download.length > 0 ? [`to download: ${fewNames(download.map(nameOf))}`] : []),
        ...(trivial > 0 ? [`${trivial} trivial`] : []),
      ];
      return `missing${parts.length > 0 ? `: ${parts.join("; ")}` : ""}`;
    }
    case "unknown":
      return `unknown: ${verdict.why}`;
    case "failed":
      return `failed: ${verdict.message.split("\n")[0] ?? ""}`;
    default:
      return verdict satisfies never;
  }
}

function fewNames(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(", ");
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}

/** Why nothing was evaluated. */
export function recalledWords(checked: number): string {
  const time = new Date(checked).toISOString().slice(0, 16).replace("T", " ");
  return `nothing was evaluated: sources, caches and Nix are those of the run of ${time} UTC`;
}

/** Bytes to download and to unpack for a target's closure, where a cache serves it. */
export function targetBytes(survey: Survey, target: SurveyedTarget): number | undefined {
  const [path] = target.outputs ?? [];
  const answer = path && survey.facts.answers.get(path);
  return (answer && (answer.own ?? answer.upstream))?.narInfo.narSize;
}

/** The last line of the log: what was done, in numbers. */
export function closing({ outcome, begin, end }: Run): string {
  return `${doneWords(outcome).join(", ") || "nothing had to be done"} in ${formatSeconds((end - begin) / 1000)}`;
}

export function doneWords(outcome: Outcome): string[] {
  const { substituted, built, pushed, verified, pinned } = outcome;
  const bytes = pushed.reduce((sum, one) => sum + one.bytes, 0);
  const good = verified.filter(({ outcome: how }) => how === "verified").length;
  const elsewhere = verified.filter(({ outcome: how }) => how === "upstream only").length;
  const set = pinned.filter(({ state }) => state !== "failed").length;
  return [
    ...(substituted.paths > 0
      ? [`${count(substituted.paths, "path")} fetched (${formatBytes(substituted.bytes)})`]
      : []),
    ...(built.length > 0 ? [`${count(built.length, "derivation")} built`] : []),
    ...(pushed.length > 0
      ? [`${count(pushed.length, "path")} pushed (${formatBytes(bytes)})`]
      : []),
    ...(verified.length > elsewhere
      ? [`${good} of ${count(verified.length - elsewhere, "target")} verified`]
      : []),
    ...(elsewhere > 0 ? [`${count(elsewhere, "target")} upstream only`] : []),
    ...(pinned.length > 0 ? [`${count(set, "pin")} set`] : []),
  ];
}
