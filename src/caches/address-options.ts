/** The options behind an address, as Nix 2.34 documents them: honoured, or refused by name (docs/addresses.md). */

import { nearest } from "../domain/suggest.ts";

/**
 * What becomes of an option.
 * - `honoured`: by us, and by Nix where the address is handed to it.
 * - `Nix's own`: what we do does not depend on it; it is handed on.
 * - `not here`: refused where we would write, and passed over where we only read: reading needs no such
 *   option, and the address with which a cache was filled is one to read it by, too.
 * - `nowhere`: without it the cache could not even be read as was meant.
 */
export type OptionRule =
  | { readonly is: "honoured"; readonly legal?: Legal }
  | { readonly is: "Nix's own" }
  | {
      readonly is: "not here" | "nowhere";
      readonly why: string;
      /** Values that ask for nothing but what is done anyway. */
      readonly but?: readonly string[];
    };

export type OptionRules = Readonly<Record<string, OptionRule>>;

/** What is legal, in words, and whether a value is. */
interface Legal {
  readonly words: string;
  readonly test: (value: string) => boolean;
}

const oneOf = (...values: readonly string[]): Legal => ({
  words: values.join(", "),
  test: (value) => values.includes(value),
});
const matching = (words: string, pattern: RegExp): Legal => ({
  words,
  test: (value) => pattern.test(value),
});

const TRUE = ["1", "true", "yes"];
const FALSE = ["0", "false", "no"];
const NUMBER = matching("a whole number", /^[+-]?\d{1,9}$/);

/** What every store has. Source: `nix __dump-cli` of 2.34.8, as everything below. */
const STORE_OPTIONS: OptionRules = {
  priority: { is: "honoured", legal: NUMBER },
  trusted: { is: "honoured", legal: oneOf(...TRUE, ...FALSE) },
  store: { is: "nowhere", why: "the store folder is this machine's own", but: ["/nix/store"] },
  "path-info-cache-size": { is: "Nix's own" },
  "system-features": { is: "Nix's own" },
  "want-mass-query": { is: "Nix's own" },
};

const ONE_KEY = "we sign with one key: secret-key=FILE, or the input signing-key";
const UNCOMPRESSED = "narinfos are written as they are, for every Nix to read";
const NOT_WRITTEN = "only NARs and narinfos are written";

/** What every binary cache has. */
export const BINARY_CACHE_OPTIONS: OptionRules = {
  ...STORE_OPTIONS,
  compression: { is: "honoured", legal: oneOf("zstd", "xz", "none") },
  "compression-level": {
    is: "honoured",
    legal: matching(
      "1 to 22 with zstd, 0 to 9 with xz, -1 for the default",
      /^(-1|\d|1\d|2[0-2])$/,
    ),
  },
  "parallel-compression": { is: "honoured", legal: oneOf(...TRUE, ...FALSE) },
  "local-nar-cache": { is: "Nix's own" },
  "secret-key": { is: "honoured" },
  // Ours alone: Nix is handed the address without it.
  index: { is: "honoured", legal: oneOf(...TRUE, ...FALSE) },
  "secret-keys": { is: "not here", why: ONE_KEY },
  "index-debug-info": { is: "not here", why: NOT_WRITTEN, but: FALSE },
  "write-nar-listing": { is: "not here", why: NOT_WRITTEN, but: FALSE },
};

const CERTIFICATE = "client certificates are not shown to servers here";

export const HTTP_OPTIONS: OptionRules = {
  ...BINARY_CACHE_OPTIONS,
  "narinfo-compression": { is: "not here", why: UNCOMPRESSED, but: ["", "none"] },
  "ls-compression": { is: "not here", why: NOT_WRITTEN, but: ["", "none"] },
  "log-compression": { is: "not here", why: NOT_WRITTEN, but: ["", "none"] },
  "tls-certificate": { is: "nowhere", why: CERTIFICATE },
  "tls-private-key": { is: "nowhere", why: CERTIFICATE },
};

const PARTS = "large NARs go up in parts of 32 MiB";

export const S3_OPTIONS: OptionRules = {
  ...HTTP_OPTIONS,
  profile: { is: "honoured" },
  region: { is: "honoured", legal: matching("a region", /^[0-9a-z-]*$/) },
  endpoint: { is: "honoured" },
  scheme: { is: "honoured", legal: oneOf("https", "http") },
  "addressing-style": { is: "honoured", legal: oneOf("auto", "path", "virtual") },
  "storage-class": { is: "honoured", legal: matching("a name of S3's", /^[A-Z_]{1,40}$/) },
  "multipart-upload": { is: "not here", why: PARTS, but: TRUE },
  "multipart-chunk-size": { is: "not here", why: PARTS },
  "multipart-threshold": { is: "not here", why: PARTS },
};

/** It is Nix that connects, with the address as it stands. */
export const SSH_OPTIONS: OptionRules = {
  ...STORE_OPTIONS,
  "base64-ssh-public-host-key": { is: "honoured" },
  compress: { is: "honoured", legal: oneOf(...TRUE, ...FALSE) },
  "max-connections": { is: "honoured", legal: NUMBER },
  "max-connection-age": { is: "honoured", legal: NUMBER },
  "remote-program": { is: "honoured" },
  "remote-store": { is: "honoured" },
  "ssh-key": { is: "honoured" },
};

/** Of protocols that are not Nix's, ours alone. */
export const ATTIC_OPTIONS: OptionRules = { priority: { is: "honoured", legal: NUMBER } };
export const CACHIX_OPTIONS: OptionRules = { ...ATTIC_OPTIONS, host: { is: "honoured" } };

/** What stands behind the first question mark. */
export function optionsOf(text: string): URLSearchParams {
  const at = text.indexOf("?");
  return new URLSearchParams(at < 0 ? "" : text.slice(at + 1));
}

/** Throws what `bad` makes of the first option that is not legal there. */
export function checkOptions(
  text: string,
  rules: OptionRules,
  use: "own" | "substituter",
  bad: (why: string) => Error,
): void {
  for (const [name, value] of optionsOf(text)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (!rule) throw bad(unknown(name, text, rules));
    if (rule.is === "Nix's own") continue;
    if (rule.is === "honoured") {
      if (!rule.legal || rule.legal.test(value)) continue;
      // A cache may be packed with what only Nix unpacks, and is read all the same.
      if (use === "substituter" && name.startsWith("compression")) continue;
      throw bad(`${name}=${quotable(value, text)} is not known here (legal: ${rule.legal.words})`);
    }
    if (rule.but?.includes(value) || (rule.is === "not here" && use === "substituter")) continue;
    throw bad(`the option ${name} is not taken here: ${rule.why}`);
  }
}

function unknown(name: string, text: string, rules: OptionRules): string {
  const names = Object.keys(rules);
  const [best] = nearest(name, names, 1);
  const instead =
    best === undefined
      ? `it takes ${names.length > 0 ? names.join(", ") : "none"}`
      : `did you mean ${best}?`;
  return `${quotable(name, text)} is not an option of such an address (${instead})`;
}

/** Not where a password may reach into it. */
function quotable(part: string, text: string): string {
  return text.includes("@") ? "a part of it" : JSON.stringify(part.slice(0, 60));
}

/** `?priority=N` overrides what the cache says of itself. */
export function priorityOf(options: URLSearchParams): number | undefined {
  const text = options.get("priority");
  return text !== null && NUMBER.test(text) ? Number(text) : undefined;
}
