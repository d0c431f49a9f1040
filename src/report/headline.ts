/** The result in words: the headline that everything shows, what it leaves unsaid, and the log's last line. Pure. */

import type { Finding } from "../domain/finding.ts";
import { count, formatBytes, formatSeconds, number } from "../domain/size.ts";
import { shortName } from "../domain/target.ts";
import { bytesToDownload } from "../engine/plan/disk-space.ts";
import {
  countOf,
  FINAL_STATES,
  type FinalState,
  namesOf,
  type Result,
  type Run,
  secondsOf,
  sources,
} from "../engine/result.ts";
import { MAY } from "../engine/step.ts";
import { isSilent } from "../engine/survey/substituters.ts";
import { auditCounts, auditHeadline } from "./audit-section.ts";
import { doneFigures } from "./done.ts";
import { LONGEST } from "./page.ts";
import { pullHeadline } from "./rebuilds.ts";
import { scoreWords } from "./timeline.ts";

/** Of one target, and of several. */
const VERBS: Readonly<Record<FinalState, readonly [one: string, many: string]>> = {
  "not evaluated": ["does not evaluate", "do not evaluate"],
  "build failed": ["was not built", "were not built"],
  "no disk space": ["has no disk space to be built", "have no disk space to be built"],
  "not pushed": ["was not pushed", "were not pushed"],
  "not verified": ["could not be verified", "could not be verified"],
  unknown: ["could not be checked", "could not be checked"],
  "needs a build": ["needs a build", "need a build"],
  built: ["needed a build", "needed a build"],
  "now cached": ["is now cached", "are now cached"],
  cached: ["is cached", "are cached"],
};

/** Of all of them it would be read as "not all". */
const NEGATIVE: Readonly<Partial<Record<FinalState, string>>> = {
  "build failed": "built",
  "not pushed": "pushed",
};

const ICONS = { fails: "❌", warns: "⚠️" } as const;
const GOOD: readonly FinalState[] = ["cached", "now cached"];

/** The level of the loudest finding, and where there is none whether something is built. */
export function icon({ end, worst }: Result): string {
  if (end !== "passes") return ICONS[end];
  return worst === undefined || GOOD.includes(worst) ? "✅" : "🔨";
}

/** `Nix cache`, or `Nix cache audit`. */
export function subject({ outcome }: Pick<Run, "outcome">): string {
  return outcome.audit ? "Nix cache audit" : "Nix cache";
}

/** `3 of 14 targets need a build`: no full stop, and true by itself. */
export function headline(run: Run): string {
  const { survey, outcome, result } = run;
  if (outcome.audit) return auditHeadline(result, outcome.audit);
  if (survey.system === undefined) return "nothing was checked, there is no Nix here";
  return pullHeadline(run) ?? resultWords(result, survey.system, downWords(run));
}

export function resultWords(result: Result, system: string | undefined, why = ""): string {
  const { lead, worst } = result;
  if (lead && takes(lead, result)) {
    const title = lead.title ?? "";
    if (title !== "" && title.length <= LONGEST) return title;
  }
  if (worst === undefined) return "nothing was checked";
  const words = stateWords(result, worst, system);
  return words.length + why.length <= LONGEST ? `${words}${why}` : words;
}

/** Whether a finding's title is as true of the whole run as the count of its state. */
function takes(lead: Finding, result: Result): boolean {
  if (result.worst === undefined) return true;
  const alike = result.findings.filter(({ kind, level, title }) => {
    return kind === lead.kind && level !== "notice" && title !== lead.title;
  });
  switch (lead.kind) {
    case "eval":
      return lead.names?.length === countOf(result, "not evaluated") && alike.length === 0;
    case "disk":
    case "push":
      return true;
    case "missing":
      return lead.code === "NCP-206" && alike.every(({ code }) => code !== "NCP-206");
    case "cache":
      return lead.level === "error";
    default:
      return false;
  }
}

/** `both targets are now cached`, `.#cli needs a build`, `3 of 14 targets need a build`. */
export function stateWords(result: Result, state: FinalState, system: string | undefined): string {
  const states: readonly FinalState[] = state === "now cached" ? GOOD : [state];
  const all = result.states.size;
  const n = countOf(result, ...states);
  const [one, many] = VERBS[state];
  const [name = ""] = namesOf(result, ...states);
  if (all === 1) {
    const short = shortName(name, system);
    return `${short.length + one.length < LONGEST ? short : "the target"} ${one}`;
  }
  const verb = NEGATIVE[state];
  if (n === all && verb !== undefined) {
    return n === 2 ? `neither target was ${verb}` : `none of the ${number(n)} targets was ${verb}`;
  }
  const who =
    n < all
      ? `${number(n)} of ${number(all)} targets`
      : n === 2
        ? "both targets"
        : `all ${number(n)} targets`;
  return `${who} ${n === 1 ? one : many}`;
}

/** `, one cache is down`: why targets could not be checked. */
function downWords({ survey, result }: Run): string {
  if (result.worst !== "unknown") return "";
  const down = survey.substituters.filter((one) => isSilent(one) || one.count.failure).length;
  if (down === 0) return "";
  return down === 1 ? ", one cache is down" : `, ${down} caches are down`;
}

/**
 * What became of the targets that the headline does not speak of: with it, each is counted once.
 * `"none"`: it speaks of no target at all.
 */
export function othersWords(result: Result, said: FinalState | "none"): string {
  const told: readonly FinalState[] = said === "none" ? [] : said === "now cached" ? GOOD : [said];
  const counts = FINAL_STATES.filter((state) => !told.includes(state)).flatMap((state) => {
    const n = countOf(result, state);
    return n === 0 ? [] : [{ state, n }];
  });
  counts.reverse();
  const n = counts.reduce((sum, one) => sum + one.n, 0);
  const [first, ...more] = counts;
  if (!first) return "";
  const all = result.states.size;
  if (more.length === 0) {
    const [one, many] = VERBS[first.state];
    if (n === all) return n === 1 ? `The target ${one}.` : `All ${number(n)} targets ${many}.`;
    return n === 1 ? `The other target ${one}.` : `The other ${number(n)} targets ${many}.`;
  }
  const parts = counts.map(
    ({ state, n: some }) => `${number(some)} ${VERBS[state][some === 1 ? 0 : 1]}`,
  );
  const list = `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
  return `Of the ${n === all ? "" : "other "}${number(n)} targets, ${list}.`;
}

/** What the headline counts: a title that names a derivation or a server counts no targets. */
export function isCounted(run: Run): boolean {
  if (pullHeadline(run) !== undefined) return false;
  const { lead, worst } = run.result;
  if (worst === undefined || !lead || !takes(lead, run.result)) return true;
  // That one counts them, or names the one.
  if (lead.kind === "eval") return true;
  return lead.title === undefined || headline(run) !== lead.title;
}

/** `212 store paths (1.84 GB)` that a fresh machine downloads for all targets; undefined where it is nothing. */
export function downloadWords({ survey }: Pick<Run, "survey">): string | undefined {
  const { fetch } = survey.fresh;
  if (fetch.size === 0) return undefined;
  const bytes = bytesToDownload(survey.facts, fetch);
  return `${count(fetch.size, "store path")}${bytes > 0 ? ` (${formatBytes(bytes)})` : ""}`;
}

/** The last line of the log: the headline, figures, the time; the same string wherever it stands. */
export function lastLine(run: Run): string {
  const { begin, end } = run;
  const score = scoreWords(run);
  const parts = [
    headline(run),
    ...figures(run),
    ...(score === "" ? [] : [`of the builds: ${score}`]),
    formatSeconds((end - begin) / 1000),
  ];
  return `${subject(run)}: ${parts.join("; ")}`;
}

/** The headline, and of the last line what a terminal has not said above it. */
export function shortLine(run: Run): string {
  const { job, survey, result, begin, end } = run;
  const { worst } = result;
  const words = headline(run);
  const counted = isCounted(run);
  if (worst === "cached" && counted) {
    const download = MAY[job.mode].has("substitute") ? undefined : downloadWords({ survey });
    return download === undefined ? words : `${words}; ${download} to download`;
  }
  const left = secondsOf(sources(run).filter(({ done }) => done === "not built"));
  const time = left === undefined || left < 0.05 ? "" : `, ${formatSeconds(left)} last time`;
  if (worst === "needs a build" && result.end !== "fails") return `${words}${time}`;
  const others = worst === undefined ? "" : othersWords(result, counted ? worst : "none");
  const rest = others === "" || result.states.size === 1 ? "" : `; ${others.replace(/\.$/, "")}`;
  const said = rest.replace(/^; [AOT](?=f|ll|he)/, (one) => one.toLowerCase());
  const { verified } = run.outcome;
  const isVerified = verified.length > 0 && verified.every(({ outcome }) => outcome === "verified");
  const proof = worst === "now cached" && said === "" && isVerified ? " and verified" : "";
  // Of what was not done it would read as if it had been for so long.
  const behind = worst === "now cached" ? " in " : "; ";
  return `${words}${proof}${said}${behind}${formatSeconds((end - begin) / 1000)}`;
}

function figures(run: Run): string[] {
  const { job, survey, outcome, result } = run;
  if (outcome.audit) return [auditCounts(outcome.audit)];
  const { worst } = result;
  if (worst === undefined) return [];
  const counted = isCounted(run);
  const others = othersWords(result, counted ? worst : "none").replace(/^The other/, "the other");
  const isPull = pullHeadline(run) !== undefined;
  const isFine =
    counted && (GOOD.includes(worst) || worst === "needs a build" || worst === "built");
  const done = doneFigures(run);
  const builds = sources(run).filter((one) => one.done === "not built");
  const seconds = secondsOf(builds);
  const ahead =
    worst === "needs a build" && builds.length > 0
      ? [
          ...(isPull ? [] : [`${count(builds.length, "derivation")} from source`]),
          ...(seconds === undefined || seconds < 0.05
            ? []
            : [`${formatSeconds(seconds)} last time`]),
        ].join(", ")
      : "";
  const download = downloadWords({ survey });
  const toDownload =
    worst === "cached" && !MAY[job.mode].has("substitute") && download !== undefined
      ? [`${download} to download`]
      : [];
  return [
    ...(isFine || others === "" || result.states.size === 1
      ? []
      : [others.replace(/\.$/, "").replace(/^[AO](?=f|ll)/, (one) => one.toLowerCase())]),
    ...(ahead === "" ? [] : [ahead]),
    ...toDownload,
    ...(done.length > 0 ? [done.join(", ")] : []),
  ];
}
