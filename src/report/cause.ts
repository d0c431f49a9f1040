/** The cause: the one or two sentences below a page's heading. Pure. */

import type { Finding } from "../domain/finding.ts";
import { cacheHost } from "../domain/location.ts";
import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import { countOf, type Result, type Run, type SourceBuild, secondsOf } from "../engine/result.ts";
import { MAY } from "../engine/step.ts";
import { diskTable } from "./disk-table.ts";
import { provedWords, pushedWords } from "./done.ts";
import { downloadWords, isCounted, othersWords } from "./headline.ts";
import { code, markdown, sentence } from "./page.ts";
import { pullHeadline, pullSentences } from "./rebuilds.ts";
import { holdersWords } from "./tables.ts";
import { recalledWords } from "./text.ts";
import { scoreWords } from "./timeline.ts";

export function cause(run: Run, builds: readonly SourceBuild[]): string {
  const { survey, result } = run;
  const { lead, worst } = result;
  const isPull = pullHeadline(run) !== undefined;
  const parts = [
    ...(isPull ? pullSentences(run) : []),
    ...(lead ? leadWords(run) : []),
    ...(isPull && worst === "needs a build" ? fetchedSentence(run) : stateSentences(run, builds)),
  ];
  if (worst !== undefined) {
    const others = othersWords(result, isCounted(run) ? worst : "none");
    // Of the only target the headline has said it.
    if (others !== "" && result.states.size > 1) parts.push(others);
  }
  if (!isPull) parts.push(...pullSentences(run));
  parts.push(...keptOutSentences(result), ...quietCaches(run));
  if (survey.recalled !== undefined) parts.push(`${sentence(recalledWords(survey.recalled))}`);
  return parts.join(" ");
}

/** What the user wanted kept out of the cache is no trouble, and is told all the same. */
export function keptOutSentences({ findings }: Pick<Result, "findings">): string[] {
  const found = findings.filter(({ code: one }) => one === "NCP-314");
  return found.map(({ message }) => markdown(sentence(message)));
}

/** What the finding says that made the headline; what Nix or a builder said stands by itself. */
function leadWords(run: Run): string[] {
  const { lead } = run.result;
  if (!lead || lead.kind === "eval" || lead.kind === "heavy") return [];
  if (lead.kind === "missing" && lead.code === "NCP-402" && lead.title !== undefined) return [];
  const [first = ""] = lead.message.split("\n");
  if (lead.code === "NCP-206") {
    const status = /exit code (\d+)/.exec(lead.message)?.[1];
    if (status !== undefined) return [`Its builder ended with exit code ${status}.`];
  }
  // That nothing was checked is the headline's; why is not.
  if (lead.code === "NCP-207") return [markdown(sentence(first.replace(/^[^:]*: /, "")))];
  // The sum stands below, as a table.
  const disks = run.result.findings.filter(({ code: one }) => one === "NCP-401").length;
  if (lead.code === "NCP-401" && disks === 1 && diskTable(run) !== "") {
    return ["This run needs more disk space than there is, with `min-free` left free."];
  }
  return [silenceWords(lead) ?? answerWords(lead) ?? markdown(sentence(first))];
}

/** Of a server that refused a push: its host and what it said; paths and addresses stand in a fold. */
function answerWords({ kind, message }: Finding): string | undefined {
  const [, url = "", status, said = ""] =
    /\b(?:PUT|POST|PATCH) (\S+) answer(?:s|ed) (\d{3})(.*)/.exec(message.split("\n")[0] ?? "") ??
    [];
  if (kind !== "push" || status === undefined) return undefined;
  const words = said.split(";")[0] ?? "";
  return `${code(cacheHost(url))} ${markdown(sentence(`answered HTTP ${status}${words}`).replace(/^A/, "a"))}`;
}

/** Of a server that is not there: its host and why, without the address that it was asked at. */
function silenceWords({ kind, title, message }: Finding): string | undefined {
  const [first = ""] = message.split("\n");
  const said = /^(\S+) did not answer: (?:GET \S+: )?(.*)$/.exec(first);
  if (kind !== "cache" || !said || title === undefined) return undefined;
  const [, name = "", why = ""] = said;
  const plain = why.replace(/^connect ECONNREFUSED \S+/, "connection refused");
  return `${code(cacheHost(name))} did not answer: ${markdown(sentence(plain).replace(/^C/, "c"))}`;
}

function stateSentences(run: Run, builds: readonly SourceBuild[]): string[] {
  const { survey, outcome, result } = run;
  switch (result.worst) {
    case "cached":
      return cachedSentences(run);
    case "now cached":
      return [...builtSentences(run, builds), ...proved(run)];
    case "built":
      return [...builtHere(run, builds)];
    case "needs a build":
      return ahead(run, builds);
    case "not pushed":
    case "not verified":
      return [...builtSentences(run, builds), ...proved(run)];
    case "unknown":
      return [
        ...(countOf(result, "unknown") > 0
          ? ["What no other binary cache has may have to be built from source."]
          : []),
        ...(outcome.pushed.length > 0 ? [...pushedSentence(run), ...proved(run)] : []),
      ];
    case "no disk space":
    case "not evaluated":
    case "build failed":
      return outcome.pushed.length > 0 ? [...pushedSentence(run), ...proved(run)] : [];
    case undefined:
      return survey.system === undefined
        ? ["The cache key and the free disk space are all that was looked at."]
        : [];
    default:
      return result.worst satisfies never;
  }
}

function cachedSentences(run: Run): string[] {
  const { job, survey } = run;
  const download = MAY[job.mode].has("substitute") ? undefined : downloadWords({ survey });
  return [
    "Nothing needs to be built from source.",
    ...words(holdersWords(run)),
    ...fetchedSentence(run),
    ...(download === undefined
      ? []
      : [`To download: ${download.replace(" (", ", ").replace(")", "")}.`]),
    ...pushedSentence(run),
  ];
}

/** What will be, or would be, built from source. */
function ahead(run: Run, builds: readonly SourceBuild[]): string[] {
  const { survey, result } = run;
  // A step that fails builds nothing.
  const will = result.end === "fails" ? "would be" : "will be";
  const left = builds.filter(({ done }) => done === "not built");
  const seconds = secondsOf(left);
  const time = !seconds || seconds < 0.05 ? "" : `, which took ${formatSeconds(seconds)} last time`;
  const fetched = fetchedSentence(run);
  const one = left.length === 1;
  if (left.length > 0) {
    return [
      `${count(left.length, "derivation")} ${one ? "is" : "are"} in no binary cache and ${will} built from source${time}.`,
      ...fetched,
    ];
  }
  const downloads = [...survey.derivations.values()].filter(
    ({ kind }) => kind === "download",
  ).length;
  if (downloads === 0) return fetched;
  return [
    `${count(downloads, "file")} ${downloads === 1 ? "is" : "are"} in no binary cache and ${will} downloaded from ${downloads === 1 ? "its" : "their"} origin.`,
    ...fetched,
  ];
}

function fetchedSentence({ outcome: { substituted } }: Run): string[] {
  const { paths, bytes, seconds } = substituted;
  if (paths === 0) return [];
  const were = paths === 1 ? "was" : "were";
  return [
    `${count(paths, "store path")} (${formatBytes(bytes)}) ${were} downloaded in ${formatSeconds(seconds)}.`,
  ];
}

function builtSentences(run: Run, builds: readonly SourceBuild[]): string[] {
  const { outcome } = run;
  const built = builds.filter(({ done }) => done === "built");
  const time = buildTime(run);
  const pushed = pushedWords(outcome, run.job.cacheName);
  const were = built.length === 1 ? "was" : "were";
  if (built.length === 0) return pushedSentence(run);
  const they = built.length === 1 ? "It was" : "They were";
  return [
    `${count(built.length, "derivation")} ${were} in no binary cache.`,
    pushed === "" ? `${they} built in ${time}.` : `${they} built in ${time}, and ${pushed}.`,
  ];
}

function pushedSentence({ outcome, job }: Run): string[] {
  const pushed = pushedWords(outcome, job.cacheName);
  return pushed === "" ? [] : [`${pushed}.`];
}

function buildTime({ outcome, plan }: Run): string {
  const steps = outcome.steps.filter((step) => step.do === "build");
  const took = formatSeconds(steps.reduce((sum, { begin, end }) => sum + end - begin, 0) / 1000);
  return scoreWords({ plan, outcome }) === ""
    ? took
    : `${took} (${formatSeconds(plan.forecast?.seconds ?? 0)} was said)`;
}

function proved({ outcome, result }: Run): string[] {
  return words(provedWords(outcome, result.states.size));
}

/** Built here and pushed nowhere: why, in the words of whoever decided it. */
function builtHere(run: Run, builds: readonly SourceBuild[]): string[] {
  const { survey, job } = run;
  const built = builds.filter(({ done }) => done === "built").length;
  const { trust } = survey;
  const what =
    built === 0
      ? "What they lacked was built here"
      : `${count(built, "derivation")} ${built === 1 ? "was" : "were"} built from source here`;
  const foreign = trust.kind === "read-only" && trust.code === "strange";
  const why =
    trust.kind === "read-only"
      ? `nothing was pushed: ${markdown(trust.why)}`
      : job.push === "off"
        ? "nothing was pushed, as `push` is `off`"
        : "nothing was pushed by this step";
  return [
    `${what} in ${buildTime(run)}; ${why}.`,
    ...(foreign ? ["That is expected: the cache is filled when it is merged."] : []),
  ];
}

/** Caches that did not answer and that nothing needed: a sentence, and nobody has to do anything. */
function quietCaches({ result }: Run): string[] {
  const quiet = result.findings.filter(
    ({ kind, level, title, cause: why }) =>
      kind === "cache" && level === "notice" && why !== undefined && title !== undefined,
  );
  return quiet.map(({ title = "" }) => {
    const [host = "", ...rest] = title.split(" ");
    return `${code(cacheHost(host))} ${markdown(rest.join(" "))}; nothing needed it.`;
  });
}

function words(text: string): string[] {
  return text === "" ? [] : [text];
}
