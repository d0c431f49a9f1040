/** Owns what the Cachix stand-in holds: own and upstream paths, their NARs, and what garbage collection takes. */

import { generateKeyPairSync } from "node:crypto";
import { fingerprint, type NarInfo } from "../../src/domain/narinfo.ts";
import { parseSigningKey, type SigningKey } from "../../src/domain/signature.ts";
import { hashPart, parseStorePath, type StorePath } from "../../src/domain/store-path.ts";
import { compress, compressionName, type NarExtension, sha256 } from "./cachix-nar.ts";
import { Pins } from "./cachix-pins.ts";

/** One stored object. `bytes` is undefined where the server was told to discard them. */
export interface StoredNar {
  readonly bytes: Buffer | undefined;
  readonly size: number;
  /** Hash part of the first path that brought it. */
  readonly storeHash: string;
}

/** A path put there by the test itself, not by an upload. */
export interface Seed {
  readonly storePath: string;
  /** Not compressed. */
  readonly nar: Uint8Array;
  readonly references?: readonly string[];
  readonly deriver?: string;
}

export class CachixState {
  /** By hash part; what a pin may name. */
  readonly own = new Map<string, NarInfo>();
  /** By hash part; signed by another key, counted as present by bulk. */
  readonly upstream = new Map<string, NarInfo>();
  /** By file name, `HEX.nar.zst`. */
  readonly nars = new Map<string, StoredNar>();
  readonly upstreamNars = new Map<string, StoredNar>();
  readonly pins: Pins;
  readonly storeDir: string;
  /** Hash parts whose whole closure was seen to be there. */
  readonly #whole = new Set<string>();

  constructor(storeDir: string) {
    this.storeDir = storeDir;
    this.pins = new Pins(storeDir);
  }

  /** What bulk answers: asked − (own ∪ upstream). */
  missing(hashes: readonly string[]): string[] {
    return hashes.filter((hash) => !this.own.has(hash) && !this.upstream.has(hash));
  }

  /** Takes a path in, unless it is there: a push never overrides, so it repairs nothing either. */
  commit(into: "own" | "upstream", narInfo: NarInfo, nar: StoredNar): void {
    const paths = into === "own" ? this.own : this.upstream;
    const nars = into === "own" ? this.nars : this.upstreamNars;
    const hash = hashPart(narInfo.storePath);
    if (paths.has(hash)) return;
    paths.set(hash, narInfo);
    const file = fileOf(narInfo);
    if (!nars.has(file)) nars.set(file, nar);
  }

  async seed(
    into: "own" | "upstream",
    seed: Seed,
    how: { readonly extension: NarExtension; readonly key: SigningKey },
  ): Promise<NarInfo> {
    const file = await compress(seed.nar, how.extension);
    const storePath = this.#path(seed.storePath);
    const unsigned: NarInfo = {
      storePath,
      url: `nar/${sha256(file)}.nar.${how.extension}`,
      compression: compressionName(how.extension),
      fileHash: sha256(file),
      fileSize: file.length,
      narHash: sha256(seed.nar),
      narSize: seed.nar.length,
      references: (seed.references ?? []).map((reference) => this.#path(reference)).sort(),
      deriver: seed.deriver,
      signatures: [],
      contentAddress: undefined,
    };
    const narInfo = { ...unsigned, signatures: [how.key.sign(fingerprint(unsigned))] };
    this.commit(into, narInfo, {
      bytes: file,
      size: file.length,
      storeHash: hashPart(storePath),
    });
    return narInfo;
  }

  #path(text: string): StorePath {
    const path = parseStorePath(text, this.storeDir);
    if (!path) throw new Error(`${text} is not a store path of ${this.storeDir}`);
    return path;
  }

  /** Whether all that `hash` refers to, however far, is own or upstream. */
  isClosureWhole(hash: string): boolean {
    const visited = new Set<string>();
    const open = [hash];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (visited.has(at) || this.#whole.has(at)) continue;
      visited.add(at);
      const narInfo = this.own.get(at) ?? this.upstream.get(at);
      if (!narInfo) return false;
      open.push(...narInfo.references.map(hashPart));
    }
    for (const seen of visited) this.#whole.add(seen);
    return true;
  }

  /** Removes every own path that no pin holds, itself or through references. Returns what went. */
  gc(options: { readonly advanceDays?: number } = {}): StorePath[] {
    this.pins.advance(options.advanceDays ?? 0);
    const kept = new Set<string>();
    const open = this.pins.roots().map(hashPart);
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (kept.has(at)) continue;
      kept.add(at);
      open.push(...(this.own.get(at)?.references ?? []).map(hashPart));
    }
    const gone: StorePath[] = [];
    for (const [hash, narInfo] of this.own) {
      if (kept.has(hash)) continue;
      this.own.delete(hash);
      gone.push(narInfo.storePath);
    }
    const files = new Set([...this.own.values()].map(fileOf));
    for (const file of this.nars.keys()) if (!files.has(file)) this.nars.delete(file);
    this.#whole.clear();
    return gone;
  }

  /** Loses the NAR of an own path and keeps its narinfo, as has happened to real caches. */
  dropNar(hash: string): void {
    const narInfo = this.own.get(hash);
    if (!narInfo || !this.nars.delete(fileOf(narInfo))) {
      throw new Error(`no NAR of an own path ${hash}`);
    }
  }
}

function fileOf(narInfo: NarInfo): string {
  return narInfo.url.slice("nar/".length);
}

/** A new Ed25519 key in Nix's form, `NAME:BASE64` of seed and public key. */
export function generateSecretKey(name: string): string {
  const { d = "", x = "" } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const bytes = Buffer.concat([Buffer.from(d, "base64url"), Buffer.from(x, "base64url")]);
  return `${name}:${bytes.toString("base64")}`;
}

export function generateSigningKey(name: string): SigningKey {
  return parseSigningKey(generateSecretKey(name));
}
