/** The register: every kind of cache there is, written out. */

import type { BinaryCache } from "../domain/cache.ts";
import type { CacheLocation } from "../domain/location.ts";
import { PoliteHttp } from "../host/retry.ts";
import { atticKind } from "./attic/attic.ts";
import { cachixKind } from "./cachix/cachix.ts";
import { fileKind } from "./file/file.ts";
import { githubKind } from "./github/github.ts";
import { type GuardOptions, guarded, PATIENCE } from "./guard.ts";
import { httpKind } from "./http/http.ts";
import type { CacheKind, OpenRequest } from "./kind.ts";
import { s3Kind } from "./s3/s3.ts";
import { sshKind } from "./ssh/ssh.ts";

const KINDS = [fileKind, githubKind, httpKind, cachixKind, atticKind, s3Kind, sshKind] as const;

/** The cache at `location`, with patience around it; undefined for a kind that is not built yet. */
export function openCache(
  location: CacheLocation,
  request: OpenRequest,
  patience: GuardOptions = PATIENCE,
): BinaryCache | undefined {
  // The register pairs each kind with its own shape of location; the compiler cannot see that pairing.
  const kind = KINDS.find((one) => one.kind === location.kind) as CacheKind | undefined;
  if (!kind) return undefined;
  const http = new PoliteHttp(request.http);
  return guarded(kind.open(location, { ...request, http }), patience, () => http.answerTrouble);
}
