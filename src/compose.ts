/** Owns putting the world together: the only place where host, Nix and caches meet. */

import { figureStore } from "./caches/figures.ts";
import { openCache } from "./caches/index.ts";
import { memory } from "./caches/memo.ts";
import { staging } from "./caches/staging.ts";
import type { BinaryCache, Credentials } from "./domain/cache.ts";
import { UserError } from "./domain/errors.ts";
import type { Job, Secrets } from "./domain/job.ts";
import { type CacheLocation, parseCacheLocation } from "./domain/location.ts";
import type { Log, World } from "./domain/ports.ts";
import { type PublicKey, parseSigningKey } from "./domain/signature.ts";
import { VERSION } from "./domain/version.ts";
import { clock } from "./host/clock.ts";
import { decompress } from "./host/compress.ts";
import { disk } from "./host/disk.ts";
import type { Environment } from "./host/environment.ts";
import { HttpClient } from "./host/http.ts";
import { hashKeyFiles } from "./host/key-files.ts";
import { project } from "./host/project.ts";
import { machineRelief, SECOND_DISK } from "./host/relief.ts";
import { TOOL_FOLDERS } from "./host/tool-folders.ts";
import { storeNames } from "./nix/built-here.ts";
import { nixCommand } from "./nix/command.ts";
import { findFlake } from "./nix/flake.ts";
import type { CachesNow } from "./nix/known-caches.ts";
import { memoKey } from "./nix/memo-key.ts";
import { readNetrc } from "./nix/netrc.ts";
import { nixPort } from "./nix/nix.ts";
import { remoteStores } from "./nix/remote-store.ts";
import { makesBuildDir, type NixMachine, readMachine } from "./nix/setup.ts";

export interface ComposeRequest {
  readonly job: Job;
  readonly secrets: Secrets;
  readonly environment: Environment;
  readonly workspace: string;
  /** A folder of ours in the runner's temporary folder. */
  readonly folder: string;
  /** Where what all uses in a job share is kept: the netrc file. Undefined at a desk. */
  readonly sharedFolder?: string;
  /** The folder that `cache: github` is while the job runs; undefined at a desk. */
  readonly githubDirectory?: string;
  /** Windows has no Nix: keys and disk only. */
  readonly platform: NodeJS.Platform;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export interface Composed extends AsyncDisposable {
  readonly world: World;
  /** What is in the store folder now: what the job starts from. */
  storeNames(): Promise<ReadonlySet<string>>;
}

export async function compose(request: ComposeRequest): Promise<Composed> {
  const { environment, workspace, log, job } = request;
  const http = new HttpClient(environment);
  const base = {
    disk,
    clock,
    log,
    workspace,
    keyFiles: (patterns: readonly string[]) => hashKeyFiles(workspace, patterns),
    decompress,
  };
  const dispose = async () => http.close();
  if (request.platform === "win32") {
    const notices = ["there is no Nix on Windows: this run gives keys and disk only"];
    const world = {
      ...base,
      nix: undefined,
      own: undefined,
      tiers: [],
      memory: undefined,
      notices,
    };
    return { world, storeNames: async () => new Set(), [Symbol.asyncDispose]: dispose };
  }
  const command = nixCommand(environment, workspace);
  const [machine, flake] = await Promise.all([
    readMachine(command, environment, request.signal),
    findFlake(workspace),
  ]);
  const netrc = await readNetrc(machine.settings.netrcFile);
  const caches = openCaches(request, machine, http, netrc);
  const also = [
    VERSION,
    job.cacheName,
    ...job.substituters.map(({ text }) => text),
    ...machine.settings.substituters,
  ];
  const store = caches.own?.memos;
  const key =
    store && job.force === "trust"
      ? await memoKey({
          setup: machine.setup,
          flake,
          targets: job.targets,
          also,
          environment,
          signal: request.signal,
        })
      : undefined;
  const nix = nixPort({
    command,
    machine,
    flake,
    environment,
    log,
    caches: () => cachesNow(caches, request.signal),
    folder: request.sharedFolder ?? request.folder,
  });
  return {
    world: {
      ...base,
      nix,
      ...caches,
      ...(store ? { figures: figureStore(store, log) } : {}),
      project: project({
        workspace,
        environment,
        nix: {
          substituters: machine.settings.substituters,
          publicKeys: machine.settings.publicKeyTexts,
        },
        signatures: machine.settings.requireSignatures,
        token: request.secrets.token === undefined ? "absent" : "given",
      }),
      relief: machineRelief({
        environment,
        folder: request.folder,
        list: TOOL_FOLDERS,
        secondDisk: SECOND_DISK,
        builder: machine.builder === "ourselves" ? "ourselves" : "others",
        absent: makesBuildDir(machine.setup.version) ? "made by Nix" : "an error",
      }),
      staging: staging(request.folder, machine.setup.storeDir, STAGING_MOST, log),
      memory:
        store && key
          ? memory({
              store,
              key,
              storeDir: machine.setup.storeDir,
              secret: request.secrets.signingKey ?? request.secrets.token,
              log,
            })
          : undefined,
    },
    storeNames: () => storeNames(machine.setup.realStoreDir),
    [Symbol.asyncDispose]: dispose,
  };
}

export { forgetNetrc } from "./nix/netrc-end.ts";

/** Bytes of NARs that lie in the temporary folder at once, on their way into the store. */
const STAGING_MOST = 1024 ** 3;

export interface Caches {
  readonly own: BinaryCache | undefined;
  readonly tiers: readonly BinaryCache[];
  readonly notices: readonly string[];
}

/** Our own cache; then those of the input; then those Nix is configured with. Each once. */
export function openCaches(
  { job, secrets, environment, workspace, folder, githubDirectory }: ComposeRequest,
  machine: NixMachine,
  http: HttpClient,
  netrc: ReadonlyMap<string, Credentials>,
): Caches {
  const { settings, setup } = machine;
  const { version, storeDir } = setup;
  const remoteStore = remoteStores({ environment, workspace, version, storeDir });
  const notices: string[] = [];
  const seen = new Set<string>();
  const signingKey = secrets.signingKey ? parseSigningKey(secrets.signingKey) : undefined;
  const open = (
    location: CacheLocation,
    name: string,
    role: "own" | "tier",
    publicKeys: readonly PublicKey[],
  ): BinaryCache | undefined => {
    const key = identity(location);
    if (location.kind === "none" || seen.has(key)) return undefined;
    seen.add(key);
    if (location.kind === "github" && role === "tier") {
      notices.push("github can be the input `cache`, and no substituter: it is left out");
      return undefined;
    }
    const cache = openCache(location, {
      name,
      role,
      storeDir: setup.storeDir,
      publicKeys,
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
    if (!cache) notices.push(`${name}: this kind of cache is not supported yet; it is left out`);
    return cache;
  };
  const trusted = settings.trustedPublicKeys;
  const own = open(job.cache, job.cacheName, "own", trusted);
  const tiers = job.substituters.flatMap(
    ({ location, text, publicKeys }) =>
      // A key that the daemon does not take from this user makes no path good.
      open(location, text, "tier", [...(setup.untrusted ? [] : publicKeys), ...trusted]) ?? [],
  );
  for (const url of settings.substituters) {
    const location = configuredLocation(url, notices);
    const cache = location && open(location, url, "tier", trusted);
    if (cache) tiers.push(cache);
  }
  return { own, tiers, notices };
}

/** Nix takes kinds of store that we do not read (`daemon`, `auto`); a notice says so. */
function configuredLocation(url: string, notices: string[]): CacheLocation | undefined {
  try {
    return parseCacheLocation(url, "Nix's substituters");
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    notices.push(`${error.message} Nix may still use it; its paths count as absent here.`);
    return undefined;
  }
}

function identity(location: CacheLocation): string {
  switch (location.kind) {
    case "http":
      return `${location.url.origin}${location.url.pathname}`.replace(/\/+$/, "");
    case "file":
      return `file:${location.directory}`;
    case "cachix":
      return `cachix:${location.host.href}${location.name}`;
    case "attic":
      return `attic:${location.server.href}${location.cache}`;
    case "s3":
      return placed(location.url, ["endpoint"]);
    case "ssh-ng":
      return placed(location.url, ["remote-store", "remote-program"]);
    case "github":
    case "none":
      return location.kind;
    default:
      return location satisfies never;
  }
}

/** An address with those of its options that make it another place. */
function placed(url: URL, options: readonly string[]): string {
  const said = options.flatMap((name) => url.searchParams.get(name) ?? []);
  const user = url.username === "" ? "" : `${url.username}@`;
  return [`${url.protocol}//${user}${url.host}`, ...said].join(" ");
}

/**
 * Who is there, and who is not or no more. Nix would wait for a dead one, and would make the folders of a `file://`
 * cache that does not exist yet, which a read-only run must not.
 */
async function cachesNow({ own, tiers }: Caches, signal: AbortSignal): Promise<CachesNow> {
  const all = [...(own ? [own] : []), ...tiers];
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
