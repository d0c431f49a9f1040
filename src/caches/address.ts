/** Owns what kinds of cache share in reading an address: its URL, what is packed and signed there, its page. */

import type { Substituter } from "../domain/cache.ts";
import { UserError } from "../domain/errors.ts";
import type { PublicKey } from "../domain/signature.ts";
import { hashPart, type StorePath } from "../domain/store-path.ts";
import type { Packing } from "../host/compress.ts";
import type { SignaturePolicy } from "./accept.ts";
import { isTrue } from "./address-options.ts";
import type { BadAddress, OpenRequest } from "./kind.ts";

/** A name that Cachix and attic take for a cache. */
export const CACHE_NAME = /^[0-9A-Za-z][0-9A-Za-z_-]{0,62}$/;

/** `text` is the address, or a part of it. */
export function parseUrl(text: string, bad: BadAddress): URL {
  if (!URL.canParse(text)) throw bad("it is not a URL");
  const url = new URL(text);
  if (url.password !== "") {
    // The URL reaches logs, summaries and Nix's configuration: a password in it is a leak.
    throw bad("it holds a password: give it in the input token");
  }
  // Nix's configuration would take what follows for a comment.
  if (url.hash !== "") throw bad("it holds a #");
  return url;
}

/** A URL whose host names the cache: a bucket, a machine. */
export function parseHostUrl(text: string, bad: BadAddress): URL {
  const url = parseUrl(text, bad);
  if (url.host === "") throw bad("there is no name behind the //");
  return url;
}

/** Whose host it is, and those of its options that make it another place. */
export function placeAt(url: URL, options: readonly string[]): string {
  const user = url.username === "" ? "" : `${url.username}@`;
  const said = new URLSearchParams(
    options.flatMap((name): [string, string][] => {
      const value = url.searchParams.get(name);
      return value === null ? [] : [[name, value]];
    }),
  );
  const query = said.size === 0 ? "" : `?${said}`;
  return `${url.protocol}//${user}${url.host}${query}`;
}

/** Where people look at a Cachix cache; its narinfos are for machines. */
export function cachixPage(name: string): string {
  return `https://app.cachix.org/cache/${encodeURIComponent(name)}`;
}

/** What a cache that is read over HTTP at `address` says of `path`. */
export function narInfoPage(address: string, path: StorePath): string | undefined {
  if (!/^https?:\/\//.test(address) || !URL.canParse(address)) return undefined;
  const url = new URL(address);
  const cachix = /^([^.]+)\.cachix\.org$/.exec(url.hostname)?.[1];
  if (cachix !== undefined) return cachixPage(cachix);
  return `${url.origin}${withoutSlash(url.pathname)}/${hashPart(path)}.narinfo`;
}

/** For us and for Nix, which reads it behind the address. */
export function withPriority(substituter: Substituter, priority: number | undefined): Substituter {
  if (priority === undefined) return substituter;
  return { ...substituter, url: `${substituter.url}?priority=${priority}`, priority };
}

export function withoutSlash(path: string): string {
  return path.replace(/\/+$/, "");
}

/** How NARs are packed there. What is not legal was said when the inputs were read; of a cache that is only read, nothing is packed. */
export function parsePacking(url: URL): Packing {
  const said = url.searchParams.get("compression");
  const compression = said === "xz" || said === "none" ? said : "zstd";
  const level = Number(url.searchParams.get("compression-level") ?? -1);
  if (!Number.isInteger(level) || level < 0) return { compression };
  return { compression, compressionLevel: Math.min(level, compression === "xz" ? 9 : 22) };
}

export interface Signing {
  readonly policy: SignaturePolicy;
  readonly publicKeys: readonly PublicKey[];
  /** Whether what we write there would be taken by who reads it. */
  readonly canWrite: boolean;
}

/** Who has to have signed what is there: nobody where it is trusted for where it is. */
export function signingOf(url: URL, request: OpenRequest): Signing {
  const { signingKey } = request;
  const trusted = request.signatures === "accept any" || isTrue(url.searchParams.get("trusted"));
  const publicKeys = [...request.publicKeys, ...(signingKey ? [signingKey.publicKey] : [])];
  return {
    policy: trusted ? { kind: "by location" } : { kind: "by key", keys: publicKeys },
    publicKeys,
    canWrite: signingKey !== undefined || trusted,
  };
}

/** Said before any build: without a signature nobody would take what is pushed there. */
export function signedPathsOnly(name: string): UserError {
  return new UserError("NCP-105", `${name} takes signed paths only`, {
    hint: "set signing-key; or write ?trusted=1 behind its address, if every reader trusts whatever is there",
  });
}
