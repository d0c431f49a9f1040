/** Owns redirects: how far they are followed, where to, and which credentials go along. */

import type { IncomingHttpHeaders } from "node:http";
import type { HttpRequest } from "./http-request.ts";

interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

const REDIRECTS_MOST = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** The last answer, and the URL that gave it. `pass` reads what stands behind a redirect to its end. */
export async function follow<A extends Answered>(
  { method, url: first, headers: given }: HttpRequest,
  send: (url: URL, headers: Readonly<Record<string, string>>) => Promise<A>,
  pass: (answer: A) => Promise<void>,
): Promise<A & { readonly url: URL }> {
  let url = first;
  let headers = given ?? {};
  for (let hop = 0; ; hop++) {
    const answer = await send(url, headers);
    const { location } = answer.headers;
    const isQuestion = method === "GET" || method === "HEAD";
    if (!REDIRECTS.has(answer.status) || !location || !isQuestion) return { ...answer, url };
    await pass(answer);
    if (hop >= REDIRECTS_MOST) throw new Error(`${first.href} redirects without end`);
    const next = new URL(location, url);
    if (next.protocol !== "https:" && next.protocol !== "http:") {
      throw new Error(`${url.href} redirects to ${next.protocol}`);
    }
    // Credentials are for the host the user named, not for whatever it points to.
    if (next.origin !== url.origin) {
      headers = Object.fromEntries(
        Object.entries(headers).filter(([name]) => !/^(authorization|cookie)$/i.test(name)),
      );
    }
    url = next;
  }
}
