/** Moves the files of our cache into GitHub's entries and back: by layer, and only what is reached. */

import { link, lstat, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { mapLimited } from "../../domain/limit.ts";
import { type NarInfo, parseNarInfo } from "../../domain/narinfo.ts";
import { hashPart, type StorePath } from "../../domain/store-path.ts";
import { isMissing, readIfThere } from "../../host/disk.ts";

const SUFFIX = ".narinfo";
const FOLDERS = ["nar", "log", "realisations", "memos"];
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

/**
 * Moves a restored entry's files into the cache; hash parts of the paths it held. NARs first: a path
 * is served only when its NAR is there. What is no plain file in its place does not come along.
 */
export async function takeIn(folder: string, directory: string): Promise<Set<string>> {
  const held = await namesIn(folder);
  const files = [
    ...(await listed(join(folder, "nar"))).map((name) => join("nar", name)),
    ...(await listed(join(folder, "memos"))).map((name) => join("memos", name)),
    ...[...held].map((name) => `${name}${SUFFIX}`),
    "nix-cache-info",
  ];
  for (const name of FOLDERS) await mkdir(join(directory, name), { recursive: true });
  for (const file of files) {
    const stats = await lstat(join(folder, file)).catch(() => undefined);
    if (stats?.isFile()) await rename(join(folder, file), join(directory, file));
  }
  await rm(folder, { recursive: true, force: true });
  return held;
}

/** A cache of its own at `folder` with these paths, by links: nothing is copied. Bytes of its NARs. */
export async function layOut(
  folder: string,
  directory: string,
  paths: readonly NarInfo[],
): Promise<number> {
  await rm(folder, { recursive: true, force: true });
  for (const name of FOLDERS) await mkdir(join(folder, name), { recursive: true });
  const records = await listed(join(directory, "memos"));
  const put = (file: string) => link(join(directory, file), join(folder, file));
  // A narinfo without its NAR serves nobody.
  const nars = new Set((await listed(join(directory, "nar"))).map((name) => `nar/${name}`));
  await put("nix-cache-info");
  for (const name of records) await put(join("memos", name));
  let bytes = 0;
  const linked = new Set<string>();
  for (const { storePath, url, fileSize } of paths) {
    if (!nars.has(url)) continue;
    if (!linked.has(url)) await put(url);
    linked.add(url);
    await put(`${hashPart(storePath)}${SUFFIX}`);
    bytes += fileSize ?? 0;
  }
  return bytes;
}

async function listed(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
