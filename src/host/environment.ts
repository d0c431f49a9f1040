/** The process's environment: the one place that reads it, and what a child may see of it. */

import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import type { Code, Job, Secrets } from "../domain/job.ts";
import type { World } from "../domain/ports.ts";
import { searchPath } from "./programs.ts";

export type Environment = Readonly<Record<string, string>>;

/**
 * A child gets these and no others, each by its whole name: an impure evaluation can read its environment
 * (`builtins.getEnv`), a fixed output what it names (`impureEnvVars`), and on a runner that holds inputs,
 * tokens and whatever the workflow put there. What Nix, git, ssh and curl read, and what nixpkgs' fetchers
 * are told where a mirror or a proxy is.
 */
const PASSED = new Set(
  `
  PATH HOME USER LOGNAME SHELL TMPDIR TMP TEMP TZ TERM NO_COLOR
  LANG LANGUAGE LC_ALL LC_CTYPE LC_COLLATE LC_MESSAGES LC_NUMERIC LC_TIME LC_MONETARY LC_PAPER LC_NAME
  LC_ADDRESS LC_TELEPHONE LC_MEASUREMENT LC_IDENTIFICATION LOCALE_ARCHIVE
  XDG_CACHE_HOME XDG_CONFIG_HOME XDG_CONFIG_DIRS XDG_DATA_HOME XDG_DATA_DIRS XDG_STATE_HOME XDG_RUNTIME_DIR
  SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE SSH_AUTH_SOCK SSH_ASKPASS
  HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY SOCKS_SERVER
  http_proxy https_proxy ftp_proxy all_proxy no_proxy
  NIX_CONFIG NIX_CONF_DIR NIX_USER_CONF_FILES NIX_CACHE_HOME NIX_CONFIG_HOME NIX_DATA_HOME NIX_STATE_HOME
  NIX_REMOTE NIX_DAEMON_SOCKET_PATH NIX_STORE NIX_STORE_DIR NIX_STATE_DIR NIX_LOG_DIR NIX_DATA_DIR
  NIX_LOCALSTATE_DIR NIX_BIN_DIR NIX_LIBEXEC_DIR NIX_IGNORE_SYMLINK_STORE NIX_PATH NIX_PROFILES NIX_SSHOPTS
  NIX_SSL_CERT_FILE NIX_BUILD_HOOK NIX_BUILD_CORES NIX_CURRENT_LOAD NIX_REMOTE_SYSTEMS NIX_OTHER_STORES
  NIX_CURL_FLAGS NIX_CONNECT_TIMEOUT NIX_HASHED_MIRRORS NIX_GIT_SSL_CAINFO NIX_NPM_REGISTRY NIX_CRATES_INDEX
  NIX_PYPI_INDEX
  __ETC_PROFILE_DONE __ETC_PROFILE_NIX_SOURCED
  GIT_SSH GIT_SSH_COMMAND GIT_SSH_VARIANT GIT_PROXY_COMMAND GIT_ASKPASS GIT_TERMINAL_PROMPT GIT_ALLOW_PROTOCOL
  GIT_PROTOCOL GIT_HTTP_LOW_SPEED_LIMIT GIT_HTTP_LOW_SPEED_TIME GIT_HTTP_PROXY_AUTHMETHOD GIT_HTTP_USER_AGENT
  GIT_SSL_CAINFO GIT_SSL_CAPATH GIT_SSL_CERT GIT_SSL_KEY GIT_SSL_NO_VERIFY GIT_SSL_VERSION GIT_SSL_CIPHER_LIST
  GIT_PROXY_SSL_CAINFO GIT_PROXY_SSL_CERT GIT_PROXY_SSL_KEY
  GIT_CONFIG GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_CONFIG_NOSYSTEM GIT_CONFIG_PARAMETERS GIT_CONFIG_COUNT
  GOPROXY GONOPROXY GOSUMDB GONOSUMDB GOPRIVATE GOINSECURE GOVCS GOFLAGS
  `
    .trim()
    .split(/\s+/),
);
/** What GIT_CONFIG_COUNT counts. */
const COUNTED = /^GIT_CONFIG_(KEY|VALUE)_\d{1,4}$/;

export function childEnvironment(from: Environment, extra: Environment = {}): Environment {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(from)) {
    if (PASSED.has(name) || COUNTED.test(name)) passed[name] = value;
  }
  return { ...passed, ...extra };
}

/** What a process that builds may have beside that. */
export interface BuildNeeds {
  readonly code: Code;
  /** Names in the input `pass-env`. */
  readonly named: readonly string[];
  /** Names that fixed outputs of the run declare (`impureEnvVars`). */
  readonly declared: Iterable<string>;
  /** A program of the machine's own that Nix runs after each build, written for the job's environment. */
  readonly hook: "here" | "none";
}

/** The runner's and this step's own: no later step of the job has them. */
const OWN = /^(INPUT|STATE|ACTIONS)_/;
/** The runner's words, for its steps. */
const RUNNERS = /^(GITHUB|RUNNER)_/;
const SECRET =
  /TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH|COOKIE|(^|_)(PASS|PAT|KEY|KEYS)($|_)|PRIVATE_?KEY|API_?KEY|SIGNING/i;

/**
 * A build's more variables. A fetch declares by name what it needs of the job's environment, which is how
 * nixpkgs lets a company's mirrors in; names that a secret would have are left to whoever writes the
 * workflow. Strange code declares what it likes: it gets nothing by its own word, and of what is named no
 * secret.
 */
export function buildEnvironment(from: Environment, needs: BuildNeeds): Environment {
  const { code, declared, hook } = needs;
  const named = namedEnvironment(from, needs);
  if (code === "strange") return { ...named, ...Object.fromEntries(withoutCredentials(from)) };
  const isDeclared = new Set(declared);
  const found = Object.entries(from).filter(([name]) => {
    if (OWN.test(name)) return false;
    if (hook === "here") return true;
    return isDeclared.has(name) && !isSecretName(name) && !RUNNERS.test(name);
  });
  return { ...Object.fromEntries(found), ...named };
}

/** What the workflow's author names himself, for whatever Nix starts; for a stranger's code no secret. */
export function namedEnvironment(
  from: Environment,
  { code, named }: Pick<BuildNeeds, "code" | "named">,
): Environment {
  const found = Object.entries(from).filter(
    ([name]) =>
      named.includes(name) && !OWN.test(name) && (code !== "strange" || !isSecretName(name)),
  );
  return Object.fromEntries(found);
}

/** Whether a variable of this name would hold a secret. */
export function isSecretName(name: string): boolean {
  return SECRET.test(name);
}

/** What evaluation fetches with and a build has no use for; a fixed output could name it. */
function withoutCredentials(from: Environment): [string, string][] {
  return Object.entries(childEnvironment(from)).flatMap(([name, value]): [string, string][] => {
    if (name === "NIX_CONFIG") {
      const lines = value.split("\n").filter((line) => !/^\s*(extra-)?access-tokens\b/.test(line));
      return [[name, lines.join("\n")]];
    }
    if (name === "GIT_CONFIG_COUNT") return [[name, "0"]];
    if (COUNTED.test(name) || /^(GIT_CONFIG_PARAMETERS|(GIT|SSH)_ASKPASS)$/.test(name)) {
      return [[name, ""]];
    }
    return [];
  });
}

export function processEnvironment(): Environment {
  const found: Record<string, string> = {};
  // biome-ignore lint/style/noProcessEnv: this function is the one door to it
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined) found[name] = value;
  }
  return { ...found, PATH: searchPath(found) };
}

/** PATH as the job has it, which is what its later steps search. */
export function jobPath(): string {
  // biome-ignore lint/style/noProcessEnv: as above
  return process.env["PATH"] ?? "";
}

/** For a program that reads its input and writes its output: it is to be found, and learns nothing. */
export function toolEnvironment(): Environment {
  return { PATH: processEnvironment()["PATH"] ?? "", LC_ALL: "C" };
}

/** A machine of GitHub's, which is one job's and thrown away after it. The runner says it, and no step can. */
export function isHosted(environment: Environment): boolean {
  return environment["RUNNER_ENVIRONMENT"] === "github-hosted";
}

/**
 * What this process was started with that lets whoever reads it act as the repository. The runner's token
 * for caches and artifacts is not meant: every action of the job has it.
 */
export function secretOf(secrets: Secrets, environment: Environment): string | undefined {
  if (secrets.token) return "token";
  if (secrets.signingKey) return "signing-key";
  // Of `pull_request`, GitHub gives a fork's job a token that reads alone.
  if (secrets.checkRunsToken && environment["GITHUB_EVENT_NAME"] !== "pull_request") {
    return "check-runs-token";
  }
  return environment["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] ? "permission id-token: write" : undefined;
}

/**
 * What a process was started with, and what it holds, can be read by others of its user, in /proc: also by a
 * build, where Nix runs it as this user and shows it all processes, and by what evaluates a file, which
 * is never pure. A flake's inputs are pure, and may be files of /proc all the same: `shown` says what those show.
 */
export function exposedSecret(
  { code, secrets, environment, job }: Started,
  { builder, sandbox }: { readonly builder: string; readonly sandbox: "on" | "off" },
  shown: "a key" | "no key" = shownInProc(),
): World["exposed"] {
  const secret = code === "strange" ? secretOf(secrets, environment) : undefined;
  if (secret === undefined) return undefined;
  if (showsInputs({ code, secrets, environment }, shown)) return { secret, to: "inputs" };
  const isFile = job.targets.some(({ installable }) => installable.kind === "file");
  if (isFile) return { secret, to: "evaluation" };
  return builder === "ourselves" && sandbox === "off" ? { secret, to: "builds" } : undefined;
}

/** Whether a flake's inputs would show a stranger the job's keys: then nothing of it is even named. */
export function showsInputs(
  { code, secrets, environment }: Omit<Started, "job">,
  shown: "a key" | "no key" = shownInProc(),
): boolean {
  return code === "strange" && shown === "a key" && secretOf(secrets, environment) !== undefined;
}

interface Started {
  readonly code: Code;
  readonly secrets: Secrets;
  readonly environment: Environment;
  readonly job: Pick<Job, "targets">;
}

/** Variables that let whoever knows them act as this step, or as the job. */
const KEYS_OF_THE_JOB =
  /^(INPUT_(TOKEN|SIGNING-KEY|CHECK-RUNS-TOKEN)|ACTIONS_(RUNTIME|ID_TOKEN_REQUEST)_TOKEN)$/;

/**
 * The environment, and the job's keys are in `process.env` no longer: what hands that on by mistake, a
 * library or a child, hands on none. Nor does the kernel go on showing them to processes of this user.
 */
export function takeEnvironment(): Environment {
  const found = processEnvironment();
  for (const name of Object.keys(found)) {
    // biome-ignore lint/style/noProcessEnv: the same door
    if (KEYS_OF_THE_JOB.test(name)) delete process.env[name];
  }
  clearInProc();
  return found;
}

/**
 * Linux shows the memory in which a process was given its environment as /proc/PID/environ, and a flake may take that
 * file for an input. Node leaves it as it was; nothing reads it any more, so the keys are written over there.
 * Where that fails, `shownInProc` finds them still.
 */
function clearInProc(): void {
  if (process.platform !== "linux") return;
  try {
    // Behind the name, which may hold anything: proc(5), env_start and env_end.
    const stat = readFileSync("/proc/self/stat", "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [begin = 0, end = 0] = [Number(fields[47]), Number(fields[48])];
    const memory = openSync("/proc/self/mem", "r+");
    try {
      const all = Buffer.alloc(end - begin);
      readSync(memory, all, 0, all.length, begin);
      for (const { at, length } of keysIn(all)) {
        writeSync(memory, Buffer.alloc(length, CLEARED), 0, length, begin + at);
      }
    } finally {
      closeSync(memory);
    }
  } catch {
    // A kernel that forbids it, or that shows no such file.
  }
}

const CLEARED = "*";

/** Whether others of this user can still read a key of the job in /proc/PID/environ. */
function shownInProc(): "a key" | "no key" {
  if (process.platform !== "linux") return "no key";
  try {
    const all = readFileSync("/proc/self/environ");
    const shown = keysIn(all).some(({ at, length }) =>
      all.subarray(at, at + length).some((byte) => byte !== CLEARED.charCodeAt(0)),
    );
    return shown ? "a key" : "no key";
  } catch {
    return "no key";
  }
}

/** Where the values of the job's keys stand in such a block. */
function keysIn(all: Buffer): { readonly at: number; readonly length: number }[] {
  const found: { readonly at: number; readonly length: number }[] = [];
  let begin = 0;
  for (const entry of all.toString("latin1").split("\0")) {
    const name = entry.split("=", 1)[0] ?? "";
    const at = name.length + 1;
    if (KEYS_OF_THE_JOB.test(name)) found.push({ at: begin + at, length: entry.length - at });
    begin += entry.length + 1;
  }
  return found;
}

/**
 * Keeps V8's space for new objects as small as it is. It grows to 96 MB where many requests are under
 * way, with 13 MB of it alive: 10,000 paths pushed took 270 MB so, and 170 MB without, in the same time.
 * The flag is read each time that space could grow, and so may be set late.
 */
export function keepGarbageSmall(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
}

/** What most systems allow; taken where nothing says otherwise. */
const FILES = 1_024;

/** Files and connections that this process may have open (`ulimit -n`); Node itself raised it as far as it goes. */
export function openFilesMost(): number {
  if (process.platform === "win32") return FILES;
  if (process.platform === "linux") {
    try {
      const limits = readFileSync("/proc/self/limits", "utf8");
      return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? FILES);
    } catch {
      return FILES;
    }
  }
  // Who is connected to whom is asked of name servers, and is not what is wanted here.
  Object.assign(process.report, { excludeNetwork: true });
  const { userLimits } = process.report.getReport() as {
    readonly userLimits?: { readonly open_files?: { readonly soft: number | "unlimited" } };
  };
  const most = userLimits?.open_files?.soft;
  return typeof most === "number" ? most : FILES;
}
