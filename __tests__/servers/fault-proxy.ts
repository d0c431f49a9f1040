/** Owns a proxy that stands before a cache's server and spoils its answers, one fault at a time. */

import { type IncomingMessage, type OutgoingHttpHeaders, request as send } from "node:http";
import {
  type LoopbackServer,
  listen,
  type Outcome,
  type Reply,
  readBody,
  text,
  type Wire,
} from "./http.ts";

export type HttpFault =
  | "none"
  | "401"
  | "403"
  | "404 for nix-cache-info"
  | "HTML instead of narinfo"
  | "truncated NAR"
  | "wrong hash"
  | "wrong key name"
  | "clock far off"
  | "unknown compression"
  | "no right to write";

export interface FaultProxy extends LoopbackServer {
  fault: HttpFault;
}

export interface ProxyOptions {
  /** What the server itself says to a request that is signed at another time; default: nothing. */
  readonly skewed?: Reply;
  /** What stands for nix-cache-info there. */
  readonly info?: RegExp;
}

const BODY_MOST = 64 * 1024 * 1024;
const FORBIDDEN: Reply = {
  status: 403,
  headers: { "content-type": "application/json" },
  body: '{"code":403,"error":"Forbidden","message":"Access denied."}',
};
const LOGIN_PAGE =
  "<!doctype html><title>Log in</title><form action=/login><input name=user></form>";

/** Hands everything on to `target`; URLs of its own in the answers become the proxy's. */
export async function faultProxy(
  target: string,
  options: ProxyOptions = {},
  wire: Wire = "HTTP/1.1",
): Promise<FaultProxy> {
  const { info = /\/nix-cache-info$/, skewed } = options;
  const state: { fault: HttpFault; origin: string } = { fault: "none", origin: "" };
  const server = await listen(async (request): Promise<Outcome> => {
    const { fault } = state;
    const { pathname } = new URL(request.url ?? "/", target);
    const body = await readBody(request, { limit: BODY_MOST });
    const isNarInfo = pathname.endsWith(".narinfo");
    const isNar = /\/nar\/.*\.nar/.test(pathname);
    if (fault === "401" || fault === "403") return text(Number(fault), "who are you?");
    if (fault === "clock far off" && skewed) return skewed;
    if (fault === "404 for nix-cache-info" && info.test(pathname)) return text(404, "not here");
    if (fault === "HTML instead of narinfo" && isNarInfo) return text(200, LOGIN_PAGE, "text/html");
    const isWrite = request.method === "PUT" || request.method === "POST";
    if (fault === "no right to write" && isWrite) return FORBIDDEN;
    const answer = await forward(target, request, body);
    if (answer.status !== 200) return rewritten(answer, target, state.origin);
    if (fault === "wrong key name" && isNarInfo) {
      return { ...answer, body: String(answer.body).replace(/^Sig: [^:]+:/gm, "Sig: stranger-1:") };
    }
    if (fault === "truncated NAR" && isNar) {
      return { ...answer, body: answer.body.subarray(0, Math.floor(answer.body.length / 2)) };
    }
    if (fault === "unknown compression" && isNarInfo) {
      return {
        ...answer,
        body: String(answer.body).replace(/^Compression: .*/m, "Compression: lz4"),
      };
    }
    if (fault === "unknown compression" && isNar) return { ...answer, body: lz4(answer.body) };
    if (fault === "wrong hash" && isNar) return { ...answer, body: flipped(answer.body) };
    if (fault === "clock far off") {
      const date = "Thu, 01 Jan 2004 00:00:00 GMT";
      const right = rewritten(answer, target, state.origin);
      return { ...right, headers: { ...answer.headers, date, expires: date } };
    }
    const told = rewritten(answer, target, state.origin);
    if (fault !== "no right to write") return told;
    // Who says of itself what we may (Cachix), says that.
    return {
      ...told,
      body: String(told.body).replace(/"permission":"\w+"/, '"permission":"Read"'),
    };
  }, wire);
  state.origin = server.origin;
  return {
    ...server,
    get fault() {
      return state.fault;
    },
    set fault(fault) {
      state.fault = fault;
    },
  };
}

type Answer = Reply & { readonly body: Buffer };

/** With the Host it came with: a signed request is signed for that. A NAR elsewhere is fetched from there. */
async function forward(target: string, request: IncomingMessage, body: Buffer): Promise<Answer> {
  const { connection, "transfer-encoding": chunked, ...given } = request.headers;
  const authority = given[":authority"];
  const headers = {
    ...Object.fromEntries(Object.entries(given).filter(([name]) => !name.startsWith(":"))),
    ...(authority === undefined ? {} : { host: String(authority) }),
  };
  const url = new URL(request.url ?? "/", target);
  const method = request.method ?? "GET";
  const length = body.length > 0 ? { "content-length": String(body.length) } : {};
  const answer = await ask(url, method, { ...headers, ...length }, body);
  const { location } = answer.headers ?? {};
  if (answer.status === 302 && location && /\/nar\//.test(url.pathname)) {
    return ask(new URL(location, url), method, {}, Buffer.alloc(0));
  }
  return answer;
}

function ask(
  url: URL,
  method: string,
  headers: OutgoingHttpHeaders,
  body: Buffer,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = send(url, { method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const dropped = /^(content-length|transfer-encoding|connection|keep-alive)$/;
        const kept = Object.entries(response.headers).filter(([name]) => !dropped.test(name));
        resolve({
          status: response.statusCode ?? 500,
          headers: Object.fromEntries(kept.map(([name, value]) => [name, String(value)])),
          body: Buffer.concat(chunks),
          ...(method === "HEAD" && response.headers["content-length"]
            ? { headers: { "content-length": response.headers["content-length"] } }
            : {}),
        });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

function rewritten(answer: Answer, from: string, to: string): Reply {
  const type = answer.headers?.["content-type"] ?? "";
  if (!type.includes("json")) return answer;
  return { ...answer, body: answer.body.toString("utf8").replaceAll(from, to) };
}

/** As an lz4 file begins; the length stays what the narinfo says. */
function lz4(body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x04, 0x22, 0x4d, 0x18]), body.subarray(4)]);
}

function flipped(body: Buffer): Buffer {
  const other = Buffer.from(body);
  const middle = Math.floor(other.length / 2);
  other[middle] = (other[middle] ?? 0) ^ 0xff;
  return other;
}
