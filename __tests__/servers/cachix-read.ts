/** Owns the Cachix stand-in's answers to questions: the cache, bulk, narinfo, NAR, nix-cache-info. */

import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { parseSha256 } from "../../src/domain/hash.ts";
import { fingerprint, formatNarInfo, type NarInfo } from "../../src/domain/narinfo.ts";
import type { CachixContext, Visit } from "./cachix-context.ts";
import { refuse } from "./cachix-refuse.ts";
import type { StoredNar } from "./cachix-state.ts";
import { json, type Outcome, type Reply, readJson, text } from "./http.ts";

/** A key or a signature, `NAME:BASE64`, as this server writes it. */
function written({ settings }: CachixContext, text: string): string {
  return settings.base64 === "padded" ? text : text.replace(/=+$/, "");
}

function permission({ settings }: CachixContext, visit: Visit): { permission?: string | null } {
  const { saysPermission: says } = settings;
  if (says === "unsaid") return {};
  if (says !== "what is so") return { permission: says };
  return { permission: visit.permission === "none" ? "Read" : visit.permission };
}

export function describeCache(context: CachixContext, visit: Visit): Reply {
  return json(200, {
    name: context.name,
    uri: `${visit.origin}/serve/${context.name}`,
    isPublic: !context.isPrivate,
    publicSigningKeys: context.publicKeys.map((key) => written(context, key)),
    githubUsername: "",
    ...permission(context, visit),
    preferredCompressionMethod: context.preferredCompression === "zst" ? "ZSTD" : "XZ",
  });
}

export function nixCacheInfo(context: CachixContext): Reply {
  const { storeDir, priority } = context;
  return text(
    200,
    `StoreDir: ${storeDir}\nWantMassQuery: 1\nPriority: ${priority}\n`,
    "text/x-nix-cache-info",
  );
}

/** The hashes that neither this cache nor an upstream has. */
export async function answerBulk(
  context: CachixContext,
  visit: Visit,
  request: IncomingMessage,
): Promise<Reply> {
  const { bulkMaxBytes, bulkMaxHashes } = context.settings;
  const hashes = await readJson(request, { limit: bulkMaxBytes });
  if (!Array.isArray(hashes)) refuse("not a list of hashes");
  if (hashes.length > bulkMaxHashes) refuse(`${hashes.length} hashes, limit ${bulkMaxHashes}`);
  const wrong = hashes.find((hash) => typeof hash !== "string" || !/^[0-9a-z]{32}$/.test(hash));
  if (wrong !== undefined) refuse(`${String(wrong)} is not a hash of 32 characters`);
  const missing = context.state.missing(hashes as string[]);
  return json(
    200,
    missing.filter(
      (hash) => !context.injector.strikes("staleAlreadyThere", { ...visit.target, hash }, hash),
    ),
  );
}

export function serveNarInfo(
  context: CachixContext,
  visit: Visit,
  hash: string,
  headers: IncomingMessage["headers"],
): Reply {
  const { state, injector, settings } = context;
  const found =
    state.own.get(hash) ?? (settings.passThrough ? state.upstream.get(hash) : undefined);
  const isHidden =
    found &&
    (injector.strikes("slowNarInfo", visit.target, hash) ||
      (injector.faults.rootHidden &&
        !state.isClosureWhole(hash) &&
        injector.strikes("rootHidden", visit.target, hash)));
  if (!found || isHidden) return text(404, "404");

  const served = spoil(context, visit, found);
  const signatures = served.signatures.map((one) => written(context, one));
  const body = writeNarInfo({ ...served, signatures });
  const etag = `"${createHash("sha256").update(body).digest("hex").slice(0, 32)}"`;
  const caching = { etag, "cache-control": context.isPrivate ? "private" : "public, max-age=3600" };
  if (headers["if-none-match"] === etag) return { status: 304, headers: caching };
  const reply = text(200, body, "text/x-nix-narinfo");
  return { ...reply, headers: { ...reply.headers, ...caching } };
}

/** Cachix writes FileHash in hex, and NarHash as everybody does. */
function writeNarInfo(narInfo: NarInfo): string {
  return formatNarInfo(narInfo).replace(/^FileHash: .*$/m, `FileHash: sha256:${narInfo.fileHash}`);
}

function spoil(context: CachixContext, visit: Visit, narInfo: NarInfo): NarInfo {
  const { injector } = context;
  const strikes = (name: "wrongFileHash" | "wrongNarHash" | "wrongSig" | "wrongKeyName") =>
    injector.strikes(name, visit.target) !== undefined;
  let served = narInfo;
  if (strikes("wrongFileHash")) served = { ...served, fileHash: otherSum(narInfo.fileHash) };
  if (strikes("wrongNarHash")) {
    served = { ...served, narHash: otherSum(narInfo.narHash) };
    served = { ...served, signatures: [context.ownKey.sign(fingerprint(served))] };
  }
  if (strikes("wrongSig"))
    served = { ...served, signatures: served.signatures.map(otherSignature) };
  if (strikes("wrongKeyName")) {
    const signatures = served.signatures.map((sig) => sig.replace(/^[^:]*/, "stranger.example-1"));
    served = { ...served, signatures };
  }
  return served;
}

function otherSum(sum: string | undefined): NarInfo["narHash"] {
  const first = sum?.startsWith("0") ? "1" : "0";
  return parseSha256(`${first}${(sum ?? "").slice(1)}`) ?? refuse("no sum to spoil");
}

function otherSignature(signature: string): string {
  const colon = signature.indexOf(":");
  const bytes = Buffer.from(signature.slice(colon + 1), "base64");
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  return `${signature.slice(0, colon)}:${bytes.toString("base64")}`;
}

/** A NAR on the API or substituter side: its bytes, or the way to them. */
export function serveNar(
  context: CachixContext,
  visit: Visit,
  file: string,
  request: IncomingMessage,
): Outcome {
  const nar = findNar(context, file);
  if (!nar) return text(404, "404");
  if (context.settings.narDelivery === "direct") return sendNar(context, visit, nar, request);
  const location = `${visit.storageOrigin}/nar/${file}?X-Amz-Signature=${signUrl(context, file)}`;
  return { status: 302, headers: { location } };
}

/** A NAR behind the signed URL of a redirect: the signature is of a GET. */
export function serveStoredNar(
  context: CachixContext,
  visit: Visit,
  file: string,
  request: IncomingMessage,
  query: URLSearchParams,
): Outcome {
  if (query.get("X-Amz-Signature") !== signUrl(context, file) || request.method !== "GET") {
    return text(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", "application/xml");
  }
  const nar = findNar(context, file);
  return nar ? sendNar(context, visit, nar, request) : text(404, "<Error/>", "application/xml");
}

function signUrl(context: CachixContext, file: string): string {
  return createHash("sha256").update(`${context.publicKeys.join()} GET ${file}`).digest("hex");
}

function findNar(context: CachixContext, file: string): StoredNar | undefined {
  const { state, settings } = context;
  return state.nars.get(file) ?? (settings.passThrough ? state.upstreamNars.get(file) : undefined);
}

/** Discarded bytes are still counted: their size is served, and zeros for a short range. */
const ZEROS_AT_MOST = 1024 * 1024;

function sendNar(
  context: CachixContext,
  visit: Visit,
  nar: StoredNar,
  request: IncomingMessage,
): Outcome {
  const target = { ...visit.target, hash: nar.storeHash };
  if (context.injector.strikes("narGone", target)) return text(404, "404");
  const headers = { "content-type": "application/x-nix-nar", "accept-ranges": "bytes" };
  if (request.method === "HEAD") {
    return { status: 200, headers: { ...headers, "content-length": String(nar.size) } };
  }
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  if (from !== undefined) {
    const start = Number(from);
    const end = Math.min(to ? Number(to) : nar.size - 1, nar.size - 1);
    const contentRange = { "content-range": `bytes ${start}-${end}/${nar.size}` };
    if (start > end) return { status: 416, headers: { "content-range": `bytes */${nar.size}` } };
    const body =
      nar.bytes?.subarray(start, end + 1) ?? Buffer.alloc(Math.min(end + 1 - start, ZEROS_AT_MOST));
    return { status: 206, headers: { ...headers, ...contentRange }, body };
  }
  if (!nar.bytes) return text(410, "the bytes of this upload were discarded");
  const truncated = context.injector.strikes("truncatedNar", target);
  const half = nar.size >> 1;
  if (truncated?.how === "short")
    return { status: 200, headers, body: nar.bytes.subarray(0, half) };
  if (truncated?.how === "cut") return { status: 200, headers, body: nar.bytes, cutAfter: half };
  if (!context.injector.strikes("flippedNar", target)) {
    return { status: 200, headers, body: nar.bytes };
  }
  const flipped = Buffer.from(nar.bytes);
  flipped[half] = (flipped[half] ?? 0) ^ 1;
  return { status: 200, headers, body: flipped };
}
