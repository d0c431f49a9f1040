/** Owns what a survey is worth telling: one sentence each, as loud as `fail-on` says. Pure. */

import type { ErrorCode } from "../domain/errors.ts";
import { describeError, UserError } from "../domain/errors.ts";
import type { Finding, FindingKind } from "../domain/finding.ts";
import type { FailOn, Job } from "../domain/job.ts";
import { count } from "../domain/size.ts";
import { baseName } from "../domain/store-path.ts";
import type { SurveyedDerivation } from "./derivations.ts";
import type { Room } from "./room.ts";
import { lackOfRoom } from "./room-findings.ts";
import type { Survey } from "./survey.ts";
import { findTwins } from "./twins.ts";

/** Whether this run itself builds what is missing, so that missing it is no failure yet. */
export type Intent = "builds" | "looks";

export function findingsOf(job: Job, survey: Survey, room: Room, intent: Intent): Finding[] {
  const level = (kind: FailOn): Finding["level"] =>
    job.failOn.includes(kind) ? "error" : "warning";
  const notice = (kind: FindingKind, message: string): Finding => ({
    kind,
    level: "notice",
    message,
  });
  return [
    ...lackOfRoom(room, job.minFree, level("disk")),
    ...evaluationFindings(survey, level("eval")),
    ...missingFindings(job, survey, intent),
    ...tierFindings(job, survey, intent),
    ...twinFindings(survey),
    ...systemFindings(survey),
    ...lostFindings(survey),
    ...contentAddressedFindings(survey),
    ...survey.notices.map((message) => notice("notice", message)),
    ...room.notices.map((message) => notice("notice", message)),
  ];
}

function evaluationFindings(survey: Survey, level: Finding["level"]): Finding[] {
  return survey.targets.flatMap(({ name, verdict }) => {
    if (verdict.kind !== "failed") return [];
    const near = verdict.nearest.length > 0 ? `did you mean ${verdict.nearest.join(" or ")}?` : "";
    const code: ErrorCode = verdict.message.startsWith("there is no flake") ? "NCP-204" : "NCP-205";
    return [
      {
        kind: "eval" as const,
        level,
        code,
        message: `${name} does not evaluate: ${verdict.message}`,
        ...(near === "" ? {} : { hint: near }),
      },
    ];
  });
}

function missingFindings(job: Job, survey: Survey, intent: Intent): Finding[] {
  return [...survey.derivations.values()]
    .filter(({ kind }) => kind === "source")
    .map((derivation) => {
      const kind = derivation.heavy === "heavy" ? "heavy" : "missing";
      const then = intent === "builds" ? "; this run builds it" : "";
      return {
        kind,
        level: missingLevel(job, kind, intent),
        code: "NCP-402",
        message: `${missingSentence(derivation)}${then}`,
      };
    });
}

/** What is light is told quietly: it is what builds are for. */
function missingLevel(job: Job, kind: "heavy" | "missing", intent: Intent): Finding["level"] {
  if (intent === "builds") return "notice";
  if (job.failOn.includes("missing") || job.failOn.includes(kind)) return "error";
  return kind === "heavy" ? "warning" : "notice";
}

/** `bws-1.0.0 is in no cache and would be built from source (heavy), wanted by 3 targets`. */
export function missingSentence({ name, heavy, wantedBy }: SurveyedDerivation): string {
  const weight = heavy === "heavy" ? " (heavy)" : "";
  const by = wantedBy.length === 1 ? (wantedBy[0] ?? "") : `${count(wantedBy.length, "target")}`;
  return `${name} is in no cache and would be built from source${weight}, wanted by ${by}`;
}

function tierFindings(job: Job, survey: Survey, intent: Intent): Finding[] {
  // A push that cannot be is told before the hours of building that it would end.
  const pushes = intent === "builds" && job.push !== "off" && survey.trust.kind === "write";
  const ownLevel = pushes && job.onPushFailure === "error" ? "error" : "warning";
  return survey.tiers.flatMap(({ name, role, state, count: answers }): Finding[] => {
    if (state.kind === "down") {
      return [
        {
          kind: "tier",
          level: role === "own" ? ownLevel : "notice",
          message: `${name} is left out: ${describeError(state.error)}`,
          ...adviceOf(state.error),
        },
      ];
    }
    const found: Finding[] = [];
    const { trouble } = state.info;
    if (trouble) {
      found.push({
        kind: "tier",
        level: ownLevel,
        message: `${describeError(trouble)}: nothing is pushed or pinned, it is only read`,
        ...adviceOf(trouble),
      });
    }
    if (answers.unknown > 0) {
      found.push({
        kind: "tier",
        level: "warning",
        message: `${name} stopped answering: ${count(answers.unknown, "path")} of ${count(answers.asked, "path")} are unknown there`,
      });
    }
    const [first] = answers.refused;
    if (first !== undefined) {
      found.push({
        kind: "tier",
        level: "warning",
        message: `${name}: ${count(answers.refused.length, "answer")} not counted: ${first}`,
      });
    }
    return found;
  });
}

function adviceOf(error: Error): Pick<Finding, "code" | "hint"> {
  if (!(error instanceof UserError)) return {};
  return { code: error.code, ...(error.hint === undefined ? {} : { hint: error.hint }) };
}

function twinFindings(survey: Survey): Finding[] {
  return findTwins(survey.facts, survey.targets).map(({ name, target, others }) => {
    const wanting = new Set(others.flatMap(({ wantedBy }) => wantedBy));
    return {
      kind: "twin" as const,
      level: "warning" as const,
      message: `${target} is one ${name}; ${count(wanting.size, "target")} ${wanting.size === 1 ? "wants" : "want"} another (${others.map(({ derivation }) => baseName(derivation)).join(", ")})`,
      hint: "another nixpkgs, an overlay or other options: name the one your configurations use",
    };
  });
}

function systemFindings(survey: Survey): Finding[] {
  return survey.targets
    .filter(({ wanted, buildable }) => wanted?.kind === "derivation" && buildable === "elsewhere")
    .map(({ name, system }) => ({
      kind: "system" as const,
      level: "notice" as const,
      message: `${name} is for ${system}, which this machine cannot build: it is looked up, and left out of builds`,
      hint: `run this step on a runner for ${system}, or give Nix a remote builder`,
    }));
}

/** What is here may yet be pushed; a run has no work to do for what is nowhere. */
function lostFindings({ fresh, local }: Survey): Finding[] {
  const lost = [...fresh.lost].filter((path) => !local.has(path));
  return lost.map((path) => ({
    kind: "missing" as const,
    level: "warning" as const,
    code: "NCP-402" as const,
    message: `${path} is in no cache, and without its derivation it cannot be built`,
    hint: "name the installable or the .drv it comes from",
  }));
}

function contentAddressedFindings(survey: Survey): Finding[] {
  return survey.targets
    .filter(({ wanted, outputs }) => wanted?.kind === "derivation" && outputs === undefined)
    .map(({ name }) => ({
      kind: "notice" as const,
      level: "notice" as const,
      message: `${name} is content-addressed: its store path is known only when it is built, so no cache can be asked for it`,
    }));
}
