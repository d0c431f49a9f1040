/** Owns questions to the store's database, many paths to a process. */

import { UserError } from "../domain/errors.ts";
import { parseSha256 } from "../domain/hash.ts";
import { mapLimited } from "../domain/limit.ts";
import type { PathInfo } from "../domain/narinfo.ts";
import { parseStorePath, type StorePath } from "../domain/store-path.ts";
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
  const members = new Set<StorePath>();
  await mapLimited(chunks(roots), 2, async (chunk) => {
    const args = ["--query", "--requisites", ...chunk];
    const text = await nix.run("nix-store", args, { signal, deadline: DEADLINES.query });
    for (const line of lines(text)) members.add(line as StorePath);
  });
  return pathInfos(nix, storeDir, [...members], signal);
}
