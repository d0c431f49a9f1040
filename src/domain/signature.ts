/**
 * Nix's signing keys and signatures: Ed25519 over a fingerprint.
 * Source: nix/src/libutil/signature/local-keys.cc. Keys are `NAME:BASE64`, public 32 bytes,
 * secret 64 (seed, then public), signatures 64.
 */

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { UserError } from "./errors.ts";
import { decodeBase64 } from "./hash.ts";

export interface PublicKey {
  readonly name: string;
  /** As written, `NAME:BASE64`: the form Nix's configuration takes. */
  readonly text: string;
  readonly key: KeyObject;
}

export interface SigningKey {
  readonly name: string;
  readonly publicKey: PublicKey;
  /** `NAME:BASE64` over `fingerprint`. */
  readonly sign: (fingerprint: string) => string;
}

// DER headers that turn raw Ed25519 bytes into what node:crypto reads (RFC 8410).
const PUBLIC_HEADER = Buffer.from("302a300506032b6570032100", "hex");
const SECRET_HEADER = Buffer.from("302e020100300506032b657004220420", "hex");

function split(text: string): { name: string; bytes: Buffer } | undefined {
  const match = /^([^\s:]+):([0-9A-Za-z+/]+={0,2})$/.exec(text.trim());
  if (!match?.[1] || !match[2]) return undefined;
  return { name: match[1], bytes: Buffer.from(match[2], "base64") };
}

function publicKeyObject(bytes: Uint8Array): KeyObject {
  return createPublicKey({
    key: Buffer.concat([PUBLIC_HEADER, bytes]),
    format: "der",
    type: "spki",
  });
}

/** Reads `NAME:BASE64`; undefined when it is not a public key of 32 bytes. */
export function parsePublicKey(text: string): PublicKey | undefined {
  const parts = split(text);
  if (parts?.bytes.length !== 32) return undefined;
  return { name: parts.name, text: text.trim(), key: publicKeyObject(parts.bytes) };
}

/** A secret key alone, as CACHIX_SIGNING_KEY has it. */
const BARE = /^[0-9A-Za-z+/]{86}(==)?$/;

/**
 * Reads a secret key. The error never holds any of the key. `bareName` is what a key without a name is
 * called, where the cache hands them out so.
 */
export function parseSigningKey(given: string, bareName?: string): SigningKey {
  const isNameless = bareName !== undefined && BARE.test(given.trim());
  const text = isNameless ? `${bareName}:${given.trim()}` : given;
  const parts = split(text);
  if (parts?.bytes.length !== 64) {
    const why = parts ? `it has ${parts.bytes.length} bytes, not 64` : "it is not NAME:BASE64";
    throw new UserError("NCP-105", `signing-key: this is not a Nix secret key: ${why}`, {
      hint: BARE.test(text.trim())
        ? "put the key's name before it, for a Cachix cache NAME.cachix.org-1:"
        : "make one with: nix-store --generate-binary-cache-key NAME secret.key public.key",
    });
  }
  const seed = parts.bytes.subarray(0, 32);
  const publicBytes = parts.bytes.subarray(32);
  const key = createPrivateKey({
    key: Buffer.concat([SECRET_HEADER, seed]),
    format: "der",
    type: "pkcs8",
  });
  const { name } = parts;
  const publicKey = publicKeyObject(publicBytes);
  if (!createPublicKey(key).equals(publicKey)) {
    throw new UserError("NCP-105", "signing-key: its two halves do not belong together", {
      hint: "it was damaged in copying: store it again, or make a new one",
    });
  }
  return {
    name,
    publicKey: { name, text: `${name}:${publicBytes.toString("base64")}`, key: publicKey },
    sign: (fingerprint) =>
      `${name}:${sign(null, Buffer.from(fingerprint), key).toString("base64")}`,
  };
}

/** The name of the key that made a signature, whether or not the signature is good. */
export function signatureKeyName(signature: string): string {
  return signature.slice(0, Math.max(0, signature.indexOf(":")));
}

/** The first of `keys` under which one of `signatures` over `fingerprint` is good. */
export function findGoodSignature(
  fingerprint: string,
  signatures: readonly string[],
  keys: readonly PublicKey[],
): PublicKey | undefined {
  for (const { key, bytes } of candidates(signatures, keys)) {
    if (bytes && verify(null, Buffer.from(fingerprint), key.key, bytes)) return key;
  }
  return undefined;
}

/**
 * The same off the main thread: a check takes some 100 µs, and a closure has thousands. `malformed`
 * where a signature by one of `keys` is none at all: Nix looks at every one, and stops at that.
 */
export async function findGoodSignatureAside(
  fingerprint: string,
  signatures: readonly string[],
  keys: readonly PublicKey[],
): Promise<PublicKey | "malformed" | undefined> {
  let found: PublicKey | undefined;
  for (const { key, bytes } of candidates(signatures, keys)) {
    if (!bytes) return "malformed";
    if (found) continue;
    const good = await new Promise<boolean>((resolve, reject) => {
      verify(null, Buffer.from(fingerprint), key.key, bytes, (error, result) => {
        if (error) reject(error);
        else resolve(result);
      });
    });
    if (good) found = key;
  }
  return found;
}

/** Whether it has a key's name and bytes behind it, however many: what 2.34 reads as a signature. */
export function isSignature(text: string): boolean {
  const name = signatureKeyName(text);
  return name !== "" && (decodeBase64(text.slice(name.length + 1))?.length ?? 0) > 0;
}

/** Whether a signature by one of `keys` is none at all. */
export function hasMalformed(signatures: readonly string[], keys: readonly PublicKey[]): boolean {
  for (const { bytes } of candidates(signatures, keys)) if (!bytes) return true;
  return false;
}

/** Of two keys of one name Nix knows the first. */
export function keyOfName(keys: readonly PublicKey[], name: string): PublicKey | undefined {
  return keys.find((key) => key.name === name);
}

/** Signatures by one of `keys`, each with its bytes, or without where it is no signature. */
function* candidates(signatures: readonly string[], keys: readonly PublicKey[]) {
  for (const signature of signatures) {
    const key = keyOfName(keys, signatureKeyName(signature));
    if (!key) continue;
    const bytes = decodeBase64(signature.slice(key.name.length + 1));
    yield { key, bytes: bytes?.length === SIGNATURE_BYTES ? bytes : undefined };
  }
}

const SIGNATURE_BYTES = 64;
