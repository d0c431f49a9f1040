/** What runs in the process of `@actions/cache`: one request over standard input, answers as messages. */

import { mkdtemp, symlink } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { text } from "node:stream/consumers";
// biome-ignore lint/style/noRestrictedImports: the package exports but its whole, which hands every archive to `tar -P`
import * as service from "../../../node_modules/@actions/cache/lib/internal/cacheHttpClient.js";
// biome-ignore lint/style/noRestrictedImports: the package exports but its whole, which hands every archive to `tar -P`
import * as files from "../../../node_modules/@actions/cache/lib/internal/cacheUtils.js";
// biome-ignore lint/style/noRestrictedImports: the package exports but its whole, which hands every archive to `tar -P`
import * as config from "../../../node_modules/@actions/cache/lib/internal/config.js";
// biome-ignore lint/style/noRestrictedImports: the package exports but its whole, which hands every archive to `tar -P`
import { CompressionMethod } from "../../../node_modules/@actions/cache/lib/internal/constants.js";
// biome-ignore lint/style/noRestrictedImports: the package exports but its whole, which hands every archive to `tar -P`
import { internalCacheTwirpClient } from "../../../node_modules/@actions/cache/lib/internal/shared/cacheTwirpClient.js";
import { describeError } from "../../domain/errors.ts";
import { findGnuTar, folderOf, howToInstall } from "../../host/programs.ts";
import { unpack } from "./archive.ts";

export interface Asked {
  /** Relative to the folder that the process runs in; its name is part of the entry's version. */
  readonly folder: string;
  readonly key: string;
}

export type ClientRequest =
  | {
      readonly verb: "restore";
      readonly entries: readonly (Asked & { readonly restoreKeys: readonly string[] })[];
    }
  | { readonly verb: "save"; readonly entries: readonly [Asked] };

export type ClientAnswer =
  | { readonly kind: "unavailable" }
  /** A program that the client runs is not on this machine; how one comes by it. */
  | { readonly kind: "lacks"; readonly program: string; readonly install: string }
  /** The key that matched; null where none did, or the client gave up. */
  | { readonly kind: "restored"; readonly entry: number; readonly key: string | null }
  /** An entry's number; -1 where it was not saved, and only the log says why. */
  | { readonly kind: "saved"; readonly id: number }
  | { readonly kind: "threw"; readonly message: string };

/** In milliseconds. The client's own patience was measured: 931 s for a server that never answers. */
export interface ClientDeadlines {
  /** From a question to the service, its retries included, to an answer other than an error. */
  readonly answer: number;
  /** Without a byte more of an entry on its way. */
  readonly stall: number;
  /** For the whole call, with the transfer of an entry of gigabytes. */
  readonly whole: number;
}

/** How a call ended. */
export interface ClientEnd {
  readonly answers: readonly ClientAnswer[];
  /** Lines of its log that tell of trouble, commands of the runner taken off. */
  readonly lines: readonly string[];
  /** The deadline that ended it, and its milliseconds. */
  readonly late: { readonly deadline: keyof ClientDeadlines; readonly after: number } | undefined;
  /** Undefined where a signal ended it. */
  readonly code: number | undefined;
}

/** What the client is to find in `process.env`. */
export interface ProcessInput {
  readonly request: ClientRequest;
  readonly variables: Readonly<Record<string, string>>;
}

export async function serve(): Promise<void> {
  // Whoever started us is gone: nobody waits for an answer.
  process.once("disconnect", () => process.exit(1));
  const { request, variables } = JSON.parse(await text(process.stdin)) as ProcessInput;
  setHidden(variables);
  try {
    await answer(request);
  } catch (error) {
    await send({ kind: "threw", message: describeError(error) });
  }
  // A client that was given an answer may still have timers and sockets of its own.
  process.exit(0);
}

async function answer(request: ClientRequest): Promise<void> {
  const [cache, tar] = await Promise.all([import("@actions/cache"), provideTar()]);
  if (!cache.isFeatureAvailable()) return send({ kind: "unavailable" });
  if (tar === "lacking") {
    return send({ kind: "lacks", program: "GNU tar", install: howToInstall("GNU tar") });
  }
  if (request.verb === "save") {
    const [{ folder, key }] = request.entries;
    return send({ kind: "saved", id: await cache.saveCache([folder], key) });
  }
  await Promise.all(
    request.entries.map(async (asked, entry) => {
      await send({ kind: "restored", entry, key: (await restore(asked)) ?? null });
    }),
  );
}

interface Found {
  readonly key: string;
  readonly url: string;
}

/**
 * As the client's `restoreCache`, but for what unpacks. The key that matched; undefined where none did, or it could not be restored: then the log says why, in
 * the client's own words (cache.js, restoreCacheV1 and V2), which `trouble.ts` reads.
 */
async function restore(
  asked: Asked & { readonly restoreKeys: readonly string[] },
): Promise<string | undefined> {
  const mode = config.getCacheMode();
  if (!config.isCacheReadable(mode)) {
    console.log(`Cache restore skipped: the effective cache-mode '${mode}' does not permit reads.`);
    return undefined;
  }
  let archive: string | undefined;
  try {
    const compression = await files.getCompressionMethod();
    const isNew = config.getCacheServiceVersion() === "v2";
    const keys = [asked.key, ...asked.restoreKeys];
    const found = isNew
      ? await ask(asked.folder, keys, compression)
      : await askOld(asked.folder, keys, compression);
    if (!found) return undefined;
    archive = join(await files.createTempDirectory(), files.getCacheFileName(compression));
    await service.downloadCache(found.url, archive, isNew ? { useAzureSdk: true } : {});
    const form = compression === CompressionMethod.Gzip ? "gzip" : "zstd";
    await unpack(archive, form, process.cwd(), asked.folder);
    return found.key;
  } catch (error) {
    console.log(`Failed to restore: ${describeError(error)}`);
    return undefined;
  } finally {
    if (archive !== undefined) await files.unlinkFile(archive).catch(() => undefined);
  }
}

async function ask(
  folder: string,
  [key = "", ...restoreKeys]: readonly string[],
  compression: CompressionMethod,
): Promise<Found | undefined> {
  const version = files.getCacheVersion([folder], compression);
  const answer = await internalCacheTwirpClient().GetCacheEntryDownloadURL({
    key,
    restoreKeys,
    version,
  });
  return answer.ok ? { key: answer.matchedKey, url: answer.signedDownloadUrl } : undefined;
}

/** The service of GitHub Enterprise, act and Gitea. */
async function askOld(
  folder: string,
  keys: readonly string[],
  compressionMethod: CompressionMethod,
): Promise<Found | undefined> {
  const entry = await service.getCacheEntry([...keys], [folder], { compressionMethod });
  if (!entry?.archiveLocation) return undefined;
  return { key: entry.cacheKey ?? "", url: entry.archiveLocation };
}

/**
 * On Linux the client takes the first `tar` on PATH for GNU's. Where that is BusyBox's, every save fails
 * after the work, so GNU's is looked for everywhere, and put first. macOS' own it knows how to talk to.
 */
async function provideTar(): Promise<"there" | "lacking"> {
  if (process.platform !== "linux") return "there";
  const { env } = process;
  const { PATH: path = "", RUNNER_TEMP: temporary = "" } = env;
  const gnu = await findGnuTar(path);
  if (gnu === undefined) return "lacking";
  if (gnu === join(folderOf("tar", path) ?? "", "tar")) return "there";
  const folder = await mkdtemp(join(temporary, "tar-"));
  await symlink(gnu, join(folder, "tar"));
  env["PATH"] = [folder, path].join(delimiter);
  return "there";
}

/**
 * The client reads the runner's token from `process.env`, and hands the whole of that on to tar and
 * zstd. What cannot be enumerated it reads all the same, and no child inherits.
 */
function setHidden(variables: ProcessInput["variables"]): void {
  // biome-ignore lint/style/noProcessEnv: the client reads nothing else
  const environment = { ...process.env };
  for (const [name, value] of Object.entries(variables)) {
    Object.defineProperty(environment, name, { value, enumerable: false });
  }
  process.env = environment;
}

function send(message: ClientAnswer): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, undefined, undefined, (error) => (error ? reject(error) : resolve()));
  });
}
