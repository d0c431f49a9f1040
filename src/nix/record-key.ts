/** What an evaluation depends on, as one hash: the commit, the lock, the lines, the Nix. */

import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import type { Memory } from "../domain/evaluation-record.ts";
import type { NixSetup } from "../domain/ports.ts";
import type { Target } from "../domain/target.ts";
import { readIfThere } from "../host/disk.ts";
import { childEnvironment, type Environment } from "../host/environment.ts";
import { runGit } from "../host/programs.ts";
import { DEADLINES, type NixCommand } from "./command.ts";
import { type FlakeMetadata, fingerprintIn, flakeMetadata } from "./eval-cache.ts";
import { type Flake, indirectName, isIndirect } from "./flake.ts";

/** What keys are made of and nobody need know this Nix for: asked while it says how it is set up. */
export interface Naming {
  /** Names every tracked byte of the flake, and what it knows of its commit; undefined where any was changed. */
  readonly commit: Promise<string | undefined>;
  readonly metadata: Promise<FlakeMetadata | undefined>;
  /** Lix and Determinate Nix say here which they are. */
  readonly kind: Promise<string>;
}

export function beginNaming(
  nix: NixCommand,
  flake: Flake,
  environment: Environment,
  signal: AbortSignal,
): Naming {
  const naming = {
    commit: gitCommit(flake.directory, { environment, signal }),
    metadata: flakeMetadata(nix, signal),
    kind: nix.run("nix", ["--version"], { signal, deadline: DEADLINES.query }),
  };
  // Whoever needs them awaits them: until then another failure may be first.
  for (const one of Object.values(naming)) one.catch(() => undefined);
  return naming;
}

export interface RecordKeyRequest {
  readonly setup: Omit<NixSetup, "flake" | "inputs">;
  readonly flake: Flake | undefined;
  readonly targets: readonly Target[];
  /** Lines that take targets away. */
  readonly without: readonly string[];
  /** Whatever else a record must not outlive: the caches asked, our own version. */
  readonly also: readonly string[];
  readonly environment: Environment;
  readonly naming?: Naming | undefined;
  readonly signal: AbortSignal;
}

/**
 * Undefined where what was evaluated cannot be named: a dirty tree, a flake outside git, a flake
 * reference without a revision, a `.drv` of this machine, a file, which may read anything.
 */
export async function recordKey(request: RecordKeyRequest): Promise<string | undefined> {
  const { setup, flake, targets } = request;
  const parts: string[] = [setup.version, setup.system, setup.storeDir, ...request.also];
  parts.push(JSON.stringify(request.without));
  let commit: Promise<string | undefined> | undefined;
  let lock: Promise<string | undefined> | undefined;
  const flakes = targets.length > 0 ? targets : [undefined];
  for (const target of flakes) {
    const installable = target?.installable;
    parts.push(JSON.stringify(target ?? "what there is"));
    if (installable?.kind === "store path") continue;
    if (installable?.kind === "derivation" || installable?.kind === "file") return undefined;
    const reference = installable?.flake ?? ".";
    if (reference === "." && flake) {
      commit ??= request.naming?.commit ?? gitCommit(flake.directory, request);
      const id = await commit;
      if (id === undefined) return undefined;
      parts.push(id);
    } else if (isLocked(reference, flake)) {
      lock ??= readIfThere(join(flake.directory, "flake.lock"));
      const text = await lock;
      if (text === undefined) return undefined;
      parts.push(text);
    } else if (!/[/=][0-9a-f]{40}\b/.test(reference)) return undefined;
  }
  return sum(parts);
}

/** Settings of Nix's that what is evaluated may depend on. */
export const BEAR_ON_EVALUATION = [
  "allow-import-from-derivation",
  "allow-unsafe-native-code-during-evaluation",
  "allowed-uris",
  "eval-system",
  "experimental-features",
  "lazy-trees",
  "plugin-files",
  "pure-eval",
  "restrict-eval",
  "sandbox-paths",
  "tarball-ttl",
];

export interface EvaluationKeyRequest {
  readonly setup: Omit<NixSetup, "flake" | "inputs">;
  /** Settings that evaluation may depend on. */
  readonly settings: readonly string[];
  readonly flake: Flake;
  /** Whatever else must be the same. */
  readonly also: readonly string[];
  readonly naming: Naming;
}

/**
 * What an evaluation of this flake depends on, whatever of it is evaluated; and the name that Nix gives
 * the flake. Undefined where the tree was changed, or the lock leaves something open.
 */
export async function evaluationKey(
  request: EvaluationKeyRequest,
): Promise<{ readonly key: string; readonly fingerprint: string } | undefined> {
  const { setup, settings, flake, also, naming } = request;
  const [kind, metadata, commit, isOpen] = await Promise.all([
    naming.kind,
    naming.metadata,
    naming.commit,
    leavesOpen(flake),
  ]);
  const name = fingerprintIn(metadata, setup.version);
  if (name === undefined || commit === undefined || isOpen) return undefined;
  const { version, system, storeDir } = setup;
  const parts = [kind, version, system, storeDir, name, commit, ...settings, "", ...also];
  return { key: sum(parts), fingerprint: name };
}

function sum(parts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:${part}`);
  return hash.digest("hex");
}

/** A branch behind the name (`nixpkgs/nixos-25.05`) takes the place of the lock's revision. */
function isLocked(reference: string, flake: Flake | undefined): flake is Flake {
  const name = indirectName(reference);
  return isIndirect(reference) && !reference.includes("/") && flake?.inputs.has(name) === true;
}

interface LockNode {
  readonly locked?: { readonly type?: string; readonly path?: string; readonly narHash?: string };
}

/**
 * Whether the lock says what every input is, so that the commit names all that was evaluated. Nix
 * itself knows which inputs there are; it would fetch and lock the others in its memory alone.
 */
export async function isLockWhole(
  nix: NixCommand,
  flake: Flake | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  if (!flake) return true;
  if (await leavesOpen(flake)) return false;
  const args = ["flake", "metadata", "--json", "--no-update-lock-file", flake.directory];
  const { code } = await nix.try("nix", args, { signal, deadline: DEADLINES.evaluate });
  return code === 0;
}

async function leavesOpen(flake: Flake): Promise<boolean> {
  const text = (await readIfThere(join(flake.directory, "flake.lock"))) ?? '{"nodes":{}}';
  const { nodes = {} } = JSON.parse(text) as { nodes?: Record<string, LockNode> };
  return Object.values(nodes).some(
    // A path below the flake is a part of the tree.
    ({ locked }) => locked && locked.narHash === undefined && !isBelow(locked),
  );
}

function isBelow({ type, path = "" }: NonNullable<LockNode["locked"]>): boolean {
  return type === "path" && !path.startsWith("/") && !path.split("/").includes("..");
}

const DEADLINE = 20_000;

/**
 * The commit, and not its tree alone: a flake may say which it is of (`self.rev`, `self.lastModified`), and how many
 * there are (`self.revCount`), which in a shallow clone are those down to where it was cut. Undefined where a tracked
 * byte was changed, or git was told not to look (a sparse checkout), which Nix does from 2.20 on.
 */
async function gitCommit(
  directory: string,
  { environment, signal }: Pick<RecordKeyRequest, "environment" | "signal">,
): Promise<string | undefined> {
  const env = childEnvironment(environment);
  const git = (args: readonly string[]) =>
    runGit(args, { cwd: directory, env, signal, deadline: DEADLINE });
  try {
    const [commit, prefix, status, files, shallow] = await Promise.all([
      git(["rev-parse", "--verify", "--quiet", "HEAD"]),
      git(["rev-parse", "--show-prefix"]),
      // Files that git does not track are no part of a flake.
      git(["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=none"]),
      git(["ls-files", "-v", ":/"]),
      git(["rev-parse", "--git-path", "shallow"]),
    ]);
    const all = [commit, prefix, status, files, shallow];
    if (all.some(({ code }) => code !== 0)) return undefined;
    const isUnseen = /^[a-zS] /m.test(files.stdout);
    if (status.stdout !== "" || isUnseen) return undefined;
    const cut = await readIfThere(resolve(directory, shallow.stdout.trim()));
    return [commit.stdout.trim(), prefix.stdout.trim(), cut ?? ""].join(" ");
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** What a lock leaves open may be another thing tomorrow: no record of it is written. */
export function onlyLocked(
  kept: Memory,
  isWhole: (signal: AbortSignal) => Promise<boolean>,
): Memory {
  return {
    ...kept,
    remember: async (record, signal) => {
      if (await isWhole(signal)) await kept.remember(record, signal);
    },
  };
}
