/** What kinds of cache share in reading an address: its URL, what is packed and signed there, its page. */

import { readFileSync } from "node:fs";
import type { Substituter } from "../domain/cache.ts";
import { describeError, UserError } from "../domain/errors.ts";
import { type PublicKey, parseSigningKey, type SigningKey } from "../domain/signature.ts";
import { hashPart, type StorePath } from "../domain/store-path.ts";
import type { Packing } from "../host/compress.ts";
import type { SignaturePolicy } from "./accept.ts";
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

/**
 * How NARs are packed there. What is not legal was said when the inputs were read; of a cache that is only
 * read, nothing is packed.
 */
export function parsePacking(url: URL): Packing {
  const said = url.searchParams.get("compression");
  const compression = said === "xz" || said === "none" ? said : "zstd";
  const level = Number(url.searchParams.get("compression-level") ?? -1);
  if (!Number.isInteger(level) || level < 0) return { compression };
  return { compression, compressionLevel: Math.min(level, compression === "xz" ? 9 : 22) };
}

/** `?priority=N` on a substituter's URL overrides what the cache says of itself; lower is asked first. */
export function parsePriority(url: URL): number | undefined {
  return option(url, "priority", (text) =>
    /^[+-]?\d{1,10}$/.test(text) && Math.abs(Number(text)) < 2 ** 31 ? Number(text) : undefined,
  );
}

/** As Nix reads a setting that is on or off. */
function parseSwitch(text: string): boolean | undefined {
  if (text === "true" || text === "yes" || text === "1") return true;
  return text === "false" || text === "no" || text === "0" ? false : undefined;
}

const SWITCHES = [
  "trusted",
  "want-mass-query",
  "write-nar-listing",
  "index-debug-info",
  "parallel-compression",
];

/** An option's value; throws where Nix would not open the cache for it. What Nix does not know it passes over. */
function option<T>(url: URL, name: string, read: (text: string) => T | undefined): T | undefined {
  const text = url.searchParams.get(name);
  if (text === null) return undefined;
  const value = read(text);
  if (value !== undefined) return value;
  const where = new URL(url);
  where.search = "";
  throw new UserError("NCP-103", `"${where.href}": ${name}="${text}" is not a value of it`, {
    hint: name === "priority" ? "write a whole number" : "write true or false",
  });
}

export interface Signing {
  readonly policy: SignaturePolicy;
  readonly publicKeys: readonly PublicKey[];
  /** What we sign with; the input's, or the one that the address names. */
  readonly signingKey: SigningKey | undefined;
  /** Whether what we write there would be taken by who reads it. */
  readonly canWrite: boolean;
  /** Where Nix reads it: without the key's file, which only a writer has, and without what is only ours. */
  readonly readAt: string;
}

/** Who has to have signed what is there: nobody where it is trusted for where it is. */
export function signingOf(url: URL, request: OpenRequest): Signing {
  const [isTrusted] = SWITCHES.map((name) => option(url, name, parseSwitch));
  const named = keyIn(url);
  const signingKey = request.role === "own" ? (request.signingKey ?? named) : undefined;
  const trusted = request.signatures === "accept any" || isTrusted === true;
  const publicKeys = [...request.publicKeys, ...(signingKey ? [signingKey.publicKey] : [])];
  const { reading } = request;
  return {
    policy: trusted
      ? { kind: "by location", reading }
      : { kind: "by key", keys: publicKeys, reading },
    publicKeys,
    signingKey,
    canWrite: signingKey !== undefined || trusted,
    readAt: forNix(url),
  };
}

/** `?secret-key=FILE`: Nix's own way to sign what is written to a cache. */
function keyIn(url: URL): SigningKey | undefined {
  const file = url.searchParams.get("secret-key");
  if (file === null) return undefined;
  try {
    return parseSigningKey(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new UserError("NCP-105", `secret-key=${file} cannot be used: ${describeError(cause)}`, {
      hint: "it names a file with a secret key, NAME:BASE64; the input signing-key takes the key itself",
    });
  }
}

function forNix(url: URL): string {
  if (!url.searchParams.has("secret-key") && !url.searchParams.has("index")) return url.href;
  const reading = new URL(url);
  reading.searchParams.delete("secret-key");
  reading.searchParams.delete("index");
  return reading.href;
}

/** `?index=yes`: what is there stands in an index, which every writer keeps in step (docs/adr/0025). */
export function hasIndex(url: URL): boolean {
  return option(url, "index", parseSwitch) === true;
}

/** Said before any build: without a signature nobody would take what is pushed there. */
export function signedPathsOnly(name: string): UserError {
  return new UserError("NCP-105", `${name} takes signed paths only`, {
    hint: "set signing-key; or write ?trusted=1 behind its address, if every reader trusts whatever is there",
  });
}
