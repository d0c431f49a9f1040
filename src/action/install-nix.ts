/** `install-nix`: Nix's own release, checked against its SHA-256, by way of the tool cache. */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { UserError } from "../domain/errors.ts";
import type { ChosenNix } from "../domain/job.ts";
import type { Log } from "../domain/ports.ts";
import { makeFolder } from "../host/atomic.ts";
import { clock } from "../host/clock.ts";
import { childEnvironment, type Environment } from "../host/environment.ts";
import { exec as run } from "../host/exec.ts";
import { sha256File } from "../host/key-files.ts";
import { descendantsOf, endProcesses } from "../host/processes.ts";
import { commandName, traced } from "../host/trace.ts";
import { type InstallPlace, preparePlace, settingsFor, settle } from "./install-place.ts";

export interface Release {
  readonly version: string;
  /** Of `nix-VERSION-SYSTEM.tar.xz`, by system, as Nix's own installer of that version has them. */
  readonly sha256: Readonly<Record<string, string>>;
  /** The folder the tarballs are in. */
  readonly base: URL;
}

/** Without a known hole; `.github/workflows/nix-version.yml` says when there is a newer one. */
export const RELEASE: Release = {
  version: "2.35.2",
  base: baseOf("2.35.2"),
  sha256: {
    "x86_64-linux": "0c3960a9792331a22081c3c7a5d8465db9b17c50b3acdf18587fa4c6f2cb1158",
    "aarch64-linux": "4d0302a2910f5eec1c33b8deef634f04899a75737e7001ec49908d003ae5efda",
    "x86_64-darwin": "d725518d89f3b0b8d4af702a9d38d519814014cbe125afb3ed0545c9d755f6a5",
    "aarch64-darwin": "1695c13aba5afa7c2ecd6dc4a9393f602e7bbc440ed45e81602c831546580ec3",
  },
};

/** The user's own, or the one known here. */
export function releaseOf(chosen: ChosenNix | undefined): Release {
  if (!chosen) return RELEASE;
  const { version, sha256 } = chosen;
  const any = sha256.get("");
  const systems = Object.keys(RELEASE.sha256);
  return {
    version,
    base: baseOf(version),
    sha256: Object.fromEntries(
      systems.flatMap((system) => {
        const sum = sha256.get(system) ?? any;
        return sum === undefined ? [] : [[system, sum]];
      }),
    ),
  };
}

function baseOf(version: string): URL {
  return new URL(`https://releases.nixos.org/nix/nix-${version}/`);
}

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
  /** In tests, which install into folders of their own. */
  readonly place?: Pick<InstallPlace, "nix" | "settings" | "uid">;
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
    throw new UserError(
      "NCP-201",
      `install-nix: there is no release of Nix ${release.version} for ${system} here`,
      { hint: "put a step that installs Nix before this one, or name its sum in nix-sha256" },
    );
  }
  const place: InstallPlace = { ...request, ...request.place };
  await preparePlace(place);
  const tarball = await fetchTarball(request, system);
  const unpacked = await mkdtemp(join(request.folder, "nix-"));
  await unpack(tarball, unpacked, expected, request);
  const [top = ""] = await readdir(unpacked);
  const kind = request.platform === "darwin" ? ["--daemon"] : ["--no-daemon"];
  if (request.platform === "darwin") {
    const settings = join(request.folder, "nix-extra.conf");
    await writeFile(settings, settingsFor(place));
    kind.push("--nix-extra-conf-file", settings);
  }
  log.info(`installing Nix ${release.version} for ${system}`);
  await runInstaller(
    join(unpacked, top, "install"),
    [...kind, "--yes", "--no-channel-add", "--no-modify-profile"],
    childEnvironment(environment, {
      // A single-user installation as root has no build users.
      NIX_CONFIG: `build-users-group =\n${environment["NIX_CONFIG"] ?? ""}`,
    }),
    request,
  );
  await settle(place);
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
): Promise<string> {
  // Only now, and only on a runner without Nix: it brings an HTTP stack of its own.
  const tools = await import("@actions/tool-cache");
  const { version, base } = release;
  const name = `nix-${version}-${system}.tar.xz`;
  const arch = system.split("-")[0] ?? system;
  // tool-cache throws where the runner has no folder for it, or tries for ever to make one; then the download
  // is simply not kept.
  const folder = environment["RUNNER_TOOL_CACHE"] ?? "";
  const keeps = folder !== "" && (await canBeMade(folder));
  const kept = keeps ? tools.find(TOOL, version, arch) : "";
  if (kept !== "") return join(kept, name);
  const url = new URL(name, base).href;
  log.info(`downloading ${url}`);
  const file = await tools.downloadTool(url);
  // What is not right is kept for nobody.
  const right = (await sha256File(file)) === release.sha256[system];
  return keeps && right ? join(await tools.cacheFile(file, name, TOOL, version, arch), name) : file;
}

function canBeMade(folder: string): Promise<boolean> {
  return makeFolder(folder).then(
    () => true,
    () => false,
  );
}

const UNPACK_DEADLINE = 10 * 60_000;

/**
 * The sum is of the very bytes that tar is given: between a look at a file and its use, another
 * process could change it. What was unpacked is used only where the sum is right.
 */
async function unpack(
  file: string,
  folder: string,
  expected: string,
  { environment, signal }: InstallRequest,
): Promise<void> {
  const hash = createHash("sha256");
  let given = 0;
  const counted = async function* () {
    for await (const chunk of createReadStream(file)) {
      hash.update(chunk as Buffer);
      given += (chunk as Buffer).length;
      yield chunk as Buffer;
    }
  };
  const { code, stderr } = await run("tar", ["-xJf", "-", "-C", folder], {
    env: childEnvironment(environment),
    signal,
    deadline: UNPACK_DEADLINE,
    input: counted(),
  });
  // tar ends before it has read all where it cannot read it.
  const whole = given === (await stat(file)).size;
  if ((whole ? hash.digest("hex") : await sha256File(file)) !== expected) {
    await rm(folder, { recursive: true, force: true });
    throw mismatch(file, expected);
  }
  if (code === 0 && whole) return;
  throw new UserError("NCP-201", `install-nix: ${file} cannot be unpacked: ${stderr.trim()}`, {
    hint: "it needs tar and xz (xz-utils): install them in a step before",
  });
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
