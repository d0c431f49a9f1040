/** Owns nix-cache-info: what a binary cache says of itself. Source: nix/src/libstore/binary-cache-store.cc. */

export interface CacheInfo {
  readonly storeDir: string | undefined;
  /** Lower is asked first; cache.nixos.org says 40, Cachix 41. */
  readonly priority: number | undefined;
  readonly wantMassQuery: boolean;
}

/** Reads nix-cache-info; undefined when `text` is something else, an HTML page for instance. */
export function parseCacheInfo(text: string): CacheInfo | undefined {
  const fields = new Map<string, string>();
  for (const line of text.slice(0, 65_536).split("\n")) {
    if (line.trim() === "") continue;
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon));
    if (!/^[A-Za-z][A-Za-z-]*$/.test(name)) return undefined;
    // Not one expression for the whole line: over a long run of blanks it would take for ever.
    fields.set(name, line.slice(colon + 1).trim());
  }
  const priority = fields.get("Priority");
  if (priority !== undefined && !/^\d{1,9}$/.test(priority)) return undefined;
  return {
    storeDir: fields.get("StoreDir"),
    priority: priority === undefined ? undefined : Number(priority),
    wantMassQuery: fields.get("WantMassQuery") === "1",
  };
}

export function formatCacheInfo(storeDir: string, priority: number): string {
  return `StoreDir: ${storeDir}\nWantMassQuery: 1\nPriority: ${priority}\n`;
}
