/** Whether a narinfo may be believed: the right path, the right store, a good signature. */

import type { Presence } from "../domain/cache.ts";
import { describeError } from "../domain/errors.ts";
import { fingerprint, type NarInfo, parseNarInfo } from "../domain/narinfo.ts";
import { findGoodSignatureAside, type PublicKey, signatureKeyName } from "../domain/signature.ts";
import { type StorePath, storeDirOf } from "../domain/store-path.ts";

/** Whose signatures count. `by location`: trusted for where it is, this machine's own disk. */
export type SignaturePolicy =
  | { readonly kind: "by key"; readonly keys: readonly PublicKey[] }
  | { readonly kind: "by location" };

/** What a narinfo's text is worth as an answer about `path`. */
export async function judgeNarInfo(
  text: string,
  where: string,
  path: StorePath,
  policy: SignaturePolicy,
): Promise<Presence> {
  let narInfo: NarInfo;
  try {
    narInfo = parseNarInfo(text, where, storeDirOf(path));
  } catch (error) {
    return { kind: "refused", why: describeError(error), form: "corrupt" };
  }
  return judge(narInfo, where, path, policy);
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
  const why = await distrust(narInfo, policy);
  if (why) return { kind: "refused", why: `${where} ${why}` };
  return { kind: "hit", narInfo, origin: "own" };
}

async function distrust(narInfo: NarInfo, policy: SignaturePolicy): Promise<string | undefined> {
  if (policy.kind === "by location") return undefined;
  const { signatures } = narInfo;
  if (await findGoodSignatureAside(fingerprint(narInfo), signatures, policy.keys)) return undefined;
  if (signatures.length === 0) return "is not signed";
  const names = [...new Set(signatures.map(signatureKeyName))];
  const known = names.filter((name) => policy.keys.some((key) => key.name === name));
  return known.length > 0
    ? `has a wrong signature by ${known.join(", ")}`
    : `is signed by ${names.join(", ")}, which Nix does not trust here`;
}
