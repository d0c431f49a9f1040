/** Owns the sentences: what the log, the summary and the terminal say in the same words. Pure. */

import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import type { Verdict } from "../domain/verdict.ts";
import type { Outcome } from "../engine/outcome.ts";
import type { Run } from "../engine/run.ts";
import type { Survey, SurveyedTarget } from "../engine/survey.ts";
import type { SurveyedTier } from "../engine/tiers.ts";
import { isHad } from "./json.ts";

/** What a person would say: `9 of 12 targets are cached; bws-1.0.0 would be built in 3 of them.` */
export function headline(run: Run): string {
  const { survey, plan, outcome } = run;
  const { targets } = survey;
  const lack = plan.findings.find(({ kind, level }) => kind === "disk" && level === "error");
  if (lack) return `There is ${lack.message}.`;
  if (survey.system === undefined) return "There is no Nix here: keys and disk only.";
  if (targets.length === 0) return "There is no target to look for.";
  const hits = targets.filter((target) => isHad(run, target)).length;
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
  return `${parts.join("; ")}.`;
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

/** Whether a cache is there: `reachable`, `left out`, `stopped answering`. */
export function reachWords({ state, count: { failure } }: SurveyedTier): string {
  if (state.kind === "down") return "left out";
  return failure ? "stopped answering" : "reachable";
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
  const { substituted, unfetched, built, pushed, verified, pinned } = outcome;
  const bytes = pushed.reduce((sum, one) => sum + one.bytes, 0);
  const good = verified.filter(({ outcome: how }) => how === "verified").length;
  const elsewhere = verified.filter(({ outcome: how }) => how === "upstream only").length;
  const set = pinned.filter(({ state }) => state !== "failed").length;
  return [
    ...(substituted.paths > 0
      ? [`${count(substituted.paths, "path")} fetched (${formatBytes(substituted.bytes)})`]
      : []),
    ...(unfetched.length > 0 ? [`${count(unfetched.length, "path")} could not be fetched`] : []),
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
