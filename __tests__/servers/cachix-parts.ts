/** Owns the bytes of an upload in progress: kept part by part, or hashed as they come and let go. */

import { createHash } from "node:crypto";
import { type Sha256, sha256FromBytes } from "../../src/domain/hash.ts";
import { refuse } from "./cachix-refuse.ts";

/** Takes the bytes of one part; nothing counts until `commit`, which is told their MD5. */
export interface PartSink {
  write(chunk: Buffer): void;
  commit(md5: string): void;
}

export interface AssembledFile {
  readonly sha256: Sha256;
  readonly size: number;
  readonly bytes: Buffer | undefined;
}

export interface UploadedFile {
  open(partNumber: number): PartSink;
  /** The whole file, its parts in the order of `partNumbers`. */
  assemble(partNumbers: readonly number[]): AssembledFile;
  release(): void;
}

/** Keeps every part, so that one may be sent again with other bytes and NARs can be served. */
export function keepParts(): UploadedFile {
  const parts = new Map<number, Buffer>();
  return {
    open(partNumber) {
      const chunks: Buffer[] = [];
      return {
        write: (chunk) => chunks.push(chunk),
        commit: () => parts.set(partNumber, Buffer.concat(chunks)),
      };
    },
    assemble(partNumbers) {
      const bytes = Buffer.concat(partNumbers.map((n) => parts.get(n) ?? refuse(`no part ${n}`)));
      const sum = sha256FromBytes(createHash("sha256").update(bytes).digest());
      return { sha256: sum, size: bytes.length, bytes };
    },
    release: () => parts.clear(),
  };
}

/**
 * Hashes and lets go. A part whose predecessors are all in is hashed as it streams; one that is
 * early waits in memory, so at most the client's parts in flight are held.
 */
export function discardParts(): UploadedFile {
  let hash = createHash("sha256");
  let next = 1;
  let size = 0;
  let isChanged = false;
  const sums = new Map<number, string>();
  const early = new Map<number, readonly Buffer[]>();

  const takeEarly = () => {
    for (let chunks = early.get(next); chunks; chunks = early.get(next)) {
      for (const chunk of chunks) {
        hash.update(chunk);
        size += chunk.length;
      }
      early.delete(next++);
    }
  };

  return {
    open(partNumber) {
      // A copy: what a broken connection leaves behind is not in the file's own hash.
      const running = partNumber === next ? hash.copy() : undefined;
      const isEarly = partNumber > next;
      const chunks: Buffer[] = [];
      let bytes = 0;
      return {
        write(chunk) {
          bytes += chunk.length;
          running?.update(chunk);
          if (isEarly) chunks.push(chunk);
        },
        commit(md5) {
          const before = sums.get(partNumber);
          sums.set(partNumber, md5);
          if (before !== undefined) {
            isChanged ||= before !== md5;
          } else if (running) {
            hash = running;
            size += bytes;
            next++;
          } else {
            early.set(partNumber, chunks);
          }
          takeEarly();
        },
      };
    },
    assemble(partNumbers) {
      if (isChanged) refuse("a part was sent again with other bytes, and the first are let go");
      if (early.size > 0 || partNumbers.length !== next - 1) refuse("there is a gap in the parts");
      return { sha256: sha256FromBytes(hash.copy().digest()), size, bytes: undefined };
    },
    release: () => early.clear(),
  };
}
