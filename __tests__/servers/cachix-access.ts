/** Owns who may do what on the Cachix stand-in: credentials, permissions, and the refusals. */

import type { CachixContext } from "./cachix-context.ts";
import type { Endpoint } from "./cachix-routes.ts";
import { HttpError, json } from "./http.ts";

/** As `GET /cache/NAME` writes it. */
export type Permission = "Read" | "Write" | "Admin";

const RANK = { none: 0, Read: 1, Write: 2, Admin: 3 } as const;

const NEEDED: Partial<Record<Endpoint, Permission>> = {
  "create-upload": "Write",
  "sign-part": "Write",
  complete: "Write",
  abort: "Write",
  pin: "Write",
  "pin-list": "Read",
  "pin-delete": "Admin",
};

/** The token of `Bearer TOKEN` or of Basic's password (what a netrc gives); empty is none. */
export function tokenOf(authorization: string | undefined): string | undefined {
  const [, scheme = "", value = ""] = /^(\S+)\s*(.*)$/.exec(authorization ?? "") ?? [];
  if (scheme.toLowerCase() !== "basic") return value === "" ? undefined : value;
  const pair = Buffer.from(value, "base64").toString("utf8");
  return pair.slice(pair.indexOf(":") + 1) || undefined;
}

/** What the credentials allow; throws the refusal. A read-only token is 403, none or a bad one 401. */
export function authorize(
  context: CachixContext,
  endpoint: Endpoint,
  cache: string | undefined,
  authorization: string | undefined,
): Permission | "none" {
  const token = tokenOf(authorization);
  const permission = token === undefined ? "none" : context.tokens.get(token);
  if (permission === undefined) throw new HttpError(json(401, { error: "invalid token" }));
  if (cache !== context.name) {
    throw new HttpError(json(404, { error: `cache ${cache} does not exist` }));
  }
  const needed = NEEDED[endpoint] ?? (context.isPrivate ? "Read" : "none");
  if (RANK[permission] >= RANK[needed]) return permission;
  // Deleting a pin is its owner's right: third-party clients were seen to get 401 for it.
  const status = permission === "none" || endpoint === "pin-delete" ? 401 : 403;
  throw new HttpError(json(status, { error: `${needed} permission is needed` }));
}
