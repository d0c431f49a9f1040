/** Owns the addresses a report points to: a path's narinfo, or the page of a Cachix cache. Pure. */

import type { CacheLocation } from "../domain/location.ts";
import { hashPart, type StorePath } from "../domain/store-path.ts";
import type { SurveyedTier } from "../engine/survey/tiers.ts";

/** Where people look at a Cachix cache; its narinfos are for machines. */
const CACHIX_PAGES = "https://app.cachix.org/cache/";

/** Undefined where there is nothing to point to: a cache on this disk, or of another protocol. */
export function linkTo(
  path: StorePath,
  { url: address, role }: Pick<SurveyedTier, "url" | "role">,
  own: CacheLocation,
): string | undefined {
  if (role === "own" && own.kind === "cachix" && own.host.hostname === "cachix.org") {
    return `${CACHIX_PAGES}${encodeURIComponent(own.name)}`;
  }
  if (!/^https?:\/\//.test(address) || !URL.canParse(address)) return undefined;
  const url = new URL(address);
  const cachix = /^([^.]+)\.cachix\.org$/.exec(url.hostname)?.[1];
  if (cachix !== undefined) return `${CACHIX_PAGES}${encodeURIComponent(cachix)}`;
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}/${hashPart(path)}.narinfo`;
}

/** The tier that a verdict or an answer names; one may pass on what another one signed. */
export function tierNamed(tiers: readonly SurveyedTier[], name: string): SurveyedTier | undefined {
  return tiers.find((tier) => tier.name === name || name.endsWith(`passed on by ${tier.name}`));
}
