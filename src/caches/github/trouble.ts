/** What the silence, the log lines and the numbers of GitHub's cache client mean. Pure. */

import { formatSeconds } from "../../domain/size.ts";
import { FOREIGN } from "./archive.ts";
import type { ClientDeadlines, ClientEnd } from "./transfer.ts";

export type TroubleKind =
  | "unavailable"
  | "tools"
  | "mode"
  | "denied"
  | "race"
  | "quota"
  | "rate"
  | "unreachable"
  | "slow"
  | "foreign"
  | "failed";

export interface Trouble {
  readonly kind: TroubleKind;
  /** The client's words, where it had any. */
  readonly detail: string;
}

const TRY = /^Attempt \d+ of/;

/** In this order: the client says "another job may be creating this cache" of every refusal. */
const MEANINGS: readonly (readonly [RegExp, TroubleKind])[] = [
  [new RegExp(FOREIGN), "foreign"],
  [/ACTIONS_RUNTIME_TOKEN/, "unavailable"],
  [/effective cache-mode/, "mode"],
  [/cache (write|read) denied:/, "denied"],
  [/quota has been hit|insufficient usage/, "quota"],
  [/Rate limited|rate limit|\(429\)/i, "rate"],
  [/\(409\)|already.exists/i, "race"],
  [/\(40[13]\)/, "denied"],
  [/ECONNREFUSED|ECONNRESET|ENOTFOUND|ETIMEDOUT|EHOSTUNREACH/, "unreachable"],
];

const LATE: Readonly<Record<keyof ClientDeadlines, string>> = {
  answer: "no answer",
  stall: "the transfer stood still: not a byte",
  whole: "not done",
};

/** Undefined where nothing tells of trouble. */
export function troubleOf({ answers, lines, late, code }: ClientEnd): Trouble | undefined {
  if (answers.some(({ kind }) => kind === "unavailable")) {
    return { kind: "unavailable", detail: "" };
  }
  for (const answer of answers) {
    if (answer.kind !== "lacks") continue;
    return { kind: "tools", detail: `it needs ${answer.program}: ${answer.install}` };
  }
  const tries = lines.filter((line) => TRY.test(line));
  if (late) {
    const within = `${LATE[late.deadline]} within ${formatSeconds(late.after / 1000)}`;
    const [last] = tries.slice(-1);
    return { kind: "slow", detail: last === undefined ? within : `${within}; ${last}` };
  }
  const threw = answers.flatMap((answer) => (answer.kind === "threw" ? [answer.message] : []));
  // What a later try made good is no trouble.
  const all = [...threw, ...lines.filter((line) => !TRY.test(line))];
  for (const [pattern, kind] of MEANINGS) {
    const detail = all.find((line) => pattern.test(line));
    if (detail !== undefined) return { kind, detail };
  }
  // A reservation that is refused without a reason is that of a key somebody else has.
  const unsaid = all.find((line) =>
    /Failed to reserve cache: Error: Response was not ok/.test(line),
  );
  if (unsaid !== undefined) return { kind: "race", detail: unsaid };
  const [failed] = all;
  if (failed !== undefined) return { kind: "failed", detail: failed };
  if (code !== 0) return { kind: "failed", detail: `its client ended with ${code ?? "a signal"}` };
  return undefined;
}

const WHY: Readonly<Record<TroubleKind, string>> = {
  unavailable: "this runner offers no GitHub Actions cache",
  tools: "this machine lacks a program that GitHub's cache client runs",
  mode: "the workflow's cache-mode does not allow it",
  denied: "this run's token does not allow it (an untrusted event, or another repository's)",
  race: "another job has saved an entry of this key meanwhile",
  quota: "the repository's cache storage is full; GitHub makes space by deleting what was not used",
  rate: "GitHub limits how often its cache is asked, and this repository is over it",
  unreachable: "the cache service cannot be reached",
  slow: "the cache service is too slow",
  foreign: "an entry was refused before anything of it was unpacked: somebody else wrote it",
  failed: "the cache service failed",
};

/** What a run that wanted to restore tells. */
export function restoreNotice({ kind, detail }: Trouble, what: "nothing" | "a part"): string {
  const then =
    kind === "unavailable"
      ? "this run begins with an empty cache, and keeps nothing for the next one"
      : "this run begins without what earlier ones kept";
  return `github: ${what === "nothing" ? "nothing" : "only a part"} was restored: ${WHY[kind]}${told(detail)}; ${then}`;
}

/** What a run that wanted to save tells. */
export function saveNotice(key: string, { kind, detail }: Trouble): string {
  const then =
    kind === "race"
      ? "that one is used from now on, and nothing is lost but this upload"
      : "what this job built is not kept for the next one";
  return `github: ${key} was not saved: ${WHY[kind]}${told(detail)}; ${then}`;
}

function told(detail: string): string {
  return detail === "" ? "" : ` (${detail})`;
}

/** One line of it, as far as it matters. */
export interface LogLine {
  /** `asked`: a question went out; `answered`: it came to an end, well or not. */
  readonly event: "asked" | "answered" | undefined;
  /** A line that tells of trouble, without what signs a URL. */
  readonly telling: string | undefined;
  readonly transfer: Transfer | undefined;
}

/** How far an entry is on its way, in bytes; told each second. */
export interface Transfer {
  readonly direction: "received" | "sent";
  readonly bytes: number;
  readonly of: number;
}

/** Questions and answers are told at debug level, which is always printed. */
const ASKED = /^\[Request\]/;
/** An error is one only when the client gives up: it asks again by itself. */
const ANSWERED = /^\[Response\] - [23]|^Failed to (restore|save)/;
const TELLING =
  /^(Failed to (restore|save|reserve)|Cache reservation failed|Cache (restore|save) skipped|Unable to finalize|Attempt \d|uploadCacheArchiveSDK|You've hit a rate limit|\w*Error:)/;
const TRANSFER = /^(Received|Sent) (\d+) of (\d+) /;
const LONGEST = 500;

/** Source: @actions/cache 6.3, cache.js and internal/{uploadUtils,downloadUtils,shared/cacheTwirpClient}.js. */
export function readLogLine(raw: string): LogLine {
  const line = raw
    .replace(/^::(debug|warning|error|notice)[^:]*::/, "")
    .replaceAll("%0A", " ")
    .replaceAll("%25", "%")
    .replace(/\?\S*/g, "")
    .slice(0, LONGEST);
  const event = ASKED.test(line) ? "asked" : ANSWERED.test(line) ? "answered" : undefined;
  return { event, telling: TELLING.test(line) ? line : undefined, transfer: transferOf(line) };
}

function transferOf(line: string): Transfer | undefined {
  const [, verb, bytes, of] = TRANSFER.exec(line) ?? [];
  if (verb === undefined) return undefined;
  const direction = verb === "Sent" ? "sent" : "received";
  return { direction, bytes: Number(bytes), of: Number(of) };
}
