/** Owns the log of GitHub's cache client: whether the service answers, and lines that tell why not. */

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
