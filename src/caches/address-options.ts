/** The options of a cache's address, as Nix has them: `?compression=`, `?priority=`, `?trusted=1`. */

import { UserError } from "../domain/errors.ts";
import type { PublicKey } from "../domain/signature.ts";
import type { Compression } from "../host/compress.ts";
import type { SignaturePolicy } from "./accept.ts";
import type { OpenRequest } from "./kind.ts";

export function parseCompression(url: URL): Compression {
  const text = url.searchParams.get("compression") ?? "zstd";
  if (text === "zstd" || text === "xz" || text === "none") return text;
  throw new UserError("NCP-103", `cache: "${url.href}": compression=${text} is not known here`, {
    hint: "write compression=zstd (the default), xz or none",
  });
}

/** `?priority=N` on a substituter's URL overrides what the cache says of itself. */
export function parsePriority(url: URL): number | undefined {
  const text = url.searchParams.get("priority");
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

export interface Signing {
  readonly policy: SignaturePolicy;
  readonly publicKeys: readonly PublicKey[];
  /** Whether what we write there would be taken by who reads it. */
  readonly canWrite: boolean;
}

/** Who has to have signed what is there: nobody where it is trusted for where it is. */
export function signingOf(url: URL, request: OpenRequest): Signing {
  const { signingKey } = request;
  const trusted = request.signatures === "accept any" || url.searchParams.get("trusted") === "1";
  const publicKeys = [...request.publicKeys, ...(signingKey ? [signingKey.publicKey] : [])];
  return {
    policy: trusted ? { kind: "by location" } : { kind: "by key", keys: publicKeys },
    publicKeys,
    canWrite: signingKey !== undefined || trusted,
  };
}

/** Said before any build: without a signature nobody would take what is pushed there. */
export function signedPathsOnly(name: string): UserError {
  return new UserError("NCP-105", `${name} takes signed paths only`, {
    hint: "set signing-key; or write ?trusted=1 behind its address, if every reader trusts whatever is there",
  });
}
