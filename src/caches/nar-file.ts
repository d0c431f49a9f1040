/** A NAR on its way into a cache: compressed, hashed on both sides, refused if it is not ours. */

import { createHash } from "node:crypto";
import {
  type NarSource,
  type PushProgress,
  type PushResult,
  ReferenceNotPushed,
} from "../domain/cache.ts";
import { asError, isServersFault, UserError } from "../domain/errors.ts";
import { formatSha256, type Sha256, sha256FromBytes } from "../domain/hash.ts";
import { limiter, mapLimited } from "../domain/limit.ts";
import { dependencies, fingerprint, type NarInfo, type PathInfo } from "../domain/narinfo.ts";
import type { SigningKey } from "../domain/signature.ts";
import { baseName, type StorePath } from "../domain/store-path.ts";
import {
  type Compression,
  compress,
  compressWhole,
  EXTENSIONS,
  type Packing,
} from "../host/compress.ts";
import type { RetryPolicy } from "../host/retry.ts";

export interface NarFile {
  /** The compressed bytes; read once, to the end, before `seal`. */
  readonly content: AsyncIterable<Uint8Array>;
  /** What the bytes were; throws a UserError when the NAR is not what the store's database says. */
  seal(): { readonly fileHash: Sha256; readonly fileSize: number };
}

const SMALL = 1024 * 1024;

/** Small enough to be held in memory as a whole. */
export function isSmall({ narSize }: PathInfo): boolean {
  return narSize <= SMALL;
}

/** Dump → hash → compress → hash, one chunk at a time: memory does not grow with the NAR. */
export function narFile(
  info: PathInfo,
  nar: NarSource,
  { compression, compressionLevel }: Packing,
  signal: AbortSignal,
): NarFile {
  const inner = createHash("sha256");
  const outer = createHash("sha256");
  let narSize = 0;
  let fileSize = 0;
  let ended = false;
  const raw = async function* () {
    for await (const chunk of nar(info.storePath, signal)) {
      inner.update(chunk);
      narSize += chunk.length;
      // Said here and not by the compressor, which was promised so many bytes.
      if (narSize > info.narSize) throw damaged(info, "it has more bytes than that");
      yield chunk;
    }
    if (narSize < info.narSize) throw damaged(info, `it has ${narSize} bytes`);
  };
  const compressed = async function* () {
    if (compression === "xz" || !isSmall(info)) {
      return yield* compress({ compression, compressionLevel }, raw(), signal, info.narSize);
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of raw()) chunks.push(chunk);
    const [first] = chunks;
    const whole = chunks.length === 1 && first ? first : Buffer.concat(chunks);
    yield await compressWhole({ compression, compressionLevel }, whole);
  };
  const content = async function* () {
    for await (const chunk of compressed()) {
      outer.update(chunk);
      fileSize += chunk.length;
      yield chunk;
    }
    ended = true;
  };
  return {
    content: content(),
    seal: () => {
      if (!ended) throw new Error(`${info.storePath}: sealed before its end`);
      const narHash = sha256FromBytes(inner.digest());
      if (narHash !== info.narHash) throw damaged(info, `it is ${formatSha256(narHash)}`);
      return { fileHash: sha256FromBytes(outer.digest()), fileSize };
    },
  };
}

function damaged(info: PathInfo, what: string): UserError {
  return new UserError(
    "NCP-308",
    `${info.storePath} is not what the store's database says (${formatSha256(info.narHash)}, ${info.narSize} bytes): ${what}`,
    { hint: `it is damaged; repair it with: nix-store --repair-path ${info.storePath}` },
  );
}

/** The narinfo of a path whose NAR lies at `nar/FILEHASH.nar.zst`, signed where there is a key. */
export function narInfoFor(
  info: PathInfo,
  file: { readonly fileHash: Sha256; readonly fileSize: number },
  compression: Compression,
  signingKey: SigningKey | undefined,
): NarInfo {
  const name = formatSha256(file.fileHash).slice("sha256:".length);
  return {
    storePath: info.storePath,
    url: `nar/${name}${EXTENSIONS[compression]}`,
    compression,
    fileHash: file.fileHash,
    fileSize: file.fileSize,
    narHash: info.narHash,
    narSize: info.narSize,
    references: info.references,
    deriver: info.deriver && baseName(info.deriver),
    // As nix copy does: whoever trusts those who signed it before us takes it from here, too.
    signatures: [
      ...new Set([
        ...(info.signatures ?? []),
        ...(signingKey ? [signingKey.sign(fingerprint(info))] : []),
      ]),
    ],
    contentAddress: info.contentAddress,
  };
}

/** A path whose NAR is in the cache, and that nobody is told of yet. */
export interface Uploaded {
  readonly bytes: number;
  /** Writes the narinfo: from now on the path is served. */
  publish(): Promise<void>;
  /** Takes the upload back, as far as the cache can. */
  discard(): Promise<void>;
}

/** Paths in a row that fail for the server's sake, before no other is tried. */
const FAILURES_MOST = 3;
/** Milliseconds that a path is tried where the one before it got all of its time, for nothing. */
const TOTAL_AFTER_FAILURE = 10_000;

/** What a cache makes of what is sent to it: one that fails whatever it is given is sent nothing more. */
export class PushBreaker {
  private readonly controller = new AbortController();
  private inARow = 0;
  ended: Error | undefined;

  policy(usual: RetryPolicy): RetryPolicy {
    const total = this.inARow === 0 ? usual.total : Math.min(usual.total, TOTAL_AFTER_FAILURE);
    return { ...usual, total, giveUp: this.controller.signal };
  }

  succeeded(): void {
    this.inARow = 0;
  }

  failed(error: unknown): void {
    if (this.ended || !isServersFault(error) || ++this.inARow < FAILURES_MOST) return;
    this.ended = asError(error);
    this.controller.abort(this.ended);
  }
}

/**
 * Uploads `paths` with at most `parallel` NARs under way. A narinfo is published when those of its
 * references among `paths` are; where one failed, the path fails too, and the others go on.
 */
export async function pushInOrder(
  paths: readonly PathInfo[],
  parallel: number,
  upload: (info: PathInfo) => Promise<Uploaded>,
  progress: (done: PushProgress) => void,
  signal: AbortSignal,
  breaker = new PushBreaker(),
): Promise<PushResult> {
  const limit = limiter(parallel);
  const published = new Map<StorePath, Promise<void>>();
  const pushed: PushProgress[] = [];
  const failed = new Map<StorePath, Error>();
  const publish = async (info: PathInfo, uploading: Promise<Uploaded>): Promise<void> => {
    const uploaded = await uploading;
    try {
      for (const reference of dependencies(info)) {
        const before = published.get(reference);
        if (!before) continue;
        await before.catch((cause) => {
          if (breaker.ended) throw breaker.ended;
          const name = baseName(reference);
          throw new ReferenceNotPushed("NCP-310", `its reference ${name} was not pushed`, {
            cause,
          });
        });
      }
      if (breaker.ended) throw breaker.ended;
      await limit(() => uploaded.publish());
      breaker.succeeded();
    } catch (error) {
      await uploaded.discard().catch(() => undefined);
      throw error;
    }
    const done = { path: info.storePath, bytes: uploaded.bytes };
    pushed.push(done);
    progress(done);
  };

  // A path that is uploaded and waits for its references holds up no other upload.
  await mapLimited(referencesFirst(paths), parallel, async (info) => {
    const stop = breaker.ended ?? (signal.aborted ? signal.reason : undefined);
    const uploading = stop === undefined ? upload(info) : Promise.reject(stop);
    const publishing = publish(info, uploading);
    publishing.catch((error) => {
      if (!(error instanceof ReferenceNotPushed)) breaker.failed(error);
      failed.set(info.storePath, asError(error));
    });
    published.set(info.storePath, publishing);
    await uploading.catch(() => undefined);
  });
  await Promise.allSettled(published.values());
  const { ended } = breaker;
  return { pushed, failed, ...(ended ? { ended } : {}) };
}

/** So that no path waits for one that has not been started. */
export function referencesFirst(paths: readonly PathInfo[]): PathInfo[] {
  const infos = new Map(paths.map((info) => [info.storePath, info]));
  const ordered = new Set<PathInfo>();
  const seen = new Set<StorePath>();
  for (const path of paths) {
    const stack = [path];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      seen.add(top.storePath);
      // What is seen and not done is below on the stack: store paths form no cycles, but were they to…
      const next = dependencies(top).find(
        (reference) => infos.has(reference) && !seen.has(reference),
      );
      const info = next && infos.get(next);
      if (info) stack.push(info);
      else {
        stack.pop();
        ordered.add(top);
      }
    }
  }
  return [...ordered];
}
