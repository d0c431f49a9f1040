/** Owns the two judges' courts: a machine with real Nix, a server of made-up caches, and our own program. */

import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join, normalize } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { type Machine, type MachineOptions, startMachine } from "../../scripts/machine.ts";
import type { BinaryCache } from "../../src/domain/cache.ts";
import { decompress } from "../../src/host/compress.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { type LoopbackServer, listen } from "../servers/http.ts";
import { sha256 } from "./made-up.ts";

export interface Ended {
  readonly code: number | null;
  /** Both its outputs. */
  readonly text: string;
}

export interface Court extends AsyncDisposable {
  readonly machine: Machine;
  /** 8 of 2.8.0. */
  readonly minor: number;
  /** A folder below it is a cache; `server.origin` and its name, the cache's address. */
  readonly folder: string;
  readonly server: LoopbackServer;
  readonly http: HttpClient;
  /** A program on the machine; `settings` are lines of Nix's configuration. */
  run(program: string, args: readonly string[], settings?: string): Promise<Ended>;
  /** The same in a folder of the machine's. */
  runIn(cwd: string, program: string, args: readonly string[], settings?: string): Promise<Ended>;
}

export async function openCourt(options: MachineOptions = {}): Promise<Court> {
  const machine = await startMachine(options);
  const folder = join(machine.root, "caches");
  const server = await serveFolder(folder);
  const http = new HttpClient(machine.environment);
  const version = await machine.nix("nix", ["--version"]);
  const runIn: Court["runIn"] = (cwd, program, args, settings = "") =>
    ended(program, args, cwd, {
      ...machine.environment,
      NIX_CONFIG: `${QUICK}\n${settings}`,
    });
  return {
    machine,
    minor: Number(/ 2\.(\d+)/.exec(version)?.[1] ?? 0),
    folder,
    server,
    http,
    run: (program, args, settings) => runIn(machine.root, program, args, settings),
    runIn,
    async [Symbol.asyncDispose]() {
      http.close();
      await server[Symbol.asyncDispose]();
      await machine[Symbol.asyncDispose]();
    },
  };
}

/** As web servers do: what is escaped is decoded, and a query is nothing to a file. */
export function serveFolder(folder: string, allowed?: string): Promise<LoopbackServer> {
  return listen(async ({ url = "/", headers }) => {
    if (allowed !== undefined && headers.authorization !== allowed) return { status: 401 };
    const path = decodeURIComponent(new URL(url, "http://server").pathname);
    const body = await readFile(join(folder, normalize(path))).catch(() => undefined);
    return body ? { status: 200, body } : { status: 404 };
  });
}

/** One world's servers are there or not; what an earlier one was told is nothing to the next. */
export const QUICK = [
  "download-attempts = 1",
  "connect-timeout = 5",
  "narinfo-cache-positive-ttl = 0",
  "narinfo-cache-negative-ttl = 0",
  "fsync-metadata = false",
].join("\n");

/** No question of a world takes so long; a Nix that hangs is a finding. */
const PATIENCE = 60_000;

export function ended(
  program: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): Promise<Ended> {
  return new Promise((done, fail) => {
    const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    const add = (chunk: string) => {
      text += chunk;
    };
    child.stdout.setEncoding("utf8").on("data", add);
    child.stderr.setEncoding("utf8").on("data", add);
    const over = new AbortController();
    wait(PATIENCE, undefined, { signal: over.signal, ref: false }).then(
      () => child.kill("SIGKILL"),
      () => undefined,
    );
    child.on("error", fail);
    child.on("close", (code) => {
      over.abort();
      done({ code, text });
    });
  });
}

/** What `nix-store --realise` came to, where `first` is asked before a cache that has the path for sure. */
export function realised({ code, text }: Ended, first: string): string {
  const from = /copying path '[^']+' from '([^']+)'/g;
  const sources = [...text.matchAll(from)].map(([, url = ""]) => url);
  if (code !== 0) return "stops";
  return sources.at(-1)?.startsWith(first) ? "fetches" : "passes over";
}

/** Nix's words for a path that it finds nowhere: it goes on to build, where it has a derivation. */
const NOWHERE =
  /does not exist and cannot be created|don't know how to build|no substituter that can build it|path '[^']+' is required, but there is no substituter/;

/** It took the narinfo, and threw away what it downloaded: told as an error where no other cache is left. */
const OTHER_BYTES = /(hash|size) mismatch|importing path|does not exist in binary cache/;

/** Nobody it trusts has signed it: up to 2.26 that is all it says where no other cache is left. */
const NOT_SIGNED = /not signed by any of the keys|does not have a valid signature/;

/** The same of a cache that is the only one: 2.34 stops at what it cannot read only where nobody has it. */
export function realisedAlone({ code, text }: Ended): string {
  if (code === 0) return "fetches";
  // Killed by an assertion of its own.
  if (code === null) return "stops";
  const over = [NOWHERE, OTHER_BYTES, NOT_SIGNED].some((words) => words.test(text));
  return over ? "passes over" : "stops";
}

/** What our reader of a cache says of a path; what it would fetch, it is made to fetch. */
export async function presenceOf(cache: BinaryCache, path: string): Promise<string> {
  const signal = AbortSignal.timeout(PATIENCE);
  const presence = await cache.query(path as never, signal);
  switch (presence.kind) {
    case "hit": {
      const { narInfo } = presence;
      const nar: Uint8Array[] = [];
      const bytes = cache.readNar(narInfo, signal);
      try {
        for await (const chunk of decompress(narInfo.compression, bytes, signal)) nar.push(chunk);
      } catch {
        // A verdict cannot know it, and neither does a dry run; whoever fetches passes over it.
        return "passes over";
      }
      const whole = Buffer.concat(nar);
      const same = sha256(whole).toString("hex") === narInfo.narHash;
      return same && whole.length === narInfo.narSize ? "fetches" : "passes over";
    }
    case "unknown":
      return "unknown";
    case "refused":
      return presence.form === "corrupt" ? "stops" : "passes over";
    default:
      return "passes over";
  }
}
