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
    const match = /^([A-Za-z][A-Za-z-]*):[ \t]*(.*?)\s*$/.exec(line);
    if (!match?.[1]) return undefined;
    fields.set(match[1], match[2] ?? "");
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
