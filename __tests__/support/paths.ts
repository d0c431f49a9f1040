/** Owns store paths for tests: a name is enough, and equal names are equal paths. */

import { createHash } from "node:crypto";
import { encodeNix32, type Sha256, sha256FromBytes } from "../../src/domain/hash.ts";
import { parseStorePath, type StorePath } from "../../src/domain/store-path.ts";

export const STORE = "/nix/store";

export function storePath(name: string): StorePath {
  const hash = encodeNix32(createHash("sha256").update(name).digest().subarray(0, 20));
  const path = parseStorePath(`${STORE}/${hash}-${name}`, STORE);
  if (!path) throw new Error(`"${name}" is no name of a store path`);
  return path;
}

export function sum(text: string): Sha256 {
  return sha256FromBytes(createHash("sha256").update(text).digest());
}
