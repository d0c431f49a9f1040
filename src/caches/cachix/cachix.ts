/** The cache `cachix:NAME`: we speak its protocol ourselves, so that every answer is understood. */

import type { CacheClient, Substituter } from "../../domain/cache.ts";
import { asError } from "../../domain/errors.ts";
import type { PathInfo } from "../../domain/narinfo.ts";
import type { PublicKey, SigningKey } from "../../domain/signature.ts";
import { hashPart } from "../../domain/store-path.ts";
import { didYouMean } from "../../domain/suggest.ts";
import { keepGarbageSmall } from "../../host/environment.ts";
import type { Http } from "../../host/http-client.ts";
import type { RetryPolicy } from "../../host/retry.ts";
import { CACHE_NAME, cachixPage, narInfoPage, parseUrl, withPriority } from "../address.ts";
import { CACHIX_OPTIONS, optionsOf, priorityOf } from "../address-options.ts";
import type { BadAddress, CacheKind } from "../kind.ts";
import { pushInOrder } from "../nar-file.ts";
import { PartMemory } from "../parts.ts";
import { readStored, storedMost, storedSize } from "../stored-nar.ts";
import { CachixApi } from "./api.ts";
import { type CachixCache, describeOrRead } from "./describe.ts";
import { listPins, setPin } from "./pins.ts";
import { uploadPath } from "./push.ts";
import { BulkQuestion, type CachixReader, FEW, narPlace, readNarInfo } from "./read.ts";

export interface CachixOptions {
  /** As the user wrote it; in every report. */
  readonly label: string;
  readonly name: string;
  readonly host: URL;
  /** As the user wrote it behind the address. */
  readonly priority?: number | undefined;
  readonly storeDir: string;
  readonly role: "own" | "substituter";
  readonly token: string | undefined;
  readonly signingKey: SigningKey | undefined;
  /** Keys that Nix trusts here beside the cache's own. */
  readonly publicKeys: readonly PublicKey[];
  readonly signatures: "require" | "accept any";
  readonly http: Http;
  readonly ask?: RetryPolicy;
  readonly write?: RetryPolicy;
}

/** Four requests a path at 20 ms: 64 side by side bring some 800 small paths a second. */
const PATHS_AT_ONCE = 64;
/** Bytes of all parts and compressors together: two large parts under way. The rest of 256 MB is Node's. */
const MEMORY = 76 * 1024 * 1024;

export function cachixCache(options: CachixOptions): CacheClient {
  const { label, name, host, storeDir, role, signingKey } = options;
  const api = new CachixApi(options);
  // What is about to be pushed is asked for here even where it is little: at its public address a node of
  // the delivery network would keep the answer that it is not there.
  const bulk = new BulkQuestion(api, role === "own" ? 0 : FEW);
  let known: CachixCache | undefined;
  let asked: Promise<CachixReader> | undefined;

  const open = (signal: AbortSignal): Promise<CachixReader> => {
    const guess = new URL(guessOf(name, host).url);
    const trusted = options.publicKeys;
    const request = { api, name, host, guess, storeDir, signingKey, trusted };
    asked ??= describeOrRead(request, signal).then(
      (cache) => {
        known = cache;
        return { api, cache, trusted: options.publicKeys, signatures: options.signatures };
      },
      (error) => {
        asked = undefined;
        throw error;
      },
    );
    return asked;
  };

  const reading: CacheClient = {
    name: label,
    // Bulk questions are made of what is asked side by side.
    questionsAtOnce: 4_096,
    get substituter() {
      return withPriority(known ? substituterOf(known) : guessOf(name, host), options.priority);
    },
    async describe(signal) {
      const { cache } = await open(signal);
      return {
        storeDir: cache.storeDir,
        priority: cache.priority,
        publicKeys: cache.keys,
        permission: cache.permission,
        ...(cache.trouble ? { trouble: cache.trouble } : {}),
      };
    },
    async query(path, signal) {
      try {
        const reader = await open(signal);
        // Without a token, plain narinfos: that is all that reading is promised to need.
        if (reader.cache.token !== undefined) {
          if ((await bulk.ask(hashPart(path), signal)) === "missing") return { kind: "miss" };
        }
        return await readNarInfo(reader, path, signal);
      } catch (error) {
        signal.throwIfAborted();
        return { kind: "unknown", cause: asError(error) };
      }
    },
    narSize: async (narInfo, signal) =>
      storedSize(narPlace(await open(signal), narInfo, signal), signal),
    async *readNar(narInfo, signal) {
      const place = narPlace(await open(signal), narInfo, signal);
      yield* readStored(place, storedMost(narInfo), signal);
    },
  };
  if (role === "substituter") return reading;

  return {
    ...reading,
    get substituter() {
      return reading.substituter;
    },
    async push(paths, nar, progress, signal) {
      const reader = await open(signal);
      const { cache } = reader;
      if (cache.trouble) throw cache.trouble;
      keepGarbageSmall();
      const isServed = async (info: PathInfo) => {
        const presence = await readNarInfo(reader, info.storePath, signal);
        const isOwn = presence.kind === "hit" && presence.origin === "own";
        return isOwn && presence.narInfo.narHash === info.narHash;
      };
      const memory = new PartMemory(MEMORY);
      const request = { api, cache, signingKey, memory, isServed };
      const upload = (info: PathInfo) => uploadPath(request, info, nar, signal);
      return pushInOrder(paths, PATHS_AT_ONCE, upload, progress, signal, api.breaker);
    },
    pin: (pin, signal) => setPin(api, storeDir, pin, signal),
    pins: (signal) => listPins(api, storeDir, signal),
  };
}

function substituterOf({ uri, keys, access, token }: CachixCache): Substituter {
  const substituter = {
    url: uri.href.replace(/\/+$/, ""),
    publicKeys: keys,
    priority: undefined,
  };
  if (access === "public" || token === undefined) return substituter;
  // As Cachix's own client writes it.
  const credentials = () => ({ machine: uri.hostname, login: "", password: token });
  return { ...substituter, credentials };
}

/** Until the cache has said where it is read. */
function guessOf(name: string, host: URL): Substituter {
  const url =
    host.href === "https://cachix.org/"
      ? `https://${name}.cachix.org`
      : `${host.href.replace(/\/+$/, "")}/api/v1/cache/${name}`;
  return { url, publicKeys: [], priority: undefined };
}

interface CachixAddress {
  readonly name: string;
  readonly host: URL;
  readonly priority: number | undefined;
}

const HOST = "https://cachix.org";

function parseAddress(text: string, bad: BadAddress): CachixAddress {
  const [name = ""] = text.slice("cachix:".length).split("?", 1);
  // Not where a password may reach into it.
  const quote = (part: string) => (text.includes("@") ? "a part of it" : `"${part}"`);
  if (!CACHE_NAME.test(name)) {
    throw bad(`${quote(name)} is not the name of a Cachix cache (letters, digits, - and _)`);
  }
  const options = optionsOf(text);
  for (const key of options.keys()) {
    if (CACHIX_OPTIONS[key]) continue;
    const near = didYouMean(key, Object.keys(CACHIX_OPTIONS));
    throw bad(`${quote(key)} is not an option of cachix:NAME?host=URL.${near}`);
  }
  const host = options.get("host") ?? HOST;
  if (!/^https?:\/\//.test(host)) throw bad(`${quote(host)} is not an http(s) URL`);
  return { name, host: parseUrl(host, bad), priority: priorityOf(options) };
}

export const cachixKind: CacheKind<CachixAddress> = {
  facts: {
    kind: "cachix",
    token: "needed to write",
    readers: "everybody",
    keeper: "itself",
    staging: "where it pays",
  },
  options: CACHIX_OPTIONS,
  form: "cachix:NAME",
  begins: ["cachix:"],
  parse: parseAddress,
  place: ({ name, host }) => `cachix:${name}?${new URLSearchParams({ host: host.href })}`,
  name: ({ name }) => name,
  hosts: ({ name, host }) => [host, new URL(guessOf(name, host).url)],
  // As Cachix names them; its server takes the signature without the name.
  keyName: ({ name }) => `${name}.cachix.org-1`,
  page: ({ name, host }, path, url) =>
    host.hostname === "cachix.org" ? cachixPage(name) : narInfoPage(url, path),
  open: ({ name, host, priority }, request) =>
    cachixCache({
      priority,
      label: request.name,
      name,
      host,
      storeDir: request.storeDir,
      role: request.role,
      token: request.token,
      signingKey: request.signingKey,
      publicKeys: request.publicKeys,
      signatures: request.signatures,
      http: request.http,
    }),
};
