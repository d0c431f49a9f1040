/** Owns a client of the Cachix stand-in, opened as compose.ts does, with patience made short. */

import { cachixCache } from "../../src/caches/cachix/cachix.ts";
import type { BinaryCache, Can } from "../../src/domain/cache.ts";
import { parsePublicKey, parseSigningKey } from "../../src/domain/signature.ts";
import { type Http, HttpClient } from "../../src/host/http-client.ts";
import type { CachixServer } from "../servers/cachix.ts";

export const TOKEN = "eyJ0b2tlbiI6InRoYXQgaXMgbm93aGVyZSJ9";

/** Short, so that a fault that stays is given up on soon; nothing is asserted of the time. */
export const PATIENCE = { first: 5, longest: 20, total: 1_000, patience: 2_000 };

export interface ClientOptions {
  readonly name?: string;
  /** Default: `TOKEN`; `undefined` for none. */
  readonly token?: string | undefined;
  readonly signingKey?: string;
  /** Keys that Nix trusts; default: the upstream's. */
  readonly publicKeys?: readonly string[];
  readonly role?: "own" | "substituter";
  readonly signatures?: "require" | "accept any";
  readonly storeDir?: string;
  /** What is around the client of HTTP. */
  readonly around?: (http: Http) => Http;
}

export type CachixClient = Can<"push" | "pin" | "pins">;

export class Client implements Disposable {
  readonly cache: BinaryCache;
  private readonly http = new HttpClient({});

  constructor(server: CachixServer, options: ClientOptions = {}) {
    const keys = options.publicKeys ?? [server.upstreamPublicKey];
    const client = cachixCache({
      label: `cachix:${server.name}`,
      name: options.name ?? server.name,
      host: new URL(server.origin),
      storeDir: options.storeDir ?? "/nix/store",
      role: options.role ?? "own",
      token: "token" in options ? options.token : TOKEN,
      signingKey: options.signingKey ? parseSigningKey(options.signingKey) : undefined,
      publicKeys: keys.flatMap((key) => parsePublicKey(key) ?? []),
      signatures: options.signatures ?? "require",
      http: options.around?.(this.http) ?? this.http,
      ask: PATIENCE,
      write: PATIENCE,
    });
    this.cache = Object.assign(client, {
      staging: "where it pays" as const,
      place: () => client.substituter.url,
      page: () => undefined,
    });
  }

  /** With the verbs of a cache that is ours. */
  get own(): CachixClient {
    const { cache } = this;
    if (!cache.push || !cache.pin || !cache.pins) throw new Error("it was opened as a substituter");
    return cache as CachixClient;
  }

  [Symbol.dispose](): void {
    this.http.close();
  }
}
