/** Moves the files of our cache into GitHub's entries and back: by layer, and only what is reached. */

import { link, lstat, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { mapLimited } from "../../domain/limit.ts";
import { type NarInfo, parseNarInfo } from "../../domain/narinfo.ts";
import type { PublicKey } from "../../domain/signature.ts";
import { hashPart, namePart, type StorePath } from "../../domain/store-path.ts";
import { makeFolder } from "../../host/atomic.ts";
import { isMissing, readIfThere } from "../../host/disk.ts";
import { judge, type SignaturePolicy } from "../accept.ts";

const SUFFIX = ".narinfo";
const REALISATIONS = "realisations";
const FOLDERS = ["nar", "log", REALISATIONS, "memos"];
const PARALLEL = 16;

/** Hash parts of the paths that the cache at `directory` holds. */
export async function namesIn(directory: string): Promise<Set<string>> {
  const names = await listed(directory);
  return new Set(names.filter((name) => name.endsWith(SUFFIX)).map((name) => name.slice(0, 32)));
}

/** Every path of the cache with what its narinfo says; one that cannot be read is left out. */
export async function contentOf(
  directory: string,
  storeDir: string,
): Promise<Map<StorePath, NarInfo>> {
  const found = new Map<StorePath, NarInfo>();
  await mapLimited([...(await namesIn(directory))], PARALLEL, async (name) => {
    const file = join(directory, `${name}${SUFFIX}`);
    try {
      const narInfo = parseNarInfo((await readIfThere(file)) ?? "", file, storeDir);
      if (hashPart(narInfo.storePath) === name) found.set(narInfo.storePath, narInfo);
    } catch {
      // Nobody can use it; it is not kept.
    }
  });
  return found;
}

/** The members of `content` that are roots, that a derivation among them made, and what those refer to. */
export function reachedFrom(
  content: ReadonlyMap<StorePath, NarInfo>,
  isRoot: (path: StorePath, deriver: string | undefined) => boolean,
): Set<StorePath> {
  const reached = new Set<StorePath>();
  const stack = [...content.values()]
    .filter(({ storePath, deriver }) => isRoot(storePath, deriver))
    .map(({ storePath }) => storePath);
  for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
    const narInfo = content.get(path);
    if (!narInfo || reached.has(path)) continue;
    reached.add(path);
    stack.push(...narInfo.references);
  }
  return reached;
}

/** What of an entry came along. */
export interface TakenIn {
  /** Hash parts of the paths that it held and that are believed. */
  readonly held: ReadonlySet<string>;
  /** Names of paths that were left out, since an earlier layer gave them with other sums. */
  readonly contradicting: readonly string[];
  /** How many were left out for want of a good signature. */
  readonly unsigned: number;
}

/**
 * Moves a restored entry's files into the cache. NARs first: a path is served only when its NAR is there.
 * What is there stays as it is: a later layer adds, and replaces nothing. What is no plain file in its
 * place, or cannot be read as a narinfo of its path, does not come along; nor does what `signer` did not
 * sign, where there is one.
 */
export async function takeIn(
  folder: string,
  directory: string,
  storeDir: string,
  signer: PublicKey | undefined,
): Promise<TakenIn> {
  const policy: SignaturePolicy = signer
    ? { kind: "by key", keys: [signer] }
    : { kind: "by location" };
  const given = await contentOf(folder, storeDir);
  const before = await contentOf(directory, storeDir);
  const held = new Set<string>();
  const fresh: string[] = [];
  const contradicting: string[] = [];
  let unsigned = 0;
  await mapLimited([...given.values()], PARALLEL, async (narInfo) => {
    const { storePath } = narInfo;
    const there = before.get(storePath);
    if (there && !isSame(there, narInfo)) contradicting.push(namePart(storePath));
    else if ((await judge(narInfo, folder, storePath, policy)).kind !== "hit") unsigned++;
    else {
      held.add(hashPart(storePath));
      if (!there) fresh.push(`${hashPart(storePath)}${SUFFIX}`);
    }
  });
  for (const name of FOLDERS) await makeFolder(join(directory, name));
  const move = async (file: string) => {
    const stats = await lstat(join(folder, file)).catch(() => undefined);
    if (stats?.isFile()) await rename(join(folder, file), join(directory, file));
  };
  const nars = new Set(await listed(join(directory, "nar")));
  for (const name of await listed(join(folder, "nar")))
    if (!nars.has(name)) await move(join("nar", name));
  for (const name of await listed(join(folder, "memos"))) await move(join("memos", name));
  for (const file of fresh) await move(file);
  // Nobody signs them: one could lead to another path that is signed.
  const there = new Set(await listed(join(directory, REALISATIONS)));
  for (const [name, hash] of signer ? [] : await realisationsIn(folder)) {
    if (held.has(hash) && !there.has(name)) await move(join(REALISATIONS, name));
  }
  if ((await readIfThere(join(directory, "nix-cache-info"))) === undefined)
    await move("nix-cache-info");
  await rm(folder, { recursive: true, force: true });
  return { held, contradicting, unsigned };
}

function isSame(one: NarInfo, other: NarInfo): boolean {
  const sums = ({ narHash, narSize, references }: NarInfo) =>
    JSON.stringify([narHash, narSize, [...references].sort()]);
  return sums(one) === sums(other);
}

/** A cache of its own at `folder` with these paths, by links: nothing is copied. Bytes of its NARs. */
export async function layOut(
  folder: string,
  directory: string,
  paths: readonly NarInfo[],
): Promise<number> {
  await rm(folder, { recursive: true, force: true });
  for (const name of FOLDERS) await makeFolder(join(folder, name));
  const records = await listed(join(directory, "memos"));
  const put = (file: string) => link(join(directory, file), join(folder, file));
  // A narinfo without its NAR serves nobody.
  const nars = new Set((await listed(join(directory, "nar"))).map((name) => `nar/${name}`));
  await put("nix-cache-info");
  for (const name of records) await put(join("memos", name));
  let bytes = 0;
  const linked = new Set<string>();
  const hashes = new Set<string>();
  for (const { storePath, url, fileSize } of paths) {
    if (!nars.has(url)) continue;
    if (!linked.has(url)) await put(url);
    linked.add(url);
    await put(`${hashPart(storePath)}${SUFFIX}`);
    hashes.add(hashPart(storePath));
    bytes += fileSize ?? 0;
  }
  for (const [name, hash] of await realisationsIn(directory)) {
    if (hashes.has(hash)) await put(join(REALISATIONS, name));
  }
  return bytes;
}

/** By file name, the hash part of the path that each leads to; what cannot be read is left out. */
async function realisationsIn(directory: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const name of await listed(join(directory, REALISATIONS))) {
    const text = await readIfThere(join(directory, REALISATIONS, name)).catch(() => undefined);
    const [, hash] = /"outPath":"([0-9a-z]{32})-/.exec(text ?? "") ?? [];
    if (hash !== undefined && /^sha256:[0-9a-f]{64}![^/]+\.doi$/.test(name)) found.set(name, hash);
  }
  return found;
}

async function listed(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
