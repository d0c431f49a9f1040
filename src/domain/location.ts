/** Owns the places caches are at, as the inputs `cache` and `substituters` name them. */

import { UserError } from "./errors.ts";
import { type PublicKey, parsePublicKey } from "./signature.ts";
import { didYouMean } from "./suggest.ts";

export type CacheLocation =
  | { readonly kind: "github" }
  | { readonly kind: "none" }
  | { readonly kind: "cachix"; readonly name: string; readonly host: URL }
  | { readonly kind: "attic"; readonly server: URL; readonly cache: string }
  | { readonly kind: "http"; readonly url: URL }
  | { readonly kind: "file"; readonly url: URL; readonly directory: string }
  | { readonly kind: "s3"; readonly url: URL }
  | { readonly kind: "ssh-ng"; readonly url: URL };

const FORMS = [
  "github",
  "cachix:NAME",
  "attic:SERVER/CACHE",
  "s3://BUCKET",
  "https://HOST",
  "file:///DIRECTORY",
  "ssh-ng://HOST",
  "none",
];

const CACHE_NAME = /^[0-9A-Za-z][0-9A-Za-z_-]{0,62}$/;

function bad(input: string, text: string, why: string): UserError {
  const schemes = [
    "github",
    "none",
    "cachix:",
    "attic:",
    "s3://",
    "https://",
    "file:///",
    "ssh-ng://",
  ];
  const word = /^[A-Za-z0-9-]*:?\/*/.exec(text)?.[0] ?? text;
  return new UserError(
    "NCP-103",
    `${input}: "${withoutPassword(text)}" cannot be used: ${why}.${didYouMean(word, schemes)}`,
    { hint: `write one of ${FORMS.join(", ")}` },
  );
}

/** A part of `text` for an error about it: not where a password may reach into it. */
function quote(part: string, text: string): string {
  return text.includes("@") ? "a part of it" : `"${part}"`;
}

/** What cannot be read may hold a password all the same, and errors are printed. */
function withoutPassword(text: string): string {
  const at = text.lastIndexOf("@");
  if (at < 0) return text;
  return `${/^[0-9A-Za-z+.-]*:\/*/.exec(text)?.[0] ?? ""}***${text.slice(at)}`;
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

/** Reads the input `cache`. `input` names it in the error. */
export function parseCacheLocation(text: string, input = "cache"): CacheLocation {
  if (text === "github" || text === "none") return { kind: text };
  if (text.startsWith("cachix:")) return cachix(text, input);
  if (text.startsWith("attic:")) return attic(text, input);
  if (!/^[a-z][a-z0-9+-]*:\/\//.test(text)) throw bad(input, text, "it is not a kind of cache");
  const url = parseUrl(text, input);
  switch (url.protocol) {
    case "http:":
    case "https:":
      return { kind: "http", url };
    case "file:":
      if (url.host !== "" || url.pathname === "/") {
        throw bad(input, text, "a file cache needs an absolute directory");
      }
      return { kind: "file", url, directory: directoryOf(url, text, input) };
    case "s3:":
    case "ssh-ng:":
      if (url.host === "") throw bad(input, text, "there is no name behind the //");
      return { kind: url.protocol === "s3:" ? "s3" : "ssh-ng", url };
    default:
      throw bad(input, text, `"${url.protocol}//" is not a kind of cache`);
  }
}

/** `whole` is what the user wrote, of which `text` is a part. */
function parseUrl(text: string, input: string, whole = text): URL {
  if (!URL.canParse(text)) throw bad(input, whole, "it is not a URL");
  const url = new URL(text);
  if (url.password !== "") {
    // The URL reaches logs, summaries and Nix's configuration: a password in it is a leak.
    throw bad(input, whole, "it holds a password: give it in the input token");
  }
  // Nix's configuration would take what follows for a comment.
  if (url.hash !== "") throw bad(input, whole, "it holds a #");
  return url;
}

function directoryOf(url: URL, text: string, input: string): string {
  try {
    const directory = decodeURIComponent(url.pathname).replace(/\/+$/, "");
    if (!directory.includes("\0")) return directory;
  } catch {
    // A percent sign that encodes nothing: said below.
  }
  throw bad(input, text, "its directory is not percent-encoded text");
}

/** The URL of a directory, as Nix reads it: what would begin a query or a comment is encoded, too. */
export function fileUrl(directory: string): string {
  return `file://${encodeURI(directory).replace(/[?#]/g, encodeURIComponent)}`;
}

function cachix(text: string, input: string): CacheLocation {
  const [name = "", query = ""] = text.slice("cachix:".length).split("?", 2);
  if (!CACHE_NAME.test(name)) {
    throw bad(
      input,
      text,
      `${quote(name, text)} is not the name of a Cachix cache (letters, digits, - and _)`,
    );
  }
  const options = new URLSearchParams(query);
  for (const key of options.keys()) {
    if (key !== "host") {
      throw bad(input, text, `${quote(key, text)} is not an option of cachix:NAME?host=URL`);
    }
  }
  const host = options.get("host") ?? "https://cachix.org";
  if (!/^https?:\/\//.test(host)) {
    throw bad(input, text, `${quote(host, text)} is not an http(s) URL`);
  }
  return { kind: "cachix", name, host: parseUrl(host, input, text) };
}

function attic(text: string, input: string): CacheLocation {
  const rest = text.slice("attic:".length);
  const slash = rest.lastIndexOf("/");
  const cache = rest.slice(slash + 1);
  const server = rest.slice(0, Math.max(0, slash));
  if (server === "" || !CACHE_NAME.test(cache)) {
    throw bad(input, text, "it is not attic:SERVER/CACHE");
  }
  const url = parseUrl(/^https?:\/\//.test(server) ? server : `https://${server}`, input, text);
  return { kind: "attic", server: url, cache };
}

/** A line of the input `substituters`. */
export interface SubstituterLine {
  readonly location: CacheLocation;
  readonly text: string;
  readonly publicKeys: readonly PublicKey[];
}

export function parseSubstituters(lines: string): SubstituterLine[] {
  return lines
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && line !== "#" && !line.startsWith("# "))
    .map((line) => {
      const [text = "", ...keys] = line.split(/\s+/);
      const location = parseCacheLocation(text, "substituters");
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
