/** Owns signing keys made for one test. */

import { generateKeyPairSync } from "node:crypto";
import { parseSigningKey, type SigningKey } from "../../src/domain/signature.ts";

/** A secret key as Nix writes it. */
export function newSecretKey(name = "test-1"): string {
  const { d = "", x = "" } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const bytes = [d, x].map((part) => Buffer.from(part, "base64url"));
  return `${name}:${Buffer.concat(bytes).toString("base64")}`;
}

export function newKey(name?: string): SigningKey {
  return parseSigningKey(newSecretKey(name));
}
