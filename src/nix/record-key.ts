/** What an evaluation depends on, as one hash: the git tree, the lock, the lines, the Nix. */

import { createHash } from "node:crypto";
import { join } from "node:path";
import type { NixSetup } from "../domain/ports.ts";
import type { Target } from "../domain/target.ts";
import { readIfThere } from "../host/disk.ts";
import { childEnvironment, type Environment } from "../host/environment.ts";
import { exec } from "../host/exec.ts";
import { type Flake, indirectName, isIndirect } from "./flake.ts";

export interface RecordKeyRequest {
  readonly setup: Omit<NixSetup, "flake">;
  readonly flake: Flake | undefined;
  readonly targets: readonly Target[];
  /** Whatever else a record must not outlive: the caches asked, our own version. */
  readonly also: readonly string[];
  readonly environment: Environment;
  readonly signal: AbortSignal;
}

/**
 * Undefined where what was evaluated cannot be named: a dirty tree, a flake outside git, a flake
 * reference without a revision, a `.drv` of this machine.
 */
export async function recordKey(request: RecordKeyRequest): Promise<string | undefined> {
  const { setup, flake, targets } = request;
  const parts: string[] = [setup.version, setup.system, setup.storeDir, ...request.also];
  let tree: Promise<string | undefined> | undefined;
  let lock: Promise<string | undefined> | undefined;
  const flakes = targets.length > 0 ? targets : [undefined];
  for (const target of flakes) {
    const installable = target?.installable;
    parts.push(JSON.stringify(target ?? "every package"));
    if (installable?.kind === "store path") continue;
    if (installable?.kind === "derivation") return undefined;
    const reference = installable?.flake ?? ".";
    if (reference === "." && flake) {
      tree ??= gitTree(flake.directory, request);
      const id = await tree;
      if (id === undefined) return undefined;
      parts.push(id);
    } else if (isLocked(reference, flake)) {
      lock ??= readIfThere(join(flake.directory, "flake.lock"));
      const text = await lock;
      if (text === undefined) return undefined;
      parts.push(text);
    } else if (!/[/=][0-9a-f]{40}\b/.test(reference)) return undefined;
  }
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:${part}`);
  return hash.digest("hex");
}

/** A branch behind the name (`nixpkgs/nixos-25.05`) takes the place of the lock's revision. */
function isLocked(reference: string, flake: Flake | undefined): flake is Flake {
  const name = indirectName(reference);
  return isIndirect(reference) && !reference.includes("/") && flake?.inputs.has(name) === true;
}

const DEADLINE = 20_000;

/** The id of the commit's tree, which names every tracked byte; undefined where any was changed. */
async function gitTree(
  directory: string,
  { environment, signal }: RecordKeyRequest,
): Promise<string | undefined> {
  const env = childEnvironment(environment);
  const git = (args: readonly string[]) =>
    exec("git", args, { cwd: directory, env, signal, deadline: DEADLINE });
  try {
    const [tree, prefix, status] = await Promise.all([
      git(["rev-parse", "--verify", "--quiet", "HEAD^{tree}"]),
      git(["rev-parse", "--show-prefix"]),
      // Files that git does not track are no part of a flake.
      git(["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=none"]),
    ]);
    const clean = status.code === 0 && status.stdout === "";
    if (!clean || tree.code !== 0 || prefix.code !== 0) return undefined;
    return `${tree.stdout.trim()} ${prefix.stdout.trim()}`;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
