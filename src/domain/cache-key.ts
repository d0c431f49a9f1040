/** The cache key: what a shell step would compute from the same lock files. */

export interface KeyFile {
  /** The glob or name as listed in `key-files`. */
  readonly name: string;
  /** First 16 hex digits of its SHA-256, as `sha256sum FILE | head -c 16`; undefined if missing. */
  readonly hash: string | undefined;
}

export interface CacheKey {
  readonly key: string;
  /** Prefixes of the key at its joints, longest first. */
  readonly restoreKeys: readonly string[];
}

export function cacheKey(
  prefix: string,
  files: readonly KeyFile[],
  suffix: readonly string[],
): CacheKey {
  const parts = [`${prefix}-deps`, ...files.map(({ hash }) => hash ?? "none"), ...suffix];
  const restoreKeys: string[] = [];
  for (let n = parts.length - 1; n >= 1; n--) restoreKeys.push(parts.slice(0, n).join("-"));
  return { key: parts.join("-"), restoreKeys };
}
