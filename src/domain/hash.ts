/** Owns SHA-256 sums as Nix writes them (hex, Nix base 32, base 64, SRI) and the one form we keep. */

import { decodeNix32, encodeNix32 } from "./nix32.ts";

declare const brand: unique symbol;

/** A SHA-256 sum as 64 lower-case hex digits: equal sums are equal strings, however they were written. */
export type Sha256 = string & { readonly [brand]: "Sha256" };

const BYTES = 32;

export function sha256FromBytes(bytes: Uint8Array): Sha256 {
  if (bytes.length !== BYTES)
    throw new RangeError(`a SHA-256 sum has 32 bytes, not ${bytes.length}`);
  return Buffer.from(bytes).toString("hex") as Sha256;
}

/**
 * Reads `sha256:…` (hex, Nix base 32 or base 64), `sha256-…` (SRI) or a bare sum.
 * Returns undefined for anything else, other algorithms included.
 */
export function parseSha256(text: string): Sha256 | undefined {
  const sum = /^sha256[:-]/.test(text) ? text.slice(7) : text;
  if (/^[0-9a-fA-F]{64}$/.test(sum)) return sum.toLowerCase() as Sha256;
  if (sum.length === 52) {
    const bytes = decodeNix32(sum, BYTES);
    return bytes && sha256FromBytes(bytes);
  }
  if (/^[0-9A-Za-z+/]{43}=$/.test(sum)) return sha256FromBytes(Buffer.from(sum, "base64"));
  return undefined;
}

/** The form narinfos and fingerprints use: `sha256:` and 52 characters of Nix base 32. */
export function formatSha256(sum: Sha256): string {
  return `sha256:${encodeNix32(Buffer.from(sum, "hex"))}`;
}
