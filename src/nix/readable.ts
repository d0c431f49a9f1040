/** Owns which caches this version of Nix reads itself, and what its process has to be told for them. */

import type { BinaryCache } from "../domain/cache.ts";
import type { Environment } from "../host/environment.ts";
import type { NixCommand } from "./command.ts";

/** Nobody listens there; a Nix that knows such stores says so at once, and another that it does not. */
const NOWHERE = "s3://preflight?scheme=http&endpoint=127.0.0.1:9";
const DEADLINE = 10_000;

/** Nix of Debian 12 and 13 is built without S3; the question is put to the program, not to its version. */
export async function readsS3(nix: NixCommand, signal: AbortSignal): Promise<boolean> {
  const args = ["--store", NOWHERE, "--option", "download-attempts", "1", "--query", "--hash"];
  const path = `/nix/store/${"0".repeat(32)}-preflight`;
  const options = { signal, deadline: DEADLINE };
  const asked = await nix.try("nix-store", [...args, path], options).catch(() => {
    signal.throwIfAborted();
    return undefined;
  });
  return !/don't know how to open Nix store/.test(asked?.stderr ?? "");
}

export function isS3({ substituter }: BinaryCache): boolean {
  return substituter.url.startsWith("s3:");
}

/** For a process that only fetches: one that evaluates or builds is told no credentials. */
export async function fetchEnvironment(caches: readonly BinaryCache[]): Promise<Environment> {
  const each = await Promise.all(caches.map(({ substituter }) => substituter.environment?.()));
  return Object.assign({}, ...each.reverse());
}
