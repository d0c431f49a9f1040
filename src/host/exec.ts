/** Child processes: no shell, no secret in their environment, a deadline on every one. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { UserError } from "../domain/errors.ts";
import { beginTrace, commandName, traced } from "./trace.ts";

export interface ExecOptions {
  readonly cwd?: string;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Milliseconds after which the process is ended. */
  readonly deadline: number;
  /** Each line of standard error as it comes, without its newline. */
  readonly onErrorLine?: (line: string) => void;
  /** A file is read by the child itself, whatever else this process is busy with. */
  readonly input?: string | Iterable<Uint8Array> | AsyncIterable<Uint8Array> | InputFile;
}

export interface InputFile {
  readonly file: string;
}

export interface ExecResult {
  /** Undefined where a signal ended it. */
  readonly code: number | undefined;
  readonly stdout: string;
  /** The end of standard error: no log is kept whole in memory. */
  readonly stderr: string;
}

const STDERR_KEPT = 64 * 1024;
/** Below the longest string Node can make, some 512 MB. */
const STDOUT_MOST = 400 * 1024 * 1024;
const GRACE = 5_000;

/**
 * Runs `command` to its end, and to that of whatever it left behind holding its output. Throws only
 * when it cannot be started, is aborted, is too slow or prints without end.
 */
export function exec(
  command: string,
  args: readonly string[],
  options: ExecOptions,
): Promise<ExecResult> {
  return traced(
    () => commandName(command, args),
    () => execute(command, args, options),
    ({ code }) => (code === undefined ? "ended by a signal" : `status ${code}`),
  );
}

function execute(
  command: string,
  args: readonly string[],
  options: ExecOptions,
): Promise<ExecResult> {
  return new Promise((resolve, reject) => {
    options.signal.throwIfAborted();
    const child = started(command, args, options);
    const out: Buffer[] = [];
    let outBytes = 0;
    let stderr = "";
    let rest = "";
    let failure: Error | undefined;
    const end = (error: Error) => {
      if (failure) return;
      failure = error;
      // It has ended, and what it started still holds its pipes: nothing is left to wait for.
      if (child.exitCode !== null || child.signalCode !== null) return giveUp();
      child.kill("SIGTERM");
      // Nix cleans up on SIGTERM; what still runs after the grace is stopped hard.
      setTimeout(() => child.kill("SIGKILL"), GRACE).unref();
    };
    const giveUp = () => {
      settle();
      child.stdout.destroy();
      child.stderr.destroy();
      reject(failure);
    };
    const onAbort = () => end(reason(options.signal));
    options.signal.addEventListener("abort", onAbort, { once: true });
    const timer = setTimeout(() => {
      const seconds = options.deadline / 1000;
      end(
        new UserError("NCP-501", `${command} ${args[0] ?? ""} took longer than ${seconds} s`, {
          hint: "it was ended; what it had finished is kept, so running again goes on from there",
        }),
      );
    }, options.deadline);

    child.stdout.on("data", (chunk: Buffer) => {
      outBytes += chunk.length;
      if (outBytes > STDOUT_MOST)
        end(new Error(`${command} printed more than ${STDOUT_MOST} bytes`));
      else out.push(chunk);
    });
    child.stderr.setEncoding("utf8");
    child.stderr.on("data", (chunk: string) => {
      stderr = (stderr + chunk).slice(-STDERR_KEPT);
      if (!options.onErrorLine) return;
      const lines = (rest + chunk).split("\n");
      rest = (lines.pop() ?? "").slice(-STDERR_KEPT);
      for (const line of lines) options.onErrorLine(line);
    });
    const settle = () => {
      clearTimeout(timer);
      options.signal.removeEventListener("abort", onAbort);
    };
    child.on("error", (error) => {
      settle();
      reject(failure ?? error);
    });
    child.on("exit", () => {
      if (failure) giveUp();
    });
    child.on("close", (code) => {
      settle();
      if (rest !== "") options.onErrorLine?.(rest);
      if (failure) reject(failure);
      else
        resolve({ code: code ?? undefined, stdout: Buffer.concat(out).toString("utf8"), stderr });
    });
    child.stdin?.on("error", () => {
      // A child that ends without reading its input says so by its exit code.
    });
    const { input = "" } = options;
    if (!child.stdin || isFile(input)) return;
    if (typeof input === "string") child.stdin.end(input);
    else {
      pipeline(input, child.stdin).catch((error: NodeJS.ErrnoException) => {
        // What it does not read is no fault; what cannot be given to it is.
        if (error.code !== "EPIPE" && error.code !== "ERR_STREAM_PREMATURE_CLOSE") end(error);
      });
    }
  });
}

type Started = ChildProcess & { readonly stdout: Readable; readonly stderr: Readable };

function started(command: string, args: readonly string[], options: ExecOptions): Started {
  const { cwd, env, input = "" } = options;
  const how = { cwd, env: env as NodeJS.ProcessEnv };
  if (!isFile(input)) return spawn(command, args, { ...how, stdio: ["pipe", "pipe", "pipe"] });
  const file = openSync(input.file, "r");
  try {
    // A number is not among the types of which it knows that the others are pipes.
    return spawn(command, args, { ...how, stdio: [file, "pipe", "pipe"] }) as Started;
  } finally {
    closeSync(file);
  }
}

function isFile(input: NonNullable<ExecOptions["input"]>): input is InputFile {
  return typeof input === "object" && "file" in input;
}

function reason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error("interrupted");
}

const STREAM_STDERR_KEPT = 16 * 1024;

/**
 * Runs `command` and yields its standard output. The deadline holds for each wait, not for the whole.
 * `failure` turns a bad end into an error; it is given the end of standard error.
 */
export async function* execStream(
  command: string,
  args: readonly string[],
  options: Pick<ExecOptions, "cwd" | "env" | "signal" | "deadline">,
  failure: (stderr: string) => Error,
): AsyncGenerator<Uint8Array> {
  options.signal.throwIfAborted();
  const trace = beginTrace(() => commandName(command, args));
  let ending = "left before its end";
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env as NodeJS.ProcessEnv,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  // Awaited below; a reader that leaves early does not wait for it.
  closed.catch(() => undefined);
  let stderr = "";
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (text: string) => {
    stderr = (stderr + text).slice(-STREAM_STDERR_KEPT);
  });
  const end = (error?: Error) => {
    child.kill("SIGKILL");
    // What the child left behind may hold its pipes open.
    child.stderr.destroy();
    child.stdout.destroy(error);
  };
  const onAbort = () => end(new Error("interrupted"));
  options.signal.addEventListener("abort", onAbort, { once: true });
  let timer: NodeJS.Timeout | undefined;
  const watch = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const seconds = options.deadline / 1000;
      end(new UserError("NCP-501", `${command} ${args[0] ?? ""} gave nothing for ${seconds} s`));
    }, options.deadline);
  };
  try {
    watch();
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      clearTimeout(timer);
      yield chunk;
      watch();
    }
    const [code] = (await closed) as [number | null];
    ending = code === null ? "ended by a signal" : `status ${code}`;
    if (code !== 0) throw failure(stderr);
  } catch (error) {
    options.signal.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener("abort", onAbort);
    if (child.exitCode === null) end();
    trace(ending);
  }
}
