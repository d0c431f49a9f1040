/** Owns measuring: whole processes by the wall clock, ours and the peer's in turn, medians and spread. */

import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";

export interface Measured {
  /** Milliseconds from the start of the process to its end, or to its first line. */
  readonly ms: number;
  /** The highest resident memory of the process, in bytes, as far as looking at it showed. */
  readonly peak: number;
  readonly stdout: string;
}

export interface ProcessRequest {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly until?: "end" | "first line";
}

/** Runs a process to its end; throws where it fails: a figure of a failed run is none. */
export async function timeProcess(request: ProcessRequest): Promise<Measured> {
  const begun = performance.now();
  const child = spawn(request.command, [...request.args], {
    env: request.environment,
    cwd: request.cwd,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let first: number | undefined;
  let stdout = "";
  let stderr = "";
  let peak = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    first ??= performance.now();
    stdout = (stdout + chunk).slice(-1_000_000);
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk).slice(-4_000);
  });
  // VmHWM only rises, so that the last look before the end is the one that counts.
  const look = async () => {
    const status = await readFile(`/proc/${child.pid}/status`, "utf8").catch(() => "");
    peak = Math.max(peak, Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0) * 1024);
  };
  const looking = request.until === "first line" ? undefined : setInterval(() => void look(), 50);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  const end = performance.now();
  clearInterval(looking);
  if (code !== 0) {
    throw new Error(`${request.command} ${request.args.slice(0, 3).join(" ")}: ${code}\n${stderr}`);
  }
  return { ms: (request.until === "first line" ? (first ?? end) : end) - begun, peak, stdout };
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
  return { median, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

export interface Pairs {
  readonly ours: Spread;
  readonly peer: Spread;
  /** Peer's time over ours, pair by pair. */
  readonly ratio: Spread;
  readonly rounds: number;
}

/** Ours, then the peer, `rounds` times: a machine that slows down slows both. */
export async function inTurn(
  rounds: number,
  ours: (round: number) => Promise<number>,
  peer: (round: number) => Promise<number>,
): Promise<Pairs> {
  const a: number[] = [];
  const b: number[] = [];
  for (let round = 0; round < rounds; round++) {
    a.push(await ours(round));
    b.push(await peer(round));
  }
  const ratios = a.map((value, index) => (b[index] ?? Number.NaN) / value);
  return { ours: spread(a), peer: spread(b), ratio: spread(ratios), rounds };
}
