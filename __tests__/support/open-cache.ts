/** Owns opening a cache as compose.ts does, with what a test does not care about filled in. */

import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCache } from "../../src/caches/index.ts";
import type { OpenRequest } from "../../src/caches/kind.ts";
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

/** The cache at `text`, which is also its name. */
export function openAt(text: string, given: Parameters<typeof openRequest>[1]): BinaryCache {
  const cache = openCache(parseCacheLocation(text), openRequest(text, given));
  if (!cache) throw new Error(`${text}: no such kind`);
  return cache;
}
