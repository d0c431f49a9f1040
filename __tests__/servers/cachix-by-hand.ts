/** Owns pushing to the Cachix stand-in with nothing but fetch: what its own tests drive it with. */

import { createHash } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { encodeNix32, formatSha256, parseSha256 } from "../../src/domain/hash.ts";
import type { CachixServer, Seed } from "./cachix.ts";
import { sha256 } from "./cachix-nar.ts";

export const TOKEN = "writer-token";

/** A path of that name with bytes of its own; the same name gives the same path. */
export function madeUp(name: string, references: readonly string[] = []): Required<Seed> {
  const hash = encodeNix32(createHash("sha1").update(name).digest());
  const nar = Buffer.from(`made up for ${name} `.repeat(200));
  const deriver = `${encodeNix32(createHash("sha1").update(`${name}.drv`).digest())}-${name}.drv`;
  return { storePath: `/nix/store/${hash}-${name}`, nar, references, deriver };
}

export function hashOf(seed: Seed): string {
  return seed.storePath.slice("/nix/store/".length).slice(0, 32);
}

/** One call of the API, with the token unless another is given; `""` for none. */
export function call(
  server: CachixServer,
  method: string,
  path: string,
  options: { readonly body?: unknown; readonly token?: string } = {},
): Promise<Response> {
  const token = options.token ?? TOKEN;
  return fetch(`${server.origin}/api/v1/cache/${server.name}${path}`, {
    method,
    redirect: "manual",
    headers: {
      ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
      ...(options.body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  });
}

export async function bulk(server: CachixServer, seeds: readonly Seed[]): Promise<string[]> {
  const response = await call(server, "POST", "/narinfo", { body: seeds.map(hashOf) });
  return (await response.json()) as string[];
}

export function pin(server: CachixServer, seed: Seed, name = "release"): Promise<Response> {
  const body = { name, storePath: seed.storePath, artifacts: [], keep: null };
  return call(server, "POST", "/pin", { body });
}

export interface OpenUpload {
  readonly narId: string;
  readonly uploadId: string;
}

export interface ListedPart {
  readonly partNumber: number;
  readonly eTag: string | null;
}

export async function openUpload(server: CachixServer, compression = "zst"): Promise<OpenUpload> {
  const response = await call(server, "POST", `/multipart-nar?compression=${compression}`);
  if (response.status !== 200) throw new Error(`create: ${response.status}`);
  return (await response.json()) as OpenUpload;
}

/** A URL for one part of these bytes. */
export async function signPart(
  server: CachixServer,
  upload: OpenUpload,
  partNumber: number,
  bytes: Uint8Array,
): Promise<string> {
  const query = new URLSearchParams({
    uploadId: upload.uploadId,
    partNumber: String(partNumber),
  });
  const response = await call(server, "POST", `/multipart-nar/${upload.narId}?${query}`, {
    body: { contentMD5: md5(bytes) },
  });
  if (response.status !== 200) throw new Error(`sign: ${response.status}`);
  return ((await response.json()) as { uploadUrl: string }).uploadUrl;
}

export function put(
  url: string,
  bytes: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const type = { "content-type": "application/octet-stream" };
  return fetch(url, {
    method: "PUT",
    headers: { ...type, "content-md5": md5(bytes), ...headers },
    body: Buffer.from(bytes),
  });
}

/** Signs and sends one part. */
export async function sendPart(
  server: CachixServer,
  upload: OpenUpload,
  partNumber: number,
  bytes: Uint8Array,
): Promise<ListedPart> {
  const response = await put(await signPart(server, upload, partNumber, bytes), bytes);
  if (response.status !== 200) throw new Error(`part: ${response.status}`);
  return { partNumber, eTag: response.headers.get("etag") };
}

/** What a client declares of `seed`, compressed to `file`. */
export function declare(seed: Required<Seed>, file: Uint8Array) {
  const narHash = parseSha256(sha256(seed.nar));
  return {
    cStoreHash: hashOf(seed),
    cStoreSuffix: seed.storePath.slice("/nix/store/".length + 33),
    cNarHash: narHash ? formatSha256(narHash) : "",
    cNarSize: seed.nar.length,
    cFileHash: sha256(file),
    cFileSize: file.length,
    cReferences: seed.references.map((path) => path.slice("/nix/store/".length)).sort(),
    cDeriver: seed.deriver,
    cSig: null,
  };
}

export function complete(
  server: CachixServer,
  upload: OpenUpload,
  parts: readonly ListedPart[] | null,
  narInfoCreate: unknown,
): Promise<Response> {
  const path = `/multipart-nar/${upload.narId}/complete?uploadId=${upload.uploadId}`;
  return call(server, "POST", path, { body: { parts, narInfoCreate } });
}

/** The whole upload of one small path, in one part; the answer to its completion. */
export async function push(server: CachixServer, seed: Required<Seed>): Promise<Response> {
  const file = zstdCompressSync(seed.nar);
  const upload = await openUpload(server);
  const part = await sendPart(server, upload, 1, file);
  const parts = part.eTag === null ? null : [part];
  return complete(server, upload, parts, declare(seed, file));
}

export function md5(bytes: Uint8Array): string {
  return createHash("md5").update(bytes).digest("base64");
}
