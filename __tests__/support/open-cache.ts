/** Owns opening a cache as compose.ts does, with what a test does not care about filled in. */

import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GuardOptions } from "../../src/caches/guard.ts";
import type { OpenRequest } from "../../src/caches/kind.ts";
import { openCache } from "../../src/caches/register.ts";
import type { BinaryCache } from "../../src/domain/cache.ts";
import { parseCacheLocation } from "../../src/domain/location.ts";

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

/** The cache at `text`, which is also its name. */
export function openAt(
  text: string,
  given: Parameters<typeof openRequest>[1],
  patience?: GuardOptions,
): BinaryCache {
  const cache = openCache(parseCacheLocation(text), openRequest(text, given), patience);
  if (!cache) throw new Error(`${text}: no such kind`);
  return cache;
}
