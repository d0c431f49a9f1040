/** Owns the bench's caches: real signed narinfos and real small NARs, in the layout of a file:// cache. */

import { createHash, generateKeyPairSync } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { formatCacheInfo } from "../src/domain/cache.ts";
import { parseDerivation } from "../src/domain/derivation.ts";
import { encodeNix32, formatSha256, sha256FromBytes } from "../src/domain/hash.ts";
import { fingerprint, formatNarInfo } from "../src/domain/narinfo.ts";
import { parseSigningKey, type SigningKey } from "../src/domain/signature.ts";
import { baseName, hashPart, type StorePath } from "../src/domain/store-path.ts";
import { generator, shape } from "./shape.ts";

export interface Member {
  readonly path: StorePath;
  readonly references: readonly StorePath[];
}

/** A key pair of the bench's own, and its secret as Nix writes it. */
export function newSigningKey(): { readonly key: SigningKey; readonly secret: string } {
  const { privateKey } = generateKeyPairSync("ed25519");
  const { d = "", x = "" } = privateKey.export({ format: "jwk" });
  const bytes = Buffer.concat([Buffer.from(d, "base64url"), Buffer.from(x, "base64url")]);
  const secret = `bench-1:${bytes.toString("base64")}`;
  return { key: parseSigningKey(secret), secret };
}

/** A closure of `n` store paths that nothing here builds; the first is its root. */
export function inventedClosure(n: number, storeDir: string): Member[] {
  const name = (index: number) => {
    const hash = createHash("sha256").update(`${n}/${index}`).digest().subarray(0, 20);
    return `${storeDir}/${encodeNix32(hash)}-package-${index}-1.${index % 40}` as StorePath;
  };
  const paths = Array.from({ length: n }, (_, index) => name(index));
  return shape(n).map((to, index) => ({
    path: paths[index] as StorePath,
    references: to.map((one) => paths[one] as StorePath).sort(),
  }));
}

/** Writes a cache that holds `members`, each of some `bytes` bytes where that is said. */
export function writeCache(
  directory: string,
  storeDir: string,
  members: readonly Member[],
  key: SigningKey,
  what: "NARs too" | "narinfos only" = "NARs too",
  bytes?: number,
): void {
  mkdirSync(join(directory, "nar"), { recursive: true });
  writeFileSync(join(directory, "nix-cache-info"), formatCacheInfo(storeDir, 40));
  const random = generator(members.length);
  for (const { path, references } of members) {
    const nar = narOf(`${baseName(path)}\n${references.join("\n")}\n`, random, bytes);
    const file = zstdCompressSync(nar);
    const narHash = sha256FromBytes(createHash("sha256").update(nar).digest());
    const fileHash = sha256FromBytes(createHash("sha256").update(file).digest());
    const info = { storePath: path, narHash, narSize: nar.length, references };
    const url = `nar/${formatSha256(fileHash).slice(7)}.nar.zst`;
    if (what === "NARs too") writeFileSync(join(directory, url), file);
    const text = formatNarInfo({
      ...info,
      url,
      compression: "zstd",
      fileHash,
      fileSize: file.length,
      deriver: undefined,
      signatures: [key.sign(fingerprint(info))],
      contentAddress: undefined,
    });
    writeFileSync(join(directory, `${hashPart(path)}.narinfo`), text);
  }
}

/**
 * A NAR with one file that holds the references and `bytes` bytes, some 500 to 8,000 unless said,
 * half of them noise.
 */
function narOf(text: string, random: () => number, bytes?: number): Buffer {
  const noise = Buffer.alloc(bytes ?? Math.floor(500 + random() * random() * 8_000));
  for (let at = 0; at + 4 <= noise.length; at += 8) noise.writeUInt32LE(random() * 2 ** 32, at);
  const content = Buffer.concat([Buffer.from(text), noise]);
  const pieces = ["nix-archive-1", "(", "type", "regular", "contents", content, ")"];
  return Buffer.concat(pieces.map(narString));
}

function narString(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  const padded = Buffer.alloc(8 + Math.ceil(bytes.length / 8) * 8);
  padded.writeBigUInt64LE(BigInt(bytes.length));
  bytes.copy(padded, 8);
  return padded;
}

/** A Nix expression with `n` derivations, each a few kB as real ones are. Its value is the root. */
export function expression(n: number): string {
  const padding = "-DWITH_FEATURE=ON -DCMAKE_INSTALL_PREFIX=/out ".repeat(20);
  const lines = shape(n).map(
    (to, index) =>
      `  p${index} = d "package-${index}-1.${index % 40}" [ ${to.map((one) => `p${one}`).join(" ")} ];`,
  );
  return `let
  d = name: deps: derivation {
    inherit name deps;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo $deps > $out" ];
    flags = "${padding}";
    phases = "unpack patch configure build check install fixup";
  };
${lines.join("\n")}
in p0
`;
}

/** A flake with `targets` packages, all over `below` derivations of the same size. */
export function flakeOf(targets: number, below: number): string {
  const [, ...made] = expression(below).split("\n");
  const names = Array.from(
    { length: targets },
    (_, index) => `    p${index} = d "target-${index}-1" [ p0 ];`,
  );
  const body = made.join("\n").replace("builtins.currentSystem", "system");
  return `{
  outputs = _: {
    packages = builtins.listToAttrs (map (system: { name = system; value = let
${body.replace(/in p0\n$/, `in {\n${names.join("\n")}\n}`)};
    }) [ "x86_64-linux" "aarch64-linux" ]);
  };
}
`;
}

/** The outputs of all derivations under `root`, each referring to those of its inputs. */
export async function outputMembers(root: StorePath, storeDir: string): Promise<Member[]> {
  const members = new Map<StorePath, Member>();
  const read = async (path: StorePath) => parseDerivation(await readFile(path, "utf8"), path);
  const out = async (path: StorePath) => (await read(path)).outputs.get("out")?.path as StorePath;
  const stack = [root];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    if (members.has(at)) continue;
    const { inputs, outputs } = await read(at);
    const references = await Promise.all([...inputs.keys()].map(out));
    members.set(at, { path: outputs.get("out")?.path as StorePath, references: references.sort() });
    stack.push(...inputs.keys());
  }
  if (![...members.keys()].every((path) => path.startsWith(storeDir)))
    throw new Error("another store");
  return [...members.values()];
}
