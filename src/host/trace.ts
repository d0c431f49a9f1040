/** The debug trace: every HTTP request and every command as one line, with nothing secret in it. */

import { channel } from "node:diagnostics_channel";
import { describeError } from "../domain/errors.ts";

/** What is traced is published here, and costs next to nothing where nobody listens. */
const CHANNEL = channel("nix-cache-preflight:trace");

interface TracedLine {
  readonly what: string;
  readonly outcome: string;
  readonly milliseconds: number;
}

/** A build that names ten thousand paths is not to be ten thousand paths of log. */
const LINE_MOST = 4_000;

/**
 * Begins to time what `what` names. The function that it gives is called once, with what came of it:
 * `200, HTTP/1.1, new connection`, `status 0`.
 */
export function beginTrace(what: () => string): (outcome: string) => void {
  if (!CHANNEL.hasSubscribers) return () => undefined;
  const begun = performance.now();
  return (outcome) => {
    const milliseconds = Math.round(performance.now() - begun);
    const line: TracedLine = { what: what(), outcome, milliseconds };
    CHANNEL.publish(line);
  };
}

/** Does `work` and traces it, a failure too. */
export async function traced<T>(
  what: () => string,
  work: () => Promise<T>,
  outcome: (result: T) => string,
): Promise<T> {
  const end = beginTrace(what);
  try {
    const result = await work();
    end(outcome(result));
    return result;
  } catch (error) {
    end(`failed (${describeError(error)})`);
    throw error;
  }
}

/** `GET https://cache.example.org/abc.narinfo`: without the query, which may be a signature. */
export function requestName(method: string, { protocol, host, pathname }: URL): string {
  return `${method} ${protocol}//${host}${pathname}`;
}

/** What came of a request; the protocol is named as ALPN does. */
export function exchangeWords(
  status: number,
  protocol: "h2" | "http/1.1",
  connection: "new" | "kept",
): string {
  return `${status}, ${protocol === "h2" ? "HTTP/2" : "HTTP/1.1"}, ${connection} connection`;
}

/** As it could be typed; what a shell would take apart is quoted. */
export function commandName(command: string, args: readonly string[]): string {
  return [command, ...args]
    .map((word) => (/^[\w@%+=:,./^?&#~*!-]+$/.test(word) ? word : JSON.stringify(word)))
    .join(" ");
}

/** Prints every line from now on, until it is disposed of. `secrets`: what no line may hold. */
export function showTrace(print: (line: string) => void, secrets: readonly string[]): Disposable {
  const mask = masker(secrets);
  const listener = (message: unknown) => {
    // Nobody else publishes there.
    const { what, outcome, milliseconds } = message as TracedLine;
    print(`${shortened(mask(what))}: ${mask(outcome)}, ${milliseconds} ms`);
  };
  CHANNEL.subscribe(listener);
  return { [Symbol.dispose]: () => CHANNEL.unsubscribe(listener) };
}

/** The secrets of the run, the credentials of any address, and the query of any web address go. */
function masker(secrets: readonly string[]): (text: string) => string {
  const words = [...new Set(secrets.flatMap((word) => [word, encodeURIComponent(word)]))]
    .filter((word) => word !== "")
    .sort((a, b) => b.length - a.length);
  return (text) => {
    let masked = text;
    for (const word of words) masked = masked.replaceAll(word, "***");
    return masked
      .replaceAll(/([a-z][a-z0-9+.-]*:\/\/)[^\s/@"']{1,1000}@/gi, "$1***@")
      .replaceAll(/(https?:\/\/[^\s?"']{1,2000})\?[^\s"']+/gi, "$1?***");
  };
}

function shortened(line: string): string {
  if (line.length <= LINE_MOST) return line;
  const kept = line.slice(0, line.lastIndexOf(" ", LINE_MOST));
  const more = line.slice(kept.length).trim().split(" ").length;
  return `${kept} … and ${more} more`;
}
