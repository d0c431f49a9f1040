/** Owns a server that keeps what is PUT to it, as nginx does with `dav_methods PUT`. */

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

export async function putServer(): Promise<PutServer> {
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
    if (method === "PUT") {
      const refusal = state.refuse?.(path);
      if (refusal) return refusal;
      files.set(path, await readBody(request, { limit: 64 * 1024 * 1024 }));
      return { status: 201 };
    }
    const body = files.get(path);
    return body ? { status: 200, body } : { status: 404 };
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
