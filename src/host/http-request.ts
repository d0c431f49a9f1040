/** Owns what is asked of HTTP: one request, its body, its deadline. */

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * A list is sent as it stands, one piece after the other, without a copy. A stream is sent as it
   * comes, in chunks, and the deadline then holds for each wait.
   */
  readonly body?: Uint8Array | string | readonly Uint8Array[] | AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
  /** Milliseconds for one try, connection to last byte. */
  readonly deadline: number;
  /** A longer body is refused. */
  readonly maxBytes?: number;
}
