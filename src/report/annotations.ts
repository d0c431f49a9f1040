/**
 * What GitHub shows beside the page. Annotations: what asks somebody to do something, one for each cause, three
 * of a level; and how a target's check run ends. Pure.
 */

import type { ErrorCode } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";

import type { Job } from "../domain/job.ts";
import type { FinalState } from "../engine/result.ts";
import { capital } from "./page.ts";

/** A list that is longer is read by nobody. */
const MOST = 3;
const LINES = 3;
const CHARACTERS = 300;
/** What the cause keeps beside a long hint. */
const CAUSE = 150;

export interface Annotation {
  readonly level: "error" | "warning";
  readonly title: string;
  readonly message: string;
  readonly place?: Finding["place"];
}

const TITLES: Readonly<Record<Finding["kind"], string>> = {
  disk: "Not enough disk space",
  eval: "A target does not evaluate",
  missing: "In no binary cache",
  heavy: "In no binary cache",
  unverified: "Not verified",
  cache: "A binary cache",
  time: "Not enough time",
  twin: "Two derivations of one name",
  system: "Another system",
  push: "Not pushed",
  pin: "Not pinned",
  trust: "Read-only",
  audit: "Audit",
  notice: "Look at this",
};

/** `findings`: by cause, the most important first. */
export function annotations(findings: readonly Finding[]): Annotation[] {
  return (["error", "warning"] as const).flatMap((level) => {
    const all = findings.filter((finding) => finding.level === level);
    const rest = all.length - MOST;
    return all.slice(0, MOST).map((finding, at): Annotation => {
      const more = rest > 0 && at === MOST - 1 ? `and ${rest} more, see the job summary` : "";
      return {
        level,
        title: capital(finding.title ?? TITLES[finding.kind]),
        message: shortened(finding, more),
        ...(finding.place ? { place: finding.place } : {}),
      };
    });
  });
}

/** An error that ended a step before it came to a result. */
export function errorAnnotation(
  code: ErrorCode,
  message: string,
  hint: string | undefined,
): Annotation {
  const finding = { message, code, ...(hint === undefined ? {} : { hint }) };
  return { level: "error", title: capital(errorTitle(code)), message: shortened(finding, "") };
}

/** What an error means for the step, in a few words; its own words follow. */
export function errorTitle(code: ErrorCode): string {
  if (code === "NCP-501") return "the step was cancelled, or took too long";
  if (/^NCP-10\d$/.test(code)) return "an input of the step is wrong";
  if (code === "NCP-201") return "there is no Nix on this machine";
  if (code === "NCP-649") return "a fault of nix-cache-preflight";
  return "the step could not go on";
}

function shortened(
  { message, hint, code }: Pick<Finding, "message" | "hint" | "code">,
  more: string,
): string {
  const fix = hint === undefined ? "" : `Fix: ${hint.split("\n").join(" ")}`;
  const tail = code === undefined ? "" : ` (${code})`;
  const left = CHARACTERS - (more === "" ? 0 : more.length + 1) - tail.length;
  const causes = telling(message, LINES - (fix === "" ? 0 : 1) - (more === "" ? 0 : 1));
  const cause = cut(causes.join("\n"), Math.max(CAUSE, left - fix.length - 1));
  const rest = left - cause.length - 1;
  return [
    `${cause}${tail}`,
    ...(fix === "" ? [] : [cut(fix, rest)]),
    ...(more === "" ? [] : [more]),
  ].join("\n");
}

/** Its first line, and of the others the first that tells of an error. */
function telling(message: string, most: number): string[] {
  const lines = message
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const [first = "", ...all] = lines;
  // What announces the next line tells nothing without it.
  const rest = all.filter((line, at) => !line.endsWith(":") || at === all.length - 1);
  const told = rest.find((line) => /\b(error|fatal|failed)\b/i.test(line)) ?? rest[0];
  return told === undefined || most < 2 ? [first] : [first, told.replace(/^> /, "")];
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, Math.max(0, most - 1)).trimEnd()}…`;
}

type Conclusion = "success" | "failure" | "neutral" | "skipped";

/** Whether an error of the run, for which its job is red, is about the target. */
export type Blame = "blamed" | "not blamed";

/** `skipped`: there was nothing to do for it. A red one stands where the job is red for it. */
export function conclusionOf(
  state: FinalState,
  { failOn, onPushFailure }: Pick<Job, "failOn" | "onPushFailure">,
  blame: Blame,
): Conclusion {
  const red = (fails: boolean) => (fails ? "failure" : "neutral");
  switch (state) {
    case "build failed":
      return "failure";
    case "not evaluated":
      return red(failOn.includes("eval"));
    case "no disk space":
      return red(failOn.includes("disk"));
    case "not pushed":
      return red(onPushFailure === "error");
    case "not verified":
      return red(failOn.includes("unverified"));
    case "needs a build":
      return red(failOn.includes("missing") || blame === "blamed");
    case "unknown":
      return red(blame === "blamed");
    case "built":
    case "now cached":
      return "success";
    case "cached":
      return "skipped";
    default:
      return state satisfies never;
  }
}

/** Of a check run. */
export const CHECK_TITLES: Readonly<Record<FinalState, string>> = {
  "not evaluated": "It does not evaluate",
  "build failed": "Its build failed",
  "no disk space": "Not built: not enough disk space",
  "not pushed": "Not pushed to the cache",
  "not verified": "Pushed, and not verified",
  unknown: "Could not be checked: a cache did not answer",
  "needs a build": "Needs a build",
  built: "Built, and not pushed",
  "now cached": "Cached now",
  cached: "Cached",
};
