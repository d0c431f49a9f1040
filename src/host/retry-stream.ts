/** Owns opening a stream in several tries: before its first byte it is a question like any other. */

import type { Http, HttpRequest, HttpStream } from "./http.ts";
import { type RetryPolicy, retry } from "./retry.ts";

/** The stream of the last try, whatever its status; what breaks off behind it is an error. */
export async function retryStream(
  http: Http,
  request: HttpRequest,
  policy: RetryPolicy,
): Promise<HttpStream> {
  let opened: HttpStream | undefined;
  const attempt = async () => {
    opened?.discard();
    opened = await http.stream(request);
    const { status, headers } = opened;
    return { status, headers, body: Buffer.alloc(0), url: request.url };
  };
  await retry(attempt, request.signal, policy);
  if (!opened) throw new Error("a stream was not opened");
  return opened;
}
