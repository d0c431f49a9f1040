/** Owns made-up store paths: their NARs, what a store's database would say of them, and such a store. */

import { createHash } from "node:crypto";
import type { NarSource } from "../../src/domain/cache.ts";
import { encodeNix32, sha256FromBytes } from "../../src/domain/hash.ts";
import type { PathInfo } from "../../src/domain/narinfo.ts";
import type { Nix } from "../../src/domain/ports.ts";
import { parseStorePath, type StorePath } from "../../src/domain/store-path.ts";

export interface MadeUp {
  readonly info: PathInfo;
  readonly nar: Uint8Array;
}

/** The same name gives the same path and the same bytes. */
export function madeUp(
  name: string,
  references: readonly MadeUp[] = [],
  options: {
    readonly storeDir?: string;
    readonly bytes?: number;
    /** Fills the bytes with what no compressor makes smaller. */
    readonly random?: (bytes: Buffer) => unknown;
  } = {},
): MadeUp {
  const storeDir = options.storeDir ?? "/nix/store";
  const hash = encodeNix32(createHash("sha1").update(name).digest());
  const storePath = parseStorePath(`${storeDir}/${hash}-${name}`, storeDir);
  if (!storePath) throw new Error(`${name} makes no store path`);
  const text = `made up for ${name} `;
  const content = Buffer.alloc(options.bytes ?? 4_000, text);
  options.random?.(content);
  const nar = narOfFile(content);
  const info: PathInfo = {
    storePath,
    narHash: sha256FromBytes(createHash("sha256").update(nar).digest()),
    narSize: nar.length,
    references: references.map((reference) => reference.info.storePath).sort(),
    deriver: undefined,
  };
  return { info, nar };
}

/** The NAR of one regular file: a store on the other side unpacks what it gets. */
function narOfFile(content: Buffer): Buffer {
  const string = (bytes: Buffer) => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(bytes.length));
    return [length, bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)];
  };
  const words = ["nix-archive-1", "(", "type", "regular", "contents"].map((word) =>
    Buffer.from(word),
  );
  return Buffer.concat([...words, content, Buffer.from(")")].flatMap(string));
}

/** A store that holds these and no others: what a push asks of Nix. */
export function storeOf(paths: readonly MadeUp[]): Pick<Nix, "valid" | "closure" | "nar"> {
  const byPath = new Map(paths.map((path) => [path.info.storePath, path]));
  return {
    valid: async (asked) => new Set(asked.filter((path) => byPath.has(path))),
    closure: async (roots) => {
      const found = new Map<StorePath, PathInfo>();
      const stack = [...roots];
      for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
        const info = byPath.get(path)?.info;
        if (!info || found.has(path)) continue;
        found.set(path, info);
        stack.push(...info.references);
      }
      return found;
    },
    nar: narsOf(paths),
  };
}

export function narsOf(paths: readonly MadeUp[]): NarSource {
  const byPath = new Map(paths.map(({ info, nar }) => [info.storePath, nar]));
  return async function* (path) {
    const nar = byPath.get(path);
    if (!nar) throw new Error(`${path} is not in the store`);
    for (let at = 0; at < nar.length; at += 65_536) yield nar.subarray(at, at + 65_536);
  };
}
