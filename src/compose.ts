/** Puts the world together: the one place where host, Nix and caches meet. */

import { availableParallelism } from "node:os";
import { figureStore, memory } from "./caches/records.ts";
import { staging } from "./caches/staging.ts";
import type { RecordStore } from "./domain/evaluation-record.ts";
import { type Code, recordSecret } from "./domain/job.ts";
import { credentialsIn } from "./domain/location.ts";
import type { Log, World } from "./domain/ports.ts";
import { VERSION } from "./domain/version.ts";
import type { Project } from "./domain/workflow.ts";
import {
  carriedEvaluation,
  evaluatedBefore,
  historyIn,
  type Named,
  nameFlake,
  reusesEvaluation,
} from "./earlier-runs.ts";
import { clock, jobEnd } from "./host/clock.ts";
import { decompress } from "./host/compress.ts";
import { disk } from "./host/disk.ts";
import { type Environment, exposedSecret, namedEnvironment, secretOf } from "./host/environment.ts";
import { HttpClient } from "./host/http-client.ts";
import { hashKeyFiles } from "./host/key-files.ts";
import { project } from "./host/project.ts";
import { machineReclaimer, SECOND_DISK, TOOL_FOLDERS, XCODES } from "./host/tool-folders.ts";
import { type NixCommand, nixCommand } from "./nix/command.ts";
import { type LaterSteps, withCacheFolder } from "./nix/configure.ts";
import { onlyOfFlake, refusedNotices, settingsHere } from "./nix/flake-settings.ts";
import { type NixMachine, readMachine } from "./nix/machine.ts";
import { readNetrc } from "./nix/netrc.ts";
import { nixPort } from "./nix/nix.ts";
import { isLockWhole, onlyLocked, recordKey } from "./nix/record-key.ts";
import { storeNames } from "./nix/store.ts";
import { largestPaths } from "./nix/store-space.ts";
import {
  cacheFolderOf,
  cachesNow,
  type OpenCachesRequest,
  openCaches,
  register,
} from "./open-caches.ts";

export interface ComposeRequest extends OpenCachesRequest {
  readonly code: Code;
  /** Hears of credentials that stand in addresses of the machine's own configuration. */
  readonly hide?: (values: readonly string[]) => void;
  /** How later steps of the job learn of the caches; undefined on the command line. */
  readonly laterSteps?: LaterSteps | undefined;
  /** The end of a job needs the store alone: by then the checkout may be gone. */
  readonly needs: "store and checkout" | "store";
  /** Windows has no Nix: keys and disk only. */
  readonly platform: NodeJS.Platform;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Where links go that keep what the run uses from Nix's own collection; whoever names it removes it. */
  readonly rootsFolder?: string;
  /** Where evaluations are left for other jobs, unless our cache is a folder that can hold them. */
  readonly evaluationRecords?: RecordStore | undefined;
  /** Whether evaluation may build what it imports and no cache has; `forbidden` unless said. */
  readonly buildsToEvaluate?: "allowed" | "forbidden";
  /** Begins what there is time for while Nix says how it is set up. */
  readonly meanwhile?: () => void;
}

export interface Composed extends AsyncDisposable {
  readonly world: World;
  /** What is in the store folder now: what the job starts from. */
  storeNames(): Promise<ReadonlySet<string>>;
}

export async function compose(given: ComposeRequest): Promise<Composed> {
  const { notices: moved, ...home } = await withCacheFolder(given.environment, given.folder);
  const request = { ...given, ...home };
  const { environment, workspace, job } = request;
  if (request.platform === "win32") {
    const notices = ["there is no Nix on Windows: this run gives keys and disk only"];
    const none = { nix: undefined, own: undefined, substituters: [], memory: undefined };
    const world = { ...baseOf(request), ...none, notices };
    return { world, storeNames: async () => new Set(), async [Symbol.asyncDispose]() {} };
  }
  const named = namedEnvironment(environment, { code: request.code, named: job.passEnv });
  const command = nixCommand(environment, workspace, named);
  const reading = readMachine(command, environment, request.signal);
  const certificates = reading.then(({ settings }) => settings.certificates);
  const http = new HttpClient(environment, { certificates });
  // While Nix says how it is set up.
  for (const location of [job.cache, ...job.substituters.map((one) => one.location)]) {
    for (const host of location ? register.hosts(location) : []) http.connect(host);
  }
  const over = new AbortController();
  const ended = AbortSignal.any([request.signal, over.signal]);
  const naming = nameFlake({ ...request, signal: ended }, command);
  // Awaited below: until then another failure may be first.
  naming.catch(() => undefined);
  request.meanwhile?.();
  try {
    return await composeWith(request, { command, reading, naming, http, moved, over });
  } catch (error) {
    over.abort();
    http.close();
    throw error;
  }
}

function baseOf({ code, log, workspace }: ComposeRequest) {
  return {
    code,
    disk,
    clock,
    log,
    workspace,
    keyFiles: (patterns: readonly string[]) => hashKeyFiles(workspace, patterns),
    decompress,
    addresses: register,
  };
}

/** What was begun before Nix has said how it is set up. */
interface Begun {
  readonly command: NixCommand;
  readonly reading: Promise<NixMachine>;
  readonly naming: Promise<Named>;
  readonly http: HttpClient;
  /** What was told where Nix's own cache folder had to be another one. */
  readonly moved: readonly string[];
  /** Ends what was asked of Nix beside the run and nobody waited for: the process would wait for it. */
  readonly over: AbortController;
}

async function composeWith(
  request: ComposeRequest,
  { command, reading, naming, http, moved, over }: Begun,
): Promise<Composed> {
  const { environment, workspace, log, job } = request;
  const [read, named] = await Promise.all([reading, naming]);
  const { flake } = named;
  const { settings, substitution, refused } = await settingsHere(request, read);
  const machine = { ...read, setup: { ...read.setup, substitution } };
  request.hide?.(credentialsIn(settings.substituters.join("\n")));
  const exposed = exposedSecret(request, machine);
  const secret = secretOf(request.secrets, environment);
  const netrc = await readNetrc(machine.settings.netrcFile);
  const caches = openCaches(request, { ...machine, settings }, http, netrc);
  const also = [VERSION, job.cacheName, ...job.substituters.map(({ text }) => text)];
  const store = caches.own?.records;
  const key =
    store && reusesEvaluation(request) && request.needs !== "store"
      ? await recordKey({
          setup: machine.setup,
          flake,
          targets: job.targets,
          without: job.without.map(({ line }) => line),
          also: [...also, ...settings.substituters],
          environment,
          naming: named.naming,
          signal: request.signal,
        })
      : undefined;
  const nix = nixPort({
    carried: carriedEvaluation(request, command, machine, named, store),
    command,
    machine,
    flake,
    environment,
    log,
    caches: () => cachesNow(caches, request.signal),
    folder: request.folder,
    laterSteps: request.laterSteps,
    ofFlake: onlyOfFlake(job, machine.settings, settings),
    passEnv: job.passEnv,
    jobFolders: [
      // The end of a job works elsewhere, and a link in the checkout is the job's all the same.
      environment["GITHUB_WORKSPACE"] || workspace,
      ...(environment["RUNNER_TEMP"] ? [environment["RUNNER_TEMP"]] : []),
    ],
    hasSecret: (host) => netrc.get(host) !== undefined || machine.settings.tokenHosts.has(host),
    code: request.code,
    secret: request.code === "strange" && secret ? "to be kept" : "none",
    // In a folder that later steps do not have, nothing is kept for them.
    evaluatedBefore: moved.length > 0 ? "not looked at" : evaluatedBefore(request),
    rootsFolder: request.rootsFolder,
    buildsToEvaluate: request.buildsToEvaluate ?? "forbidden",
  });
  const history = historyIn(request, store, key, machine, flake);
  return {
    world: {
      ...baseOf(request),
      ...(exposed === undefined ? {} : { exposed }),
      nix,
      ...caches,
      notices: [...moved, ...caches.notices, ...refusedNotices(urlsOf(caches), refused)],
      ...(store ? { figures: figureStore(store, log) } : {}),
      ...(history ? { history } : {}),
      project: {
        ...project({
          workspace,
          environment,
          nix: {
            substituters: machine.settings.substituters,
            publicKeys: machine.settings.publicKeyTexts,
          },
          signatures: machine.settings.requireSignatures,
          token: request.secrets.token === undefined ? "absent" : "given",
        }),
        ...(request.laterSteps === undefined
          ? {
              largestPaths: (most: number, signal: AbortSignal) =>
                largestPaths(command, machine.setup, most, signal),
            }
          : {}),
      },
      timing: {
        cores: availableParallelism(),
        end: () => jobEnd(workspace, environment),
      },
      reclaimer: machineReclaimer({
        environment,
        folder: request.folder,
        list: TOOL_FOLDERS,
        xcodes: XCODES,
        secondDisk: SECOND_DISK,
        builder: machine.builder === "ourselves" ? "ourselves" : "others",
        absent: machine.absentBuildDir,
      }),
      ...cacheFolderOf(request),
      staging: staging(request.folder, machine.setup.storeDir, STAGING_MOST, log),
      memory:
        store && key
          ? onlyLocked(
              memory({
                store,
                key,
                storeDir: machine.setup.storeDir,
                secret: recordSecret(request.secrets),
                log,
              }),
              (signal) => isLockWhole(command, flake, signal),
            )
          : undefined,
    },
    storeNames: () => storeNames(machine.setup.realStoreDir),
    [Symbol.asyncDispose]: async () => {
      over.abort();
      http.close();
    },
  };
}

function urlsOf({ own, substituters }: Pick<World, "own" | "substituters">): string[] {
  return [...(own ? [own] : []), ...substituters].map(({ substituter }) => substituter.url);
}

/** Bytes of NARs that lie in the temporary folder at once, on their way into the store. */
const STAGING_MOST = 1024 ** 3;

/** The project's files as an audit looks at them, where no Nix is asked what it is configured with. */
export function openProject(
  environment: Environment,
  workspace: string,
): Pick<World, "addresses"> & { readonly files: Project } {
  const files = project({
    workspace,
    environment,
    nix: { substituters: [], publicKeys: [] },
    signatures: "require",
    token: "absent",
  });
  return { files, addresses: register };
}
