/**
 * Owns narinfo: what a binary cache says of one store path.
 * Source: nix/src/libstore/nar-info.cc (fields) and path-info.cc (fingerprint).
 */

import { UserError } from "./errors.ts";
import { formatSha256, parseSha256, type Sha256 } from "./hash.ts";
import { baseName, type StorePath, storePathFromBaseName } from "./store-path.ts";

export interface NarInfo {
  readonly storePath: StorePath;
  /** Where the NAR is: relative to the cache, checked so that it cannot leave it. */
  readonly url: string;
  readonly compression: string;
  readonly fileHash: Sha256 | undefined;
  readonly fileSize: number | undefined;
  readonly narHash: Sha256;
  readonly narSize: number;
  /** Sorted; may hold the path itself. */
  readonly references: readonly StorePath[];
  readonly deriver: string | undefined;
  readonly signatures: readonly string[];
  readonly contentAddress: string | undefined;
}

/** What the store's own database says of a valid path. */
export interface PathInfo {
  readonly storePath: StorePath;
  readonly narHash: Sha256;
  readonly narSize: number;
  readonly references: readonly StorePath[];
  readonly deriver: StorePath | undefined;
  /** What its path is made of, where that is its content: such a path needs no signature. */
  readonly contentAddress?: string | undefined;
  /** Those that the store keeps of it, of whoever it came from. */
  readonly signatures?: readonly string[];
}

/** The largest narinfo we read: a path with 5,000 references has about 300 kB. */
export const NARINFO_MAX_BYTES = 4 * 1024 * 1024;

const FIELDS = new Set([
  "StorePath",
  "URL",
  "Compression",
  "FileHash",
  "FileSize",
  "NarHash",
  "NarSize",
  "References",
  "Deriver",
  "CA",
]);

/**
 * Reads a narinfo of `storeDir`. `where` (a URL or file) and the line stand in every error.
 * Unknown fields are passed over, as Nix does.
 */
export function parseNarInfo(text: string, where: string, storeDir: string): NarInfo {
  const fail = (line: number, why: string): never => {
    throw new UserError("NCP-301", `${where}, line ${line}: ${why}`, {
      hint: "the cache serves something that is not a narinfo; look at it with curl",
    });
  };
  const fields = new Map<string, { value: string; line: number }>();
  const signatures: string[] = [];
  let end = 0;
  for (let at = 0; at <= text.length; ) {
    const newline = text.indexOf("\n", at);
    const next = newline < 0 ? text.length : newline;
    const line = text.slice(at, text[next - 1] === "\r" ? next - 1 : next);
    at = next + 1;
    end++;
    if (line === "") continue;
    const colon = line.indexOf(": ");
    const bare = line.endsWith(":") ? line.length - 1 : -1;
    if (colon < 0 && bare < 0) fail(end, `"${line.slice(0, 60)}" is not "Name: value"`);
    const name = line.slice(0, colon < 0 ? bare : colon);
    const value = colon < 0 ? "" : line.slice(colon + 2);
    if (name === "Sig") signatures.push(value);
    else if (!fields.has(name)) fields.set(name, { value, line: end });
    // Of two, Nix takes the last: to read another one than Nix does would be to prove the wrong thing.
    else if (FIELDS.has(name)) fail(end, `a second ${name}`);
  }
  const need = (name: string) => fields.get(name) ?? fail(end, `there is no ${name}`);

  const path = need("StorePath");
  const storePath = path.value.startsWith(`${storeDir}/`)
    ? storePathFromBaseName(path.value.slice(storeDir.length + 1), storeDir)
    : undefined;
  if (!storePath) return fail(path.line, `"${path.value.slice(0, 120)}" is not in ${storeDir}`);

  const size = (field: { value: string; line: number }, name: string): number =>
    /^\d{1,15}$/.test(field.value)
      ? Number(field.value)
      : fail(field.line, `${name} "${field.value.slice(0, 40)}" is not a number of bytes`);
  const sum = (field: { value: string; line: number }, name: string): Sha256 =>
    parseSha256(field.value) ??
    fail(field.line, `${name} "${field.value.slice(0, 80)}" is not a SHA-256 sum`);

  const narHash = need("NarHash");
  const narSize = need("NarSize");
  const fileHash = fields.get("FileHash");
  const fileSize = fields.get("FileSize");
  const url = need("URL");
  if (!isInsideCache(url.value)) {
    fail(url.line, `URL "${url.value.slice(0, 120)}" leaves the cache`);
  }
  const narBytes = size(narSize, "NarSize");
  if (narBytes === 0) fail(narSize.line, "NarSize is 0");
  const references = fields.get("References");
  return {
    storePath,
    url: url.value,
    // No Compression means bzip2: older than the line itself.
    compression: fields.get("Compression")?.value || "bzip2",
    fileHash: fileHash && sum(fileHash, "FileHash"),
    fileSize: fileSize && size(fileSize, "FileSize"),
    narHash: sum(narHash, "NarHash"),
    narSize: narBytes,
    references: [...new Set((references?.value ?? "").split(" "))]
      .filter((base) => base !== "")
      .map(
        (base) =>
          storePathFromBaseName(base, storeDir) ??
          fail(references?.line ?? end, `reference "${base.slice(0, 80)}" is not a store path`),
      )
      .sort(),
    deriver: known(fields.get("Deriver")?.value),
    signatures,
    contentAddress: fields.get("CA")?.value || undefined,
  };
}

function known(deriver: string | undefined): string | undefined {
  return deriver === "" || deriver === "unknown-deriver" ? undefined : deriver;
}

/** A relative URL of plain segments: no scheme, host, query, backslash, `..` or percent trick. */
function isInsideCache(url: string): boolean {
  if (!/^[0-9A-Za-z][0-9A-Za-z+\-._=?/~@]*$/.test(url)) return false;
  return !url.split(/[/?]/).includes("..") && !url.includes("//");
}

/** The text Nix signs: `1;PATH;sha256:NIX32;SIZE;REF,REF`, references whole and sorted. */
export function fingerprint(info: {
  readonly storePath: StorePath;
  readonly narHash: Sha256;
  readonly narSize: number;
  readonly references: readonly StorePath[];
}): string {
  const references = [...info.references].sort().join(",");
  return `1;${info.storePath};${formatSha256(info.narHash)};${info.narSize};${references}`;
}

/** The narinfo as a file, ending in a newline. */
export function formatNarInfo(info: NarInfo): string {
  const lines = [
    `StorePath: ${info.storePath}`,
    `URL: ${info.url}`,
    `Compression: ${info.compression}`,
    ...(info.fileHash ? [`FileHash: ${formatSha256(info.fileHash)}`] : []),
    ...(info.fileSize === undefined ? [] : [`FileSize: ${info.fileSize}`]),
    `NarHash: ${formatSha256(info.narHash)}`,
    `NarSize: ${info.narSize}`,
    `References: ${[...info.references].sort().map(baseName).join(" ")}`,
    ...(info.deriver ? [`Deriver: ${info.deriver}`] : []),
    ...info.signatures.map((signature) => `Sig: ${signature}`),
    ...(info.contentAddress ? [`CA: ${info.contentAddress}`] : []),
  ];
  return `${lines.join("\n")}\n`;
}

/** In what `theirs` differs from what the store says; empty when they are the same path, bit for bit. */
export function differences(ours: PathInfo, theirs: NarInfo): string[] {
  const found: string[] = [];
  if (ours.storePath !== theirs.storePath) found.push(`StorePath is ${theirs.storePath}`);
  if (ours.narHash !== theirs.narHash) {
    found.push(`NarHash is ${formatSha256(theirs.narHash)}, ours ${formatSha256(ours.narHash)}`);
  }
  if (ours.narSize !== theirs.narSize) {
    found.push(`NarSize is ${theirs.narSize}, ours ${ours.narSize}`);
  }
  const mine = [...ours.references].sort().join(" ");
  if (mine !== [...theirs.references].sort().join(" ")) {
    found.push(`References differ (${theirs.references.length}, ours ${ours.references.length})`);
  }
  return found;
}

/** The references of a path other than itself: what has to be there before it. */
export function dependencies(info: {
  readonly storePath: StorePath;
  readonly references: readonly StorePath[];
}): StorePath[] {
  return info.references.filter((reference) => reference !== info.storePath);
}
