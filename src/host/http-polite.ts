/** Owns being a good guest of one server: fewer requests at once where it turns us away, and a count of that. */

import { UserError } from "../domain/errors.ts";
import { SLOW, type Strain } from "../domain/strain.ts";
import type { Http, HttpRequest, HttpResponse, HttpStream } from "./http.ts";
import { isPassing } from "./retry.ts";

/** Requests at once, where all is well; and what is left where nothing is. */
const MOST = 256;
const FEWEST = 4;
/** Milliseconds between two halvings: what is turned away together is one word of the server's. */
const ONE_WORD = 250;

/** Halves what is under way at once when the server has had enough, and widens with every answer. */
export class PoliteHttp implements Http {
  private readonly http: Http;
  private readonly troubles = new Map<string, number>();
  private slow = 0;
  private slowest = 0;
  private width = MOST;
  private narrowed = Number.NEGATIVE_INFINITY;
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(http: Http) {
    this.http = http;
  }

  get strain(): Strain {
    return { troubles: this.troubles, slow: this.slow, slowest: this.slowest };
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    if (this.running < this.width) this.running++;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    const begun = performance.now();
    try {
      const answer = await this.http.request(request);
      this.note(answer.status);
      if (request.body === undefined) this.noteTime(performance.now() - begun);
      return answer;
    } catch (error) {
      if (!request.signal.aborted) this.add(wordOf(error));
      throw error;
    } finally {
      this.running--;
      this.letIn();
    }
  }

  /** What is streamed is few and long: it is counted, and does not wait. */
  async stream(request: HttpRequest): Promise<HttpStream> {
    try {
      const answer = await this.http.stream(request);
      this.note(answer.status);
      return answer;
    } catch (error) {
      if (!request.signal.aborted) this.add(wordOf(error));
      throw error;
    }
  }

  private letIn(): void {
    while (this.waiting.length > 0 && this.running < this.width) {
      this.running++;
      this.waiting.shift()?.();
    }
  }

  private note(status: number): void {
    if (!isPassing(status)) {
      this.width = Math.min(MOST, this.width + 1 / this.width);
      return;
    }
    this.add(`HTTP ${status}`);
    const now = performance.now();
    // 408 and 500 say nothing of how many we are.
    if ((status !== 429 && status !== 503) || now - this.narrowed < ONE_WORD) return;
    this.narrowed = now;
    this.width = Math.max(FEWEST, this.width / 2);
  }

  private noteTime(milliseconds: number): void {
    if (milliseconds < SLOW) return;
    this.slow++;
    this.slowest = Math.max(this.slowest, milliseconds);
  }

  private add(trouble: string): void {
    this.troubles.set(trouble, (this.troubles.get(trouble) ?? 0) + 1);
  }
}

function wordOf(error: unknown): string {
  if (error instanceof UserError) return "no answer in time";
  const cause = error instanceof Error ? error.cause : undefined;
  const { code = "" } = (cause ?? {}) as NodeJS.ErrnoException;
  const isClosed = code === "ECONNRESET" || code === "EPIPE" || /closed/.test(String(cause));
  return isClosed ? "connection closed" : "connection failed";
}
