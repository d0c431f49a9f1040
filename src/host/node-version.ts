/** Which Node this bundle runs on, asked before anything is loaded that an older one could not even read. */

/**
 * The first releases with zstd in node:zlib, by major version; from 24 on all have it. package.json's
 * `engines` says the same. This file, and all that it imports, is read by Node 14: no newer syntax.
 */
const FIRST: Readonly<Record<number, number>> = { 22: 15, 23: 8 };

/** What is wrong with it; undefined where it will do. */
export function nodeTooOld(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const first = FIRST[major];
  if (first === undefined ? major >= 24 : minor >= first) return undefined;
  return `nix-cache-preflight needs Node 24, or 22 from 22.15 on, and was started with Node ${version}`;
}

/** GitHub's own runner brings Node along; the others take the image's. */
const HINT =
  "act, Gitea and Forgejo start an action with the node of the job's image: use an image with Node 24. GitHub's runner brings it from 2.327.1 on";

/** Runs an entry of the action. In the main step an old Node is an annotation, and post does not say it again. */
export function startStep(step: "main" | "post", load: () => Promise<void>): Promise<void> {
  const problem = nodeTooOld(process.versions.node);
  if (problem === undefined) return load();
  if (step === "main") {
    console.log(`::error title=Node is too old::${problem} (${process.execPath}). ${HINT}`);
    process.exitCode = 1;
  }
  return Promise.resolve();
}
