/** What the engine needs of the world; compose.ts hands it the real things. */

import type { BuildFigures, FigureStore } from "./build-figures.ts";
import type { Builders } from "./builders.ts";
import type { BinaryCache, CacheFolder } from "./cache.ts";
import type { KeyFile } from "./cache-key.ts";
import type { Derivation, Substitution } from "./derivation.ts";
import type { AfterEvaluation, EvaluationRequest, EvaluationResult } from "./evaluation.ts";
import type { Memory } from "./evaluation-record.ts";
import type { Finding } from "./finding.ts";
import type { Code, Deed } from "./job.ts";
import type { History } from "./ledger.ts";
import type { Addresses } from "./location.ts";
import type { NarInfo, PathInfo } from "./narinfo.ts";
import type { Realisations } from "./realisation.ts";
import type { StorePath } from "./store-path.ts";
import type { Project } from "./workflow.ts";

export interface NixSetup {
  readonly version: string;
  readonly system: string;
  readonly builders: Builders;
  readonly substitution: Substitution;
  readonly storeDir: string;
  /** Where the store really is, where that is another place (a chroot store). */
  readonly realStoreDir: string;
  /** Where this version builds, when it builds for us. */
  readonly buildDir: string;
  /** How a build can be had elsewhere: by the setting (2.22 on), by TMPDIR, or not at all. */
  readonly buildDirBy: "setting" | "environment" | "nothing";
  readonly buildsAtOnce: number;
  /** Whether a flake is here: without one, no targets means nothing to do. */
  readonly flake: "here" | "absent";
  readonly inputs: ReadonlySet<string>;
  readonly untrusted?: Untrusted;
}

/** What later steps of the job were told of caches, and what they do without that they need not. */
export interface Configured {
  readonly lines: readonly string[];
  readonly findings: readonly Finding[];
}

/** A user whom Nix's daemon does not trust: it takes from him what root allows, and no more. */
export interface Untrusted {
  readonly user: string;
  /** The daemon's configuration: where lines belong that change this. */
  readonly file: string;
  /** Caches that root configured, or lets every user add. */
  readonly substituters: readonly string[];
  /** Keys that root trusts, as text. */
  readonly publicKeys: readonly string[];
}

export interface BuildResult {
  /** Derivations that Nix built, what they needed included; what it fetched or had is not among them. */
  readonly built: readonly StorePath[];
  /** Per derivation that failed: its message and the end of its log. */
  readonly failed: ReadonlyMap<StorePath, string>;
  /** How long each took, where Nix says so. */
  readonly seconds?: ReadonlyMap<StorePath, number>;
  /** Asked for, and not begun, or not finished, when no further build might begin. */
  readonly stopped: readonly StorePath[];
  /** The machine's post-build-hook failed, and Nix built nothing more: Nix's words. */
  readonly hookFailed?: string;
  /** What builds took, those that failed included, as far as it could be seen. */
  readonly figures: ReadonlyMap<StorePath, BuildFigures>;
  /** Seconds in which at least one of these ran. */
  readonly busySeconds?: number;
}

export interface BuildControl {
  readonly signal: AbortSignal;
  readonly told?: (progress: Progress) => void;
  /** Asked as Nix begins each build; after a no, none begins any more, and what runs is ended. */
  readonly mayBegin?: () => boolean;
}

/** A path that is fetched, or a derivation that is built, on its way. */
export interface Progress {
  readonly path: StorePath;
  readonly state: "under way" | "done";
  /** Of its NAR, so far. */
  readonly bytes: number;
}

export interface DerivationOutputs {
  readonly drvPath: StorePath;
  readonly outputNames: readonly string[];
}

type Paths = readonly StorePath[];

export interface Nix {
  readonly setup: NixSetup;
  evaluate(request: EvaluationRequest, signal: AbortSignal): Promise<EvaluationResult>;
  /** What becomes of what was evaluated. */
  readonly evaluated?: AfterEvaluation;
  /** Reads the `.drv` file; throws a UserError that names the file and the line. */
  derivation(path: StorePath): Promise<Derivation>;
  /** Those of `paths` that are valid in the store. */
  valid(paths: Paths, signal: AbortSignal): Promise<ReadonlySet<StorePath>>;
  /** The runtime closure of valid paths. */
  closure(roots: Paths, signal: AbortSignal): Promise<ReadonlyMap<StorePath, PathInfo>>;
  /** Has Nix fetch `paths`; those it could not get are returned with the reason. */
  substitute(
    paths: Paths,
    signal: AbortSignal,
    told?: (progress: Progress) => void,
  ): Promise<ReadonlyMap<StorePath, string>>;
  /**
   * Takes `paths`, references first, from a `file://` cache, signatures checked; `tops`, to which the
   * others belong, keep them. Undefined when all are valid now, else what Nix says.
   */
  importFrom(
    url: string,
    paths: Paths,
    tops: Paths,
    signal: AbortSignal,
  ): Promise<string | undefined>;
  build(wanted: readonly DerivationOutputs[], control: BuildControl): Promise<BuildResult>;
  /** What became of content-addressed outputs that were built, and of what those depend on. */
  realisations?(of: readonly DerivationOutputs[], signal: AbortSignal): Promise<Realisations>;
  /** Where builds write now: the setup's build directory, or the one they were moved to. */
  buildDirectory(): string;
  /** Has builds write in `directory`, of this run and, where Nix's configuration can say it, of later steps. */
  buildIn(directory: string, kept: "this run" | "later steps too"): void;
  /** NarSize of what the store could lose without harm to `keep`, in bytes. */
  garbage(keep: Paths, signal: AbortSignal): Promise<number>;
  /** Deletes garbage until `bytes` are freed; what `keep` refers to stays. Bytes freed. */
  collect(keep: Paths, bytes: number, signal: AbortSignal): Promise<number>;
  /** Adds caches to the configuration that later steps of the job read. */
  configure?(caches: readonly BinaryCache[], signal: AbortSignal): Promise<Configured>;
  /** Paths built on this machine since the job began, that are no derivation files. */
  builtHere(since: ReadonlySet<string>, signal: AbortSignal): Promise<Paths>;
  /** Those of `built` that descend from `origin` (derivations, results) or from what the job's folders link to. */
  descending(built: Paths, origin: Paths, signal: AbortSignal): Promise<Paths>;
  /** The bytes of a valid path, as a NAR. */
  nar(path: StorePath, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** A file system, as far as a plan has to know it. */
export interface FileSystem {
  /** Equal for equal file systems, and for those that share one pool of space. */
  readonly id: string;
  readonly mountPoint: string;
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly freeInodes: number | undefined;
  readonly totalInodes: number | undefined;
}

export interface Disk {
  /** The file system `path`, or its nearest existing parent, is on. */
  fileSystem(path: string): Promise<FileSystem>;
  /** What is free there, at once; undefined where it cannot be asked. */
  freeNow(path: string): Pick<FileSystem, "freeBytes" | "totalBytes"> | undefined;
}

/** A tool that hosted runners bring along, and what its folder takes. */
export interface ToolFolder {
  readonly path: string;
  readonly bytes: number;
  /** The id of its file system. */
  readonly fileSystem: string;
}

/** What can be had where space lacks (docs/adr/0015). */
export interface Reclaimer {
  /** `hosted`: a machine that is thrown away after the job. */
  readonly machine: "hosted" | "kept";
  /** Whether builds can write in `directory`; what cannot be known is taken to be so. */
  usable(directory: string): Promise<"usable" | "absent" | "not writable">;
  /** Folders that Nix may be told to build in; they need not exist yet. */
  buildDirectories(): Promise<readonly string[]>;
  makeBuildDirectory(directory: string, signal: AbortSignal): Promise<void>;
  /** Known tool folders that are there, none of them a link or below one; none but on a hosted machine. */
  toolFolders(signal: AbortSignal): Promise<readonly ToolFolder[]>;
  /** Deletes one of them; throws for anything else. */
  remove(path: string, signal: AbortSignal): Promise<void>;
}

export interface Clock {
  now(): number;
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
}

/** When the job is ended, whatever runs then. */
export interface JobEnd {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** How long the job may take in all. */
  readonly minutes: number;
  /** Who says so. */
  readonly why: string;
}

export interface Timing {
  readonly cores: number;
  /** Undefined where nobody says it. */
  end(signal: AbortSignal): Promise<JobEnd | undefined>;
}

/** How far long work is. */
export interface WorkState {
  /** What is counted, in the singular: `path`, `target`. */
  readonly unit: string;
  readonly done: number;
  /** Undefined where it is not known before it is done. */
  readonly inAll: number | undefined;
  readonly bytes: number;
  readonly bytesInAll: number | undefined;
  /** Names of what is under way, where that is worth a word. */
  readonly now: readonly string[];
}

/** Where a run tells what it does, as it does it. */
export interface Log {
  group(title: string): void;
  endGroup(): void;
  info(line: string): void;
  debug(line: string): void;
  /** Something is done, for a log that keeps a line of each. */
  did?(deed: Deed, what: string): void;
  /**
   * Work that may take long has begun: `state` is asked for as often as this log wants to show it,
   * until the answer is disposed of. A log that only keeps lines has none.
   */
  watch?(what: string, state: () => WorkState): Disposable;
}

/** A path, and the cache that serves it. */
export interface Stageable {
  readonly narInfo: NarInfo;
  readonly cache: BinaryCache;
}

/** A `file://` cache that lives for one batch; disposing of it frees the disk. */
export interface Staged extends AsyncDisposable {
  readonly url: string;
  /** Those that arrived, in no order. */
  readonly paths: readonly StorePath[];
}

/** Fetching many NARs at once, where Nix would wait for each: latency rules there (docs/adr/0006). */
export interface Staging {
  /** Where it puts them; counted in the disk space plan. */
  readonly directory: string;
  /** The most that lies there at once. */
  readonly bytes: number;
  stage(members: readonly Stageable[], signal: AbortSignal): Promise<Staged>;
}

export interface World {
  /** Strange code could read what Nix is told of private caches: those this process reads itself. */
  readonly code: Code;
  /** The name of a secret that a stranger's code on this machine could read, and what of it could. */
  readonly exposed?: { readonly secret: string; readonly to: "builds" | "evaluation" | "inputs" };
  /** Undefined on a runner without Nix (Windows): keys and disk only. */
  readonly nix: Nix | undefined;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  /** Where the job works: its space matters too. */
  readonly workspace: string;
  /** The lock files that match `patterns`, hashed; one entry without a hash where none does. */
  keyFiles(patterns: readonly string[]): Promise<readonly KeyFile[]>;
  /** Turns a NAR as a cache stores it into a NAR; throws for a compression it does not know. */
  decompress(
    compression: string,
    content: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  /** Our own cache, the one that is written to. */
  readonly own: BinaryCache | undefined;
  /** Every other cache, in the order of asking. */
  readonly substituters: readonly BinaryCache[];
  /** Undefined where it lies elsewhere. */
  readonly cacheFolder?: (signal: AbortSignal) => Promise<CacheFolder>;
  /** What the kinds of cache say of an address that no cache was opened for. */
  readonly addresses: Addresses;
  readonly staging?: Staging;
  /** Undefined where what the targets are evaluated from cannot be named, or nothing can be kept. */
  readonly memory: Memory | undefined;
  /** What builds took; undefined where our cache keeps nothing beside its paths: history, too. */
  readonly figures?: FigureStore;
  readonly history?: History;
  /** The files around the flake; an audit looks at them. */
  readonly project?: Project;
  /** Without it no plan is held against the time there is. */
  readonly timing?: Timing;
  /** Without it nothing is reclaimed. */
  readonly reclaimer?: Reclaimer;
  readonly notices: readonly string[];
  /** What went wrong before the run began. */
  readonly findings?: readonly Finding[];
}
