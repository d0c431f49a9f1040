/** Owns the end of an upload: the fields the client declares, checked against the bytes it sent. */

import { parseSha256 } from "../../src/domain/hash.ts";
import { fingerprint, type NarInfo } from "../../src/domain/narinfo.ts";
import { findGoodSignature, type PublicKey, type SigningKey } from "../../src/domain/signature.ts";
import { hashPart, type StorePath, storePathFromBaseName } from "../../src/domain/store-path.ts";
import { compressionName, hashNar, type NarExtension } from "./cachix-nar.ts";
import type { AssembledFile } from "./cachix-parts.ts";
import { exactFields, isNatural, refuse } from "./cachix-refuse.ts";
import type { StoredNar } from "./cachix-state.ts";

/** Who signs: the server, or the client with one of these keys (then `cSig` is required). */
export type CacheSigning =
  | { readonly kind: "managed"; readonly key: SigningKey }
  | { readonly kind: "self-signed"; readonly publicKeys: readonly PublicKey[] };

const FIELDS = [
  "cStoreHash",
  "cStoreSuffix",
  "cNarHash",
  "cNarSize",
  "cFileHash",
  "cFileSize",
  "cReferences",
  "cDeriver",
  "cSig",
] as const;

type Fields = Readonly<Record<(typeof FIELDS)[number], unknown>>;

export interface Declared {
  /** Without signatures. */
  readonly narInfo: NarInfo;
  readonly cSig: string | null;
}

/** Reads the `narInfoCreate` of an upload compressed as `extension`. */
export function parseNarInfoCreate(
  value: unknown,
  storeDir: string,
  extension: NarExtension,
): Declared {
  const fields = exactFields(value, FIELDS, "narInfoCreate");
  const storePath = readStorePath(fields, storeDir);
  const { cNarHash, cNarSize, cFileHash, cFileSize, cDeriver, cSig } = fields;
  const narHash =
    typeof cNarHash === "string" && /^sha256:[0-9a-z]{52}$/.test(cNarHash)
      ? parseSha256(cNarHash)
      : undefined;
  if (!narHash) refuse("cNarHash is not sha256: and Nix base 32");
  if (!isNatural(cNarSize) || cNarSize === 0) refuse("cNarSize is not above 0");
  const fileHash =
    typeof cFileHash === "string" && /^[0-9a-f]{64}$/.test(cFileHash)
      ? parseSha256(cFileHash)
      : undefined;
  if (!fileHash) refuse("cFileHash is not bare hex");
  if (!isNatural(cFileSize)) refuse("cFileSize is not a size");
  if (typeof cDeriver !== "string" || !isDeriver(cDeriver, storeDir)) {
    refuse("cDeriver is neither the base name of a derivation nor unknown-deriver");
  }
  if (cSig !== null && typeof cSig !== "string") refuse("cSig is neither null nor a signature");
  const narInfo: NarInfo = {
    storePath,
    url: `nar/${fileHash}.nar.${extension}`,
    compression: compressionName(extension),
    fileHash,
    fileSize: cFileSize,
    narHash,
    narSize: cNarSize,
    references: readReferences(fields.cReferences, storeDir),
    deriver: cDeriver === "unknown-deriver" ? undefined : cDeriver,
    signatures: [],
    contentAddress: undefined,
  };
  return { narInfo, cSig };
}

function readStorePath({ cStoreHash, cStoreSuffix }: Fields, storeDir: string): StorePath {
  if (typeof cStoreHash !== "string" || cStoreHash.length !== 32) {
    refuse("cStoreHash has not 32 characters");
  }
  const path = storePathFromBaseName(`${cStoreHash}-${String(cStoreSuffix)}`, storeDir);
  return path ?? refuse("cStoreHash and cStoreSuffix make no store path");
}

function readReferences(value: unknown, storeDir: string): StorePath[] {
  if (!Array.isArray(value)) refuse("cReferences is not a list");
  let previous = "";
  return (value as unknown[]).map((item) => {
    const path = typeof item === "string" ? storePathFromBaseName(item, storeDir) : undefined;
    if (!path) refuse(`cReferences: ${String(item)} is not a base name`);
    if (path <= previous) refuse(`cReferences: ${String(item)} is out of order, or there twice`);
    previous = path;
    return path;
  });
}

function isDeriver(text: string, storeDir: string): boolean {
  if (text === "unknown-deriver") return true;
  return text.endsWith(".drv") && storePathFromBaseName(text, storeDir) !== undefined;
}

/** The narinfo with the signature it is served with; 400 where the client's is absent or not good. */
export function signDeclared(declared: Declared, signing: CacheSigning): NarInfo {
  const { narInfo, cSig } = declared;
  const signedText = fingerprint(narInfo);
  if (signing.kind === "managed") {
    if (cSig !== null) refuse("cSig: this cache is signed by the server");
    return { ...narInfo, signatures: [signing.key.sign(signedText)] };
  }
  if (cSig === null) return refuse("cSig: this cache is signed by its clients");
  if (!/^[0-9A-Za-z+/]{86}==$/.test(cSig)) {
    refuse("cSig is not the base64 of a signature without its key's name");
  }
  const candidates = signing.publicKeys.map((key) => `${key.name}:${cSig}`);
  const key = findGoodSignature(signedText, candidates, signing.publicKeys);
  if (!key) return refuse("cSig is not good under this cache's keys");
  return { ...narInfo, signatures: [`${key.name}:${cSig}`] };
}

/** Holds what was declared against `file`; decompresses it when its bytes were kept and that is wanted. */
export async function checkFile(
  narInfo: NarInfo,
  file: AssembledFile,
  options: { readonly extension: NarExtension; readonly checkNar: boolean },
): Promise<StoredNar> {
  if (file.size !== narInfo.fileSize) {
    refuse(`cFileSize is ${narInfo.fileSize}, ${file.size} bytes were uploaded`);
  }
  if (file.sha256 !== narInfo.fileHash) refuse(`cFileHash is not that of the upload`);
  if (options.checkNar && file.bytes) {
    const nar = await hashNar(file.bytes, options.extension).catch((thrown: unknown) =>
      refuse(`the upload does not decompress as ${options.extension}: ${String(thrown)}`),
    );
    if (nar.narSize !== narInfo.narSize) {
      refuse(`cNarSize is ${narInfo.narSize}, the NAR has ${nar.narSize} bytes`);
    }
    if (nar.narHash !== narInfo.narHash) refuse("cNarHash is not that of the NAR");
  }
  return { bytes: file.bytes, size: file.size, storeHash: hashPart(narInfo.storePath) };
}
