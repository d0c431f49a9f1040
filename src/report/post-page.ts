/** The page and the last line of a job's end, and of a step that ended before it came to a result. Pure. */

import type { PushProgress } from "../domain/cache.ts";
import type { ErrorCode } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import { count, formatSeconds } from "../domain/size.ts";
import type { PostRun } from "../engine/post.ts";
import { countOf, postResult, type Result } from "../engine/result.ts";
import { errorTitle } from "./annotations.ts";
import { keptOutSentences } from "./cause.ts";
import { doneFigures, provedWords, pushedWords } from "./done.ts";
import { icon, resultWords } from "./headline.ts";
import { markdown, page, sentence, verbatim } from "./page.ts";
import { bullets, codeLink, codes, type Detail, fixWords, headingOf, small } from "./summary.ts";

export interface PostPage {
  readonly done: PostRun;
  /** What the background process pushed before. */
  readonly ahead: readonly PushProgress[];
  readonly cacheName: string;
  readonly seconds: number;
  /** Causes that main has told. */
  readonly told: ReadonlySet<string>;
}

/** What the end of the job did; a page only where it pushed something, or failed. */
export function postSummary(post: PostPage, detail: Detail): string {
  const { outcome, result } = postParts(post);
  const loud = fresh(result.findings, post.told);
  if (detail === "off" || (outcome.pushed.length === 0 && loud.length === 0)) return "";
  const heading = headingOf(icon(result), "Nix cache", postHeadline(post));
  const end = small(["end of job", formatSeconds(post.seconds), ...codes(loud)]);
  const pushed = pushedWords(outcome, post.cacheName);
  const proved = provedWords(outcome, post.done.targets.length);
  const { lead } = result;
  const good = [
    pushed === "" ? "" : `This job built what was new; ${pushed}.`,
    proved,
    ...keptOutSentences(result),
  ];
  const bad = lead ? [markdown(sentence(lead.message.split("\n")[0] ?? ""))] : [];
  return page(
    heading,
    [
      [...bad, ...good].filter((part) => part !== "").join(" "),
      ...(lead?.hint === undefined ? [] : [`**Fix:** ${fixWords(lead.hint)}`]),
      ...bullets(loud.filter((one) => one !== lead)),
    ],
    end,
  );
}

/** What was not told before, by its cause. */
export function fresh(findings: readonly Finding[], told: ReadonlySet<string>): Finding[] {
  return findings.filter(
    ({ level, cause: why, message }) => level !== "notice" && !told.has(why ?? message),
  );
}

function postParts({ done, ahead }: PostPage): { outcome: PostRun["outcome"]; result: Result } {
  const before = ahead.map((one) => ({ ...one, seconds: undefined }));
  const outcome = { ...done.outcome, pushed: [...before, ...done.outcome.pushed] };
  return { outcome, result: postResult(outcome, done.targets) };
}

export function postHeadline(post: PostPage): string {
  const { outcome, result } = postParts(post);
  const n = outcome.pushed.length;
  if (result.worst === undefined && !result.lead) {
    if (n === 0) return "nothing new to push";
    return `${n === 1 ? "1 store path was" : `${n} store paths were`} pushed`;
  }
  if (result.worst === "built" && !result.lead) {
    const kept = countOf(result, "built");
    return `push-max kept ${kept} of ${count(result.states.size, "target")} out of the cache`;
  }
  return resultWords(result, undefined);
}

/** The last line of post's log. */
export function postLastLine(post: PostPage): string {
  const { outcome, result } = postParts(post);
  const figures = doneFigures({ outcome, result }, "told");
  // Where nothing stands above them, the figures say what the headline does.
  const isSaid = figures.length > 0 && result.worst === undefined && !result.lead;
  const parts = [
    ...(isSaid ? [] : [postHeadline(post)]),
    ...(figures.length > 0 ? [figures.join(", ")] : []),
  ];
  return `Nix cache: ${[...parts, formatSeconds(post.seconds)].join("; ")}`;
}

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
}

/** Of an error that ended a step before it came to a result. */
export function failurePage({ code, message, hint }: Failure): string {
  const [first = "", ...rest] = message.split("\n");
  return page(
    headingOf("❌", "Nix cache", failureHeadline(code)),
    [
      markdown(sentence(first)),
      ...(rest.length > 0 ? [verbatim(rest.slice(0, 20))] : []),
      ...(hint === undefined ? [] : [`**Fix:** ${fixWords(hint)}`]),
    ],
    small([codeLink(code)]),
  );
}

function failureHeadline(code: ErrorCode): string {
  return errorTitle(code);
}

/** The last line of its log. */
export function failureLine({ code }: Pick<Failure, "code">): string {
  return `Nix cache: ${failureHeadline(code)} (${code})`;
}
