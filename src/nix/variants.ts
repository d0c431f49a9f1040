/** What differs between kinds of Nix and of installations: who builds, in which store, what is made for it. */

import { access, constants, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { UserError } from "../domain/errors.ts";
import type { Environment } from "../host/environment.ts";

/** 2.4 brought `nix-command` and flakes; before it, no question of ours is understood. */
export function refuseTooOld(version: string): void {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === undefined || Number(major) > 2 || Number(minor) >= 4) return;
  throw new UserError("NCP-357", `Nix ${version} is too old`, {
    hint: "2.8 and newer are known to work: put a step that installs one before this one (uses: cachix/install-nix-action@v31)",
  });
}

/**
 * Whether a build directory that is not there is made by Nix; `unset` is the setting's default. 2.30 and later make it and do not tell its
 * default; Lix, which says 2.18 of itself for ever, makes it from the version on that has a default to tell.
 */
export function makesBuildDir(version: string, unset: string): boolean {
  if (unset !== "") return true;
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  return major > 2 || minor >= 30;
}

/**
 * Where a build writes. 2.30 and later: `build-dir`, by default below Nix's own state; before that
 * the setting where there is one (2.22 on), else the TMPDIR of the process that builds.
 */
export function buildDir(version: string, setting: string, environment: Environment): string {
  if (setting !== "") return setting;
  const state = environment["NIX_STATE_DIR"] ?? "/nix/var/nix";
  return makesBuildDir(version, "") ? `${state}/builds` : environment["TMPDIR"] || "/tmp";
}

/**
 * What `auto` stands for where there is no /nix: from 2.10 on, a chroot store in the data folder of a user
 * who is not root. `nix config show` goes on saying `auto`. Source: NixOS/nix, store-api.cc.
 */
export async function resolveStore(store: string, environment: Environment): Promise<string> {
  if ((store !== "" && store !== "auto") || process.platform !== "linux") return store;
  if (process.getuid?.() === 0) return store;
  if (environment["NIX_STORE_DIR"] !== undefined || environment["NIX_STATE_DIR"] !== undefined) {
    return store;
  }
  const there = (path: string) => stat(path).then(() => true, isThere);
  const socket = environment["NIX_DAEMON_SOCKET_PATH"] ?? `${STATE}/daemon-socket/socket`;
  if ((await there(STATE)) || (await there(socket))) return store;
  return join(dataFolder(environment), "root");
}

const STATE = "/nix/var/nix";

/** What may not be looked at is there. */
function isThere(error: NodeJS.ErrnoException): boolean {
  return error.code !== "ENOENT" && error.code !== "ENOTDIR";
}

/** Nix's own, in all versions. */
function dataFolder(environment: Environment): string {
  const { NIX_DATA_HOME: nix, XDG_DATA_HOME: all, HOME: home } = environment;
  return nix || join(all || join(home || homedir(), ".local/share"), "nix");
}

/** Where the state of a store is, which with a root of its own is below that. */
export function stateFolder(root: string | undefined, environment: Environment): string {
  return root === undefined ? environment["NIX_STATE_DIR"] || STATE : join(root, STATE);
}

/** Who runs builds: this process's user, build users for root, or a daemon with them. */
export type Builder = "ourselves" | "build users" | "daemon";

/** As Nix's `auto`: the store itself where its state can be written, else the daemon. */
export async function builderOf(
  store: string,
  buildUsersGroup: string,
  environment: Environment,
): Promise<Builder> {
  if (store === "daemon" || store.startsWith("unix:")) return "daemon";
  const state = environment["NIX_STATE_DIR"] ?? "/nix/var/nix";
  const there = await stat(state).catch(() => undefined);
  const writable =
    !there ||
    (await access(state, constants.W_OK).then(
      () => true,
      () => false,
    ));
  if ((store === "" || store === "auto") && !writable) return "daemon";
  return process.getuid?.() === 0 && buildUsersGroup !== "" ? "build users" : "ourselves";
}

/** As Nix decides it: `auto` is the daemon for whoever may not write to Nix's state. */
export async function asksDaemon(store: string, environment: Environment): Promise<boolean> {
  if (store !== "auto" && store !== "") return !/^(local\b|\/)/.test(store);
  return access(
    environment["NIX_STATE_DIR"] || "/nix/var/nix",
    constants.R_OK | constants.W_OK,
  ).then(
    () => false,
    () => true,
  );
}
