/** The machine under `install-nix`: what its installer needs there, and the settings that later steps need. */

import { access, constants, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { UserError } from "../domain/errors.ts";
import type { Log } from "../domain/ports.ts";
import { makeFolder } from "../host/atomic.ts";
import type { Environment } from "../host/environment.ts";
import { folderOf, missingProgram } from "../host/programs.ts";
import { asRoot } from "../host/tool-folders.ts";

export interface InstallPlace {
  readonly environment: Environment;
  readonly platform: NodeJS.Platform;
  /** A folder of ours. */
  readonly folder: string;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Where Nix goes, and its settings; elsewhere in tests. */
  readonly nix?: string;
  readonly settings?: string;
  readonly uid?: number | undefined;
}

const SETTINGS = "/etc/nix/nix.conf";

/**
 * Says beforehand what the installer would die of: it runs xz, and makes /nix with sudo, even for root,
 * whose container has none; for root it is made here.
 */
export async function preparePlace(place: InstallPlace): Promise<void> {
  const { environment, platform, nix = "/nix", uid = process.getuid?.() } = place;
  // macOS: its tar reads xz by itself, and the daemon's installer asks for sudo in words of its own.
  if (platform !== "linux") return;
  const path = environment["PATH"] ?? "";
  if (folderOf("xz", path) === undefined) throw missingProgram("xz", "install-nix");
  const there = await stat(nix).catch(() => undefined);
  if (uid === 0) {
    if (!there) await mkdir(nix, { mode: 0o755 });
    return;
  }
  const writable = await access(nix, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (writable || folderOf("sudo", path) !== undefined) return;
  throw new UserError("NCP-201", `install-nix: ${nix} cannot be made by this user`, {
    hint: `run the job as root or with sudo, or make it beforehand: mkdir -m 0755 ${nix} && chown USER ${nix}`,
  });
}

/** Later steps build flakes; without a daemon, root has no build users, and Nix looks for them. */
export function settingsFor({ platform, environment }: InstallPlace): string {
  const lines = [
    "# by nix-cache-preflight (install-nix)",
    "experimental-features = nix-command flakes",
    platform === "darwin"
      ? `trusted-users = root ${environment["USER"] || "runner"}`
      : "build-users-group =",
  ];
  return `${lines.join("\n")}\n`;
}

/** Writes them where Nix had none before; with a daemon, its installer does that, from a file. */
export async function settle(place: InstallPlace): Promise<void> {
  const { environment, platform, log, signal, settings = SETTINGS } = place;
  const { uid = process.getuid?.() } = place;
  if (platform !== "linux") return;
  const text = settingsFor(place);
  if (!(await stat(settings).catch(() => undefined))) {
    const file = join(place.folder, "nix.conf");
    await writeFile(file, text);
    const command = ["install", "-D", "-m", "644", file, settings];
    await (uid === 0 || folderOf("sudo", environment["PATH"] ?? "") !== undefined
      ? asRoot(command, environment, signal)
      : ownSettings(environment, text));
  }
  if (uid !== 0 && (await readFile(RESTRICTED, "utf8").catch(() => "0")).trim() === "1") {
    log.info(
      "install-nix: this kernel lets nobody but root make namespaces, so this Nix builds without a sandbox; for one with a daemon, which has it, put a step before this one: uses: cachix/install-nix-action@v31",
    );
  }
}

const RESTRICTED = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";

async function ownSettings(environment: Environment, text: string): Promise<void> {
  const { XDG_CONFIG_HOME: config, HOME: home = "/" } = environment;
  const file = join(config || join(home, ".config"), "nix/nix.conf");
  if (await stat(file).catch(() => undefined)) return;
  await makeFolder(dirname(file));
  await writeFile(file, text);
}
