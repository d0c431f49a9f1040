/** Owns a server of a folder, as a web server before a cache is: GET, HEAD, and ranges where it has them. */

import { readFile } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { join, normalize } from "node:path";
import { type LoopbackServer, listen, type Outcome } from "./http.ts";

export interface FileServer extends LoopbackServer {
  /** `GET /path`, and the range where one was asked for. */
  readonly requests: string[];
  /** Asked first; an answer is given instead of the file. */
  instead:
    | ((
        path: string,
        headers: IncomingHttpHeaders,
      ) => Outcome | undefined | Promise<Outcome | undefined>)
    | undefined;
}

export async function fileServer(
  directory: string,
  options: { readonly ranges: "served" | "ignored" } = { ranges: "served" },
): Promise<FileServer> {
  const requests: string[] = [];
  const state: { instead: FileServer["instead"] } = { instead: undefined };
  const server = await listen(async ({ method = "GET", url = "/", headers }) => {
    const { range } = headers;
    requests.push(`${method} ${url}${range ? ` ${range}` : ""}`);
    const other = await state.instead?.(url, headers);
    if (other) return other;
    const body = await readFile(join(directory, normalize(url))).catch(() => undefined);
    if (!body) return { status: 404 };
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
    if (from === undefined || to === undefined || options.ranges === "ignored") {
      return { status: 200, body };
    }
    return { status: 206, body: body.subarray(Number(from), Number(to) + 1) };
  });
  return {
    ...server,
    requests,
    get instead() {
      return state.instead;
    },
    set instead(answer) {
      state.instead = answer;
    },
  };
}
