/** Owns a world for the engine's tests: its ports, implemented over maps. */

import { DEFAULTS, type InputName, parseInputs } from "../../src/action/inputs.ts";
import { register } from "../../src/caches/register.ts";
import type { BuildFigures, FigureStore } from "../../src/domain/build-figures.ts";
import type {
  BinaryCache,
  CacheDescription,
  Pin,
  Presence,
  PushResult,
  StoredPin,
} from "../../src/domain/cache.ts";
import type { Derivation } from "../../src/domain/derivation.ts";
import { UserError } from "../../src/domain/errors.ts";
import type { EvaluationFailure } from "../../src/domain/evaluation.ts";
import type { Memory } from "../../src/domain/evaluation-record.ts";
import { formatAttrPath } from "../../src/domain/installable.ts";
import type { Job, Trust } from "../../src/domain/job.ts";
import type { PathInfo } from "../../src/domain/narinfo.ts";
import type {
  BuildResult,
  Disk,
  FileSystem,
  Nix,
  NixSetup,
  Reclaimer,
  World,
} from "../../src/domain/ports.ts";
import type { StorePath } from "../../src/domain/store-path.ts";
import { narInfo, pathInfo, SYSTEM } from "./graph.ts";
import { STORE } from "./paths.ts";

export const WRITE: Trust = { kind: "write", pins: "move", why: "push on the default branch" };
export const NO_PINS: Trust = { kind: "write", pins: "keep", why: "push" };
export const READ_ONLY: Trust = {
  kind: "read-only",
  code: "strange",
  why: "the pull request is from a fork",
};

export function job(inputs: Partial<Record<InputName, string>> = {}): Job {
  return parseInputs({ ...DEFAULTS, cache: "file:///cache", ...inputs }).job;
}

export interface MemoryCache extends BinaryCache {
  readonly asked: StorePath[];
  readonly content: Map<StorePath, Presence>;
  readonly sent: StorePath[];
  readonly pinned: Pin[];
}

export interface CacheOptions {
  /** Verbs it has; a cache without them can only be read. */
  readonly verbs?: readonly ("push" | "pin" | "pins")[];
  readonly info?: Partial<CacheDescription>;
  readonly down?: Error;
  /** What a push of this path comes to; served unless said otherwise. */
  readonly onPush?: (info: PathInfo) => Presence | Error;
  readonly onPin?: (pin: Pin) => Pin;
  readonly pins?: readonly StoredPin[];
}

/** A cache that holds what `hold` puts there, and tells what it was asked. */
export function memoryCache(name: string, options: CacheOptions = {}): MemoryCache {
  const content = new Map<StorePath, Presence>();
  const asked: StorePath[] = [];
  const sent: StorePath[] = [];
  const pinned: Pin[] = [];
  const verbs = new Set(options.verbs ?? []);
  return {
    name,
    asked,
    content,
    sent,
    pinned,
    substituter: { url: `memory://${name}`, publicKeys: [], priority: undefined },
    staging: "never",
    place: () => `memory://${name}`,
    page: () => undefined,
    describe: async () => {
      if (options.down) throw options.down;
      return {
        storeDir: STORE,
        priority: undefined,
        publicKeys: [],
        permission: undefined,
        ...options.info,
      };
    },
    query: async (path) => {
      asked.push(path);
      if (options.down) return { kind: "unknown", cause: options.down };
      return content.get(path) ?? { kind: "miss" };
    },
    narSize: async (info) => (content.get(info.storePath)?.kind === "hit" ? 1000 : undefined),
    async *readNar() {
      yield Buffer.alloc(0);
    },
    ...(verbs.has("push")
      ? {
          async push(paths, _nar, progress): Promise<PushResult> {
            const failed = new Map<StorePath, Error>();
            const pushed = [];
            for (const info of paths) {
              sent.push(info.storePath);
              const came = options.onPush?.(info) ?? served(info.storePath, info.references);
              if (came instanceof Error) failed.set(info.storePath, came);
              else {
                content.set(info.storePath, came);
                const done = { path: info.storePath, bytes: 10 };
                pushed.push(done);
                progress(done);
              }
            }
            return { pushed, failed };
          },
        }
      : {}),
    ...(verbs.has("pin")
      ? {
          async pin(pin: Pin) {
            pinned.push(options.onPin?.(pin) ?? pin);
          },
        }
      : {}),
    ...(verbs.has("pins")
      ? {
          async pins(): Promise<StoredPin[]> {
            const set = pinned.map(({ name: pin, storePath }, index) => ({
              name: pin,
              storePath,
              revision: index + 1,
              createdOn: "2026-01-01T00:00:00Z",
            }));
            return [...set.reverse(), ...(options.pins ?? [])];
          },
        }
      : {}),
  };
}

export function served(path: StorePath, references: readonly StorePath[] = []): Presence {
  return { kind: "hit", narInfo: narInfo(path, references), origin: "own" };
}

/** Puts `path` with its references into the cache. */
export function hold(
  cache: MemoryCache,
  path: StorePath,
  references: readonly StorePath[] = [],
): void {
  cache.content.set(path, served(path, references));
}

export interface NixOptions {
  readonly derivations?: readonly Derivation[];
  /** Attribute path to derivation: what the flake holds. */
  readonly flake?: Readonly<Record<string, Derivation>>;
  readonly failures?: readonly EvaluationFailure[];
  /** Valid paths with their references. */
  readonly store?: Map<StorePath, readonly StorePath[]>;
  readonly setup?: Partial<NixSetup>;
  /** Derivations whose build fails, with Nix's message. */
  readonly broken?: ReadonlyMap<StorePath, string>;
  readonly built?: readonly StorePath[];
  /** Paths that cannot be fetched, with Nix's message. */
  readonly unfetched?: ReadonlyMap<StorePath, string>;
  readonly unreadable?: ReadonlyMap<StorePath, Error>;
  /** What builds take, as they tell it afterwards. */
  readonly took?: ReadonlyMap<StorePath, BuildFigures>;
  /** Before each derivation is built. */
  readonly onBuild?: (drvPath: StorePath) => void | Promise<void>;
  /** Bytes of garbage in the store. */
  readonly garbage?: number;
}

export interface MemoryNix extends Nix {
  readonly store: Map<StorePath, readonly StorePath[]>;
  /** What it was told to do, in order. */
  readonly done: string[];
  readonly read: StorePath[];
}

export function memoryNix(options: NixOptions = {}): MemoryNix {
  const store = options.store ?? new Map<StorePath, readonly StorePath[]>();
  const flake = options.flake ?? {};
  const known = new Map(
    [...(options.derivations ?? []), ...Object.values(flake)].map((one) => [one.path, one]),
  );
  const done: string[] = [];
  const read: StorePath[] = [];
  let buildDirectory = options.setup?.buildDir ?? "/build";
  const closure = (roots: readonly StorePath[]) => {
    const found = new Map<StorePath, PathInfo>();
    const stack = [...roots];
    for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
      const references = store.get(path);
      if (!references || found.has(path)) continue;
      found.set(path, pathInfo(path, references));
      stack.push(...references);
    }
    return found;
  };
  return {
    store,
    done,
    read,
    setup: {
      version: "2.26.3",
      system: SYSTEM,
      builders: { systems: [SYSTEM], features: [], jobs: "some", remote: [] },
      substitution: "where allowed",
      storeDir: STORE,
      realStoreDir: STORE,
      buildDir: "/build",
      buildDirBy: "setting",
      buildsAtOnce: 1,
      flake: "here",
      inputs: new Set(),
      ...options.setup,
    },
    evaluate: async ({ attrPath, outputs }) => {
      const wanted = formatAttrPath(attrPath);
      const pattern = wanted.split("*").map((part) => part.replace(/[.]/g, "\\."));
      const matcher = new RegExp(`^${pattern.join("([^.]+)")}$`);
      const failures = (options.failures ?? []).filter((one) => matcher.test(one.attrPath));
      const derivations = Object.entries(flake).flatMap(([path, one]) => {
        const match = matcher.exec(path);
        const names = outputs.kind === "named" ? outputs.names : ["out"];
        return match
          ? [{ attrPath: path, matched: match.slice(1), drvPath: one.path, outputNames: names }]
          : [];
      });
      return { derivations, failures, passedOver: [], built: [], notices: [] };
    },
    derivation: async (path) => {
      read.push(path);
      const error = options.unreadable?.get(path);
      if (error) throw error;
      const found = known.get(path);
      if (found) return found;
      throw new UserError("NCP-203", `${path}: there is no such derivation`);
    },
    valid: async (paths) => new Set(paths.filter((path) => store.has(path))),
    closure: async (roots) => closure(roots),
    substitute: async (paths) => {
      done.push(`substitute ${paths.length}`);
      const failed = new Map<StorePath, string>();
      for (const path of paths) {
        const why = options.unfetched?.get(path);
        if (why !== undefined) failed.set(path, why);
        else if (!store.has(path)) store.set(path, []);
      }
      return failed;
    },
    importFrom: async (url) => {
      throw new Error(`nothing stages, and ${url} is to be imported`);
    },
    build: async (wanted, { mayBegin }): Promise<BuildResult> => {
      const failed = new Map<StorePath, string>();
      const figures = new Map<StorePath, BuildFigures>();
      const stopped: StorePath[] = [];
      const built: StorePath[] = [];
      done.push(`build ${wanted.map(({ drvPath }) => known.get(drvPath)?.name).join(" ")}`);
      for (const { drvPath } of wanted) {
        const message = options.broken?.get(drvPath);
        // What runs beside the build has its turn first.
        await options.onBuild?.(drvPath);
        if (stopped.length > 0 || mayBegin?.() === false) stopped.push(drvPath);
        else if (message !== undefined) failed.set(drvPath, message);
        else {
          for (const { path } of known.get(drvPath)?.outputs.values() ?? []) {
            if (path && !store.has(path)) {
              store.set(path, []);
              if (!built.includes(drvPath)) built.push(drvPath);
            }
          }
        }
      }
      for (const drvPath of built) {
        const took = options.took?.get(drvPath);
        if (took) figures.set(drvPath, took);
      }
      return { built, failed, stopped, figures };
    },
    descending: async (built, origin) => built.filter((path) => origin.includes(path)),
    configure: async (caches) => {
      done.push(`configure ${caches.map(({ name }) => name).join(" ")}`);
      return { lines: ["nix.conf: caches added"], findings: [] };
    },
    buildDirectory: () => buildDirectory,
    buildIn: (directory, kept) => {
      done.push(`build in ${directory}, ${kept}`);
      buildDirectory = directory;
    },
    garbage: async () => options.garbage ?? 0,
    collect: async (keep, bytes) => {
      done.push(`collect ${bytes}, keep ${keep.length}`);
      return bytes;
    },
    builtHere: async () => options.built ?? [],
    async *nar(path) {
      yield Buffer.from(path);
    },
  };
}

export interface WorldOptions {
  readonly nix?: Nix | undefined;
  readonly own?: BinaryCache;
  readonly substituters?: readonly BinaryCache[];
  readonly freeBytes?: number;
  readonly notices?: readonly string[];
  readonly memory?: Memory;
  readonly disk?: Disk;
  readonly reclaimer?: Reclaimer;
  readonly figures?: FigureStore;
  /** Milliseconds since the epoch when the run begins. */
  readonly now?: number;
}

export interface MemoryWorld extends World {
  readonly lines: string[];
  readonly slept: number[];
}

/** Time stands still but for sleeping, so that every wait ends at once. */
export function world(options: WorldOptions = {}): MemoryWorld {
  const lines: string[] = [];
  const slept: number[] = [];
  let now = options.now ?? 1_000_000;
  const fileSystem: FileSystem = {
    id: "1",
    mountPoint: "/",
    freeBytes: options.freeBytes ?? 100e9,
    totalBytes: 200e9,
    freeInodes: undefined,
    totalInodes: undefined,
  };
  return {
    lines,
    slept,
    nix: options.nix,
    own: options.own,
    substituters: options.substituters ?? [],
    memory: options.memory,
    notices: options.notices ?? [],
    workspace: "/workspace",
    disk: options.disk ?? {
      fileSystem: async () => fileSystem,
      freeNow: () => fileSystem,
    },
    ...(options.reclaimer ? { reclaimer: options.reclaimer } : {}),
    ...(options.figures ? { figures: options.figures } : {}),
    clock: {
      now: () => now,
      sleep: async (milliseconds) => {
        slept.push(milliseconds);
        now += milliseconds;
      },
    },
    log: {
      group: (title) => lines.push(`▸ ${title}`),
      endGroup: () => {},
      info: (line) => lines.push(line),
      debug: () => {},
    },
    code: "ours",
    keyFiles: async (patterns) => patterns.map((name) => ({ name, hash: "0123456789abcdef" })),
    decompress: (_compression, content) => content,
    addresses: register,
  };
}

export const SIGNAL = new AbortController().signal;
