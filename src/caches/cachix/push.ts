/** Uploads one path into a Cachix cache: dump, compress, hash, parts, completion. */

import * as z from "zod/mini";
import type { NarSource } from "../../domain/cache.ts";
import { UserError } from "../../domain/errors.ts";
import { formatSha256 } from "../../domain/hash.ts";
import { fingerprint, type PathInfo } from "../../domain/narinfo.ts";
import type { SigningKey } from "../../domain/signature.ts";
import { baseName, hashPart, namePart } from "../../domain/store-path.ts";
import { isSuccess, type RetryPolicy, retry } from "../../host/retry.ts";
import { narFile, type Uploaded } from "../nar-file.ts";
import { memoryFor, type PartBuffer, type PartMemory, sendParts } from "../parts.ts";
import type { CachixApi } from "./api.ts";
import type { CachixCache } from "./describe.ts";

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
    const file = narFile(info, nar, cache, signal);
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

/** Milliseconds for one try: 32 MiB at 1 Mbit/s take 270 s. */
const PUT_DEADLINE = 300_000;
/** The server puts the parts together, and looks at them: Cachix's own client waits for ever. */
const COMPLETE_DEADLINE = 600_000;
/** Times a part's URL is signed anew, where the storage says it has expired. */
const SIGNED_ANEW = 2;
const ABORT_DEADLINE = 10_000;

const Opened = z.object({ narId: z.string(), uploadId: z.string() });
const Signed = z.object({ uploadUrl: z.string() });

export interface SentPart {
  readonly partNumber: number;
  /** Null where the storage gave none; then the completion names no parts at all. */
  readonly eTag: string | null;
}

export class MultipartUpload {
  private readonly api: CachixApi;
  private readonly extension: "zst" | "xz";
  private readonly policy: RetryPolicy;
  private opened: Promise<z.infer<typeof Opened>> | undefined;

  constructor(api: CachixApi, extension: "zst" | "xz") {
    this.api = api;
    this.extension = extension;
    this.policy = api.writePolicy;
  }

  /**
   * Sends `content` in parts; the last one only after `seal`, which throws where the bytes are not
   * what they should be. A file of one part is sealed before any of it leaves the machine.
   * The caller holds memory for one part; more is taken where `memory` has some.
   */
  async send(
    content: AsyncIterable<Uint8Array>,
    seal: () => void,
    memory: PartMemory,
    expected: "whole part" | "less",
    signal: AbortSignal,
  ): Promise<SentPart[]> {
    const send = (part: PartBuffer, inner: AbortSignal) => this.part(part, inner);
    return sendParts({ content, seal, memory, expected, send }, signal);
  }

  /** Publishes the path. `tookEffect` is asked where an answer was lost. */
  async complete(
    parts: readonly SentPart[],
    narInfoCreate: unknown,
    tookEffect: () => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<void> {
    const { narId, uploadId } = await this.open(signal);
    const all = parts.every(({ eTag }) => eTag !== null) ? parts : null;
    const path = `/multipart-nar/${encodeURIComponent(narId)}/complete`;
    const body = { parts: all, narInfoCreate };
    const call = { method: "POST", path, query: { uploadId }, body, signal } as const;
    await this.api.write({ ...call, deadline: COMPLETE_DEADLINE }, tookEffect);
  }

  /** Has the server let go of what was sent. Its own deadline: it also runs when all else is stopped. */
  async abort(): Promise<void> {
    const opened = await this.opened?.catch(() => undefined);
    if (!opened) return;
    const path = `/multipart-nar/${encodeURIComponent(opened.narId)}/abort`;
    const query = { uploadId: opened.uploadId };
    const signal = AbortSignal.timeout(ABORT_DEADLINE);
    await this.api.write({ method: "POST", path, query, signal });
  }

  private open(signal: AbortSignal): Promise<z.infer<typeof Opened>> {
    const query = { compression: this.extension };
    this.opened ??= this.api.writeFor(
      { method: "POST", path: "/multipart-nar", query, signal },
      Opened,
    );
    return this.opened;
  }

  private async part(part: PartBuffer, signal: AbortSignal): Promise<SentPart> {
    const { partNumber } = part;
    const { content, md5 } = part.end();
    const { narId, uploadId } = await this.open(signal);
    for (let anew = 0; ; anew++) {
      const { uploadUrl } = await this.api.writeFor(
        {
          method: "POST",
          path: `/multipart-nar/${encodeURIComponent(narId)}`,
          query: { uploadId, partNumber: String(partNumber) },
          body: { contentMD5: md5 },
          signal,
        },
        Signed,
      );
      const url = this.storageUrl(uploadUrl);
      const answer = await retry(
        () =>
          this.api.http.request({
            method: "PUT",
            url,
            // As signed; and no token: these bytes go to a storage that is not Cachix's.
            headers: { "content-type": "application/octet-stream", "content-md5": md5 },
            body: content,
            signal,
            deadline: PUT_DEADLINE,
          }),
        signal,
        this.policy,
      );
      if (isSuccess(answer.status)) {
        return { partNumber, eTag: answer.headers["etag"] ?? null };
      }
      // 403 is what an expired URL gives: asking for a new one is another request, not the same again.
      if (answer.status !== 403 || anew >= SIGNED_ANEW) {
        throw this.api.failure(`PUT of part ${partNumber}`, answer, this.policy);
      }
    }
  }

  private storageUrl(text: string): URL {
    if (URL.canParse(text) && /^https?:\/\//.test(text)) return new URL(text);
    throw new UserError("NCP-302", `${this.api.label}: a part's URL is not one`);
  }
}
