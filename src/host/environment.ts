/** The process's environment: the one place that reads it, and what a child may see of it. */

import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { searchPath } from "./programs.ts";

export type Environment = Readonly<Record<string, string>>;

/**
 * A child gets these and no others: an impure evaluation can read its whole environment
 * (`builtins.getEnv`), and on a runner that holds inputs, tokens and whatever the workflow put there.
 */
const PASSED = new Set([
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "TMPDIR",
  "TMP",
  "TEMP",
  "TZ",
  "LANG",
  "TERM",
  "NO_COLOR",
  "LOCALE_ARCHIVE",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "CURL_CA_BUNDLE",
  "SSH_AUTH_SOCK",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "ALL_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "all_proxy",
  "no_proxy",
]);
const PASSED_PREFIXES = ["LC_", "XDG_", "NIX_", "GIT_SSL_", "GIT_CONFIG_", "__ETC_PROFILE"];

export function childEnvironment(from: Environment, extra: Environment = {}): Environment {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(from)) {
    if (PASSED.has(name) || PASSED_PREFIXES.some((prefix) => name.startsWith(prefix))) {
      passed[name] = value;
    }
  }
  return { ...passed, ...extra };
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
