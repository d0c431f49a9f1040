/** What a kind of cache is, and what it is given to open one of its caches. */

import type { BinaryCache, Credentials, OpenRemoteStore } from "../domain/cache.ts";
import type { CacheLocation } from "../domain/location.ts";
import type { PublicKey, SigningKey } from "../domain/signature.ts";
import type { Environment } from "../host/environment.ts";
import type { Http } from "../host/http-client.ts";

export interface OpenRequest {
  /** As the user wrote it; its name in every report. */
  readonly name: string;
  /** `own`: the cache that is written to; `substituter`: one more to read. */
  readonly role: "own" | "substituter";
  readonly storeDir: string;
  /** Keys whose signatures count. */
  readonly publicKeys: readonly PublicKey[];
  /** `accept any` where Nix itself is told to (`require-sigs = false`). */
  readonly signatures: "require" | "accept any";
  readonly token: string | undefined;
  readonly signingKey: SigningKey | undefined;
  /** What Nix's netrc file says of a host: as Nix gets into a private cache, so do we. */
  readonly netrc?: ReadonlyMap<string, Credentials>;
  readonly http: Http;
  /** Stores that only Nix's own client speaks to. */
  readonly remoteStore: OpenRemoteStore;
  /** Where credentials may stand that are a provider's own (AWS_…). */
  readonly environment: Environment;
  /** A folder for what is on its way; made where it is needed. */
  readonly folder: string;
  /** Where the job keeps what GitHub's cache holds of ours; undefined where there is no such job. */
  readonly githubDirectory?: string | undefined;
}

/** One kind of cache; a new one is a folder with one of these and a line in register.ts. */
export interface CacheKind<Kind extends CacheLocation["kind"] = CacheLocation["kind"]> {
  readonly kind: Kind;
  open(location: Extract<CacheLocation, { kind: Kind }>, request: OpenRequest): BinaryCache;
}
