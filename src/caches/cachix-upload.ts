/** Owns bringing one path into a Cachix cache: dump, compress, hash, parts, completion. */

import type { NarSource } from "../domain/cache.ts";
import { formatSha256 } from "../domain/hash.ts";
import { fingerprint, type PathInfo } from "../domain/narinfo.ts";
import type { SigningKey } from "../domain/signature.ts";
import { baseName, hashPart, namePart } from "../domain/store-path.ts";
import type { CachixApi } from "./cachix-api.ts";
import type { CachixCache } from "./cachix-describe.ts";
import { MultipartUpload } from "./cachix-parts.ts";
import { narFile } from "./nar-file.ts";
import type { Uploaded } from "./ordered-push.ts";
import { memoryFor, type PartMemory } from "./part-buffer.ts";

export interface UploadRequest {
  readonly api: CachixApi;
  readonly cache: CachixCache;
  readonly signingKey: SigningKey | undefined;
  readonly memory: PartMemory;
  /** Whether our cache serves the path as its own by now. */
  readonly isServed: (info: PathInfo) => Promise<boolean>;
}

/** Sends everything but the narinfo; nobody is served the path before `publish`. */
export async function uploadPath(
  request: UploadRequest,
  info: PathInfo,
  nar: NarSource,
  signal: AbortSignal,
): Promise<Uploaded> {
  const { api, cache, memory, signingKey } = request;
  const { bytes, expected } = memoryFor(info);
  await memory.budget.take(bytes);
  try {
    signal.throwIfAborted();
    const file = narFile(info, nar, cache.compression, signal);
    const upload = new MultipartUpload(api, cache.compression === "xz" ? "xz" : "zst");
    let sealed: ReturnType<typeof file.seal> | undefined;
    const seal = () => {
      sealed = file.seal();
      return sealed;
    };
    try {
      const parts = await upload.send(file.content, seal, memory, expected, signal);
      const { fileHash, fileSize } = sealed ?? seal();
      return {
        bytes: fileSize,
        publish: () => {
          const create = narInfoCreate(info, { fileHash, fileSize }, signingKey);
          return upload.complete(parts, create, () => request.isServed(info), signal);
        },
        discard: () => upload.abort(),
      };
    } catch (error) {
      await upload.abort().catch(() => undefined);
      throw error;
    }
  } finally {
    memory.budget.give(bytes);
  }
}

/**
 * The fields of a completion, all of them, nulls included. Source: cachix-api's
 * Types/NarInfoCreate.hs: the file's hash is bare hex, the NAR's in Nix's base 32, the signature
 * without the name of its key.
 */
function narInfoCreate(
  info: PathInfo,
  file: { readonly fileHash: string; readonly fileSize: number },
  signingKey: SigningKey | undefined,
) {
  const signature = signingKey?.sign(fingerprint(info));
  return {
    cStoreHash: hashPart(info.storePath),
    cStoreSuffix: namePart(info.storePath),
    cNarHash: formatSha256(info.narHash),
    cNarSize: info.narSize,
    cFileHash: file.fileHash,
    cFileSize: file.fileSize,
    cReferences: info.references.map(baseName).sort(),
    cDeriver: info.deriver ? baseName(info.deriver) : "unknown-deriver",
    cSig: signature === undefined ? null : signature.slice(signature.indexOf(":") + 1),
  };
}
