/** The cache `attic:SERVER/CACHE`: read as any binary cache, written through its API (docs/adr/0012). */

import type { CacheClient, Presence } from "../../domain/cache.ts";
import { asError, UserError } from "../../domain/errors.ts";
import type { PublicKey } from "../../domain/signature.ts";
import { hashPart, type StorePath } from "../../domain/store-path.ts";
import type { Http } from "../../host/http-client.ts";
import type { RetryPolicy } from "../../host/retry.ts";
import { CACHE_NAME, narInfoPage, parseUrl, withoutSlash, withPriority } from "../address.ts";
import { ATTIC_OPTIONS, optionsOf, priorityOf } from "../address-options.ts";
import { Batch } from "../batch.ts";
import { httpCache } from "../http/http.ts";
import type { BadAddress, CacheKind } from "../kind.ts";
import { AtticApi, type AtticConfig, readAtticToken } from "./api.ts";
import { atticPush } from "./push.ts";

export interface AtticOptions {
  /** As the user wrote it; in every report. */
  readonly label: string;
  readonly server: URL;
  readonly cache: string;
  /** As the user wrote it behind the address. */
  readonly priority: number | undefined;
  readonly storeDir: string;
  readonly role: "own" | "substituter";
  readonly token: string | undefined;
  readonly publicKeys: readonly PublicKey[];
  readonly signatures: "require" | "accept any";
  readonly http: Http;
  readonly ask?: RetryPolicy;
  readonly write?: RetryPolicy;
}

interface Reader {
  readonly config: AtticConfig;
  readonly cache: CacheClient;
}

/** Fewer are asked for one by one: a question before the question would be one journey more. */
const FEW = 32;
const HASHES_MOST = 5_000;

function atticCache(options: AtticOptions): CacheClient {
  const { label, role, storeDir, token } = options;
  const api = new AtticApi(options);
  const said = token === undefined ? undefined : readAtticToken(token, options.cache);
  let known: Reader | undefined;
  let asked: Promise<Reader> | undefined;
  const open = (signal: AbortSignal): Promise<Reader> => {
    asked ??= api.config(signal).then(
      (config) => {
        known = { config, cache: readerOf(options, config) };
        return known;
      },
      (error) => {
        asked = undefined;
        throw error;
      },
    );
    return asked;
  };
  const mayWrite = role === "own" && token !== undefined && said?.permission !== "read";
  const bulk = new Batch<"missing" | "ask">({
    parallel: 4,
    most: HASHES_MOST,
    absent: "ask",
    async answer(paths, signal) {
      if (paths.length <= FEW) return new Map();
      // Where bulk fails, every narinfo is asked for, and says itself what is wrong.
      const missing = await api.missing(paths.map(hashPart), signal).catch(() => undefined);
      return new Map(
        paths.flatMap((path): [StorePath, "missing"][] =>
          missing?.has(hashPart(path)) ? [[path, "missing"]] : [],
        ),
      );
    },
  });

  const reading: CacheClient = {
    name: label,
    questionsAtOnce: 4_096,
    get substituter() {
      const guess = { url: rootOf(options), publicKeys: [], priority: undefined };
      return withPriority(known?.cache.substituter ?? guess, options.priority);
    },
    async describe(signal) {
      const { config } = await open(signal);
      if (config.storeDir !== undefined && config.storeDir !== storeDir) {
        throw new UserError(
          "NCP-304",
          `${label} is for the store ${config.storeDir}, and this machine's is ${storeDir}`,
          { hint: "use a cache of your own for this store" },
        );
      }
      return {
        storeDir,
        priority: config.priority,
        publicKeys: config.keys,
        permission: config.refused || !mayWrite ? "read" : said?.permission,
        ...(config.refused && role === "own" ? { trouble: config.refused } : {}),
      };
    },
    async query(path, signal): Promise<Presence> {
      try {
        const { cache, config } = await open(signal);
        // Only who may push is told.
        if (mayWrite && !config.refused && (await bulk.ask(path, signal)) === "missing") {
          return { kind: "miss" };
        }
        return await cache.query(path, signal);
      } catch (error) {
        signal.throwIfAborted();
        return { kind: "unknown", cause: asError(error) };
      }
    },
    // It puts NARs together out of chunks, and may say no length: then only reading it shows that.
    narSize: async (narInfo, signal) => (await open(signal)).cache.narSize(narInfo, signal),
    async *readNar(narInfo, signal) {
      yield* (await open(signal)).cache.readNar(narInfo, signal);
    },
  };
  if (role === "substituter" || token === undefined) return reading;
  const mayPush = (signal: AbortSignal) => api.refusesPush(signal);
  if (!mayWrite) {
    return {
      ...reading,
      get substituter() {
        return reading.substituter;
      },
      mayPush,
    };
  }
  const push = atticPush(api);
  return {
    ...reading,
    get substituter() {
      return reading.substituter;
    },
    mayPush,
    async push(paths, nar, progress, signal) {
      const { config } = await open(signal);
      if (config.refused) throw config.refused;
      return push(paths, nar, progress, signal);
    },
  };
}

function rootOf({ server, cache }: AtticOptions): string {
  return `${server.href.replace(/\/+$/, "")}/${encodeURIComponent(cache)}`;
}

/** Its binary cache endpoint. The token goes to the server's own host and to no other it names. */
function readerOf(options: AtticOptions, config: AtticConfig): CacheClient {
  const { label, server, storeDir, token, http, signatures } = options;
  const publicKeys = [...config.keys, ...options.publicKeys];
  const isOurs = token !== undefined && config.endpoint.hostname === server.hostname;
  const isPrivate = isOurs && config.access === "private" && !config.refused;
  // As Attic's own client writes it.
  const credentials = () => ({
    machine: config.endpoint.hostname,
    login: "",
    password: token ?? "",
  });
  return httpCache({
    name: label,
    base: config.endpoint,
    substituter: {
      url: config.endpoint.href.replace(/\/+$/, ""),
      publicKeys: config.keys,
      priority: undefined,
      ...(isPrivate ? { credentials } : {}),
    },
    policy:
      signatures === "accept any" ? { kind: "by location" } : { kind: "by key", keys: publicKeys },
    storeDir,
    http,
    headers: isPrivate ? { authorization: `Bearer ${token}` } : {},
  });
}

interface AtticAddress {
  readonly server: URL;
  readonly cache: string;
  readonly priority: number | undefined;
}

function parseAddress(text: string, bad: BadAddress): AtticAddress {
  const [place = ""] = text.slice("attic:".length).split("?", 1);
  const rest = withoutSlash(place);
  const slash = rest.lastIndexOf("/");
  const cache = rest.slice(slash + 1);
  const server = rest.slice(0, Math.max(0, slash));
  if (server === "" || !CACHE_NAME.test(cache)) throw bad("it is not attic:SERVER/CACHE");
  const url = /^https?:\/\//.test(server) ? server : `https://${server}`;
  return { server: parseUrl(url, bad), cache, priority: priorityOf(optionsOf(text)) };
}

export const atticKind: CacheKind<AtticAddress> = {
  facts: {
    kind: "attic",
    token: "needed to write",
    readers: "everybody",
    keeper: "itself",
    staging: "where it pays",
  },
  options: ATTIC_OPTIONS,
  form: "attic:SERVER/CACHE",
  begins: ["attic:"],
  parse: parseAddress,
  place: ({ server, cache }) => `attic:${withoutSlash(server.href)}/${cache}`,
  name: ({ cache }) => cache,
  hosts: ({ server }) => [server],
  page: (_address, path, url) => narInfoPage(url, path),
  open: ({ server, cache, priority }, request) =>
    atticCache({
      priority,
      label: request.name,
      server,
      cache,
      storeDir: request.storeDir,
      role: request.role,
      token: request.token,
      publicKeys: request.publicKeys,
      signatures: request.signatures,
      http: request.http,
    }),
};
