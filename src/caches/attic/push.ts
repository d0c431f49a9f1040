/** Uploads one path into an Attic cache: the NAR as it is; the server compresses and signs. */

import type { CacheClient, NarSource } from "../../domain/cache.ts";
import { formatSha256 } from "../../domain/hash.ts";
import { ByteBudget } from "../../domain/limit.ts";
import type { PathInfo } from "../../domain/narinfo.ts";
import { baseName, hashPart } from "../../domain/store-path.ts";
import { isSmall, narFile, pushInOrder } from "../nar-file.ts";
import type { AtticApi } from "./api.ts";

const AS_IT_IS = { compression: "none" } as const;

const PATHS_AT_ONCE = 32;
/** Bytes of NARs held whole, together. */
const MEMORY = 64 * 1024 * 1024;
/** What a large NAR holds while it goes through. */
const STREAM = 4 * 1024 * 1024;

/** A path is served as soon as it is uploaded: it is so when its references are. */
export function atticPush(api: AtticApi): NonNullable<CacheClient["push"]> {
  const budget = new ByteBudget(MEMORY);
  return (paths, nar, progress, signal) => {
    const publish = async (info: PathInfo) => {
      const memory = isSmall(info) ? info.narSize : STREAM;
      await budget.take(memory);
      try {
        signal.throwIfAborted();
        await (isSmall(info) ? sendWhole : sendStream)(api, info, nar, signal);
      } finally {
        budget.give(memory);
      }
    };
    const upload = async (info: PathInfo) => ({
      bytes: info.narSize,
      publish: () => publish(info),
      discard: async () => undefined,
    });
    return pushInOrder(paths, PATHS_AT_ONCE, upload, progress, signal, api.breaker);
  };
}

/** Hashed before any of it leaves the machine. */
async function sendWhole(api: AtticApi, info: PathInfo, nar: NarSource, signal: AbortSignal) {
  const file = narFile(info, nar, AS_IT_IS, signal);
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.content) chunks.push(chunk);
  file.seal();
  await api.upload(narInfoOf(api, info), () => chunks, info.narSize, signal);
}

/** The server hashes it, too, and keeps nothing that is not what was promised. */
async function sendStream(api: AtticApi, info: PathInfo, nar: NarSource, signal: AbortSignal) {
  // A NAR that cannot be read does not get better by trying again.
  const unreadable = new AbortController();
  const either = AbortSignal.any([signal, unreadable.signal]);
  const content = async function* () {
    const file = narFile(info, nar, AS_IT_IS, either);
    try {
      yield* file.content;
      file.seal();
    } catch (error) {
      unreadable.abort(error);
      throw error;
    }
  };
  await api.upload(narInfoOf(api, info), content, info.narSize, either);
}

/** Source: attic's attic/src/api/v1/upload_path.rs, `UploadPathNarInfo`. */
function narInfoOf({ cache }: AtticApi, info: PathInfo): string {
  return JSON.stringify({
    cache,
    store_path_hash: hashPart(info.storePath),
    store_path: info.storePath,
    references: info.references.map(baseName),
    system: null,
    deriver: info.deriver ? baseName(info.deriver) : null,
    sigs: info.signatures ?? [],
    ca: info.contentAddress ?? null,
    nar_hash: formatSha256(info.narHash),
    nar_size: info.narSize,
  });
}
