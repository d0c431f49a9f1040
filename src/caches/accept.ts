/** Whether a narinfo may be believed: the right path, the right store, a good signature. */

import { pathToFileURL } from "node:url";
import type { Presence } from "../domain/cache.ts";
import { contentAddressOf } from "../domain/content-address.ts";
import { asError, describeError } from "../domain/errors.ts";
import {
  fingerprint,
  type NarInfo,
  NotTakenError,
  parseNarInfo,
  type Taking,
} from "../domain/narinfo.ts";
import {
  findGoodSignatureAside,
  hasMalformed,
  isSignature,
  keyOfName,
  type PublicKey,
  signatureKeyName,
} from "../domain/signature.ts";
import { namePart, type StorePath, storeDirOf } from "../domain/store-path.ts";

/** Versions of Nix that read alike; those between were not looked at. */
export type NixReading = "up to 2.26" | "from 2.34";

export function nixReading(version: string): NixReading | undefined {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  if (major === 2 && minor <= 26) return "up to 2.26";
  return major > 2 || minor >= 34 ? "from 2.34" : undefined;
}

/**
 * Whose signatures count. `by location`: trusted for where it is, this machine's own disk. `reading`: whose
 * way it is to read what the versions of Nix read differently; without it that is unknown.
 */
export type SignaturePolicy = (
  | {
      readonly kind: "by key";
      readonly keys: readonly PublicKey[];
      /** What is content-addressed needs no signature, unless it is asked who signed. */
      readonly contentAddressed?: "signed too";
    }
  | { readonly kind: "by location" }
) & { readonly reading?: NixReading | undefined };

/** What a narinfo's text is worth as an answer about `path`; `where` is its URL, or its file. */
export async function judgeNarInfo(
  text: string,
  where: string,
  path: StorePath,
  policy: SignaturePolicy,
): Promise<Presence> {
  let narInfo: NarInfo | undefined;
  try {
    narInfo = parseNarInfo(text, where, storeDirOf(path));
    checkTaken(narInfo, where, policy.reading);
    if (narInfo.storePath === path && !USUAL.test(narInfo.url)) {
      narPlace(narInfo.url, rootOf(where), policy.reading);
    }
  } catch (error) {
    const taking = error instanceof NotTakenError ? error.taking : "stops";
    if (taking === "unknown") return { kind: "unknown", cause: asError(error), of: "this path" };
    const read = narInfo ?? (error instanceof NotTakenError ? error.read : undefined);
    const stops = taking === "stops" || (read && stopsAtSignature(read, path, policy));
    const form = stops ? { form: "corrupt" as const } : {};
    return { kind: "refused", why: describeError(error), ...form };
  }
  return judge(narInfo, where, path, policy);
}

/** Where Nix itself puts a NAR: below the root in every reading. By the thousand, reading addresses takes its time. */
const USUAL = /^nar\/[0-9a-z]{1,64}\.nar(?:\.[0-9a-z]{1,5})?$/;

/** The root of a cache, where its narinfos stand. */
function rootOf(where: string): URL {
  return new URL(".", where.startsWith("/") ? pathToFileURL(where) : where);
}

/** As `judgeNarInfo`, of what was read already. */
export async function judge(
  narInfo: NarInfo,
  where: string,
  path: StorePath,
  policy: SignaturePolicy,
): Promise<Presence> {
  if (narInfo.storePath !== path) {
    return { kind: "refused", why: `${where} is about ${narInfo.storePath}` };
  }
  const distrusted = await distrust(narInfo, policy);
  if (distrusted) return { kind: "refused", ...distrusted, why: `${where} ${distrusted.why}` };
  return { kind: "hit", narInfo, origin: "own" };
}

/** Why Nix would not take it; `corrupt` where it would stop. */
async function distrust(
  narInfo: NarInfo,
  policy: SignaturePolicy,
): Promise<{ readonly why: string; readonly form?: "corrupt" } | undefined> {
  const address = contentAddressOf(narInfo);
  if (address === "impossible" || address === "of itself") {
    return { why: "has a CA that no path has", form: "corrupt" };
  }
  if (address === "other") {
    const stops = isMalformed(narInfo.signatures, policy) || (await fallsOver(narInfo, policy));
    return { why: "has a CA that is another path's", ...(stops ? { form: "corrupt" } : {}) };
  }
  if (policy.kind === "by location") return undefined;
  // What is content-addressed vouches for itself.
  if (policy.contentAddressed !== "signed too" && address === "good") return undefined;
  const { signatures } = narInfo;
  const good = await findGoodSignatureAside(fingerprint(narInfo), signatures, policy.keys);
  if (good === "malformed") return { why: "has a Sig that is no signature", form: "corrupt" };
  if (good) return undefined;
  if (signatures.length === 0) return { why: "is not signed" };
  const names = [...new Set(signatures.map(signatureKeyName))];
  const known = names.filter((name) => keyOfName(policy.keys, name));
  return {
    why:
      known.length > 0
        ? `has a wrong signature by ${known.join(", ")}`
        : `is signed by ${names.join(", ")}, which Nix does not trust here`,
  };
}

/**
 * Of a path without references whose CA is another's, Nix reckons what it would be called once it trusts the
 * path, and ends where that is not its name.
 */
async function fallsOver(narInfo: NarInfo, policy: SignaturePolicy): Promise<boolean> {
  if (narInfo.references.length > 0) return false;
  if (policy.kind === "by location") return true;
  const { signatures } = narInfo;
  const good = await findGoodSignatureAside(fingerprint(narInfo), signatures, policy.keys);
  return good !== undefined;
}

/**
 * Whether Nix stops at a signature of what it would pass over. 2.34 reads all of them with the narinfo. Who
 * made them every version asks of the path it wants alone, and before it fetches, which is where it passes over.
 */
function stopsAtSignature(
  { storePath, signatures }: Pick<NarInfo, "storePath" | "signatures">,
  path: StorePath,
  policy: SignaturePolicy,
): boolean {
  if (policy.reading === "from 2.34" && !signatures.every(isSignature)) return true;
  return storePath === path && isMalformed(signatures, policy);
}

function isMalformed(signatures: readonly string[], policy: SignaturePolicy): boolean {
  return policy.kind === "by key" && hasMalformed(signatures, policy.keys);
}

/**
 * Where the NAR is of a narinfo that stands at `root`, a folder's URL with its last slash: wherever on
 * the same host, however it is written. Throws a NotTakenError where it leads elsewhere: a cache is not
 * followed to a host that nobody named, nor out of a folder on this disk.
 */
export function narPlace(url: string, root: URL, reading?: NixReading): URL {
  const no = (why: string, taking: Taking) =>
    new NotTakenError(`${root.href}: a NAR's URL "${url.slice(0, 120)}" ${why}`, taking);
  if (/[\0-\x20\\]/.test(url)) throw no("holds what no address has", "passed over");
  const behind = /^(?:https?|file):\/\//.test(url) ? url : `${root.href}${url}`;
  const ways = [
    // 2.34 reads it as a browser does, earlier ones as what follows the address of the cache.
    ...(reading === "from 2.34" ? [] : [URL.parse(behind)]),
    ...(reading === "up to 2.26" || root.protocol === "file:" ? [] : [URL.parse(url, root.href)]),
  ];
  const [place] = ways.length > 0 ? ways : [URL.parse(behind)];
  if (!place) throw no("is not an address", "passed over");
  if (ways.some((other) => withoutDoubled(other) !== withoutDoubled(place))) {
    throw no("is read in two ways by Nix's versions", "unknown");
  }
  const inside = root.protocol !== "file:" || place.href.startsWith(root.href);
  if (place.protocol !== root.protocol || place.host !== root.host || !inside) {
    throw no("leads away from the cache, and is not followed: not supported here", "unknown");
  }
  return place;
}

function withoutDoubled(url: URL | null): string | undefined {
  return url?.href.replace(/\/+/g, "/");
}

/** What Nix's programs call their NARs' compression, in every version. */
const COMPRESSIONS = new Set(["none", "xz", "bzip2", "gzip", "zstd", "br", "lzma", "lz4", "lzip"]);

/** Throws a NotTakenError where Nix's versions part over what the parser took. */
function checkTaken(info: NarInfo, where: string, reading?: NixReading): void {
  const part = (why: string, old: Taking, now: Taking) => {
    const taking = reading === undefined ? "unknown" : reading === "from 2.34" ? now : old;
    if (taking !== "taken") throw new NotTakenError(`${where}: ${why}`, taking);
  };
  if (!COMPRESSIONS.has(info.compression)) {
    // 2.8 goes by the NAR's first bytes, 2.26 does not take it, and 2.34 may stop.
    part(
      `compression "${info.compression.slice(0, 40)}" is not one of Nix's`,
      "unknown",
      "unknown",
    );
  }
  // Earlier versions read those of their keys alone, and only of the path they want.
  if (!info.signatures.every(isSignature)) part("a Sig is no signature", "taken", "stops");
  if (info.signatures.some((signature) => /^\s/.test(signature))) {
    part("a Sig begins with a blank", "taken", "unknown");
  }
  if (contentAddressOf(info) === "of itself") {
    // 2.8 passes over it, 2.26 and 2.34 stop.
    part("what its CA is of cannot refer to itself", "unknown", "stops");
  }
  if (info.references.some((path) => /^\.\.?(?:-|$)/.test(namePart(path)))) {
    part("the name of a reference begins with a dot", "unknown", "stops");
  }
}
