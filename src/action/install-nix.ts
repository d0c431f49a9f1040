/** `install-nix`: Nix's own release, checked against its SHA-256, by way of the tool cache. */

import { access, mkdtemp, readdir } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { UserError } from "../domain/errors.ts";
import type { Log } from "../domain/ports.ts";
import { clock } from "../host/clock.ts";
import { childEnvironment, type Environment } from "../host/environment.ts";
import { sha256File } from "../host/key-files.ts";
import { descendantsOf, endProcesses } from "../host/processes.ts";
import { commandName, traced } from "../host/trace.ts";

export interface Release {
  readonly version: string;
  /** Of `nix-VERSION-SYSTEM.tar.xz`, by system, as Nix's own installer of that version has them. */
  readonly sha256: Readonly<Record<string, string>>;
  /** The folder the tarballs are in. */
  readonly base: URL;
}

export const RELEASE: Release = {
  version: "2.31.4",
  base: new URL("https://releases.nixos.org/nix/nix-2.31.4/"),
  sha256: {
    "x86_64-linux": "a21fde5116b1f28ef4990cc9fdb2b5002cff43bbd85171e199f2e72b7fc0b9fa",
    "aarch64-linux": "3fdef0c5638853dc78136d27583984e42d16d5e9c1d9569eb0fbec8aed966daf",
    "x86_64-darwin": "e06a1e30b05c707f5c554d213eb60b3282521998d1656d3e05868ff2abc870f6",
    "aarch64-darwin": "f023e8ed587cfd17809e6825aa46520f99b8e3c8c5c6faf3e308f84a839e2e13",
  },
};

export interface InstallRequest {
  readonly release: Release;
  readonly environment: Environment;
  readonly platform: NodeJS.Platform;
  readonly arch: NodeJS.Architecture;
  /** A folder of ours in the runner's temporary folder. */
  readonly folder: string;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Milliseconds that the installer has. */
  readonly deadline?: number;
}

const TOOL = "nix-tarball";
const INSTALLER_DEADLINE = 15 * 60_000;
/** Lines of the installer's output that stand in an error. */
const LINES_KEPT = 20;
const ENDING_TURNS = 100;
/** Milliseconds. */
const ENDING_PAUSE = 100;

/** Whether there is a `nix` on PATH. */
export async function hasNix(environment: Environment): Promise<boolean> {
  for (const folder of (environment["PATH"] ?? "").split(delimiter)) {
    if (folder === "") continue;
    const found = await access(join(folder, "nix")).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}

/** Installs it and returns the folders that PATH needs. A wrong tarball is refused, wherever it was. */
export async function installNix(request: InstallRequest): Promise<readonly string[]> {
  const { release, environment, log } = request;
  const system = systemOf(request);
  const expected = release.sha256[system];
  if (expected === undefined) {
    throw new UserError("NCP-201", `install-nix: there is no release of Nix for ${system} here`, {
      hint: "put a step that installs Nix before this one",
    });
  }
  const tarball = await fetchTarball(request, system, expected);
  // Only now, and only on a runner without Nix: it brings an HTTP stack of its own.
  const tools = await import("@actions/tool-cache");
  const unpacked = await tools.extractTar(
    tarball,
    await mkdtemp(join(request.folder, "nix-")),
    "xJ",
  );
  const [top = ""] = await readdir(unpacked);
  const daemon = request.platform === "darwin" ? "--daemon" : "--no-daemon";
  log.info(`installing Nix ${release.version} for ${system}`);
  await runInstaller(
    join(unpacked, top, "install"),
    [daemon, "--yes", "--no-channel-add", "--no-modify-profile"],
    childEnvironment(environment, {
      // A single-user installation as root has no build users.
      NIX_CONFIG: `build-users-group =\n${environment["NIX_CONFIG"] ?? ""}`,
    }),
    request,
  );
  return ["/nix/var/nix/profiles/default/bin", join(environment["HOME"] ?? "", ".nix-profile/bin")];
}

/** Long and noisy, it writes straight to the log; @actions/exec can end nothing, so this does. */
async function runInstaller(
  program: string,
  args: readonly string[],
  env: Environment,
  { log, signal, deadline = INSTALLER_DEADLINE }: InstallRequest,
): Promise<void> {
  const { exec } = await import("@actions/exec");
  const before = new Set((await descendantsOf(process.pid)).map(({ pid }) => pid));
  const last: string[] = [];
  const show = (line: string) => {
    log.info(line);
    last.push(line);
    if (last.length > LINES_KEPT) last.shift();
  };
  const running = traced(
    () => commandName(program, args),
    () =>
      exec(`"${program}"`, [...args], {
        env: { ...env },
        ignoreReturnCode: true,
        // The lines go to the log by way of `log`, where none of them is a command to the runner.
        silent: true,
        listeners: { stdline: show, errline: show },
      }),
    (code) => `status ${code}`,
  );
  const late = AbortSignal.timeout(deadline);
  const stop = AbortSignal.any([signal, late]);
  const stopped = Promise.withResolvers<"stopped">();
  const onStop = () => stopped.resolve("stopped");
  if (stop.aborted) onStop();
  stop.addEventListener("abort", onStop, { once: true });
  const code = await Promise.race([running, stopped.promise]);
  if (code === 0) return;
  if (code !== "stopped") {
    const message = `install-nix: Nix's installer ended with ${code}: ${last.join("\n")}`;
    throw new UserError("NCP-201", message);
  }
  await endInstaller(running, before);
  signal.throwIfAborted();
  throw new UserError(
    "NCP-501",
    `install-nix: Nix's installer took longer than ${deadline / 1000} s`,
    {
      hint: "it was ended; run the job again, or install Nix in a step of its own",
    },
  );
}

/** Whatever we have started since `before`. It may be only about to start, and is then ended as it does. */
async function endInstaller(running: Promise<unknown>, before: ReadonlySet<number>): Promise<void> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  running.then(over, over);
  for (let turn = 0; turn < ENDING_TURNS && !isOver; turn++) {
    const ours = await descendantsOf(process.pid);
    await endProcesses(ours.filter(({ pid }) => !before.has(pid)));
    await clock.sleep(ENDING_PAUSE, new AbortController().signal);
  }
}

async function fetchTarball(
  { release, environment, log }: InstallRequest,
  system: string,
  expected: string,
): Promise<string> {
  const tools = await import("@actions/tool-cache");
  const { version, base } = release;
  const name = `nix-${version}-${system}.tar.xz`;
  const arch = system.split("-")[0] ?? system;
  // tool-cache throws where the runner has no folder for it; then the download is simply not kept.
  const keeps = (environment["RUNNER_TOOL_CACHE"] ?? "") !== "";
  const kept = keeps ? tools.find(TOOL, version, arch) : "";
  if (kept !== "") {
    const file = join(kept, name);
    if ((await sha256File(file)) === expected) return file;
    throw mismatch(`the tool cache's ${file}`, expected);
  }
  const url = new URL(name, base).href;
  log.info(`downloading ${url}`);
  const file = await tools.downloadTool(url);
  if ((await sha256File(file)) !== expected) throw mismatch(url, expected);
  return keeps ? join(await tools.cacheFile(file, name, TOOL, version, arch), name) : file;
}

function mismatch(what: string, expected: string): UserError {
  return new UserError("NCP-201", `install-nix: ${what} has not the SHA-256 ${expected}`, {
    hint: "it is damaged or was changed, and is not used: remove it, or install Nix in a step of its own",
  });
}

function systemOf({ platform, arch }: InstallRequest): string {
  const cpu = arch === "arm64" ? "aarch64" : arch === "x64" ? "x86_64" : arch;
  return `${cpu}-${platform}`;
}
