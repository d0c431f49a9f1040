/** Owns what is asked of stores elsewhere that Nix's own client has to speak to (`ssh-ng://`). */

import type { NarInfo } from "./narinfo.ts";
import type { StorePath } from "./store-path.ts";

/** What a store says of one valid path; its NAR is served as it is, uncompressed. */
export type RemotePath = NarInfo;

export interface RemoteStore {
  /**
   * Whether its database is of our store folder and answers. Throws a UserError that tells an
   * unknown host, a wrong key, a host without Nix and a silent one apart.
   * `trust`: whether it takes paths from us without a signature, where it says so (Nix 2.20 on).
   */
  describe(signal: AbortSignal): Promise<{ readonly trust: "trusted" | "not trusted" | undefined }>;
  /** Those of `paths` that are valid there. Few processes for any number of paths. */
  query(
    paths: readonly StorePath[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<StorePath, RemotePath>>;
  /** The NAR of a valid path; throws where it is gone or breaks off. */
  nar(path: StorePath, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Copies `paths`, references first, from the `file://` cache at `from`; throws what Nix says. */
  receive(from: string, paths: readonly StorePath[], signal: AbortSignal): Promise<void>;
}

/** The store at `url`; `name` begins every error. */
export type OpenRemoteStore = (url: string, name: string) => RemoteStore;
