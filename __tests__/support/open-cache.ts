/** Owns opening a cache as compose.ts does, with what a test does not care about filled in. */

import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GuardOptions } from "../../src/caches/guard.ts";
import type { OpenRequest } from "../../src/caches/kind.ts";
import { register } from "../../src/caches/register.ts";
import type { BinaryCache } from "../../src/domain/cache.ts";
import type { CacheLocation } from "../../src/domain/location.ts";

/** Our own cache for `/nix/store`, without a token, a key or an environment. */
export function openRequest(
  name: string,
  given: Partial<OpenRequest> & Pick<OpenRequest, "http">,
): OpenRequest {
  return {
    name,
    role: "own",
    storeDir: "/nix/store",
    publicKeys: [],
    signatures: "require",
    token: undefined,
    signingKey: undefined,
    remoteStore: () => {
      throw new Error(`${name} is to be spoken to by Nix`);
    },
    environment: {},
    folder: join(tmpdir(), "ncp-no-folder"),
    ...given,
  };
}

/** Soon over; nothing is asserted of the time. */
export const SHORT: GuardOptions = { describe: 4_000, query: 4_000, parallel: 128 };

/** What the input `cache` reads out of `text`, which is not `none`. */
export function locationOf(text: string): CacheLocation {
  const location = register.parse(text, "cache");
  if (!location) throw new Error(`${text} is no cache`);
  return location;
}

/** The cache at `text`, which is also its name. */
export function openAt(
  text: string,
  given: Parameters<typeof openRequest>[1],
  patience?: GuardOptions,
): BinaryCache {
  return register.open(locationOf(text), openRequest(text, given), patience);
}
