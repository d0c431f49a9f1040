/** Owns the full proof: a NAR read from the cache, unpacked, and compared with what its narinfo names. */

import { createHash } from "node:crypto";
import type { BinaryCache } from "../../domain/cache.ts";
import { describeError } from "../../domain/errors.ts";
import { sha256FromBytes } from "../../domain/hash.ts";
import type { NarInfo } from "../../domain/narinfo.ts";
import type { World } from "../../domain/ports.ts";

/** What is wrong, in words; undefined where every byte is right. Throws where the journey failed, which says nothing of the bytes. */
export async function compareBytes(
  cache: BinaryCache,
  narInfo: NarInfo,
  decompress: World["decompress"],
  signal: AbortSignal,
): Promise<string | undefined> {
  const file = createHash("sha256");
  const nar = createHash("sha256");
  let narSize = 0;
  let brokenOff: unknown;
  const stored = async function* () {
    try {
      for await (const chunk of cache.readNar(narInfo, signal)) {
        file.update(chunk);
        yield chunk;
      }
    } catch (error) {
      brokenOff = error;
      throw error;
    }
  };
  try {
    for await (const chunk of decompress(narInfo.compression, stored(), signal)) {
      nar.update(chunk);
      narSize += chunk.length;
    }
  } catch (error) {
    signal.throwIfAborted();
    // The journey failed, which says nothing of the bytes.
    if (brokenOff !== undefined) throw brokenOff;
    return `its NAR cannot be unpacked: ${describeError(error)}`;
  }
  if (narInfo.fileHash && sha256FromBytes(file.digest()) !== narInfo.fileHash) {
    return "its NAR is not the file that its FileHash names";
  }
  if (narSize !== narInfo.narSize || sha256FromBytes(nar.digest()) !== narInfo.narHash) {
    return "its NAR is not what its NarHash names";
  }
  return undefined;
}
