/** What the targets are evaluated from: the commit, what git says is changed in it, the inputs of its lock. */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { sourceName } from "../domain/content-address.ts";
import type { LockedInput, SourcesNow } from "../domain/ledger.ts";
import { readIfThere } from "../host/disk.ts";
import { childEnvironment, type Environment } from "../host/environment.ts";
import { runGit } from "../host/programs.ts";

export interface SourcesRequest {
  /** Where the flake is; without one, where the job works. */
  readonly directory: string;
  readonly storeDir: string;
  readonly environment: Environment;
}

/** Whatever git cannot say, or a lock does not, stays empty: nothing is told of it then. */
export async function sourcesNow(
  { directory, storeDir, environment }: SourcesRequest,
  signal: AbortSignal,
): Promise<SourcesNow> {
  const git = gitIn(directory, environment, signal);
  const [revision, status, files, lock] = await Promise.all([
    git(["rev-parse", "--verify", "--quiet", "HEAD"]),
    git(["status", "--porcelain", "-z", "--untracked-files=no", "--no-renames"]),
    git(["ls-tree", "-r", "-z", "--full-tree", "HEAD"]),
    readIfThere(join(directory, "flake.lock")),
  ]);
  const dirty = (status ?? "").split("\0").flatMap((line) => line.slice(3) || []);
  return {
    branch: /^refs\/heads\/(.+)$/.exec(environment["GITHUB_REF"] ?? "")?.[1] ?? "",
    revision: revision?.trim() ?? "",
    tree: files === undefined || status === undefined || dirty.length > 0 ? "" : treeSum(files),
    dirty,
    inputs: lockedInputs(lock ?? "", storeDir),
  };
}

/** Of all but the lock, whose inputs are told one by one. */
function treeSum(files: string): string {
  const hash = createHash("sha256");
  for (const line of files.split("\0")) {
    if (!/(^|[\t/])flake\.lock$/.test(line)) hash.update(`${line}\0`);
  }
  return hash.digest("hex");
}

interface LockNode {
  readonly inputs?: Readonly<Record<string, unknown>>;
  readonly locked?: Readonly<Record<string, unknown>>;
}

function lockedInputs(text: string, storeDir: string): LockedInput[] {
  let lock: { readonly root?: unknown; readonly nodes?: Readonly<Record<string, LockNode>> } | null;
  try {
    lock = JSON.parse(text);
  } catch {
    return []; // Nix itself says what is wrong with it
  }
  const root = typeof lock?.root === "string" ? lock.nodes?.[lock.root] : undefined;
  return Object.entries(root?.inputs ?? {}).flatMap(([name, node]) => {
    // What follows an input of another input changes with that one.
    const locked = typeof node === "string" ? lock?.nodes?.[node]?.locked : undefined;
    if (!locked) return [];
    const { rev, narHash } = locked;
    const sum = typeof narHash === "string" ? narHash : "";
    const revision = typeof rev === "string" ? rev : sum;
    return [{ name, revision, source: sourceName(sum, storeDir) ?? "" }];
  });
}

const DEADLINE = 20_000;

function gitIn(directory: string, environment: Environment, signal: AbortSignal) {
  return async (args: readonly string[]): Promise<string | undefined> => {
    try {
      const { code, stdout } = await runGit(args, {
        cwd: directory,
        env: childEnvironment(environment),
        signal,
        deadline: DEADLINE,
      });
      return code === 0 ? stdout : undefined;
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  };
}
