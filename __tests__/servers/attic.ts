/**
 * Owns the Attic stand-in: its API and its binary cache endpoint, as strict as the real ones.
 * Source: attic's server/src/api/v1/*.rs, server/src/api/binary_cache.rs and token/src/lib.rs; as Celler,
 * celler's client/src/api/mod.rs (what it sends) and server/src/error.rs (what it is answered).
 */

import { createHash, createHmac, randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { zstdCompress } from "node:zlib";
import { formatSha256, sha256FromBytes } from "../../src/domain/hash.ts";
import { fingerprint, formatNarInfo, type NarInfo } from "../../src/domain/narinfo.ts";
import { parseStorePath, storePathFromBaseName } from "../../src/domain/store-path.ts";
import { newKey } from "../support/keys.ts";
import {
  HttpError,
  json,
  type LoopbackServer,
  listen,
  type Outcome,
  type Reply,
  readBody,
  readJson,
  text,
} from "./http.ts";

export type Right = "r" | "w";

export interface AtticServer extends LoopbackServer {
  readonly cache: string;
  readonly publicKey: string;
  /** `METHOD path`, in order of arrival. */
  readonly requests: string[];
  readonly narInfos: Map<string, NarInfo>;
  /** A token for caches that match `pattern`. */
  token(pattern: string, rights: readonly Right[], expires?: Date): string;
  /** Asked first; an answer is given instead. */
  instead: ((method: string, path: string) => Outcome | undefined) | undefined;
  /** `full`: it takes the NAR, cannot store it, and says no more than the real one does. */
  disk: "free" | "full";
}

export interface AtticOptions {
  /** Whose headers it reads; default: `attic`. */
  readonly kind?: "attic" | "celler";
  readonly visibility?: "public" | "private";
  /** Default: `/nix/store`. */
  readonly storeDir?: string;
  /** Milliseconds before each answer; default: none. */
  readonly delay?: number;
}

const CACHE = "team-cache";
const BODY_MOST = 64 * 1024 * 1024;
/** Longer than this, hyper refuses a header. */
const HEADER_MOST = 16 * 1024;
const compress = promisify(zstdCompress);
/** Smaller NARs are one chunk; larger ones are cut where their content says so (server/config-template.toml). */
const CHUNKING_FROM = 64 * 1024;
const CHUNK = { least: 16 * 1024, most: 256 * 1024 };

export async function atticServer({
  kind = "attic",
  visibility = "public",
  storeDir = "/nix/store",
  delay = 0,
}: AtticOptions = {}): Promise<AtticServer> {
  const secret = randomBytes(32);
  const key = newKey(CACHE);
  const requests: string[] = [];
  const narInfos = new Map<string, NarInfo>();
  const nars = new Map<string, Buffer>();
  const hashes = new Set<string>();
  const state: Pick<AtticServer, "instead" | "disk"> & { origin: string } = {
    instead: undefined,
    disk: "free",
    origin: "",
  };

  const may = (request: IncomingMessage, right: Right): void => {
    const rights = rightsOf(request, secret);
    if (right === "r" && visibility === "public") return;
    if (!rights) throw failure(401, "Unauthorized", "Unauthorized.");
    if (!rights.has("r")) throw failure(404, "NoSuchCache", "The requested cache does not exist.");
    if (!rights.has(right)) throw failure(403, "Forbidden", "Access denied.");
  };

  const config = (request: IncomingMessage, cache: string): Reply => {
    if (cache !== CACHE) throw failure(404, "NoSuchCache", "The requested cache does not exist.");
    may(request, "r");
    return json(200, {
      substituter_endpoint: `${state.origin}/${CACHE}`,
      api_endpoint: `${state.origin}/`,
      public_key: key.publicKey.text,
      is_public: visibility === "public",
      store_dir: storeDir,
      priority: 41,
      upstream_cache_key_names: ["cache.nixos.org-1"],
      retention_period: "Global",
    });
  };

  const missing = async (request: IncomingMessage): Promise<Reply> => {
    const body = (await readJson(request, { limit: BODY_MOST })) as Record<string, unknown>;
    may(request, "w");
    const hashes = body["store_path_hashes"];
    const isGood =
      Array.isArray(hashes) && hashes.every((one) => /^[0-9a-z]{32}$/.test(String(one)));
    if (body["cache"] !== CACHE || !isGood || Object.keys(body).length !== 2) {
      throw failure(400, "RequestError", "The request is malformed.");
    }
    return json(200, { missing_paths: hashes.filter((hash) => !narInfos.has(String(hash))) });
  };

  const upload = async (request: IncomingMessage): Promise<Reply> => {
    const body = await readBody(request, { limit: BODY_MOST });
    may(request, "w");
    const { narInfo, nar } = parseUpload(request, body, kind, storeDir);
    if (state.disk === "full") {
      // ENOSPC stands in its own log: clients are told of no storage error.
      const words = "The server encountered an internal error or misconfiguration.";
      throw failure(500, "InternalServerError", words);
    }
    const hash = sha256FromBytes(createHash("sha256").update(nar).digest());
    if (nar.length !== narInfo.narSize || hash !== narInfo.narHash) {
      throw failure(400, "RequestError", "Bad NAR Hash or Size");
    }
    const storeHash = narInfo.storePath.slice(storeDir.length + 1, storeDir.length + 33);
    const isKnown = hashes.has(hash);
    hashes.add(hash);
    nars.set(
      storeHash,
      Buffer.concat(await Promise.all(chunksOf(nar).map((one) => compress(one)))),
    );
    narInfos.set(storeHash, {
      ...narInfo,
      url: `nar/${storeHash}.nar`,
      signatures: [key.sign(fingerprint(narInfo))],
    });
    return json(200, {
      kind: isKnown ? "deduplicated" : "uploaded",
      file_size: nars.get(storeHash)?.length,
      frac_deduplicated: isKnown ? 1 : 0,
    });
  };

  const read = (request: IncomingMessage, path: string): Reply => {
    may(request, "r");
    if (path === "nix-cache-info") {
      return text(200, `WantMassQuery: 1\nStoreDir: ${storeDir}\nPriority: 41\n`);
    }
    const [, hash = "", isNarInfo] =
      /^(?:nar\/)?([0-9a-z]{32})(?:(\.narinfo)|\.nar)$/.exec(path) ?? [];
    const info = narInfos.get(hash);
    const nar = nars.get(hash);
    if (!info || !nar) throw failure(404, "NoSuchObject", "The requested object does not exist.");
    if (isNarInfo) return text(200, formatNarInfo(info), "text/x-nix-narinfo");
    return { status: 200, body: nar, length: "untold" };
  };

  const server = await listen(async (request) => {
    const { method = "GET", url = "/" } = request;
    requests.push(`${method} ${url}`);
    if (delay > 0) await sleep(delay);
    const other = state.instead?.(method, url);
    if (other) return other;
    const [, cache] = /^\/_api\/v1\/cache-config\/([^/]+)$/.exec(url) ?? [];
    if (method === "GET" && cache !== undefined) return config(request, cache);
    if (method === "POST" && url === "/_api/v1/get-missing-paths") return missing(request);
    if (method === "PUT" && url === "/_api/v1/upload-path") return upload(request);
    const [, path] = new RegExp(`^/${CACHE}/(.+)$`).exec(url) ?? [];
    if ((method === "GET" || method === "HEAD") && path !== undefined) return read(request, path);
    throw failure(404, "NotFound", "Not Found");
  });
  state.origin = server.origin;
  return {
    ...server,
    cache: CACHE,
    publicKey: key.publicKey.text,
    requests,
    narInfos,
    token: (pattern, rights, expires) => issue(secret, pattern, rights, expires),
    get instead() {
      return state.instead;
    },
    set instead(answer) {
      state.instead = answer;
    },
    get disk() {
      return state.disk;
    },
    set disk(space) {
      state.disk = space;
    },
  };
}

/** Each is compressed by itself, and a NAR is served as its chunks, one behind the other. */
function chunksOf(nar: Buffer): Buffer[] {
  if (nar.length < CHUNKING_FROM) return [nar];
  const chunks: Buffer[] = [];
  for (let at = 0; at < nar.length; ) {
    const bytes = CHUNK.least + ((nar[at] ?? 0) * (CHUNK.most - CHUNK.least)) / 255;
    chunks.push(nar.subarray(at, at + Math.floor(bytes)));
    at += Math.floor(bytes);
  }
  return chunks;
}

function failure(code: number, error: string, message: string): HttpError {
  return new HttpError(json(code, { code, error, message }));
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

function issue(secret: Buffer, pattern: string, rights: readonly Right[], expires?: Date): string {
  const caches = { [pattern]: Object.fromEntries(rights.map((right) => [right, 1])) };
  const exp = Math.floor((expires?.getTime() ?? Date.now() + 3_600_000) / 1000);
  const claims = { sub: "tester", exp, "https://jwt.attic.rs/v1": { caches } };
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

/** Undefined without a good token. As a bearer's, or as the password that netrc gives. */
function rightsOf(request: IncomingMessage, secret: Buffer): ReadonlySet<Right> | undefined {
  const [kind, value = ""] = (request.headers.authorization ?? "").split(" ");
  const basic = Buffer.from(value, "base64").toString("utf8");
  const token = kind === "Basic" ? basic.slice(basic.indexOf(":") + 1) : value;
  const [head = "", payload = "", signature] = token.split(".");
  const good = createHmac("sha256", secret).update(`${head}.${payload}`).digest("base64url");
  if (signature !== good) return undefined;
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
  if (claims.exp * 1000 < Date.now()) return undefined;
  const caches = Object.entries(claims["https://jwt.attic.rs/v1"].caches as Record<string, object>);
  const matching = caches.filter(
    ([pattern]) =>
      pattern === CACHE || (pattern.endsWith("*") && CACHE.startsWith(pattern.slice(0, -1))),
  );
  return new Set(matching.flatMap(([, rights]) => Object.keys(rights) as Right[]));
}

const FIELDS = [
  "cache",
  "store_path_hash",
  "store_path",
  "references",
  "system",
  "deriver",
  "sigs",
  "ca",
  "nar_hash",
  "nar_size",
];

function parseUpload(
  request: IncomingMessage,
  body: Buffer,
  kind: "attic" | "celler",
  storeDir: string,
): { narInfo: NarInfo; nar: Buffer } {
  const bad = (why: string) => failure(400, "RequestError", why);
  const header = request.headers[`x-${kind}-nar-info`];
  const size = request.headers[`x-${kind}-nar-info-preamble-size`];
  const preamble = size === undefined ? 0 : Number(size);
  if ((header === undefined) === (size === undefined)) throw bad("one of header and preamble");
  if (String(header ?? "").length > HEADER_MOST) throw failure(431, "Header", "Header too long");
  const told = header === undefined ? body.subarray(0, preamble).toString("utf8") : String(header);
  const info = JSON.parse(told) as Record<string, unknown>;
  for (const name of FIELDS) if (!(name in info)) throw bad(`missing field ${name}`);
  if (info["cache"] !== CACHE)
    throw failure(404, "NoSuchCache", "The requested cache does not exist.");
  const storePath = parseStorePath(String(info["store_path"]), storeDir);
  const base = storePath?.slice(storeDir.length + 1) ?? "";
  if (!storePath || base.slice(0, 32) !== info["store_path_hash"]) throw bad("Bad store path");
  const narHash = String(info["nar_hash"]);
  const references = (info["references"] as string[]).map((reference) => {
    const path = storePathFromBaseName(reference, storeDir);
    if (!path) throw bad("Bad reference");
    return path;
  });
  const hash = /^sha256:[0-9a-z]{52}$/.test(narHash) ? narHash : undefined;
  if (hash === undefined || typeof info["nar_size"] !== "number") throw bad("Bad NAR Hash or Size");
  const nar = body.subarray(preamble);
  const sum = sha256FromBytes(createHash("sha256").update(nar).digest());
  return {
    nar,
    narInfo: {
      storePath,
      url: "",
      compression: "zstd",
      fileHash: undefined,
      fileSize: undefined,
      narHash: formatSha256(sum) === hash ? sum : sha256FromBytes(Buffer.alloc(32)),
      narSize: info["nar_size"],
      references,
      deriver: undefined,
      signatures: [],
      contentAddress: undefined,
    },
  };
}
