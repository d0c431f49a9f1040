/** Workflow files as an audit reads them: what starts them, their jobs, the steps of these, and what every name in them stands for. */

import type { HeldPath } from "./store-path.ts";

/** `owner/repo/path@ref`, or a folder of the repository itself. */
export interface ActionUse {
  /** In lower case, as GitHub compares it; `./folder` for one of the repository's own. */
  readonly name: string;
  readonly ref: string | undefined;
  /** `v31.11.0`: the ref, or where that is a commit, what the comment behind it says it is. */
  readonly version: string | undefined;
  readonly pinned: "commit" | "tag" | "name" | "branch" | "nothing";
  /** `./` is what the workspace holds, `$/` what the running commit holds: a checkout changes the first alone. */
  readonly from: "elsewhere" | "workspace" | "running commit";
}

/** A text of a file with what its names stand for at its place. */
export interface Bound {
  readonly text: string;
  readonly scope: Scope;
}

/** What `env.X` and `inputs.X` stand for in a text: one level of `env:`, on those around it. */
export interface Scope {
  readonly environment: ReadonlyMap<string, string>;
  readonly above: Scope | undefined;
  /** A composite action's; undefined: those of the workflow itself. */
  readonly inputs: ReadonlyMap<string, Bound> | undefined;
}

export const NO_SCOPE: Scope = { environment: new Map(), above: undefined, inputs: undefined };

/** The nearest level that sets the variable; its text is read with what stands around that level. */
export function variable(scope: Scope, name: string): Bound | undefined {
  for (let at: Scope | undefined = scope; at; at = at.above) {
    const text = at.environment.get(name);
    if (text !== undefined) return { text, scope: at.above ?? NO_SCOPE };
  }
  return undefined;
}

export interface WorkflowStep {
  /** `.github/workflows/ci.yml:12`. */
  readonly where: string;
  readonly id: string;
  readonly uses: ActionUse | undefined;
  /** Inputs as written, by their name in lower case. */
  readonly inputs: ReadonlyMap<string, string>;
  readonly run: string;
  /** Its own `if:`, and those of the composite actions that it stands in. */
  readonly conditions: readonly Bound[];
  /** Its variables and those of its job and workflow, and the inputs around it. */
  readonly scope: Scope;
  readonly continueOnError: string;
  /** Keys that nobody here knows: what they do is not judged. */
  readonly odd: readonly string[];
  /** The step's folder and shell, as written. */
  readonly folder: string;
  readonly shell: string;
  /** A composite action of the repository, whose steps follow; or one that could not be read. */
  readonly composite: "no" | "read" | "unread";
}

/** `contents: read`; `*` for `read-all` and `write-all`. Undefined where nothing is said. */
export type Permissions = ReadonlyMap<string, string> | undefined;

export interface WorkflowJob {
  readonly id: string;
  readonly where: string;
  readonly condition: string;
  readonly needs: readonly string[];
  /** Labels, or an expression; nothing where it calls another workflow. */
  readonly runsOn: readonly string[];
  /** The image it runs in, where there is one. */
  readonly container: string;
  /** Its `environment:`, which may ask for an approval. */
  readonly environment: string;
  readonly permissions: Permissions;
  /** `read`, `write`, …, its own or the workflow's. */
  readonly cacheMode: string;
  /** What each name of its matrix can be; undefined where an expression says it. */
  readonly matrix: ReadonlyMap<string, readonly string[] | undefined>;
  /** Composite actions of the repository itself stand here as their own steps. */
  readonly steps: readonly WorkflowStep[];
  readonly outputs: ReadonlyMap<string, string>;
  /** It calls a workflow and has no steps. */
  readonly calls: ActionUse | undefined;
  readonly given: ReadonlyMap<string, string>;
  readonly secrets: "inherit" | ReadonlyMap<string, string>;
  readonly scope: Scope;
}

/** How one event starts a workflow. */
export interface Trigger {
  readonly types: readonly string[];
  readonly branches: readonly string[];
  readonly tags: readonly string[];
  /** Of `workflow_run`: the names of the workflows that it follows. */
  readonly workflows: readonly string[];
}

export interface Workflow {
  /** `.github/workflows/ci.yml`. */
  readonly file: string;
  readonly name: string;
  readonly triggers: ReadonlyMap<string, Trigger>;
  readonly permissions: Permissions;
  /** Inputs of a call or a dispatch, with their defaults. */
  readonly inputs: ReadonlyMap<string, string>;
  readonly jobs: readonly WorkflowJob[];
}

export type WorkflowFile =
  | { readonly kind: "workflow"; readonly workflow: Workflow }
  | { readonly kind: "unreadable"; readonly file: string; readonly why: string };

/** Reads `uses:`; `comment` is what stands behind it on its line. */
export function parseUses(text: string, comment = ""): ActionUse | undefined {
  const [name = "", ref] = text.trim().split("@", 2);
  if (name === "" || name.startsWith("docker://")) return undefined;
  if (name.startsWith("./") || name.startsWith("$/")) {
    return {
      name: name.replace(/^\$\//, "./"),
      ref: undefined,
      version: undefined,
      pinned: "commit",
      from: name.startsWith("$/") ? "running commit" : "workspace",
    };
  }
  const base = { name: name.toLowerCase(), from: "elsewhere" as const };
  if (ref === undefined || ref === "") {
    return { ...base, ref: undefined, version: undefined, pinned: "nothing" };
  }
  if (/^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(ref)) {
    const version = /\bv?\d+(?:\.\d+)*\b/.exec(comment)?.[0];
    return { ...base, ref, version, pinned: "commit" };
  }
  if (/^v?\d+(?:\.\d+)*(?:[-+.].*)?$/.test(ref)) {
    return { ...base, ref, version: ref, pinned: "tag" };
  }
  // Whether another word is a tag that names a tool, or a branch, only its repository says.
  const branch = /^(?:main|master|develop|development|dev|trunk|head|nightly)$/i.test(ref);
  return { ...base, ref, version: undefined, pinned: branch ? "branch" : "name" };
}

/** A place that tells Nix which caches to read. */
export interface CacheConfiguration {
  /** `Nix's configuration`, `flake.nix`, `.github/workflows/ci.yml:12`. */
  readonly where: string;
  readonly substituters: readonly string[];
  /** As written, well formed or not. */
  readonly publicKeys: readonly string[];
  /** What it says of signatures, where it says something. */
  readonly signatures?: "require" | "accept any";
  /** Hosts of caches that a step adds together with their keys. */
  readonly vouches?: readonly string[];
  /** Keys that stand in a variable or an expression, and are not to be seen here. */
  readonly hidden?: "keys";
  /** Whether it has Nix take what a flake's `nixConfig` says, without asking. */
  readonly flakeConfig?: "accepted" | "asked";
}

export interface LockFile {
  readonly name: string;
  /** `unknown`: there is no git here to ask, or the flake may well need none. */
  readonly state: "committed" | "not committed" | "missing" | "unknown";
}

export interface ProjectFacts {
  readonly workflows: readonly WorkflowFile[];
  /** `owner/name`, where it is known. */
  readonly repository?: string;
  /** Nix's own first, then the flake's; what workflows say is read out of them by the audit. */
  readonly configurations: readonly CacheConfiguration[];
  readonly signatures: "require" | "accept any";
  /** Whether this run was given a token for our cache. */
  readonly token: "given" | "absent";
  readonly locks: readonly LockFile[];
}

export interface Project {
  /** `keyFiles`: lock files that the job's key is made of, where they are there. */
  look(keyFiles: readonly string[], signal: AbortSignal): Promise<ProjectFacts>;
  /** What takes the space of the machine's store; only where that is a person's own. */
  largestPaths?(most: number, signal: AbortSignal): Promise<readonly HeldPath[]>;
}
