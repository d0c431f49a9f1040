/** Owns the flake of the working directory: whether there is one and what its lock pins. */

import { dirname, join } from "node:path";
import { readIfThere } from "../host/disk.ts";

export interface Flake {
  readonly directory: string;
  /** Names of its inputs, as its lock file has them. */
  readonly inputs: ReadonlySet<string>;
}

/** The flake `directory` is in, looked for as Nix does: upwards, not past the repository's top. */
export async function findFlake(directory: string): Promise<Flake | undefined> {
  for (let at = directory; ; at = dirname(at)) {
    if ((await readIfThere(join(at, "flake.nix"))) !== undefined) {
      return { directory: at, inputs: await lockedInputs(at) };
    }
    const top = (await readIfThere(join(at, ".git", "HEAD"))) !== undefined;
    if (top || at === dirname(at)) return undefined;
  }
}

interface LockFile {
  readonly root?: unknown;
  readonly nodes?: Record<string, { inputs?: Record<string, unknown> } | undefined>;
}

async function lockedInputs(directory: string): Promise<ReadonlySet<string>> {
  const text = await readIfThere(join(directory, "flake.lock"));
  if (text === undefined) return new Set();
  try {
    const lock = JSON.parse(text) as LockFile;
    const root = typeof lock.root === "string" ? lock.nodes?.[lock.root] : undefined;
    return new Set(Object.keys(root?.inputs ?? {}));
  } catch {
    return new Set(); // Nix itself says what is wrong with it, at the first evaluation
  }
}

/** Whether a flake reference is a name to be looked up (`nixpkgs`, `nixpkgs/nixos-25.05`). */
export function isIndirect(flake: string): boolean {
  return /^(flake:)?[A-Za-z][0-9A-Za-z_-]*(\/[0-9A-Za-z_.-]+){0,2}$/.test(flake);
}

export function indirectName(flake: string): string {
  return flake.replace(/^flake:/, "").split("/")[0] ?? flake;
}
