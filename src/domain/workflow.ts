/** Workflow files as an audit reads them: what starts them, their jobs, and the steps of these. */

/** `owner/repo/path@ref`, or a folder of the repository itself. */
export interface ActionUse {
  /** In lower case, as GitHub compares it; `./folder` for one of the repository's own. */
  readonly name: string;
  readonly ref: string | undefined;
  /** `v31.11.0`: the ref, or where that is a commit, what the comment behind it says it is. */
  readonly version: string | undefined;
  readonly pinned: "commit" | "tag" | "branch" | "nothing";
}

export interface WorkflowStep {
  /** `.github/workflows/ci.yml:12`. */
  readonly where: string;
  readonly uses: ActionUse | undefined;
  /** Inputs as written, by their name in lower case. */
  readonly inputs: ReadonlyMap<string, string>;
  readonly run: string;
  readonly condition: string;
  /** Variables that it alone sees, and those of its job and workflow. */
  readonly environment: ReadonlyMap<string, string>;
}

export interface WorkflowJob {
  readonly id: string;
  readonly where: string;
  readonly condition: string;
  /** Labels, an expression, or nothing where it calls another workflow. */
  readonly runsOn: string;
  /** The image it runs in, where there is one. */
  readonly container: string;
  /** Composite actions of the repository itself stand here as their own steps. */
  readonly steps: readonly WorkflowStep[];
  /** It calls a workflow and has no steps. */
  readonly calls: ActionUse | undefined;
}

export interface Workflow {
  /** `.github/workflows/ci.yml`. */
  readonly file: string;
  readonly triggers: ReadonlySet<string>;
  readonly jobs: readonly WorkflowJob[];
}

export type WorkflowFile =
  | { readonly kind: "workflow"; readonly workflow: Workflow }
  | { readonly kind: "unreadable"; readonly file: string; readonly why: string };

/** Reads `uses:`; `comment` is what stands behind it on its line. */
export function parseUses(text: string, comment = ""): ActionUse | undefined {
  const [name = "", ref] = text.trim().split("@", 2);
  if (name === "" || name.startsWith("docker://")) return undefined;
  if (name.startsWith("./")) {
    return { name, ref: undefined, version: undefined, pinned: "commit" };
  }
  const lower = name.toLowerCase();
  if (ref === undefined || ref === "") {
    return { name: lower, ref: undefined, version: undefined, pinned: "nothing" };
  }
  if (/^[0-9a-f]{40}$/.test(ref)) {
    const version = /\bv?\d+(\.\d+)*\b/.exec(comment)?.[0];
    return { name: lower, ref, version, pinned: "commit" };
  }
  const isTag = /^v?\d+(\.\d+)*([-+.].*)?$/.test(ref);
  return { name: lower, ref, version: isTag ? ref : undefined, pinned: isTag ? "tag" : "branch" };
}

/** Names of the secrets that an expression reads: `CACHIX_AUTH_TOKEN`. */
export function secretsIn(text: string): string[] {
  const dotted = text.matchAll(/\bsecrets\s*\.\s*([A-Za-z_][0-9A-Za-z_-]*)/g);
  const indexed = text.matchAll(/\bsecrets\s*\[\s*'([^']+)'\s*\]/g);
  return [...new Set([...dotted, ...indexed].map(([, name = ""]) => name.toUpperCase()))];
}

/** The step's inputs and environment with `${{ env.X }}` put in, as far as the file itself says it. */
export function resolved(step: WorkflowStep, text: string): string {
  return text.replace(
    /\$\{\{\s*env\.([A-Za-z_][0-9A-Za-z_-]*)\s*\}\}/g,
    (whole, name: string) => step.environment.get(name) ?? whole,
  );
}

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
