/** The sentences that the log, the summary and the terminal say in the same words. Pure. */

import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import { type Few, holderWords, isServed, type Verdict } from "../domain/verdict.ts";
import type { Check } from "../engine/audit/check.ts";
import { isHad, type Outcome } from "../engine/outcome.ts";
import { forecastWords } from "../engine/plan/forecast.ts";
import type { Run } from "../engine/run.ts";
import type { SurveyedSubstituter } from "../engine/survey/substituters.ts";
import type { Survey } from "../engine/survey.ts";

/** What a person would say: `9 of 12 targets are cached; bws-1.0.0 would be built in 3 of them.` */
export function headline(run: Run): string {
  const { survey, plan, outcome } = run;
  const { targets } = survey;
  const lack = plan.findings.find(({ kind, level }) => kind === "disk" && level === "error");
  if (lack) return `There is ${lack.message}.`;
  if (survey.system === undefined) return "There is no Nix here: keys and disk only.";
  if (targets.length === 0) return "There is no target to look for.";
  const hits = targets.filter((target) => isHad(outcome, target));
  const isChanged = outcome.built.length > 0 || outcome.pushed.length > 0;
  const parts = [
    cachedWords(hits.length, targets.length, isChanged ? "past" : "present"),
    ...missingWords(run),
  ];
  if (isChanged) {
    const cached = new Set([...hits.map(({ name }) => name), ...provedTargets(run)]);
    parts.push(nowWords(targets.filter(({ name }) => cached.has(name)).length, targets.length));
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

/** Targets that this run read back, or that another cache serves. */
export function provedTargets({ outcome }: Run): Set<string> {
  const good = outcome.verified.filter(({ outcome: how }) => isServed(how));
  return new Set(good.map(({ target }) => target));
}

function cachedWords(hits: number, all: number, tense: "present" | "past"): string {
  const [is, are] = tense === "present" ? ["is", "are"] : ["was", "were"];
  if (all === 1) return `The target ${is} ${hits === 1 ? "" : "not "}cached`;
  if (hits === all) return `All ${count(all, "target")} ${are} cached`;
  return `${number(hits)} of ${count(all, "target")} ${hits === 1 ? is : are} cached`;
}

function missingWords({ survey, outcome }: Run): string[] {
  const source = [...survey.derivations.values()].filter(({ kind }) => kind === "source");
  const [first] = source;
  if (!first) return [];
  const isOne = survey.targets.length === 1;
  const isAll = first.wantedBy.length === survey.targets.length;
  const some = first.wantedBy.length === 1 ? "one" : number(first.wantedBy.length);
  const wanting = isAll ? "all" : some;
  const more = source.length > 1 ? `, and ${count(source.length - 1, "more derivation")}` : "";
  if (outcome.built.some(({ name }) => name === first.name)) {
    return [
      `${first.name} was built from source for ${isOne ? "it" : `${wanting} of them`}${more}`,
    ];
  }
  const verb = outcome.built.length > 0 ? "was missing" : "would be built from source";
  return [`${first.name} ${verb} ${isOne ? "for it" : `in ${wanting} of them`}${more}`];
}

function nowWords(cached: number, all: number): string {
  if (all === 1) return cached === 1 ? "now it is cached" : "it is not cached yet";
  if (cached === all) return "now all are cached";
  return `now ${number(cached)} ${cached === 1 ? "is" : "are"}`;
}

function number(n: number): string {
  return n.toLocaleString("en-US");
}

/** `own (file:///cache)`, `missing: bws-1.0.0 and 3 more`, …: the verdict in a few words. */
export function verdictWords(
  survey: Survey,
  verdict: Verdict,
  how: "whole" | "short" = "whole",
): string {
  const nameOf = (path: string) => survey.derivations.get(path as never)?.name ?? path;
  switch (verdict.kind) {
    case "own":
    case "upstream": {
      const from =
        how === "whole" && verdict.holders.length > 0
          ? ` (${verdict.holders.map(holderWords).join(", ")})`
          : "";
      const trivial = verdict.trivial > 0 ? `, ${verdict.trivial} trivial to build` : "";
      return `${verdict.kind}${from}${trivial}`;
    }
    case "missing": {
      const { source, download, trivial } = verdict.missing;
      if (how === "short" && source.length > 0) {
        return `missing: ${fewNames(source, nameOf, 2)}`;
      }
      const parts = [
        ...(source.length > 0 ? [`from source: ${fewNames(source, nameOf)}`] : []),
        ...(download.length > 0 ? [`to download: ${fewNames(download, nameOf)}`] : []),
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

function fewNames<T>({ first, length }: Few<T>, nameOf: (one: T) => string, most = 3): string {
  const shown = first.slice(0, most).map(nameOf).join(", ");
  return length > most ? `${shown} and ${number(length - most)} more` : shown;
}

/** Whether a cache is there: `reachable`, `left out`, `stopped answering`. */
export function reachWords({ state, count: { failure } }: SurveyedSubstituter): string {
  if (state.kind === "down") return "left out";
  return failure ? "stopped answering" : "reachable";
}

/** Why nothing was evaluated. */
export function recalledWords(checked: number): string {
  const time = new Date(checked).toISOString().slice(0, 16).replace("T", " ");
  return `nothing was evaluated: sources, caches and Nix are those of the run of ${time} UTC`;
}

/** The last line of the log: what was seen, what was done, and what is to be looked at. */
export function closing(run: Run): string {
  const { outcome, begin, end } = run;
  const words = doneWords(outcome);
  const idle = outcome.steps.length > 0 ? ["nothing had to be done"] : [];
  const done = words.length > 0 ? [words.join(", ")] : idle;
  const seconds = formatSeconds((end - begin) / 1000);
  const score = [scoreWords(run)]
    .filter((words) => words !== "")
    .map((words) => `of the builds: ${words}`);
  const result = headline(run).replace(/\.$/, "");
  return [result, ...done, ...score, ...troubleWords(run), seconds].join("; ");
}

function troubleWords({ plan, outcome }: Run): string[] {
  const all = [...plan.findings, ...outcome.findings];
  const errors = all.filter(({ level }) => level === "error").length;
  const warnings = all.filter(({ level }) => level === "warning").length;
  const words = [
    ...(errors > 0 ? [count(errors, "error")] : []),
    ...(warnings > 0 ? [count(warnings, "warning")] : []),
  ];
  return words.length > 0 ? [words.join(" and ")] : [];
}

/** `said 38 min, took 41 min`: only of builds that were all done. */
export function scoreWords({ plan, outcome }: Pick<Run, "plan" | "outcome">): string {
  const took = buildSeconds(outcome);
  if (forecastWords(plan.forecast) === "" || took === undefined) return "";
  return `said ${formatSeconds(plan.forecast?.seconds ?? 0)}, took ${formatSeconds(took)}`;
}

/** Seconds of all build steps; undefined where one did not come to its end. */
export function buildSeconds({ steps, findings }: Outcome): number | undefined {
  const builds = steps.filter((step) => step.do === "build");
  const broken = findings.some(({ code }) => code !== undefined && UNBUILT.has(code));
  if (builds.length === 0 || broken) return undefined;
  return builds.reduce((sum, { begin, end }) => sum + end - begin, 0) / 1000;
}

const UNBUILT: ReadonlySet<string> = new Set([
  "NCP-142",
  "NCP-206",
  "NCP-209",
  "NCP-406",
  "NCP-407",
]);

export function doneWords(outcome: Outcome): string[] {
  const { substituted, unfetched, built, pushed, verified, pinned } = outcome;
  const bytes = pushed.reduce((sum, one) => sum + one.bytes, 0);
  const good = verified.filter(({ outcome: how }) => how === "verified").length;
  const elsewhere = verified.filter(({ outcome: how }) => how === "upstream only").length;
  const others = verified.filter(({ outcome: how }) => how === "another build").length;
  const looked = verified.length - elsewhere - others;
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
    ...(looked > 0 ? [`${good} of ${count(looked, "target")} verified`] : []),
    ...(others > 0 ? [`${count(others, "target")} there as another build made it`] : []),
    ...(elsewhere > 0 ? [`${count(elsewhere, "target")} upstream only`] : []),
    ...(pinned.length > 0 ? [`${count(set, "pin")} set`] : []),
  ];
}
