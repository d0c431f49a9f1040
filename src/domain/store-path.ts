/** Store paths: what one looks like, and the parts of its name. */

declare const brand: unique symbol;

/** A whole store path, `/nix/store/HASH-NAME`; only the functions of this file make one. */
export type StorePath = string & { readonly [brand]: "StorePath" };

/** 32 characters of Nix base 32, then a name. Source: nix/src/libstore/path.cc, `checkName`. */
const BASE_NAME = /^[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\-._?=]{1,211}$/;

/** `text` as a store path of `storeDir`, or undefined when it is none. */
export function parseStorePath(text: string, storeDir: string): StorePath | undefined {
  if (!text.startsWith(`${storeDir}/`)) return undefined;
  return storePathFromBaseName(text.slice(storeDir.length + 1), storeDir);
}

/** `HASH-NAME`, as narinfos write references, as a whole store path of `storeDir`. */
export function storePathFromBaseName(base: string, storeDir: string): StorePath | undefined {
  return BASE_NAME.test(base) ? (`${storeDir}/${base}` as StorePath) : undefined;
}

/** The store path that `text` lies in (`/nix/store/HASH-NAME/bin/x`), if any. */
export function storePathWithin(text: string, storeDir: string): StorePath | undefined {
  if (!text.startsWith(`${storeDir}/`)) return undefined;
  const [base = ""] = text.slice(storeDir.length + 1).split("/", 1);
  return storePathFromBaseName(base, storeDir);
}

export function baseName(path: StorePath): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** The 32 characters that name a path's narinfo. */
export function hashPart(path: StorePath): string {
  return baseName(path).slice(0, 32);
}

/** What comes behind the hash: `bws-1.0.0`. */
export function namePart(path: StorePath): string {
  return baseName(path).slice(33);
}

export function storeDirOf(path: StorePath): string {
  return path.slice(0, path.lastIndexOf("/"));
}

export function isDerivationPath(path: StorePath): boolean {
  return path.endsWith(".drv");
}

/** A derivation's name, without the `.drv`: `bws-1.0.0`. */
export function derivationName(path: StorePath): string {
  const name = namePart(path);
  return isDerivationPath(path) ? name.slice(0, -4) : name;
}

/** A path of this machine's store that takes much of its space. */
export interface HeldPath {
  readonly path: StorePath;
  /** Its NarSize. */
  readonly bytes: number;
  /** The garbage collector's roots that keep it; none: it is garbage. */
  readonly holders: readonly string[];
  /** From the nearest root's path down to it; each refers to the next. */
  readonly way: readonly StorePath[];
}
