/** Owns what an audit looks at beside the caches: the project's files and how Nix is configured. */

import type { WorkflowFile } from "./workflow.ts";

/** A place that tells Nix which caches to read. */
export interface CacheConfiguration {
  /** `Nix's configuration`, `flake.nix`, `.github/workflows/ci.yml:12`. */
  readonly where: string;
  readonly substituters: readonly string[];
  /** As written, well formed or not. */
  readonly publicKeys: readonly string[];
}

export interface LockFile {
  readonly name: string;
  /** `unknown`: there is no git here to ask. */
  readonly state: "committed" | "not committed" | "missing" | "unknown";
}

export interface ProjectFacts {
  readonly workflows: readonly WorkflowFile[];
  /** Nix's own first. */
  readonly configurations: readonly CacheConfiguration[];
  readonly signatures: "require" | "accept any";
  /** Whether this run was given a token for our cache. */
  readonly token: "given" | "absent";
  readonly locks: readonly LockFile[];
}

export interface Project {
  /** `keyFiles`: lock files that the job's key is made of, where they are there. */
  look(keyFiles: readonly string[], signal: AbortSignal): Promise<ProjectFacts>;
}
