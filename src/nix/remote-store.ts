/** Stores elsewhere, through Nix's own client: batches of questions, streams, copies. */

import type { OpenRemoteStore, RemotePath, RemoteStore } from "../domain/cache.ts";
import { UserError } from "../domain/errors.ts";
import { parseSha256 } from "../domain/hash.ts";
import { mapLimited } from "../domain/limit.ts";
import { hashPart, parseStorePath, type StorePath } from "../domain/store-path.ts";
import { childEnvironment, type Environment } from "../host/environment.ts";
import { type ExecResult, execStream } from "../host/exec.ts";
import { DEADLINES, type NixCommand, type NixProgram, nixCommand, nixMessage } from "./command.ts";

/**
 * Behind the user's own options: of one given twice, ssh takes the first. Nobody is there to be asked
 * for a password, and a host that is silent must not hold up the others.
 */
const SSH_OPTIONS = [
  "-oBatchMode=yes",
  "-oConnectTimeout=10",
  "-oServerAliveInterval=10",
  "-oServerAliveCountMax=3",
];

/** One process asks for one path after the other: two of them halve the waiting. */
const PROCESSES = 2;
/** An argument list may hold 128 kB; a store path takes some 80 bytes. */
const PATHS_PER_PROCESS = 500;
/** Milliseconds. The first question opens a connection; a guard around it gives up after 20 s. */
const DESCRIBE = 18_000;
/** Milliseconds a NAR may take between two chunks. */
const STALL = 60_000;

export interface RemoteOptions {
  readonly environment: Environment;
  readonly workspace: string;
  /** `2.26.3`. */
  readonly version: string;
  readonly storeDir: string;
}

export function remoteStores(options: RemoteOptions): OpenRemoteStore {
  const { environment, workspace, version, storeDir } = options;
  const given = environment["NIX_SSHOPTS"] ?? "";
  const env = { ...environment, NIX_SSHOPTS: [given, ...SSH_OPTIONS].join(" ").trim() };
  const command = nixCommand(env, workspace);
  return (url, name) => remoteStore(command, { env, workspace, version, storeDir, url, name });
}

interface Place {
  readonly env: Environment;
  readonly workspace: string;
  readonly version: string;
  readonly storeDir: string;
  readonly url: string;
  readonly name: string;
}

function remoteStore(nix: NixCommand, place: Place): RemoteStore {
  const { env, workspace, version, storeDir, url, name } = place;
  const run = async (
    program: NixProgram,
    args: readonly string[],
    signal: AbortSignal,
    deadline: number,
  ): Promise<ExecResult> => {
    const result = await nix.try(program, args, { signal, deadline });
    if (result.code !== 0) throw remoteTrouble(name, result.stderr);
    return result;
  };

  /**
   * Validity first: `nix path-info` of a path that is not there has the other side ask its own
   * substituters for it, for as long as they take, whatever options are given.
   */
  const valid = async (paths: readonly StorePath[], signal: AbortSignal, deadline: number) => {
    const args = ["--store", url, "--check-validity", "--print-invalid", ...paths];
    const { stdout } = await run("nix-store", args, signal, deadline);
    const invalid = new Set(stdout.split("\n"));
    return paths.filter((path) => !invalid.has(path));
  };

  return {
    async describe(signal) {
      const probe = parseStorePath(`${storeDir}/${"0".repeat(32)}-nix-cache-preflight`, storeDir);
      const [, trust] = await Promise.all([
        valid(probe ? [probe] : [], signal, DESCRIBE),
        trustOf(nix, url, signal),
      ]);
      return { trust };
    },

    async query(paths, signal) {
      const found = new Map<StorePath, RemotePath>();
      await mapLimited(chunks(paths), PROCESSES, async (chunk) => {
        const there = await valid(chunk, signal, DEADLINES.query);
        if (there.length === 0) return;
        const format = isAtLeast(version, 33) ? ["--json-format", "1"] : [];
        const args = ["path-info", "--json", ...format, "--store", url, ...there];
        const { stdout } = await run("nix", args, signal, DEADLINES.query);
        for (const info of parsePathInfos(stdout, storeDir, name)) found.set(info.storePath, info);
      });
      return found;
    },

    nar(path, signal) {
      const args = ["--extra-experimental-features", "nix-command"];
      return execStream(
        "nix",
        [...args, "store", "dump-path", "--store", url, path],
        { cwd: workspace, env: childEnvironment(env), signal, deadline: STALL },
        (stderr) => remoteTrouble(name, stderr),
      );
    },

    async receive(from, paths, signal) {
      for (const chunk of chunks(paths)) {
        // Signed or not is for the other side to judge: it takes unsigned paths from whom it trusts.
        const args = ["copy", "--no-recursive", "--no-check-sigs", "--from", from, "--to", url];
        await run("nix", [...args, ...chunk], signal, DEADLINES.build);
      }
    },
  };
}

/** Only a hint: 2.8 does not say, and a host that does not answer says so elsewhere. */
async function trustOf(nix: NixCommand, url: string, signal: AbortSignal) {
  const options = { signal, deadline: DESCRIBE };
  const { code, stdout } = await nix.try(
    "nix",
    ["store", "ping", "--json", "--store", url],
    options,
  );
  const said = code === 0 ? /"trusted":\s*(true|false|0|1)/.exec(stdout)?.[1] : undefined;
  if (said === undefined) return undefined;
  return said === "true" || said === "1" ? "trusted" : "not trusted";
}

function chunks(paths: readonly StorePath[]): StorePath[][] {
  const found: StorePath[][] = [];
  for (let at = 0; at < paths.length; at += PATHS_PER_PROCESS) {
    found.push(paths.slice(at, at + PATHS_PER_PROCESS));
  }
  return found;
}

function isAtLeast(version: string, minor: number): boolean {
  const [first = 0, second = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  return first > 2 || second >= minor;
}

/**
 * Reads `nix path-info --json`: a list with `path` in each (2.8), or an object by path (2.19 on).
 * What became invalid in the meantime is left out.
 */
export function parsePathInfos(text: string, storeDir: string, name: string): RemotePath[] {
  const fail = (why: string): never => {
    throw new UserError("NCP-202", `${name}: nix path-info --json: ${why}`);
  };
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return fail("it is not JSON");
  }
  const entries: [unknown, unknown][] = Array.isArray(parsed)
    ? parsed.map((one) => [(one as { path?: unknown } | null)?.path, one])
    : Object.entries((parsed ?? {}) as object);
  return entries.flatMap(([path, value]) => {
    const info = value as Record<string, unknown> | null;
    if (!info || info["valid"] === false) return [];
    const storePath = parseStorePath(String(path), storeDir);
    const narHash = parseSha256(String(info["narHash"]));
    const narSize = info["narSize"];
    if (!storePath || !narHash || typeof narSize !== "number") return fail(`of ${path}`);
    const texts = (key: string) => (Array.isArray(info[key]) ? info[key].map(String) : []);
    const references = texts("references").map(
      (one) => parseStorePath(one, storeDir) ?? fail(`"${one}" is no store path`),
    );
    const deriver = info["deriver"];
    const ca = info["ca"];
    return [
      {
        storePath,
        url: `nar/${hashPart(storePath)}.nar`,
        compression: "none",
        fileHash: undefined,
        fileSize: narSize,
        narHash,
        narSize,
        references: references.sort(),
        deriver: typeof deriver === "string" ? deriver.slice(storeDir.length + 1) : undefined,
        signatures: texts("signatures"),
        contentAddress: typeof ca === "string" ? ca : undefined,
      },
    ];
  });
}

interface Trouble {
  readonly pattern: RegExp;
  readonly code: UserError["code"];
  readonly what: string;
  readonly hint: string;
}

/** Source: OpenSSH's ssh.c, sshconnect.c and auth messages; Nix's ssh-store.cc and remote-store.cc. */
const TROUBLES: readonly Trouble[] = [
  {
    pattern: /Permission denied \(/,
    code: "NCP-303",
    what: "the host refuses our SSH key",
    hint: "give one that it knows: ssh-agent, ~/.ssh, NIX_SSHOPTS='-i FILE', or ?ssh-key=FILE in the address",
  },
  {
    pattern: /Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED/,
    code: "NCP-331",
    what: "the host's key is not one that is known here",
    hint: "compare it, then put it into ~/.ssh/known_hosts, or into ?base64-ssh-public-host-key=… of the address",
  },
  {
    pattern: /don't know how to open Nix store/,
    code: "NCP-330",
    what: "this Nix cannot open such a store",
    hint: "a newer Nix can",
  },
  {
    pattern: /is not in the Nix store/,
    code: "NCP-304",
    what: "it is another store's: its store folder is not this machine's",
    hint: "use a cache for this store folder",
  },
  {
    pattern: /lacks a signature by a trusted key|lacks a valid signature/,
    code: "NCP-305",
    what: "the host takes signed paths only, and not this signature",
    hint: "give signing-key, and its public key to the host's trusted-public-keys; or make our user a trusted user there",
  },
  {
    pattern:
      /command not found|nix-daemon: not found|No such file or directory|protocol mismatch|exec request failed/,
    code: "NCP-304",
    what: "there is no Nix behind this address",
    hint: "install Nix there, or name it with ?remote-program=FILE in the address",
  },
  {
    pattern:
      /Could not resolve hostname|Connection refused|timed out|No route to host|Network is unreachable|Connection (closed|reset)|Broken pipe/i,
    code: "NCP-302",
    what: "the host does not answer",
    hint: "what only it has counts as unknown, not as missing",
  },
];

/** `stderr` of a Nix command that failed, as an error that begins with the cache's `name`. */
export function remoteTrouble(name: string, stderr: string): UserError {
  const found = TROUBLES.find(({ pattern }) => pattern.test(stderr));
  const said = linesOfSsh(stderr) || nixMessage(stderr);
  if (!found) return new UserError("NCP-302", `${name}: ${said}`);
  return new UserError(found.code, `${name}: ${found.what} (${said})`, { hint: found.hint });
}

/** What stands before Nix's own errors is ssh's, and says more. */
function linesOfSsh(stderr: string): string {
  const lines = stderr
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^(error|warning):|^@+|^Warning: Permanently/.test(line));
  return lines.slice(-3).join("; ").slice(0, 500);
}
