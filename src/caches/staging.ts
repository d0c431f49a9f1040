/**
 * Staging: NARs from caches far away, many at once, into a `file://` cache on this disk, from
 * which Nix takes them. Signatures are copied as they are, and it is Nix that checks them.
 */

import { writeFileSync } from "node:fs";
import { mkdir, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type BinaryCache, formatCacheInfo } from "../domain/cache.ts";
import { describeError, UserError } from "../domain/errors.ts";
import { mapLimited } from "../domain/limit.ts";
import { fileUrl } from "../domain/location.ts";
import { formatNarInfo, type NarInfo } from "../domain/narinfo.ts";
import type { Log, Stageable, Staging } from "../domain/ports.ts";
import { hashPart, type StorePath } from "../domain/store-path.ts";
import { makeFolder } from "../host/atomic.ts";

const PARALLEL = 128;
const SMALL = 128 * 1024;
/** From this size on a NAR comes in ranges: one slow connection does not hold the end. */
const LARGE = 32 * 1024 * 1024;
const RANGES = 4;
const PRIORITY = 30;

/** `bytes`: the most that may lie on the disk at once. */
export function staging(folder: string, storeDir: string, bytes: number, log: Log): Staging {
  return {
    directory: folder,
    bytes,
    async stage(members, signal) {
      await makeFolder(folder);
      const directory = await mkdtemp(join(folder, "staging-"));
      try {
        await mkdir(join(directory, "nar"));
        await writeFile(join(directory, "nix-cache-info"), formatCacheInfo(storeDir, PRIORITY));
        const paths: StorePath[] = [];
        await mapLimited(members, PARALLEL, async (member) => {
          try {
            await fetchMember(directory, member, signal);
            paths.push(member.narInfo.storePath);
          } catch (error) {
            signal.throwIfAborted();
            // Nix fetches it itself, and says what is wrong where that fails, too.
            const line = `${member.narInfo.storePath} was not staged: ${describeError(error)}`;
            if (error instanceof UserError) log.info(line);
            else log.debug(line);
          }
        });
        return {
          url: fileUrl(directory),
          paths,
          [Symbol.asyncDispose]: () => remove(directory),
        };
      } catch (error) {
        await remove(directory);
        throw error;
      }
    },
  };
}

/** Tries again: after an interruption a download may still be making its file. */
function remove(directory: string): Promise<void> {
  return rm(directory, { recursive: true, force: true, maxRetries: 5 });
}

async function fetchMember(
  directory: string,
  { narInfo, cache }: Stageable,
  signal: AbortSignal,
): Promise<void> {
  const url = `nar/${hashPart(narInfo.storePath)}.nar`;
  const file = join(directory, url);
  const { fileSize } = narInfo;
  if (cache.readNarRange && fileSize !== undefined && fileSize >= LARGE) {
    await fetchRanges(file, narInfo, fileSize, cache.readNarRange, signal);
  } else await fetchWhole(file, narInfo, cache, signal);
  const text = formatNarInfo({ ...narInfo, url });
  writeSmall(join(directory, `${hashPart(narInfo.storePath)}.narinfo`), text);
}

/** A few kilobytes: the three journeys of a promise to the file and back take longer than the file. */
function writeSmall(file: string, content: string | Uint8Array): void {
  writeFileSync(file, content, { flag: "wx" });
}

async function fetchWhole(
  file: string,
  narInfo: NarInfo,
  cache: BinaryCache,
  signal: AbortSignal,
): Promise<void> {
  if ((narInfo.fileSize ?? LARGE) > SMALL) {
    return writeFile(file, cache.readNar(narInfo, signal), { flag: "wx" });
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of cache.readNar(narInfo, signal)) chunks.push(chunk);
  writeSmall(file, chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks));
}

async function fetchRanges(
  file: string,
  narInfo: NarInfo,
  size: number,
  read: NonNullable<BinaryCache["readNarRange"]>,
  signal: AbortSignal,
): Promise<void> {
  const out = await open(file, "wx");
  // One range that fails ends the others: the whole NAR is then Nix's to fetch.
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const step = Math.ceil(size / RANGES);
  const one = async (from: number) => {
    const to = Math.min(from + step, size);
    let at = from;
    for await (const chunk of read(narInfo, { from, to }, either)) {
      if (at + chunk.length > to) throw new Error(`${narInfo.url}: more bytes than were asked for`);
      await out.write(chunk, 0, chunk.length, at);
      at += chunk.length;
    }
    if (at !== to) throw new Error(`${narInfo.url}: fewer bytes than were asked for`);
  };
  try {
    const begins = Array.from({ length: RANGES }, (_, index) => index * step);
    await Promise.all(
      begins.map((from) =>
        one(from).catch((error) => {
          failed.abort(error);
          throw error;
        }),
      ),
    );
  } finally {
    await out.close();
  }
}
