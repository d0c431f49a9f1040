/** Owns a request as it stands on the wire (RFC 9112, section 3). */

export interface WireRequest {
  readonly method: string;
  /** The request line and the fields, with the empty line behind them. */
  readonly head: string;
  /** The body, sent without a copy. */
  readonly pieces: readonly Uint8Array[];
  /** An answer with a longer body is an error. */
  readonly most: number;
}

/** Node's own rule: no control character but the tab, so that no value can hold another field. */
const NO_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** Throws for a value that cannot stand in a field; the error does not hold it. */
export function wireRequest(
  method: string,
  { pathname, search, host }: URL,
  headers: Readonly<Record<string, string>>,
  pieces: readonly Uint8Array[],
  most: number,
): WireRequest {
  let head = `${method} ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    if (NO_VALUE.test(value)) throw new Error(`the value of the field ${name} cannot be sent`);
    head += `${name}: ${value}\r\n`;
  }
  if (pieces.length > 0 || method === "PUT" || method === "POST") {
    head += `content-length: ${pieces.reduce((sum, { length }) => sum + length, 0)}\r\n`;
  }
  return { method, head: `${head}\r\n`, pieces, most };
}
