/** Owns whether Nix takes caches and keys from us: its daemon asks who the user is. */

import { access, constants } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { Untrusted } from "../domain/ports.ts";
import type { Environment } from "../host/environment.ts";
import { DEADLINES, type NixCommand } from "./command.ts";
import { readSettings } from "./settings.ts";

/** Reserved for names that do not exist; nobody is ever asked for it. */
const PROBE = "http://nix-cache-preflight.invalid";
/** The one refusal that 2.8 to 2.34 all tell: of a setting, 2.8 ignores it without a word. */
const REFUSED = "ignoring untrusted substituter";

/**
 * Undefined where there is no daemon, or one that trusts this user. `store` is the setting. A short
 * process where there is a daemon, and two more where it does not trust.
 */
export async function findStanding(
  nix: NixCommand,
  environment: Environment,
  store: string,
  signal: AbortSignal,
): Promise<Untrusted | undefined> {
  if (!(await asksDaemon(store, environment))) return undefined;
  const options = { signal, deadline: DEADLINES.query };
  // A question about a path: settings are sent before it, and no cache is asked.
  const path = `${environment["NIX_STORE_DIR"] || "/nix/store"}/${"0".repeat(32)}-x`;
  const question = ["--check-validity", "--print-invalid", path];
  const args = ["--option", "extra-substituters", PROBE, ...question];
  const { stderr } = await nix.try("nix-store", args, options);
  if (!stderr.includes(REFUSED)) return undefined;
  // The daemon knows root's file alone: neither the user's files nor the environment.
  const roots = await readSettings(nix, {
    ...options,
    environment: { NIX_USER_CONF_FILES: "", NIX_CONFIG: "" },
  });
  return {
    user: userName(),
    file: join(environment["NIX_CONF_DIR"] || "/etc/nix", "nix.conf"),
    substituters: [...roots.list("substituters"), ...roots.list("trusted-substituters")],
    publicKeys: roots.list("trusted-public-keys"),
  };
}

/** As Nix decides it: `auto` is the daemon for whoever may not write to Nix's state. */
async function asksDaemon(store: string, environment: Environment): Promise<boolean> {
  if (store !== "auto" && store !== "") return !/^(local\b|\/)/.test(store);
  return access(
    environment["NIX_STATE_DIR"] || "/nix/var/nix",
    constants.R_OK | constants.W_OK,
  ).then(
    () => false,
    () => true,
  );
}

/** A user without an entry in passwd is known by number, to Nix as well. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "this user");
  }
}
