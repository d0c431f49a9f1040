/** What a survey is worth telling: one sentence each, as loud as `fail-on` says. Pure. */

import { foreignSystem } from "../../domain/builders.ts";
import type { BinaryCache } from "../../domain/cache.ts";
import { unknownOutputs } from "../../domain/content-address.ts";
import { describeError, type ErrorCode, isFullDisk, UserError } from "../../domain/errors.ts";
import type { Finding, FindingKind } from "../../domain/finding.ts";
import type { FailOn, Job } from "../../domain/job.ts";
import { count, formatSeconds } from "../../domain/size.ts";
import { baseName, derivationName } from "../../domain/store-path.ts";
import { isAllowed, type SurveyedSubstituter } from "../survey/substituters.ts";
import { findTwins } from "../survey/twins.ts";
import { OPEN_WORDS } from "../survey/verdicts.ts";
import type { Survey } from "../survey.ts";
import type { DiskSpace } from "./disk-space.ts";
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

/** A new file that was not `git add`ed, in the words of Nix 2.8 and of later ones. */
const UNTRACKED =
  /getting status of '[^']*-source\/[^']*': No such file|-source\/[^']*' does not exist|not tracked by Git/;

function evaluationFindings(
  survey: Survey,
  levelOf: (kind: FailOn) => Finding["level"],
): Finding[] {
  const level = levelOf("eval");
  return survey.targets.flatMap(({ name, verdict }): Finding[] => {
    if (verdict.kind !== "failed") return [];
    if (isFullDisk(verdict.message)) {
      return [
        {
          kind: "disk",
          level: levelOf("disk"),
          code: "NCP-410",
          message: `${name} was not evaluated: the disk was full: ${verdict.message}`,
          hint: "an evaluation writes into the store and into Nix's cache in the home folder: free disk space there",
        },
      ];
    }
    const hint =
      verdict.nearest.length > 0
        ? `did you mean ${verdict.nearest.join(" or ")}?`
        : UNTRACKED.test(verdict.message)
          ? "of a git repository Nix sees only the files that git knows: git add it"
          : "";
    const code: ErrorCode = verdict.message.startsWith("there is no flake") ? "NCP-204" : "NCP-205";
    return [
      {
        kind: "eval" as const,
        level,
        code,
        message: `${name} does not evaluate: ${verdict.message}`,
        ...(hint === "" ? {} : { hint }),
      },
    ];
  });
}

function twinFindings(survey: Survey): Finding[] {
  return findTwins(survey.facts, survey.targets).map(({ name, target, others, wantedBy }) => {
    const named = others.first.slice(0, 3).map((one) => baseName(one));
    const more = others.length > named.length ? ` and ${others.length - named.length} more` : "";
    return {
      kind: "twin" as const,
      level: "warning" as const,
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
          message: `${name} is for ${system}, which this machine cannot build: it is looked up, and left out of builds`,
          hint: `run this step on a runner for ${system}, or give Nix a remote builder`,
        },
      ];
    }
    const what = drvPath === wanted.drvPath ? "" : ` without ${derivationName(drvPath)}:`;
    return [
      {
        kind: "system",
        level: "warning",
        message: `${name} cannot be built here:${what} ${why}; it is looked up, and left out of builds`,
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
    if (kind === undefined) return [];
    const words =
      kind === "impure"
        ? "is impure: it is built anew each time, and no cache has it"
        : OPEN_WORDS[kind];
    return [{ kind: "notice", level: "notice", message: `${name} ${words}` }];
  });
}

function substituterFindings(job: Job, survey: Survey, intent: Intent): Finding[] {
  // A push that cannot be is told before the hours of building that it would end.
  const pushes = intent === "builds" && job.push !== "off" && survey.trust.kind === "write";
  const ownLevel = pushes && job.onPushFailure === "error" ? "error" : "warning";
  return survey.substituters.flatMap((substituter): Finding[] => {
    const { name, role, state, count: answers } = substituter;
    if (state.kind === "down") {
      // Told together, with what would change it: engine/plan/trust.ts.
      const code = state.error instanceof UserError ? state.error.code : undefined;
      if (code === "NCP-351") return [];
      // One that refuses us will go on doing so: that is for whoever named it, not for the server's.
      const othersLevel = code === "NCP-303" ? "warning" : "notice";
      return [
        {
          kind: "cache",
          level: role === "own" ? ownLevel : othersLevel,
          message: `${name} is left out: ${describeError(state.error)}`,
          ...adviceOf(state.error),
        },
      ];
    }
    const found: Finding[] = [];
    const { trouble } = state.info;
    if (trouble) {
      found.push({
        kind: "cache",
        level: ownLevel,
        message: `${describeError(trouble)}: nothing is pushed or pinned, it is only read`,
        ...adviceOf(trouble),
      });
    }
    if (answers.failure) {
      found.push({
        kind: "cache",
        level: "warning",
        message: `${name} stopped answering: ${answers.unknown} of ${count(answers.asked, "path")} unknown there: ${describeError(answers.failure)}`,
        ...adviceOf(answers.failure),
      });
    }
    return [...found, ...refusals(substituter)];
  });
}

function refusals({ name, role, count: { refused, corrupt } }: SurveyedSubstituter): Finding[] {
  const [first] = refused;
  if (first === undefined) return [];
  const message = `${name}: ${count(refused.length, "answer")} not counted: ${first}`;
  if (corrupt === 0 || role === "own") return [{ kind: "cache", level: "warning", message }];
  return [
    {
      kind: "cache",
      level: "warning",
      code: "NCP-353",
      message,
      hint: "Nix would stop at such an answer: it is told nothing of this cache",
    },
  ];
}

function adviceOf(error: Error): Pick<Finding, "code" | "hint"> {
  if (!(error instanceof UserError)) return {};
  return { code: error.code, ...(error.hint === undefined ? {} : { hint: error.hint }) };
}

export function untrustedUserFindings(
  job: Job,
  survey: Survey,
  caches: { readonly own: BinaryCache | undefined; readonly substituters: readonly BinaryCache[] },
): Finding[] {
  const { untrusted } = survey;
  if (!untrusted) return [];
  const { user, file } = untrusted;
  const refused = caches.substituters.filter(({ name }) =>
    survey.substituters.some(
      ({ name: one, state }) =>
        one === name &&
        state.kind === "down" &&
        state.error instanceof UserError &&
        state.error.code === "NCP-351",
    ),
  );
  const own = caches.own && !isAllowed(caches.own, untrusted) ? [caches.own] : [];
  const all = [...own, ...refused];
  const unlisted = all.filter((cache) => !isAllowed(cache, untrusted));
  const trusted = new Set(untrusted.publicKeys);
  const given = [
    ...job.substituters.flatMap(({ publicKeys }) => publicKeys),
    ...all.flatMap(({ substituter }) => substituter.publicKeys),
  ];
  const keys = [...new Set(given.map(({ text }) => text))].filter((key) => !trusted.has(key));
  const hosts = all.flatMap(({ substituter }) => substituter.credentials?.().machine ?? []);
  if (all.length === 0 && keys.length === 0) return [];
  const what = [
    ...all.map(({ name }) => name),
    ...keys.map((key) => `the key ${key.split(":")[0]}`),
  ];
  const then = own.length > 0 ? "; later steps build what only our own cache has" : "";
  return [
    {
      kind: "cache",
      level: "warning",
      code: "NCP-351",
      message: `Nix's daemon does not trust ${user}, and takes nothing from: ${what.join(", ")}${then}`,
      hint: [
        `as root, add to ${file} one of these, and restart nix-daemon:`,
        `extra-trusted-users = ${user}`,
        "or, for these alone:",
        ...(unlisted.length > 0
          ? [
              `extra-trusted-substituters = ${unlisted.map(({ substituter }) => substituter.url).join(" ")}`,
            ]
          : []),
        ...(keys.length > 0 ? [`extra-trusted-public-keys = ${keys.join(" ")}`] : []),
        ...(hosts.length > 0
          ? [`and in the netrc file that the daemon reads, an entry for ${hosts.join(", ")}`]
          : []),
      ].join("\n"),
    },
  ];
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
  const all = builds.makespan(builds.below(work.judgement.build.keys(), new Set()), slots);
  const names = left.slice(0, 10).map(({ name }) => name);
  const more = left.length > names.length ? ` and ${left.length - names.length} more` : "";
  const rest = rounds.length === 0 ? "" : "; what most targets need is built first, and pushed";
  return [
    {
      kind: "time",
      level: "warning",
      code: "NCP-141",
      message: `the builds took ${formatSeconds(all)} last time, and the job ends in ${formatSeconds(Math.max(0, (end.at - now) / 1000))} (${end.why}): not begun: ${names.join(", ")}${more}${rest}`,
      hint: "the next run goes on from there; raise timeout-minutes, or share the targets out (the output matrix)",
    },
  ];
}
