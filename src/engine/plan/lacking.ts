/** What is told of targets that lack something: builds, downloads, an answer, or all of it. Pure. */

import type { Finding } from "../../domain/finding.ts";
import type { Job } from "../../domain/job.ts";
import { cacheHost, serverCause } from "../../domain/location.ts";
import { count } from "../../domain/size.ts";
import { derivationName, type StorePath } from "../../domain/store-path.ts";
import { MAY } from "../step.ts";
import { below } from "../survey/build-graph.ts";
import { isSilent } from "../survey/substituters.ts";
import type { SurveyedDerivation } from "../survey/verdicts.ts";
import type { Survey } from "../survey.ts";
import { hasToBeMade } from "./work.ts";

/** Whether this run itself builds what is missing, so that missing it is no failure yet. */
export type Intent = "builds" | "looks";

export function lackFindings(job: Job, survey: Survey, intent: Intent): Finding[] {
  return [
    ...nothingLookedAt(job, survey),
    ...importFindings(survey),
    ...missingFindings(job, survey, intent),
    ...downloadFindings(job, survey, intent),
    ...lostFindings(survey, job.failOn.includes("missing") ? "error" : "warning"),
    ...undecidedFindings(job, survey, intent),
  ];
}

/** One for all that are as loud: that they are in no binary cache has one cause, and one list names them. */
function missingFindings(job: Job, survey: Survey, intent: Intent): Finding[] {
  // What lies below an open question may have to be built, or not.
  const sure = below(
    survey.targets.flatMap(({ name, verdict }) =>
      verdict.kind === "unknown" ? [] : (survey.builds.tops.get(name)?.build ?? []),
    ),
  );
  const paths = new Set([...sure].map(({ drvPath }) => drvPath));
  const missing = [...survey.derivations.values()].filter(
    ({ kind, heavy, drvPath }) => (kind === "source" || heavy === "heavy") && paths.has(drvPath),
  );
  const groups = Map.groupBy(missing, ({ heavy, kind }) => `${heavy} ${kind === "download"}`);
  return [...groups.values()].flatMap((derivations): Finding[] => {
    const [first, ...rest] = derivations;
    if (!first) return [];
    const kind = first.heavy === "heavy" ? "heavy" : "missing";
    const isDownload = first.kind === "download";
    const some = rest.length === 0 ? first.name : `${first.name} and ${rest.length} more`;
    const verb = isDownload ? "downloads" : "builds";
    const them = rest.length === 0 ? "it" : "them";
    const then = intent === "builds" ? `; this run ${verb} ${them}` : "";
    const how = isDownload ? "downloaded from its origin" : "built from source";
    return [
      {
        kind,
        level: missingLevel(job, kind, intent),
        code: "NCP-402",
        cause: `missing ${kind} ${verb}`,
        names: derivations.map(({ name }) => name),
        title: `${some} ${intent === "builds" ? (rest.length === 0 ? "is" : "are") : "will be"} ${how}`,
        message: `${missingSentence(derivations)}${then}`,
      },
    ];
  });
}

/** What is light is told quietly: it is what builds are for. */
function missingLevel(job: Job, kind: "heavy" | "missing", intent: Intent): Finding["level"] {
  if (intent === "builds") return "notice";
  if (job.failOn.includes("missing") || job.failOn.includes(kind)) return "error";
  return kind === "heavy" ? "warning" : "notice";
}

/** `bws-1.0.0 is in no binary cache and would be built from source (heavy), needed by 3 targets`. */
function missingSentence(derivations: readonly SurveyedDerivation[]): string {
  const names = derivations.map(({ name }) => name);
  const more = names.length - NAMED;
  const list = `${names.slice(0, NAMED).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  const weight = derivations[0]?.heavy === "heavy" ? " (heavy)" : "";
  const how =
    derivations[0]?.kind === "download" ? "downloaded from its origin" : "built from source";
  return `${list} ${names.length === 1 ? "is" : "are"} in no binary cache and would be ${how}${weight}, needed by ${needing(derivations)}`;
}

/** Of many derivations, the target that needs them all, or how many need the first. */
function needing(derivations: readonly SurveyedDerivation[]): string {
  const most = Math.max(...derivations.map(({ wantedBy }) => wantedBy.length));
  const names = new Set(derivations.flatMap(({ wantedBy }) => wantedBy.first));
  const [only = ""] = names;
  if (most === 1 && names.size === 1) return only;
  // Beyond what is kept of each the union is not known: at least so many.
  return count(Math.max(most, names.size), "target");
}

/** Derivations that a sentence names. */
const NAMED = 5;

/** Nothing was looked at: that is no hit, and whoever builds on it has to know why. */
function nothingLookedAt(job: Job, { system, targets, flake }: Survey): Finding[] {
  if (system === undefined || targets.length > 0 || MAY[job.mode].has("audit")) return [];
  const named = job.targets.map(({ text }) => text).join(", ");
  const why =
    named !== ""
      ? `nothing is left of ${named}`
      : flake === "here"
        ? "the flake has none of packages, checks, devShells and configurations for this system"
        : "there is no flake.nix in the working directory, nor above it in this repository, and no target is named";
  return [
    {
      kind: "notice",
      level: "warning",
      code: "NCP-207",
      title: `nothing was checked, ${named !== "" ? "no target is left" : flake === "here" ? "the flake has no target for this system" : "there is no flake.nix here"}`,
      message: `nothing was looked at, so nothing is known to be cached: ${why}`,
      hint:
        named === "" && flake === "absent"
          ? "put the checkout before this step, or say where the flake is: working-directory: FOLDER"
          : "name what you build: targets: .#NAME",
    },
  ];
}

/** An evaluation that builds is easily taken for a slow one. */
function importFindings({ targets }: Survey): Finding[] {
  const built = new Map<string, string>();
  for (const { name, imports } of targets) {
    for (const { drvPath } of imports) if (!built.has(drvPath)) built.set(drvPath, name);
  }
  return [...built].map(([drvPath, name]) => ({
    kind: "notice" as const,
    level: "notice" as const,
    message: `built by evaluation: ${derivationName(drvPath as StorePath)}, an import from derivation of ${name} that no cache could give`,
  }));
}

/** What is fetched from its origin is in no cache either, and the origin may be gone. */
function downloadFindings(job: Job, survey: Survey, intent: Intent): Finding[] {
  if (intent === "builds" || !job.failOn.includes("missing")) return [];
  return survey.targets.flatMap(({ name, verdict }): Finding[] => {
    if (verdict.kind !== "missing") return [];
    const { source, download } = verdict.missing;
    if (source.length > 0 || download.length === 0) return [];
    const names = download.first.flatMap((path) => survey.derivations.get(path)?.name ?? []);
    const more = download.length > 3 ? ` and ${download.length - 3} more` : "";
    const message = `${name} needs ${names.slice(0, 3).join(", ")}${more}, which no binary cache has: to be downloaded from the origin`;
    return [{ kind: "missing", level: "error", code: "NCP-402", message }];
  });
}

/** A cache was silent, and so nothing is built: a green run that did nothing would read as if all were there. */
function undecidedFindings(job: Job, survey: Survey, intent: Intent): Finding[] {
  if (intent !== "builds") return [];
  const left = survey.targets.filter(
    (target) => target.verdict.kind === "unknown" && !hasToBeMade(job, survey, target),
  );
  const [first] = left;
  if (first?.verdict.kind !== "unknown") return [];
  const more = left.length > 1 ? ` and ${count(left.length - 1, "more target")}` : "";
  const silent = survey.substituters.filter((one) => isSilent(one) || one.count.failure);
  const [only, ...others] = silent.map(({ name }) => name);
  // With what is told of the one cache that is silent it is one thing.
  const one = only !== undefined && others.length === 0 ? only : undefined;
  return [
    {
      kind: "unverified",
      level: job.failOn.includes("unverified") ? "error" : "warning",
      code: "NCP-409",
      names: left.map(({ name }) => name),
      ...(one === undefined ? {} : { cause: serverCause(one) }),
      title: `${count(left.length, "target")} could not be checked, and ${left.length === 1 ? "was" : "were"} not built`,
      message: `nothing was built for ${first.name}${more}, as nobody knows whether it is cached: ${one === undefined ? "" : `${cacheHost(one)}: `}${first.verdict.why}`,
      hint: "run it again when the cache answers, or leave that cache out",
    },
  ];
}

/** What is here may yet be pushed; a run has no work to do for what is nowhere. */
function lostFindings({ fresh, local }: Survey, level: Finding["level"]): Finding[] {
  const lost = [...fresh.lost].filter((path) => !local.has(path));
  return lost.map((path) => ({
    kind: "missing" as const,
    level,
    code: "NCP-402" as const,
    message: `${path} is in no binary cache, and without its derivation it cannot be built`,
    hint: "name the installable or the .drv it comes from",
  }));
}
