/**
 * Owns Nix's base 32: its own alphabet (no e, o, t, u), least significant bits first, string reversed.
 * Source: nix/src/libutil/hash.cc, `printHash32` and `parseHash32`.
 */

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
