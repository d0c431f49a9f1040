/**
 * A narinfo: what a binary cache says of one store path.
 * Source: nix/src/libstore/nar-info.cc (fields) and path-info.cc (fingerprint).
 */

import { parseContentAddress } from "./content-address.ts";
import { UserError } from "./errors.ts";
import { formatSha256, parsePrefixedSum, type Sha256, type Sum, sha256Of } from "./hash.ts";
import { baseName, parseStorePath, type StorePath, storePathFromBaseName } from "./store-path.ts";

export interface NarInfo {
  readonly storePath: StorePath;
  /** Where the NAR is, as the cache writes it: `narPlace` says whether it is followed. */
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
  /** What vouches for it, as the store has it; passed on to whoever it is pushed to. */
  readonly signatures?: readonly string[];
  readonly contentAddress?: string | undefined;
}

/** What a Nix makes of a narinfo; `unknown` where it is not told, or not followed. */
export type Taking = "taken" | "passed over" | "stops" | "unknown";

/** A narinfo that the parser took, and not every Nix does. */
export class NotTakenError extends UserError {
  readonly taking: Taking;
  /** What Nix looks at before it passes over a narinfo. */
  readonly read: Pick<NarInfo, "storePath" | "signatures"> | undefined;

  constructor(message: string, taking: Taking, read?: NotTakenError["read"]) {
    super("NCP-354", message, { hint: "ask whoever runs the cache to write it as nix copy does" });
    this.taking = taking;
    this.read = read;
  }
}

/** The largest narinfo we read: a path with 5,000 references has about 300 kB. */
export const NARINFO_MAX_BYTES = 4 * 1024 * 1024;

/**
 * Reads a narinfo of `storeDir` as Nix does, field by field: it throws where Nix stops, and passes over
 * what Nix does. `where` (a URL or file) and the line stand in every error.
 */
export function parseNarInfo(text: string, where: string, storeDir: string): NarInfo {
  let line = 1;
  const fail = (why: string): never => {
    throw new UserError("NCP-301", `${where}, line ${line}: ${why}`, {
      hint: "the cache serves something that is not a narinfo; look at it with curl",
    });
  };
  let storePath: StorePath | undefined;
  let url = "";
  let compression = "";
  let fileHash: Sum | undefined;
  let fileSize: number | undefined;
  let narHash: Sum | undefined;
  let narSize = 0;
  let references: readonly StorePath[] = [];
  let deriver: string | undefined;
  let contentAddress: string | undefined;
  const signatures = new Set<string>();
  const sum = (name: string, value: string): Sum =>
    parsePrefixedSum(value) ?? fail(`${name} "${value.slice(0, 80)}" is not a sum of a known kind`);
  const size = (name: string, value: string): number =>
    parseSize(value) ?? fail(`${name} "${value.slice(0, 40)}" is not a number of bytes`);

  for (let at = 0; at < text.length; line++) {
    // The colon may stand on a later line, and a value may begin there: Nix does not look for line ends
    // before it has found both.
    const colon = text.indexOf(":", at);
    if (colon < 0) fail(`"${text.slice(at, at + 60).trimEnd()}" is not "Name: value"`);
    const name = text.slice(at, colon);
    const end = colon + 2 > text.length ? -1 : text.indexOf("\n", colon + 2);
    if (end < 0) fail(`${name.slice(0, 40)} does not end with a line`);
    const value = text.slice(colon + 2, end);
    at = end + 1;
    switch (name) {
      case "StorePath":
        storePath =
          parseStorePath(canonical(value), storeDir) ??
          fail(`"${value.slice(0, 120)}" is not in ${storeDir}`);
        break;
      case "URL":
        url = value;
        break;
      case "Compression":
        compression = value;
        break;
      case "FileHash":
        fileHash = sum(name, value);
        break;
      case "FileSize":
        fileSize = size(name, value);
        break;
      case "NarHash":
        narHash = sum(name, value);
        break;
      case "NarSize":
        narSize = size(name, value);
        break;
      case "References":
        if (references.length > 0) fail("a second References");
        references = [...new Set(value.split(" "))]
          .filter((base) => base !== "")
          .map(
            (base) =>
              storePathFromBaseName(base, storeDir) ??
              fail(`reference "${base.slice(0, 80)}" is not a store path`),
          )
          .sort();
        break;
      case "Deriver":
        if (value === "unknown-deriver") break;
        if (!storePathFromBaseName(value, storeDir)) {
          fail(`Deriver "${value.slice(0, 80)}" is not the name of a store path`);
        }
        deriver = value;
        break;
      case "Sig":
        signatures.add(value);
        break;
      case "CA":
        if (contentAddress !== undefined) fail("a second CA");
        if (value !== "" && !parseContentAddress(value)) {
          fail(`CA "${value.slice(0, 80)}" is not a content address`);
        }
        contentAddress = value || undefined;
        break;
      default: // unknown: passed over
    }
  }
  if (!storePath) return fail("there is no StorePath");
  if (!narHash) return fail("there is no NarHash");
  if (url === "") fail("there is no URL");
  if (narSize === 0) fail("there is no NarSize, or it is 0");
  const sha256 = sha256Of(narHash);
  if (!sha256) {
    const read = { storePath, signatures: [...signatures] };
    throw new NotTakenError(`${where}: its NarHash is not of SHA-256`, "passed over", read);
  }
  return {
    storePath,
    url,
    // No Compression means bzip2: older than the line itself.
    compression: compression || "bzip2",
    fileHash: fileHash && sha256Of(fileHash),
    fileSize,
    narHash: sha256,
    narSize,
    references,
    deriver,
    signatures: [...signatures],
    contentAddress,
  };
}

/** As Nix reads a whole number without a sign: 64 bits, a `+` and zeros before it allowed. */
function parseSize(value: string): number | undefined {
  if (!/^\+?\d{1,400}$/.test(value)) return undefined;
  const exact = BigInt(value.replace("+", ""));
  return exact < 1n << 64n ? Number(exact) : undefined;
}

/** Without doubled slashes, `.` and `..`: only an absolute path has such a form. */
function canonical(path: string): string {
  if (!path.startsWith("/")) return path;
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
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
