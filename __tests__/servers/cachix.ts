/** Owns the Cachix stand-in: a server on the loopback as strict as the real one, and its faults. */

import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { NarInfo } from "../../src/domain/narinfo.ts";
import type { StorePath } from "../../src/domain/store-path.ts";
import { authorize, type Permission, tokenOf } from "./cachix-access.ts";
import {
  type CachixContext,
  type CachixOptions,
  type CachixSettings,
  createContext,
  type Visit,
} from "./cachix-context.ts";
import type { FaultName, Faults } from "./cachix-faults.ts";
import {
  answerBulk,
  describeCache,
  nixCacheInfo,
  serveNar,
  serveNarInfo,
  serveStoredNar,
} from "./cachix-read.ts";
import { type Endpoint, isWrite, type Route, routeApi, routeStorage } from "./cachix-routes.ts";
import type { CachixState, Seed } from "./cachix-state.ts";
import type { Upload } from "./cachix-uploads.ts";
import {
  abortUpload,
  completeUpload,
  createPin,
  createUpload,
  deletePin,
  listPins,
  putPart,
  signPart,
} from "./cachix-write.ts";
import { HttpError, json, type LoopbackServer, listen, type Outcome, text } from "./http.ts";

export type { Permission } from "./cachix-access.ts";
export type { CachixOptions, CachixSettings } from "./cachix-context.ts";
export type { Fault, FaultName, Faults, FaultTarget } from "./cachix-faults.ts";
export type { Seed } from "./cachix-state.ts";

export interface SeenRequest {
  /** `storage`: the side signed URLs lead to, where no credentials belong. */
  readonly side: "api" | "storage";
  readonly endpoint: Endpoint;
  readonly method: string;
  readonly path: string;
  readonly isWrite: boolean;
  /** Whether credentials came with it; never which. */
  readonly isAuthorized: boolean;
  /** What was answered; 0 while unanswered, and for good where the connection was dropped. */
  status: number;
}

export interface CachixServer extends AsyncDisposable {
  readonly name: string;
  /** `http://127.0.0.1:PORT`, in place of https://cachix.org. */
  readonly origin: string;
  /** The substituter Nix takes. */
  readonly uri: string;
  /** Of this cache, `NAME:BASE64`, as `GET /cache/NAME` gives them. */
  readonly publicKeys: readonly string[];
  readonly upstreamPublicKey: string;
  /** Token → permission; deleting one revokes it from the next request on. */
  readonly tokens: Map<string, Permission>;
  readonly settings: CachixSettings;
  readonly faults: Faults;
  readonly state: CachixState;
  readonly requests: readonly SeenRequest[];
  /** The most requests that were in progress at one time. */
  readonly peakConcurrency: number;
  fired(name: FaultName): number;
  writes(): SeenRequest[];
  uploads(status: Upload["status"]): Upload[];
  addOwn(seed: Seed): Promise<NarInfo>;
  addUpstream(seed: Seed): Promise<NarInfo>;
  gc(options?: { readonly advanceDays?: number }): StorePath[];
  dropNar(hash: string): void;
}

export async function startCachix(options: CachixOptions = {}): Promise<CachixServer> {
  const context = createContext(options);
  const { state, injector, name } = context;
  const requests: SeenRequest[] = [];
  let inProgress = 0;
  let peakConcurrency = 0;

  // Two ports, as there are two hosts: a client must not take its token along to the storage.
  const serve = async (side: SeenRequest["side"], request: IncomingMessage): Promise<Outcome> => {
    const { method = "GET", headers } = request;
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    const route = side === "api" ? routeApi(method, url) : routeStorage(method, url);
    const seen: SeenRequest = {
      side,
      endpoint: route.endpoint,
      method,
      path: url.pathname,
      isWrite: isWrite(method, route.endpoint),
      isAuthorized: tokenOf(headers.authorization) !== undefined,
      status: 0,
    };
    requests.push(seen);
    inProgress++;
    peakConcurrency = Math.max(peakConcurrency, inProgress);
    try {
      const outcome = await respond(context, request, route, {
        side,
        path: url.pathname,
        origin: api.origin,
        storageOrigin: storage.origin,
        closed: api.closed,
      });
      if (typeof outcome === "object") seen.status = outcome.status;
      return outcome;
    } finally {
      inProgress--;
    }
  };
  const api: LoopbackServer = await listen((request) => serve("api", request));
  const storage: LoopbackServer = await listen((request) => serve("storage", request));

  const seedWith = (key: CachixContext["ownKey"]) => {
    return { extension: context.preferredCompression, key };
  };
  return {
    name,
    origin: api.origin,
    uri: `${api.origin}/serve/${name}`,
    publicKeys: context.publicKeys,
    upstreamPublicKey: context.upstreamKey.publicKey.text,
    tokens: context.tokens,
    settings: context.settings,
    faults: injector.faults,
    state,
    requests,
    get peakConcurrency() {
      return peakConcurrency;
    },
    fired: (fault) => injector.fired(fault),
    writes: () => requests.filter((request) => request.isWrite),
    uploads: (status) =>
      [...context.uploads.byNarId.values()].filter((upload) => upload.status === status),
    addOwn: (seed) => state.seed("own", seed, seedWith(context.ownKey)),
    addUpstream: (seed) => state.seed("upstream", seed, seedWith(context.upstreamKey)),
    gc: (gcOptions) => state.gc(gcOptions),
    dropNar: (hash) => state.dropNar(hash),
    async [Symbol.asyncDispose]() {
      await Promise.all([api[Symbol.asyncDispose](), storage[Symbol.asyncDispose]()]);
    },
  };
}

interface Place {
  readonly side: SeenRequest["side"];
  readonly path: string;
  readonly origin: string;
  readonly storageOrigin: string;
  readonly closed: AbortSignal;
}

/** The faults that strike before, the answer, and the faults that strike behind it. */
async function respond(
  context: CachixContext,
  request: IncomingMessage,
  route: Route,
  place: Place,
): Promise<Outcome> {
  const { injector } = context;
  const { method = "GET" } = request;
  const { endpoint, subject, partNumber } = route;
  const hash = endpoint === "narinfo" ? subject : undefined;
  const target = { endpoint, method, path: place.path, hash, partNumber };

  const delay = injector.strikes("delay", target);
  if (delay) await sleep(delay.milliseconds, undefined, { signal: place.closed });
  if (injector.strikes("dropConnection", target)) return "drop";
  if (injector.strikes("hang", target)) return "hang";
  const refused = injector.strikes("refused", target);
  if (refused) return json(refused.status, { error: `refused with ${refused.status}` });
  const limited = injector.strikes("rateLimited", target);
  if (limited) return tooManyRequests(limited);
  if (injector.strikes("badGateway", target)) {
    const page = "<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>";
    return text(502, page, "text/html");
  }

  let outcome: Outcome;
  try {
    const permission =
      place.side === "storage" || endpoint === "unknown"
        ? "none"
        : authorize(context, endpoint, route.cache, request.headers.authorization);
    outcome = await answer(context, request, route, { ...place, target, permission });
  } catch (thrown) {
    if (!(thrown instanceof HttpError)) throw thrown;
    outcome = thrown.reply;
  }
  if (typeof outcome !== "object" || outcome.status !== 200) return outcome;
  if (isWrite(method, endpoint) && injector.strikes("errorAfterCommit", target)) {
    return json(500, { error: "Something went wrong" });
  }
  if (!injector.strikes("noContent", target)) return outcome;
  // A part's ETag stands in the answer all the same.
  return { status: 204, ...(outcome.headers ? { headers: outcome.headers } : {}) };
}

function tooManyRequests(fault: NonNullable<Faults["rateLimited"]>): Outcome {
  const { retryAfter, seconds } = fault;
  if (retryAfter === "json") return json(429, { error: "rate limited", retry_after: seconds });
  const date = new Date(Date.now() + seconds * 1000).toUTCString();
  const value = retryAfter === "seconds" ? String(seconds) : date;
  return { ...text(429, "Too Many Requests"), headers: { "retry-after": value } };
}

function answer(
  context: CachixContext,
  request: IncomingMessage,
  route: Route,
  visit: Visit,
): Outcome | Promise<Outcome> {
  switch (route.endpoint) {
    case "cache":
      return describeCache(context, visit);
    case "nix-cache-info":
      return nixCacheInfo(context);
    case "bulk":
      return answerBulk(context, visit, request);
    case "narinfo":
      return serveNarInfo(context, visit, route.subject, request.headers);
    case "nar":
      return route.cache === undefined
        ? serveStoredNar(context, visit, route.subject, request, route.query)
        : serveNar(context, visit, route.subject, request);
    case "create-upload":
      return createUpload(context, route, request);
    case "sign-part":
      return signPart(context, visit, route, request);
    case "put-part":
      return putPart(context, visit, route, request);
    case "complete":
      return completeUpload(context, visit, route, request);
    case "abort":
      return abortUpload(context, route);
    case "pin":
      return createPin(context, visit, request);
    case "pin-list":
      return listPins(context, visit);
    case "pin-delete":
      return deletePin(context, route);
    case "unknown":
      return route.subject === "method" ? text(405, "method") : text(404, "no such endpoint");
  }
}
