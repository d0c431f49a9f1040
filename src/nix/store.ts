/** Questions to the store's database, many paths to a process, and what of it a job built. */

import { lstatSync } from "node:fs";
import { readdir, readlink } from "node:fs/promises";
import { join, resolve, sep } from "node:path";
import { UserError } from "../domain/errors.ts";
import { parseSha256 } from "../domain/hash.ts";
import { mapLimited } from "../domain/limit.ts";
import type { PathInfo } from "../domain/narinfo.ts";
import {
  baseName,
  isDerivationPath,
  parseStorePath,
  type StorePath,
  storePathFromBaseName,
} from "../domain/store-path.ts";
import { isMissing } from "../host/disk.ts";
import { DEADLINES, type NixCommand } from "./command.ts";

/** An argument list may hold 128 kB to 2 MB, by system; a store path takes some 80 bytes. */
const PATHS_PER_PROCESS = 1_500;

function chunks<T>(items: readonly T[]): T[][] {
  const found: T[][] = [];
  for (let at = 0; at < items.length; at += PATHS_PER_PROCESS) {
    found.push(items.slice(at, at + PATHS_PER_PROCESS));
  }
  return found;
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** From so many on, one look at the whole folder is cheaper than a look for each. */
const MANY = 256;

/**
 * Those of `paths` that lie in the store folder. On a fresh runner it is none of thousands, and then
 * there is nothing to ask Nix; a path that is registered and not there is no use to anybody.
 */
export async function onDisk(
  realStoreDir: string,
  paths: readonly StorePath[],
): Promise<readonly StorePath[]> {
  try {
    if (paths.length >= MANY) {
      const names = new Set(await readdir(realStoreDir));
      return paths.filter((path) => names.has(baseName(path)));
    }
    // Each at once: to wait for hundreds of them costs more than the looks themselves.
    return paths.filter((path) =>
      lstatSync(join(realStoreDir, baseName(path)), { throwIfNoEntry: false }),
    );
  } catch (error) {
    // A folder that cannot be read says nothing: Nix is asked for them all.
    return isMissing(error) ? [] : paths;
  }
}

export async function validPaths(
  nix: NixCommand,
  paths: readonly StorePath[],
  signal: AbortSignal,
): Promise<Set<StorePath>> {
  const valid = new Set(paths);
  await mapLimited(chunks(paths), 2, async (chunk) => {
    const args = ["--check-validity", "--print-invalid", ...chunk];
    const invalid = await nix.run("nix-store", args, { signal, deadline: DEADLINES.query });
    for (const line of lines(invalid)) valid.delete(line as StorePath);
  });
  return valid;
}

/** What the database says of valid paths; `nix-store --dump-db` is the same in every version. */
export async function pathInfos(
  nix: NixCommand,
  storeDir: string,
  paths: readonly StorePath[],
  signal: AbortSignal,
): Promise<Map<StorePath, PathInfo>> {
  const found = new Map<StorePath, PathInfo>();
  // Given no paths, 2.8 dumps the whole database.
  await mapLimited(chunks(paths), 2, async (chunk) => {
    const dump = await nix.run("nix-store", ["--dump-db", ...chunk], {
      signal,
      deadline: DEADLINES.query,
    });
    for (const info of parseDump(dump, storeDir)) found.set(info.storePath, info);
  });
  return found;
}

/**
 * Reads `nix-store --dump-db`: per path the lines path, NAR hash, NAR size, deriver, number of
 * references, references.
 */
export function parseDump(text: string, storeDir: string): PathInfo[] {
  const all = text.split("\n");
  const infos: PathInfo[] = [];
  let at = 0;
  const fail = (what: string): never => {
    throw new UserError("NCP-202", `nix-store --dump-db, line ${at}: ${what}`);
  };
  const next = (): string => all[at++] ?? fail("it ends too early");
  const path = (line: string): StorePath =>
    parseStorePath(line, storeDir) ?? fail(`"${line.slice(0, 100)}" is no store path`);
  const number = (line: string): number =>
    /^\d{1,15}$/.test(line) ? Number(line) : fail("no number");
  while (at < all.length && all[at] !== "") {
    const storePath = path(next());
    const narHash = parseSha256(next()) ?? fail("no SHA-256 sum");
    const narSize = number(next());
    const deriver = next();
    const count = number(next());
    const references: StorePath[] = [];
    while (references.length < count) references.push(path(next()));
    references.sort();
    infos.push({
      storePath,
      narHash,
      narSize,
      references,
      deriver: parseStorePath(deriver, storeDir),
    });
  }
  return infos;
}

export async function closureOf(
  nix: NixCommand,
  storeDir: string,
  roots: readonly StorePath[],
  signal: AbortSignal,
): Promise<Map<StorePath, PathInfo>> {
  const paths = [...(await requisites(nix, roots, signal))];
  const [infos, marks] = await Promise.all([
    pathInfos(nix, storeDir, paths, signal),
    // Of a derivation file Nix would tell its outputs' marks, which may not be there.
    marksOf(
      nix,
      paths.filter((path) => !isDerivationPath(path)),
      signal,
    ),
  ]);
  return new Map(
    [...infos].map(([path, info]) => {
      const { signatures = [], contentAddress } = marks.get(path) ?? {};
      return [path, { ...info, signatures, contentAddress }];
    }),
  );
}

/** Valid paths, and all that they refer to. */
export async function requisites(
  nix: NixCommand,
  roots: readonly StorePath[],
  signal: AbortSignal,
): Promise<ReadonlySet<StorePath>> {
  const members = new Set<StorePath>();
  await mapLimited(chunks(roots), 2, async (chunk) => {
    const args = ["--query", "--requisites", ...chunk];
    const text = await nix.run("nix-store", args, { signal, deadline: DEADLINES.query });
    for (const line of lines(text)) members.add(line as StorePath);
  });
  return members;
}

/** What the store says of a path beside its content: how it came to be there, and who vouches for it. */
interface Marks {
  /** `ultimate`: built on this machine, and trusted for that. */
  readonly origin: "ultimate" | "elsewhere";
  readonly signatures: readonly string[];
  readonly contentAddress: string | undefined;
}

const MARKED_AT_ONCE = 1_000;

async function marksOf(
  nix: NixCommand,
  paths: readonly StorePath[],
  signal: AbortSignal,
): Promise<Map<StorePath, Marks>> {
  const found = new Map<StorePath, Marks>();
  // To `nix path-info` a recipe stands for its outputs, which need not be there; nobody signs one.
  const marked = paths.filter((path) => !isDerivationPath(path));
  for (let at = 0; at < marked.length; at += MARKED_AT_ONCE) {
    const args = ["path-info", "--sigs", ...marked.slice(at, at + MARKED_AT_ONCE)];
    const text = await nix.run("nix", args, { signal, deadline: DEADLINES.query });
    for (const [path, marks] of parseMarks(text)) found.set(path, marks);
  }
  return found;
}

/** Reads `nix path-info --sigs`: the path, padded with blanks to a column, then a tab and the marks. */
export function parseMarks(text: string): [StorePath, Marks][] {
  return lines(text).map((line) => {
    const [path = "", rest = ""] = line.split("\t");
    const words = rest.split(/\s+/).filter(Boolean);
    const address = words.find((word) => word.startsWith("ca:"));
    const marks: Marks = {
      origin: words.includes("ultimate") ? "ultimate" : "elsewhere",
      signatures: words.filter((word) => word !== "ultimate" && word !== address),
      contentAddress: address?.slice("ca:".length),
    };
    return [path.trim() as StorePath, marks];
  });
}

/** The names in the store folder: what a job starts from. */
export async function storeNames(realStoreDir: string): Promise<Set<string>> {
  return new Set(await readdir(realStoreDir).catch(() => []));
}

/**
 * Valid paths that were not there at `since` and that Nix marks `ultimate`, built on this machine
 * and trusted for that. With nothing new this is one directory read: names of `fetched` are not asked
 * about, and what turns out to have come from a cache is added to it.
 */
export async function builtHere(
  nix: NixCommand,
  store: { readonly storeDir: string; readonly realStoreDir: string },
  since: ReadonlySet<string>,
  fetched: Set<string>,
  signal: AbortSignal,
): Promise<StorePath[]> {
  const fresh: StorePath[] = [];
  for (const name of await storeNames(store.realStoreDir)) {
    if (since.has(name) || fetched.has(name)) continue;
    const path = storePathFromBaseName(name, store.storeDir);
    if (path && !isDerivationPath(path) && !/\.(lock|chroot|check)$/.test(path)) fresh.push(path);
  }
  if (fresh.length === 0) return [];
  const valid = [...(await validPaths(nix, fresh, signal))];
  const marks = await marksOf(nix, valid, signal);
  const built = valid.filter((path) => marks.get(path)?.origin === "ultimate");
  const ours = new Set(built);
  for (const path of valid) if (!ours.has(path)) fetched.add(baseName(path));
  return built;
}

export interface JobScope {
  readonly command: NixCommand;
  readonly storeDir: string;
  /** Nix's state, where it keeps its roots. */
  readonly stateDir: string;
  /** The job's own folders: a result that is linked there is the job's. */
  readonly folders: readonly string[];
}

/**
 * Those of `built` that are among `origin`, or were made by a derivation that is there or below one there,
 * or below what is linked in the job's folders. Whose another path is, nobody can tell.
 */
export async function descending(
  scope: JobScope,
  built: readonly StorePath[],
  origin: readonly StorePath[],
  signal: AbortSignal,
): Promise<StorePath[]> {
  const { command, storeDir } = scope;
  if (built.length === 0) return [];
  const wanted = new Set([...origin, ...(await linkedResults(scope))]);
  const there = [...(await validPaths(command, [...wanted], signal))];
  const results = there.filter((path) => !isDerivationPath(path));
  const known = await pathInfos(command, storeDir, [...new Set([...results, ...built])], signal);
  const derivers = results.flatMap((path) => known.get(path)?.deriver ?? []);
  const roots = [
    ...there.filter(isDerivationPath),
    ...(await validPaths(command, derivers, signal)),
  ];
  const ours = new Set([...derivers, ...(await requisites(command, roots, signal))]);
  return built.filter((path) => {
    const deriver = known.get(path)?.deriver;
    return wanted.has(path) || (deriver !== undefined && ours.has(deriver));
  });
}

/** `nix build` leaves links, and Nix a list of them. */
async function linkedResults({ stateDir, storeDir, folders }: JobScope): Promise<StorePath[]> {
  const list = join(stateDir, "gcroots", "auto");
  const inside = folders.map((folder) => `${resolve(folder)}${sep}`);
  const names = await readdir(list).catch(() => []);
  const found = await mapLimited(names, 16, async (name) => {
    const link = await readlink(join(list, name)).catch(() => "");
    if (!inside.some((folder) => link.startsWith(folder))) return undefined;
    const path = await readlink(link).catch(() => "");
    return parseStorePath(path, storeDir);
  });
  return found.filter((path) => path !== undefined);
}
