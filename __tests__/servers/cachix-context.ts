/** Owns what every endpoint of the Cachix stand-in works with: its options, state, keys and faults. */

import { parseSigningKey, type SigningKey } from "../../src/domain/signature.ts";
import type { Permission } from "./cachix-access.ts";
import type { CacheSigning } from "./cachix-complete.ts";
import { FaultInjector, type FaultTarget } from "./cachix-faults.ts";
import type { NarExtension } from "./cachix-nar.ts";
import { CachixState, generateSigningKey } from "./cachix-state.ts";
import { Uploads } from "./cachix-uploads.ts";

/** What a test may change while the server runs. */
export interface CachixSettings {
  /** Upstream hits are served by this cache too, under the upstream's signature. */
  passThrough: boolean;
  /** `redirect`: 302 to a signed URL that, as S3's, is good for GET and not for HEAD. */
  narDelivery: "direct" | "redirect";
  /** How keys and signatures are written: other servers of the protocol leave the `=` away, as Nix lets them. */
  base64: "padded" | "unpadded";
  /** In place of what the token allows; `null` and `unsaid`, as other servers have it. */
  saysPermission: "what is so" | "unsaid" | null | (string & {});
  /** Decompress each upload and hash the NAR. Bytes that were discarded cannot be. */
  checkNar: boolean;
  /** Hash uploads as they come and keep none of them. */
  discardBytes: boolean;
  minPartBytes: number;
  bulkMaxBytes: number;
  bulkMaxHashes: number;
}

export interface CachixOptions extends Partial<CachixSettings> {
  /** Of the one cache there is; default `mycache`. */
  readonly name?: string;
  /** Token → what it allows; default none. */
  readonly tokens?: Readonly<Record<string, Permission>>;
  /** A private cache answers nothing without a token. Default false. */
  readonly isPrivate?: boolean;
  readonly preferredCompression?: NarExtension;
  /**
   * The secret key, `NAME:BASE64`, of the clients that sign this cache; default: the server signs.
   * Uploads are held against its public half; only what the test seeds is signed with it here.
   */
  readonly selfSignedBy?: string;
  readonly storeDir?: string;
  readonly priority?: number;
  readonly upstreamKeyName?: string;
}

export interface CachixContext {
  readonly name: string;
  readonly isPrivate: boolean;
  readonly preferredCompression: NarExtension;
  readonly storeDir: string;
  readonly priority: number;
  readonly settings: CachixSettings;
  readonly tokens: Map<string, Permission>;
  readonly state: CachixState;
  readonly uploads: Uploads;
  readonly signing: CacheSigning;
  readonly publicKeys: readonly string[];
  /** Signs what the test seeds as own; in a managed cache uploads too. */
  readonly ownKey: SigningKey;
  readonly upstreamKey: SigningKey;
  readonly injector: FaultInjector;
}

/** One request, as the endpoints see it. */
export interface Visit {
  readonly target: FaultTarget;
  readonly permission: Permission | "none";
  /** Where the API and the substituter are. */
  readonly origin: string;
  readonly storageOrigin: string;
}

export function createContext(options: CachixOptions): CachixContext {
  const name = options.name ?? "mycache";
  const storeDir = options.storeDir ?? "/nix/store";
  const { selfSignedBy } = options;
  const ownKey =
    selfSignedBy === undefined
      ? generateSigningKey(`${name}.cachix.org-1`)
      : parseSigningKey(selfSignedBy);
  return {
    name,
    isPrivate: options.isPrivate ?? false,
    preferredCompression: options.preferredCompression ?? "zst",
    storeDir,
    priority: options.priority ?? 41,
    settings: {
      passThrough: options.passThrough ?? true,
      narDelivery: options.narDelivery ?? "redirect",
      base64: options.base64 ?? "padded",
      saysPermission: "saysPermission" in options ? (options.saysPermission ?? null) : "what is so",
      checkNar: options.checkNar ?? true,
      discardBytes: options.discardBytes ?? false,
      minPartBytes: options.minPartBytes ?? 5 * 1024 * 1024,
      bulkMaxBytes: options.bulkMaxBytes ?? 1024 * 1024,
      bulkMaxHashes: options.bulkMaxHashes ?? 32_768,
    },
    tokens: new Map(Object.entries(options.tokens ?? {})),
    state: new CachixState(storeDir),
    uploads: new Uploads(),
    signing:
      selfSignedBy === undefined
        ? { kind: "managed", key: ownKey }
        : { kind: "self-signed", publicKeys: [ownKey.publicKey] },
    publicKeys: [ownKey.publicKey.text],
    ownKey,
    upstreamKey: generateSigningKey(options.upstreamKeyName ?? "upstream.example.org-1"),
    injector: new FaultInjector(),
  };
}
