/** What a survey is worth telling: one sentence each, as loud as `fail-on` says. Pure. */

import { foreignSystem } from "../../domain/builders.ts";
import { unknownOutputs } from "../../domain/content-address.ts";
import type { Finding, FindingKind } from "../../domain/finding.ts";
import type { FailOn, Job } from "../../domain/job.ts";
import { count, formatSeconds } from "../../domain/size.ts";
import { baseName, derivationName } from "../../domain/store-path.ts";
import { shortName } from "../../domain/target.ts";
import { findTwins } from "../survey/twins.ts";
import { OPEN_WORDS } from "../survey/verdicts.ts";
import type { Survey } from "../survey.ts";
import { substituterFindings } from "./cache-findings.ts";
import type { DiskSpace } from "./disk-space.ts";
import { evaluationFindings } from "./evaluation-findings.ts";
import { lackOfSpace } from "./fit.ts";
import { BuildTimes, type InTime, type Times } from "./forecast.ts";
import { type Intent, lackFindings } from "./lacking.ts";
import type { Work } from "./work.ts";

export function findingsOf(
  job: Job,
  survey: Survey,
  diskSpace: DiskSpace,
  intent: Intent,
): Finding[] {
  const level = (kind: FailOn): Finding["level"] =>
    job.failOn.includes(kind) ? "error" : "warning";
  const notice = (kind: FindingKind, message: string): Finding => ({
    kind,
    level: "notice",
    message,
  });
  return [
    ...lackOfSpace(diskSpace, job.minFree, level("disk")),
    ...evaluationFindings(survey, level),
    ...lackFindings(job, survey, intent),
    ...substituterFindings(job, survey, intent),
    ...twinFindings(survey),
    ...systemFindings(survey),
    ...contentAddressedFindings(survey),
    ...survey.notices.map((message) => notice("notice", message)),
    ...diskSpace.notices.map((message) => notice("notice", message)),
  ];
}

function twinFindings(survey: Survey): Finding[] {
  return findTwins(survey.facts, survey.targets).map(({ name, target, others, wantedBy }) => {
    const named = others.first.slice(0, 3).map((one) => baseName(one));
    const more = others.length > named.length ? ` and ${others.length - named.length} more` : "";
    return {
      kind: "twin" as const,
      level: "warning" as const,
      title: `${name} is built twice, in different ways`,
      names: [target],
      message: `${target} is one ${name}; ${count(wantedBy.length, "target")} ${wantedBy.length === 1 ? "wants" : "want"} another (${named.join(", ")}${more})`,
      hint: "another nixpkgs, an overlay or other options: name the one your configurations use",
    };
  });
}

function systemFindings(survey: Survey): Finding[] {
  return survey.targets.flatMap(({ name, system, wanted, hindered }): Finding[] => {
    if (wanted?.kind !== "derivation" || !hindered) return [];
    const { drvPath, why } = hindered;
    if (drvPath === wanted.drvPath && why === foreignSystem(system)) {
      return [
        {
          kind: "system",
          level: "notice",
          cause: `system ${system}`,
          names: [name],
          message: `${name} is for ${system}, which this machine cannot build: it is looked up, and not built`,
          hint: `run this step on a runner for ${system}, or give Nix a remote builder`,
        },
      ];
    }
    const what = drvPath === wanted.drvPath ? "" : ` without ${derivationName(drvPath)}:`;
    return [
      {
        kind: "system",
        level: "warning",
        cause: `system ${drvPath} ${why}`,
        names: [name],
        title: `${shortName(name, survey.system)} cannot be built here`,
        message: `${name} cannot be built here:${what} ${why}; it is looked up, and not built`,
        hint: "run this step on a machine that has it (system-features, max-jobs), or give Nix a remote builder",
      },
    ];
  });
}

function contentAddressedFindings({ targets, facts }: Survey): Finding[] {
  return targets.flatMap(({ name, wanted, outputs }): Finding[] => {
    if (wanted?.kind !== "derivation" || outputs !== undefined) return [];
    const derivation = facts.derivations.get(wanted.drvPath);
    const kind = derivation && unknownOutputs(derivation);
    if (kind === undefined || facts.unrealised?.has(wanted.drvPath)) return [];
    const words =
      kind === "impure"
        ? "is impure: it is built anew each time, and no cache has it"
        : OPEN_WORDS[kind];
    return [{ kind: "notice", level: "notice", message: `${name} ${words}` }];
  });
}

/** What would not be finished when the job ends, and is not begun. */
export function lateFindings(
  survey: Survey,
  work: Work,
  { left, rounds }: InTime,
  times: Times,
): Finding[] {
  const { end, now, slots } = times;
  if (!end || left.length === 0) return [];
  const builds = new BuildTimes(survey, work);
  const all = builds.step(builds.below(work.judgement.build.keys(), new Set()), slots);
  const names = left.slice(0, 10).map(({ name }) => name);
  const more = left.length > names.length ? ` and ${left.length - names.length} more` : "";
  const rest = rounds.length === 0 ? "" : "; what most targets need is built first, and pushed";
  return [
    {
      kind: "time",
      level: "warning",
      code: "NCP-141",
      cause: "time",
      title: `${count(left.length, "target")} ${left.length === 1 ? "has" : "have"} no time to be built`,
      message: `the builds took ${formatSeconds(all)} last time, and the job ends in ${formatSeconds(Math.max(0, (end.at - now) / 1000))} (${end.why}): not begun: ${names.join(", ")}${more}${rest}`,
      hint: "the next run goes on from there; raise timeout-minutes, or share the targets out (the output matrix)",
    },
  ];
}
