/** Whether a narinfo may be believed: the right path, the right store, a good signature. */

import { pathToFileURL } from "node:url";
import type { Presence } from "../domain/cache.ts";
import { contentAddressOf } from "../domain/content-address.ts";
import { asError, describeError } from "../domain/errors.ts";
import {
  checkTaken,
  fingerprint,
  type NarInfo,
  type NixReading,
  NotTakenError,
  narPlace,
  parseNarInfo,
} from "../domain/narinfo.ts";
import {
  findGoodSignatureAside,
  keyOfName,
  type PublicKey,
  signatureKeyName,
} from "../domain/signature.ts";
import { type StorePath, storeDirOf } from "../domain/store-path.ts";

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
  let narInfo: NarInfo;
  try {
    narInfo = parseNarInfo(text, where, storeDirOf(path));
    checkTaken(narInfo, where, policy.reading);
    if (narInfo.storePath === path) narPlace(narInfo.url, rootOf(where), policy.reading);
  } catch (error) {
    const taking = error instanceof NotTakenError ? error.taking : "stops";
    if (taking === "unknown") return { kind: "unknown", cause: asError(error), of: "this path" };
    const form = taking === "stops" ? { form: "corrupt" as const } : {};
    return { kind: "refused", why: describeError(error), ...form };
  }
  return judge(narInfo, where, path, policy);
}

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
  if (address === "impossible") return { why: "has a CA that no path has", form: "corrupt" };
  if (address === "other") return { why: "has a CA that is another path's" };
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
