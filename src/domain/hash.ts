/** SHA-256 sums as Nix writes them (hex, Nix base 32, base 64, SRI) and the one form we keep. */

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

export type HashAlgorithm = "md5" | "sha1" | "sha256" | "sha512";

/** A sum with its algorithm, as bytes. */
export interface Sum {
  readonly algorithm: HashAlgorithm;
  readonly bytes: Uint8Array;
}

const LENGTHS: ReadonlyMap<string, number> = new Map<HashAlgorithm, number>([
  ["md5", 16],
  ["sha1", 20],
  ["sha256", 32],
  ["sha512", 64],
]);

/** Reads `ALGORITHM:SUM` or `ALGORITHM-BASE64`, as narinfos have them. Source: `Hash::parseAnyPrefixed`. */
export function parsePrefixedSum(text: string): Sum | undefined {
  const colon = text.indexOf(":");
  const end = colon < 0 ? text.indexOf("-") : colon;
  if (end < 0) return undefined;
  const algorithm = text.slice(0, end);
  const rest = text.slice(end + 1);
  return colon < 0 ? sumOf(algorithm, rest, "base 64 only") : sumOf(algorithm, rest, "any");
}

/** Undefined where it is another algorithm's. */
export function sha256Of({ algorithm, bytes }: Sum): Sha256 | undefined {
  return algorithm === "sha256" ? sha256FromBytes(bytes) : undefined;
}

/** A bare sum of an algorithm; how it is written shows by its length. */
export function sumOf(
  algorithm: string,
  text: string,
  encoding: "any" | "base 64 only" = "any",
): Sum | undefined {
  const length = LENGTHS.get(algorithm);
  if (length === undefined) return undefined;
  const bytes = bytesOf(text, length, encoding);
  return bytes && { algorithm: algorithm as HashAlgorithm, bytes };
}

function bytesOf(
  text: string,
  length: number,
  encoding: "any" | "base 64 only",
): Uint8Array | undefined {
  if (encoding === "any" && text.length === length * 2) {
    return /^[0-9a-fA-F]*$/.test(text) ? Buffer.from(text, "hex") : undefined;
  }
  if (encoding === "any" && text.length === nix32Length(length)) return decodeNix32(text, length);
  if (encoding === "any" && text.length !== Math.ceil(length / 3) * 4) return undefined;
  const bytes = decodeBase64(text);
  return bytes?.length === length ? bytes : undefined;
}

/** Base 64 as Nix reads it: what follows a `=` is not looked at, and no other character is passed over. */
export function decodeBase64(text: string): Uint8Array | undefined {
  const [digits = ""] = text.split("=", 1);
  return /^[0-9A-Za-z+/]*$/.test(digits) ? Buffer.from(digits, "base64") : undefined;
}

/** The form narinfos and fingerprints use: `sha256:` and 52 characters of Nix base 32. */
export function formatSha256(sum: Sha256): string {
  return `sha256:${encodeNix32(Buffer.from(sum, "hex"))}`;
}

const ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz";
/** By character code; -1 for what is no digit. */
const VALUES = Int8Array.from({ length: 128 }, (_, code) =>
  ALPHABET.indexOf(String.fromCharCode(code)),
);

/** Characters that `bytes` bytes take. */
export function nix32Length(bytes: number): number {
  return Math.ceil((bytes * 8) / 5);
}

export function encodeNix32(bytes: Uint8Array): string {
  let text = "";
  for (let n = nix32Length(bytes.length) - 1; n >= 0; n--) {
    const bit = n * 5;
    const byte = bit >> 3;
    const shift = bit & 7;
    const value = ((bytes[byte] ?? 0) >> shift) | ((bytes[byte + 1] ?? 0) << (8 - shift));
    text += ALPHABET[value & 31];
  }
  return text;
}

/** The bytes `text` stands for, or undefined when it is not Nix base 32 of exactly `length` bytes. */
export function decodeNix32(text: string, length: number): Uint8Array | undefined {
  if (text.length !== nix32Length(length)) return undefined;
  const bytes = new Uint8Array(length);
  for (let n = 0; n < text.length; n++) {
    const value = VALUES[text.charCodeAt(text.length - 1 - n)] ?? -1;
    if (value < 0) return undefined;
    const bit = n * 5;
    const byte = bit >> 3;
    const shift = bit & 7;
    bytes[byte] = (bytes[byte] ?? 0) | ((value << shift) & 255);
    const carry = value >> (8 - shift);
    if (byte + 1 < length) bytes[byte + 1] = (bytes[byte + 1] ?? 0) | carry;
    else if (carry !== 0) return undefined;
  }
  return bytes;
}
