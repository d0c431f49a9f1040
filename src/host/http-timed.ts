/** Owns one request's patience: its deadline, its caller's signal, and what to say when either ends it. */

import { UserError } from "../domain/errors.ts";
import type { HttpRequest } from "./http-request.ts";

/** What is under way for a signal: one listener for all of it, not one for each request. */
const REQUESTS = new WeakMap<AbortSignal, Set<Timed>>();

function underWay(signal: AbortSignal): Set<Timed> {
  let requests = REQUESTS.get(signal);
  if (!requests) {
    const made = new Set<Timed>();
    const interrupt = () => {
      for (const timed of made) timed.interrupt();
    };
    signal.addEventListener("abort", interrupt, { once: true });
    REQUESTS.set(signal, made);
    requests = made;
  }
  return requests;
}

/** What is under way, and can be ended. */
interface Endable {
  destroy(error: Error): unknown;
}

/** One request's deadline and the caller's signal, whichever comes first. */
export class Timed {
  private readonly request: HttpRequest;
  private timer: NodeJS.Timeout | undefined;
  private sent: Endable | undefined;
  private late = false;
  private readonly underWay: Set<Timed>;

  constructor(request: HttpRequest) {
    request.signal.throwIfAborted();
    this.request = request;
    this.underWay = underWay(request.signal);
    this.underWay.add(this);
    this.restart();
  }

  interrupt(): void {
    this.sent?.destroy(new Error("interrupted"));
  }

  attach(sent: Endable): void {
    this.sent = sent;
    // Between two hops there is no request to end: the next one ends before it begins.
    if (this.late || this.request.signal.aborted) sent.destroy(new Error("interrupted"));
  }

  restart(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.late = true;
      this.sent?.destroy(new Error("too slow"));
    }, this.request.deadline);
  }

  pause(): void {
    clearTimeout(this.timer);
  }

  done(): void {
    clearTimeout(this.timer);
    this.underWay.delete(this);
  }

  explain(error: unknown): unknown {
    if (this.request.signal.aborted) return this.request.signal.reason;
    const { method, url, deadline } = this.request;
    // The query may hold a signed upload's secret; the path never does.
    const what = `${method} ${url.origin}${url.pathname}`;
    if (this.late)
      return new UserError("NCP-501", `${what}: no answer within ${deadline / 1000} s`);
    return new Error(`${what}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}
