/** Owns a server that keeps what is PUT to it, as nginx does with `dav_methods PUT`. */

import { createHash } from "node:crypto";
import { type LoopbackServer, listen, type Outcome, readBody } from "./http.ts";

export interface PutServer extends LoopbackServer {
  readonly files: Map<string, Buffer>;
  /** `METHOD path transfer`, in order of arrival; transfer is `chunked` or the length. */
  readonly requests: string[];
  /** Asked before every request; an answer is given in place of the right one. */
  spoil: ((method: string, path: string) => Outcome | undefined) | undefined;
  /** Asked before every PUT; an answer is given instead of keeping the body. */
  refuse: ((path: string) => Outcome | undefined) | undefined;
}

/** `heeded`: as WebDAV has it, a tag for what is there, and a PUT only where the tag is still right. */
export async function putServer(conditions: "heeded" | "ignored" = "ignored"): Promise<PutServer> {
  const files = new Map<string, Buffer>([
    ["/nix-cache-info", Buffer.from("StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 40\n")],
  ]);
  const requests: string[] = [];
  const state: Pick<PutServer, "refuse" | "spoil"> = { refuse: undefined, spoil: undefined };
  const server = await listen(async (request) => {
    const { method = "GET", url: path = "/", headers } = request;
    requests.push(`${method} ${path} ${headers["transfer-encoding"] ?? headers["content-length"]}`);
    const spoilt = state.spoil?.(method, path);
    if (spoilt !== undefined) return spoilt;
    const tag = () => {
      const body = files.get(path);
      return body && `"${createHash("sha256").update(body).digest("hex").slice(0, 16)}"`;
    };
    if (method === "PUT") {
      const refusal = state.refuse?.(path);
      if (refusal) return refusal;
      const body = await readBody(request, { limit: 64 * 1024 * 1024 });
      // In one turn with what follows: no other PUT comes between.
      const { "if-match": match, "if-none-match": noMatch } = headers;
      const isOutdated =
        (match !== undefined && match !== tag()) || (noMatch === "*" && files.has(path));
      if (conditions === "heeded" && isOutdated) return { status: 412 };
      files.set(path, body);
      return { status: 201 };
    }
    if (method === "DELETE") return { status: files.delete(path) ? 204 : 404 };
    const body = files.get(path);
    if (!body) return { status: 404 };
    if (conditions === "ignored") return { status: 200, body };
    const etag = tag() ?? "";
    if (headers["if-none-match"] === etag) return { status: 304 };
    return { status: 200, headers: { etag }, body };
  });
  return {
    ...server,
    files,
    requests,
    get spoil() {
      return state.spoil;
    },
    set spoil(answer) {
      state.spoil = answer;
    },
    get refuse() {
      return state.refuse;
    },
    set refuse(answer) {
      state.refuse = answer;
    },
  };
}
