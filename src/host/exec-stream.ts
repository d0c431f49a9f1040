/** Owns child processes whose output is too large to keep: read as a stream, ended with its reader. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { UserError } from "../domain/errors.ts";
import type { ExecOptions } from "./exec.ts";

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
    if (code !== 0) throw failure(stderr);
  } catch (error) {
    options.signal.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener("abort", onAbort);
    if (child.exitCode === null) end();
  }
}
