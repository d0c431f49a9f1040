/** Owns store paths nobody built, and their narinfos, as a cache would serve them. */

import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { encodeNix32, formatSha256, sha256FromBytes } from "../../src/domain/hash.ts";
import type { SigningKey } from "../../src/domain/signature.ts";
import type { Chance } from "../support/fuzz.ts";

export interface MadeUp {
  readonly path: string;
  readonly base: string;
  readonly hash: string;
  readonly nar: Buffer;
  /** As the cache stores it. */
  readonly file: Buffer;
  readonly url: string;
  readonly narHash: string;
  readonly references: readonly string[];
}

const DIGITS = "0123456789abcdfghijklmnpqrsvwxyz";

export function randomHash(next: Chance): string {
  return Array.from({ length: 32 }, () => DIGITS[next(32)]).join("");
}

/** A regular file as a NAR. */
export function narOf(contents: Buffer): Buffer {
  const text = (value: string | Buffer) => {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(bytes.length));
    return Buffer.concat([length, bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
  };
  const parts = ["nix-archive-1", "(", "type", "regular", "contents", contents, ")"];
  return Buffer.concat(parts.map(text));
}

export function sha256(bytes: Uint8Array | string): Buffer {
  return createHash("sha256").update(bytes).digest();
}

export function madeUp(
  storeDir: string,
  next: Chance,
  name: string,
  references: readonly string[] = [],
  compression: "none" | "zstd" = "none",
): MadeUp {
  const hash = randomHash(next);
  const nar = narOf(Buffer.from(`${name} ${hash} ${references.join(" ")}`));
  return withPath(`${storeDir}/${hash}-${name}`, nar, references, compression);
}

export function withPath(
  path: string,
  nar: Buffer,
  references: readonly string[],
  compression: "none" | "zstd" = "none",
): MadeUp {
  const file = compression === "zstd" ? zstdCompressSync(nar) : nar;
  const base = path.slice(path.lastIndexOf("/") + 1);
  const ending = compression === "zstd" ? ".nar.zst" : ".nar";
  return {
    path,
    base,
    hash: base.slice(0, 32),
    nar,
    file,
    url: `nar/${encodeNix32(sha256(file))}${ending}`,
    narHash: formatSha256(sha256FromBytes(sha256(nar))),
    references,
  };
}

export function fingerprintOf(
  made: Pick<MadeUp, "path" | "narHash" | "references">,
  narSize: number,
): string {
  return `1;${made.path};${made.narHash};${narSize};${[...made.references].sort().join(",")}`;
}

/** As `nix copy` writes it. */
export function narInfoText(made: MadeUp, key: SigningKey | undefined): string {
  const names = [...made.references].sort().map((path) => path.slice(path.lastIndexOf("/") + 1));
  return [
    `StorePath: ${made.path}`,
    `URL: ${made.url}`,
    `Compression: ${made.url.endsWith(".zst") ? "zstd" : "none"}`,
    `FileHash: sha256:${encodeNix32(sha256(made.file))}`,
    `FileSize: ${made.file.length}`,
    `NarHash: ${made.narHash}`,
    `NarSize: ${made.nar.length}`,
    `References: ${names.join(" ")}`,
    ...(key ? [`Sig: ${key.sign(fingerprintOf(made, made.nar.length))}`] : []),
    "",
  ].join("\n");
}

export interface CacheFiles {
  readonly directory: string;
  readonly storeDir: string;
  /** undefined: as Nix writes it. */
  readonly info?: string | undefined;
}

export async function writeCache(
  { directory, storeDir, info }: CacheFiles,
  paths: readonly { readonly made: MadeUp; readonly text: string }[],
): Promise<void> {
  await mkdir(join(directory, "nar"), { recursive: true });
  await writeFile(join(directory, "nix-cache-info"), info ?? `StoreDir: ${storeDir}\n`);
  for (const { made, text } of paths) {
    await writeFile(join(directory, made.url), made.file);
    await writeFile(join(directory, `${made.hash}.narinfo`), text);
  }
}
