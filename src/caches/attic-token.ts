/**
 * Owns what an Attic token says of itself. It is a JWT; its signature is the server's to check.
 * Source: attic's attic/token/src/lib.rs: claims under `https://jwt.attic.rs/v1`, by cache pattern.
 */

import * as z from "zod/mini";

const NAMESPACE = "https://jwt.attic.rs/v1";

const Claims = z.object({
  exp: z.optional(z.number()),
  [NAMESPACE]: z.object({ caches: z.record(z.string(), z.record(z.string(), z.unknown())) }),
});

export interface AtticToken {
  readonly permission: "read" | "write";
  readonly expires: Date | undefined;
}

/** Undefined for what is no such token: then only the server knows. */
export function readAtticToken(token: string, cache: string): AtticToken | undefined {
  try {
    const payload = Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8");
    const { exp, [NAMESPACE]: claims } = Claims.parse(JSON.parse(payload));
    const rights = Object.entries(claims.caches).filter(([pattern]) => matches(pattern, cache));
    const writes = rights.some(([, { w }]) => w === 1 || w === true);
    return {
      permission: writes ? "write" : "read",
      expires: exp === undefined ? undefined : new Date(exp * 1000),
    };
  } catch {
    return undefined;
  }
}

/** `team-*`, as Attic has it. */
function matches(pattern: string, cache: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(cache);
}
