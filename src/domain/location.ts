/** What is known of a cache by its address: the facts of its kind, and the place it is at. */

import { describeError, UserError } from "./errors.ts";
import { type PublicKey, parsePublicKey } from "./signature.ts";

/** What is so of every cache of a kind. Who asks it knows no kind: each one answers all of it. */
export interface KindFacts {
  /** Its name: `cachix`, `s3`. */
  readonly kind: string;
  /** Whether anything can be written there without the input `token`. */
  readonly token: "needed to write" | "not needed";
  /** Who reads such a cache: a developer's own Nix as well, or this job or machine alone. */
  readonly readers: "everybody" | "this job or machine";
  /** Who keeps it while no job runs: the cache itself, or GitHub's cache, whose rules hold then. */
  readonly keeper: "itself" | "GitHub";
  /** What is fetched ahead of Nix. `needed`: everything, since not every Nix can read such a cache. */
  readonly staging: "never" | "where it pays" | "needed";
}

/** The address of a cache, read. Plain data: what else is in it, its kind reads when it opens it. */
export interface CacheLocation extends KindFacts {
  readonly address: string;
  /** The address with that alone in it which makes it another cache: equal ones are one cache. */
  readonly place: string;
  /** What the user calls it there; undefined where nobody gave it a name. */
  readonly name: string | undefined;
  /** What a signing key is called that is given without its name. */
  readonly keyName?: string;
}

/** What stands between `://` and `@`; a password may hold an `@` of its own. */
const USER_INFO = /\b([a-z][a-z0-9+.-]{0,20}):\/\/([^\s/?#'"`<>\\|]{1,2000})@/gi;
const PARAMETER =
  /([?&](?:access_token|private_token|token|auth|password|passwd|secret|signature|sig|api_?key|x-amz-signature|x-amz-security-token)=)([^&#\s'"`<>\\|]{1,2000})/gi;
const HIDDEN = "***";

/** `git@` of an ssh address says who one is, and proves nothing. */
function isSecret(scheme: string, userInfo: string): boolean {
  return userInfo.includes(":") || !/(^|\+)ssh(-ng)?$/i.test(scheme);
}

/** Any text, with the credentials of the addresses in it taken out. */
export function withoutCredentials(text: string): string {
  return text
    .replace(USER_INFO, (whole, scheme: string, userInfo: string) =>
      isSecret(scheme, userInfo) ? `${scheme}://${HIDDEN}@` : whole,
    )
    .replace(PARAMETER, `$1${HIDDEN}`);
}

/** Shorter ones stand in any text: hiding them everywhere would hide other words. */
const HIDDEN_FROM = 8;

/** What of the addresses in `text` is to be shown nowhere, by itself and as it is written there. */
export function credentialsIn(text: string): string[] {
  const users = [...text.matchAll(USER_INFO)].flatMap(([, scheme = "", userInfo = ""]) =>
    isSecret(scheme, userInfo) ? [userInfo, ...userInfo.split(":").slice(-1)] : [],
  );
  const parameters = [...text.matchAll(PARAMETER)].map(([, , value = ""]) => value);
  const found = [...users, ...parameters].flatMap((one) => [one, decoded(one)]);
  return [...new Set(found)].filter(({ length }) => length >= HIDDEN_FROM);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What can be said of addresses; the kinds of cache there are know it. */
export interface Addresses {
  /** Undefined for `none`. Throws a UserError, which names `input`. */
  parse(text: string, input: string): CacheLocation | undefined;
  /** By the beginning alone, since an expression may follow: `cachix:${{ vars.NAME }}`. */
  kindOf(text: string): KindFacts | undefined;
  /** The place of any address that Nix takes; one that no kind knows is a place of its own. */
  placeOf(text: string): string;
}

/** `//USER:PASSWORD@`, or `//:PASSWORD@`. */
const PASSWORD = /(:\/\/[^\s/:@'"]*:)[^\s/@'"]+@/g;

/** Whether a password stands in an address, where everybody can read it. */
export function holdsPassword(text: string): boolean {
  return text.search(PASSWORD) >= 0;
}

/** The URL of a directory, as Nix reads it: what would begin a query or a comment is encoded, too. */
export function fileUrl(directory: string): string {
  return `file://${encodeURI(directory).replace(/[?#]/g, encodeURIComponent)}`;
}

/** A line of the input `substituters`. */
export interface SubstituterLine {
  readonly location: CacheLocation | undefined;
  readonly text: string;
  readonly publicKeys: readonly PublicKey[];
}

export function parseSubstituters(
  lines: string,
  addresses: Pick<Addresses, "parse">,
): SubstituterLine[] {
  return lines
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && line !== "#" && !line.startsWith("# "))
    .map((line) => {
      const [text = "", ...keys] = line.split(/\s+/);
      const location = addresses.parse(text, "substituters");
      const publicKeys = keys.map((key) => {
        const parsed = parsePublicKey(key);
        if (parsed) return parsed;
        // Who takes the wrong file has a secret key here: its name is enough to find it by.
        const named = key.includes(":") ? `${key.split(":")[0]}:…` : `${key.slice(0, 12)}…`;
        throw new UserError("NCP-103", `substituters: "${named}" is not a public key`, {
          hint: "a public key is NAME:BASE64 of 32 bytes, as in cache.nixos.org-1:6NCH…=",
        });
      });
      return { location, text, publicKeys };
    });
}

/** For comparing only. Nix 2.34 shows the options in another order, and escaped otherwise. */
export function plainAddress(value: string): string {
  const [place = "", options] = value.split("?", 2);
  const base = place.replace(/\/+$/, "");
  if (options === undefined) return base;
  const pairs = [...new URLSearchParams(options)].map(([name, text]) => `${name}=${text}`);
  return `${base}?${pairs.sort().join("&")}`;
}

/** A cache's host, as people call it: of `cachix:acme` that is `acme.cachix.org`; else its whole name. */
export function cacheHost(name: string): string {
  const cachix = /^cachix:([\w-]+)$/.exec(name)?.[1];
  if (cachix !== undefined) return `${cachix}.cachix.org`;
  return /^https?:\/\/(?:[^/@]*@)?([^/?#]+)/.exec(name)?.[1] ?? name;
}

/** What makes findings one: the server, and what it answered. */
export function serverCause(name: string, answered = ""): string {
  return `${cacheHost(name)} ${answered}`.trim();
}

/** An error's words without the cache's name in front, which has been said. */
export function whatItSaid(name: string, error: unknown): string {
  const words = describeError(error);
  return words.startsWith(`${name}: `) ? words.slice(name.length + 2) : words;
}
