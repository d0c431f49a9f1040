/** Calls GitHub's cache client: in a process for each call, ended where it does not answer in time. */

import { type ChildProcess, spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { makeFolder } from "../../host/atomic.ts";
import { childEnvironment, type Environment } from "../../host/environment.ts";
import type {
  Asked,
  ClientAnswer,
  ClientDeadlines,
  ClientEnd,
  ClientRequest,
  ProcessInput,
} from "./transfer.ts";
import { readLogLine, type Transfer, type Trouble, troubleOf } from "./trouble.ts";

export interface GithubClientOptions {
  readonly environment: Environment;
  /** The process is run here, and the entries' folders are here. */
  readonly directory: string;
  readonly deadlines?: ClientDeadlines;
  /** The program to run; the tests run it from its source. */
  readonly program?: URL;
}

const DEADLINES: ClientDeadlines = { answer: 25_000, stall: 60_000, whole: 15 * 60_000 };

/** What the client reads; it is told over standard input. */
const VARIABLES = [
  "ACTIONS_CACHE_SERVICE_V2",
  "ACTIONS_RESULTS_URL",
  "ACTIONS_CACHE_URL",
  "ACTIONS_RUNTIME_TOKEN",
  "ACTIONS_CACHE_MODE",
  "GITHUB_SERVER_URL",
  "CACHE_UPLOAD_CONCURRENCY",
  "CACHE_UPLOAD_CHUNK_SIZE",
  "SEGMENT_DOWNLOAD_TIMEOUT_MINS",
];

export interface Restored {
  /** The key of each entry asked for, in that order; undefined where none was restored. */
  readonly keys: readonly (string | undefined)[];
  /** Undefined where the service answered: then an entry that is not there is not there. */
  readonly trouble: Trouble | undefined;
}

/**
 * Restores each entry into its folder below the client's directory. Never throws but for the signal;
 * the folder of an entry without a key may hold half of it.
 */
export async function restoreEntries(
  entries: Extract<ClientRequest, { verb: "restore" }>["entries"],
  options: GithubClientOptions,
  signal: AbortSignal,
): Promise<Restored> {
  const end = await call({ verb: "restore", entries }, options, signal);
  const keys: (string | undefined)[] = entries.map(() => undefined);
  for (const answer of end.answers) {
    if (answer.kind === "restored") keys[answer.entry] = answer.key ?? undefined;
  }
  return { keys, trouble: troubleOf(end) };
}

/** Saves the folder as a new entry; undefined where that went well. Never throws but for the signal. */
export async function saveEntry(
  entry: Asked,
  options: GithubClientOptions,
  signal: AbortSignal,
): Promise<Trouble | undefined> {
  const end = await call({ verb: "save", entries: [entry] }, options, signal);
  const saved = end.answers.some((answer) => answer.kind === "saved" && answer.id !== -1);
  return saved ? undefined : (troubleOf(end) ?? { kind: "failed", detail: "it does not say why" });
}

async function call(
  request: ClientRequest,
  options: GithubClientOptions,
  signal: AbortSignal,
): Promise<ClientEnd> {
  signal.throwIfAborted();
  const { directory } = options;
  const temporary = join(directory, "tmp");
  await makeFolder(temporary);
  try {
    return await run(request, { ...options, temporary }, signal);
  } catch (error) {
    signal.throwIfAborted();
    const message = error instanceof Error ? error.message : String(error);
    return { answers: [{ kind: "threw", message }], lines: [], late: undefined, code: undefined };
  } finally {
    // An archive that a killed client was still writing or reading.
    await rm(temporary, { recursive: true, force: true, maxRetries: 3 });
  }
}

function run(
  request: ClientRequest,
  options: GithubClientOptions & { readonly temporary: string },
  signal: AbortSignal,
): Promise<ClientEnd> {
  const { environment, directory, temporary, deadlines = DEADLINES } = options;
  const program = options.program ?? new URL("github-cache-transfer.js", import.meta.url);
  const variables = Object.fromEntries(
    VARIABLES.flatMap((name) => (environment[name] ? [[name, environment[name]]] : [])),
  );
  const input: ProcessInput = {
    request,
    variables: {
      ...variables,
      RUNNER_TEMP: temporary,
      // An archive's members are named from there: an entry fits into any runner's folder.
      GITHUB_WORKSPACE: directory,
    },
  };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [fileURLToPath(program)], {
      cwd: directory,
      // A group of its own: with it, its tar is ended too.
      detached: true,
      stdio: ["pipe", "pipe", "pipe", "ipc"],
      env: childEnvironment(environment, passedOn(environment)) as NodeJS.ProcessEnv,
    });
    const answers: ClientAnswer[] = [];
    const lines: string[] = [];
    let late: ClientEnd["late"];
    let questions = 0;
    let waiting: NodeJS.Timeout | undefined;
    const end = (deadline: keyof ClientDeadlines) => {
      late ??= { deadline, after: deadlines[deadline] };
      endGroup(child);
    };
    const whole = setTimeout(() => end("whole"), deadlines.whole);
    const stall = new StallWatch(deadlines.stall, () => end("stall"));
    const onAbort = () => endGroup(child);
    signal.addEventListener("abort", onAbort, { once: true });
    const read = (raw: string) => {
      const { event, telling, transfer } = readLogLine(raw);
      if (transfer) stall.read(transfer);
      if (telling !== undefined && lines.length < 50) lines.push(telling);
      if (event === undefined) return;
      stall.sent();
      questions = Math.max(0, questions + (event === "asked" ? 1 : -1));
      // Entries are asked for side by side; any answer shows that the service is awake.
      clearTimeout(waiting);
      waiting = questions > 0 ? setTimeout(() => end("answer"), deadlines.answer) : undefined;
    };
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on("line", read);
    }
    child.on("message", (message) => answers.push(message as ClientAnswer));
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(JSON.stringify(input));
    const settle = () => {
      clearTimeout(whole);
      clearTimeout(waiting);
      stall.end();
      signal.removeEventListener("abort", onAbort);
    };
    child.on("error", (error) => {
      settle();
      reject(error);
    });
    child.on("close", (code) => {
      settle();
      if (signal.aborted) reject(signal.reason);
      else resolve({ answers, lines, late, code: code ?? undefined });
    });
  });
}

/** Beside what any child gets: the runner's mark, to end what a job left, and a proxy's certificates. */
function passedOn(environment: Environment): Environment {
  const names = ["RUNNER_TRACKING_ID", "NODE_EXTRA_CA_CERTS"];
  return Object.fromEntries(
    names.flatMap((name) => (environment[name] ? [[name, environment[name]]] : [])),
  );
}

function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

export class StallWatch {
  private readonly after: number;
  private readonly stalled: () => void;
  private timer: NodeJS.Timeout | undefined;
  /** Transfers under way by direction and size; several entries come side by side. */
  private readonly underWay = new Map<string, number>();

  /** `stalled` is called once no transfer has moved for `after` milliseconds. */
  constructor(after: number, stalled: () => void) {
    this.after = after;
    this.stalled = stalled;
  }

  read({ direction, bytes, of }: Transfer): void {
    const key = `${direction} ${of}`;
    const before = this.underWay.get(key);
    if (before === bytes) return;
    // What was received is unpacked now, which says nothing; what was sent waits for its answer.
    if (bytes === of && direction === "received") this.underWay.delete(key);
    else this.underWay.set(key, bytes);
    this.restart();
  }

  /** The service was asked something else: what was being sent has arrived. */
  sent(): void {
    for (const key of this.underWay.keys()) if (key.startsWith("sent ")) this.underWay.delete(key);
    this.restart();
  }

  end(): void {
    clearTimeout(this.timer);
  }

  private restart(): void {
    clearTimeout(this.timer);
    this.timer = this.underWay.size > 0 ? setTimeout(this.stalled, this.after) : undefined;
  }
}
