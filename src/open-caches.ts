/** Opens the caches of a run: our own, those of the input, those Nix is configured with. */

import { nixReading } from "./caches/accept.ts";
import { type Register, register } from "./caches/register.ts";
import type { BinaryCache, Netrc } from "./domain/cache.ts";
import { UserError } from "./domain/errors.ts";
import type { Job, Secrets } from "./domain/job.ts";
import { type CacheLocation, holdsPassword, withoutCredentials } from "./domain/location.ts";
import type { World } from "./domain/ports.ts";
import { type PublicKey, parseSigningKey } from "./domain/signature.ts";
import { folderSize } from "./host/disk.ts";
import type { Environment } from "./host/environment.ts";
import type { HttpClient } from "./host/http-client.ts";
import type { CachesNow } from "./nix/known-caches.ts";
import type { NixMachine } from "./nix/machine.ts";
import { remoteStores } from "./nix/remote-store.ts";

/** Every kind of cache there is: the inputs are read with it, and the caches opened. */
export { register } from "./caches/register.ts";

export interface OpenCachesRequest {
  readonly job: Job;
  readonly secrets: Secrets;
  readonly environment: Environment;
  readonly workspace: string;
  /** A folder of ours in the runner's temporary folder. */
  readonly folder: string;
  /** The folder that `cache: github` is while the job runs; undefined on the command line. */
  readonly githubDirectory?: string;
}

export interface Caches {
  readonly own: BinaryCache | undefined;
  readonly substituters: readonly BinaryCache[];
  readonly notices: readonly string[];
}

/** Our own cache; then those of the input; then those Nix is configured with. Each once. */
export function openCaches(
  { job, secrets, environment, workspace, folder, githubDirectory }: OpenCachesRequest,
  machine: NixMachine,
  http: HttpClient,
  netrc: Netrc,
  kinds: Register = register,
): Caches {
  const { settings, setup } = machine;
  const { version, storeDir } = setup;
  const remoteStore = remoteStores({ environment, workspace, version, storeDir });
  const notices: string[] = [];
  const seen = new Set<string>();
  const signingKey = secrets.signingKey
    ? parseSigningKey(secrets.signingKey, job.cache?.keyName)
    : undefined;
  const open = (
    location: CacheLocation | undefined,
    name: string,
    role: "own" | "substituter",
    publicKeys: readonly PublicKey[],
  ): BinaryCache | undefined => {
    if (!location || seen.has(location.place)) return undefined;
    seen.add(location.place);
    if (location.keeper === "GitHub" && role === "substituter") {
      notices.push(`${name} can be the input \`cache\`, and no substituter: it is not asked`);
      return undefined;
    }
    return kinds.open(location, {
      name,
      role,
      storeDir: setup.storeDir,
      publicKeys,
      reading: nixReading(version),
      signatures: settings.requireSignatures,
      token: role === "own" ? secrets.token : undefined,
      signingKey: role === "own" ? signingKey : undefined,
      http,
      netrc,
      remoteStore,
      environment,
      folder,
      githubDirectory,
    });
  };
  // What is signed Nix cannot check then; it ends instead of taking it.
  const trusted = settings.badKey === undefined ? settings.trustedPublicKeys : [];
  const own = open(job.cache, job.cacheName, "own", trusted);
  const substituters = job.substituters.flatMap(
    ({ location, text, publicKeys }) =>
      // A key that the daemon does not take from this user makes no path good. Of two keys of one name
      // Nix knows the first: its own.
      open(location, text, "substituter", [
        ...trusted,
        ...(setup.untrusted || settings.badKey !== undefined ? [] : publicKeys),
      ]) ?? [],
  );
  for (const url of settings.substituters) {
    if (holdsPassword(url)) {
      substituters.push(withPassword(url));
      continue;
    }
    const cache = configured(notices, () => {
      const location = kinds.parse(url, "Nix's substituters");
      return open(location, url, "substituter", trusted);
    });
    if (cache) substituters.push(cache);
  }
  if (setup.substitution === "never") {
    notices.push("substitute = false in Nix's configuration: Nix fetches nothing and builds all");
  }
  if (settings.badKey !== undefined) {
    notices.push(`${settings.badKey} is no key: Nix ends at the first signature that it checks`);
  }
  return { own, substituters, notices };
}

/**
 * A substituter that Nix is configured with, its password in the address. Nix reads it; we take no secret out
 * of where everybody can read it, so what only this cache has is unknown.
 */
function withPassword(url: string): BinaryCache {
  const name = withoutCredentials(url);
  const error = new UserError("NCP-105", `${name}: a password stands in the address`, {
    hint: "it belongs into the netrc file that Nix reads (machine HOST login USER password PASSWORD): everybody on this machine can read nix.conf; until then Nix alone reads this cache, and its paths are unknown here",
  });
  const fail = () => {
    throw error;
  };
  return {
    name,
    // Not the address itself: nothing that names it may hold the password.
    substituter: { url: name, publicKeys: [], priority: undefined },
    describe: async () => fail(),
    query: async () => ({ kind: "unknown", cause: error }),
    narSize: async () => fail(),
    readNar: fail,
    staging: "never",
    place: () => name,
    page: () => undefined,
  };
}

/** Nix takes kinds of store that we do not read (`daemon`, `auto`), and warns of what it does not take itself. */
function configured(
  notices: string[],
  open: () => BinaryCache | undefined,
): BinaryCache | undefined {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    notices.push(`${error.message} It is not asked; what it may have counts as absent here.`);
    return undefined;
  }
}

/**
 * Who is there, and who is not or no more. Nix would wait for a dead one, and would make the folders of a `file://`
 * cache that does not exist yet, which a read-only run must not.
 */
export async function cachesNow(
  { own, substituters }: Caches,
  signal: AbortSignal,
): Promise<CachesNow> {
  const all = [...(own ? [own] : []), ...substituters];
  const there = await Promise.all(
    all.map((cache) =>
      cache.describe(signal).then(
        ({ storeDir }) => storeDir !== undefined,
        () => false,
      ),
    ),
  );
  return {
    there: all.filter((_, index) => there[index]),
    gone: all.filter((_, index) => !there[index]),
  };
}

/** While the job runs, what GitHub keeps is a folder of ours, and an archive of it at the end. */
export function cacheFolderOf({
  job,
  githubDirectory,
}: OpenCachesRequest): Pick<World, "cacheFolder"> {
  if (job.cache?.keeper !== "GitHub" || githubDirectory === undefined) return {};
  return {
    cacheFolder: async (signal) => {
      const { bytes } = await folderSize(githubDirectory, signal);
      return { directory: githubDirectory, archived: bytes };
    },
  };
}
