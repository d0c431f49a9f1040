/** Owns when two addresses of a substituter are the same one, however they are written. */

/** For comparing only. Nix 2.34 shows the options in another order, and escaped otherwise. */
export function plainAddress(value: string): string {
  const [place = "", options] = value.split("?", 2);
  const base = place.replace(/\/+$/, "");
  if (options === undefined) return base;
  const pairs = [...new URLSearchParams(options)].map(([name, text]) => `${name}=${text}`);
  return `${base}?${pairs.sort().join("&")}`;
}
