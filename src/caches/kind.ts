/** What a kind of cache is: everything that is asked about one, and what it is given to open a cache. */

import type { CacheClient, Netrc, OpenRemoteStore } from "../domain/cache.ts";
import type { UserError } from "../domain/errors.ts";
import type { KindFacts } from "../domain/location.ts";
import type { PublicKey, SigningKey } from "../domain/signature.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { Environment } from "../host/environment.ts";
import type { Http } from "../host/http-client.ts";
import type { NixReading } from "./accept.ts";
import type { OptionRules } from "./address-options.ts";

/**
 * A kind of cache: a folder beside this file, and a line in register.ts. Nobody else asks which kind a
 * cache is of. `Address` is what the kind reads out of an address; no one else looks into it.
 */
export interface CacheKind<Address = unknown> {
  /** Whether it needs a token, who reads it, who keeps it, what of it is staged. */
  readonly facts: KindFacts;
  /** What may stand behind its address (`?priority=10`); undefined where `parse` itself looks. */
  readonly options?: OptionRules;
  /** How its address is written, for the hint of an error: `cachix:NAME`. */
  readonly form: string;
  /** What its addresses begin with, up to a `:` or `/`; without one, the word that is the address. */
  readonly begins: readonly string[];
  /** `text` begins as one of its addresses. Throws what `bad` makes of the reason. */
  parse(text: string, bad: BadAddress): Address;
  /** The address with only what makes it another cache; two that are equal are never both asked. */
  place(address: Address): string;
  /** What the user called it, to tell the name of an example; undefined where it has no name. */
  name(address: Address): string | undefined;
  /** The hosts that are asked first, to be connected to before it is opened; left out where there are none. */
  hosts?(address: Address): readonly URL[];
  /** What a signing key without a name is called there; left out where keys are handed out with their names. */
  keyName?(address: Address): string;
  /** Where a person can look at `path`; undefined where there is no such page. `url`: where Nix reads the cache. */
  page(address: Address, path: StorePath, url: string): string | undefined;
  /**
   * Asks nothing yet: the first question is the client's `describe`. Leave out the verbs it lacks, and
   * write no retries and no deadlines: the register wraps what it gets. Throws a UserError.
   */
  open(address: Address, request: OpenRequest): CacheClient;
}

/** `cache: "cachix:a/b" cannot be used: WHY.`, without a password that may stand in it. */
export type BadAddress = (why: string) => UserError;

export interface OpenRequest {
  /** As the user wrote it; its name in every report. */
  readonly name: string;
  /** `own`: the cache that is written to; `substituter`: one more to read. */
  readonly role: "own" | "substituter";
  readonly storeDir: string;
  /** Keys whose signatures count. */
  readonly publicKeys: readonly PublicKey[];
  /** How this machine's Nix reads what its versions read differently. */
  readonly reading?: NixReading | undefined;
  /** `accept any` where Nix itself is told to (`require-sigs = false`). */
  readonly signatures: "require" | "accept any";
  readonly token: string | undefined;
  readonly signingKey: SigningKey | undefined;
  /** What Nix's netrc file says of a host: as Nix gets into a private cache, so do we. */
  readonly netrc?: Netrc;
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
