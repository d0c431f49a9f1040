/** The errors a user can act on: what happened, why, what to do, and a stable code. */

/** Every code has a section in docs/troubleshooting.md; a code is never reused for another meaning. */
export type ErrorCode =
  | "NCP-101" // an input has a wrong value
  | "NCP-102" // a target line cannot be read
  | "NCP-103" // a cache or substituter cannot be read
  | "NCP-104" // a size, duration or pattern cannot be read
  | "NCP-105" // a secret has the wrong form
  | "NCP-106" // two targets have one pin
  | "NCP-135" // a host limits how often it is asked
  | "NCP-136" // the flake names caches that Nix does not take from it
  | "NCP-138" // an earlier job's evaluation is another than this job's
  | "NCP-140" // `why` has nothing to answer, or nothing to compare with
  | "NCP-141" // not all can be built before the job ends
  | "NCP-142" // builds were not begun, since the job would have ended first
  | "NCP-137" // a source is private, and there were no credentials for it
  | "NCP-201" // there is no Nix
  | "NCP-202" // a Nix command failed
  | "NCP-203" // a derivation file cannot be read
  | "NCP-204" // there is no flake here
  | "NCP-205" // a target does not evaluate
  | "NCP-206" // a build failed
  | "NCP-207" // nothing was checked
  | "NCP-209" // the machine's post-build-hook failed
  | "NCP-301" // a narinfo cannot be read
  | "NCP-302" // a cache did not answer
  | "NCP-303" // a cache refused the credentials
  | "NCP-304" // there is no such cache, or it is for another store folder
  | "NCP-305" // a push failed
  | "NCP-306" // a pushed path could not be verified
  | "NCP-307" // a pin failed
  | "NCP-308" // a store path is damaged
  | "NCP-309" // a NAR cannot be unpacked here
  | "NCP-310" // a path is not served, since a reference of it was not pushed
  | "NCP-314" // a store path is above `push-max`
  | "NCP-315" // a cache's index cannot be written
  | "NCP-316" // a cache's index can be neither kept nor deleted
  | "NCP-317" // check runs were not made
  | "NCP-318" // a cache's index says nothing
  | "NCP-330" // this Nix cannot open a cache of this kind
  | "NCP-331" // an SSH host's key is not known here
  | "NCP-332" // this machine's clock is too far off
  | "NCP-333" // a server's certificate is not accepted
  | "NCP-334" // a proxy is written wrongly, or gives no way
  | "NCP-335" // a NAR goes on behind its announced end
  | "NCP-350" // there is no folder to work in
  | "NCP-351" // Nix's daemon does not let this user add caches or keys
  | "NCP-352" // Nix does not take the configuration that was written
  | "NCP-353" // a cache answers with something that is no narinfo
  | "NCP-354" // a narinfo is not followed
  | "NCP-356" // a program that the run needs is not on this machine
  | "NCP-357" // this Nix is too old
  | "NCP-359" // the machine does not let this step work
  | "NCP-401" // not enough disk space
  | "NCP-402" // something is in no binary cache
  | "NCP-403" // not enough inodes
  | "NCP-404" // targets were skipped, since there is not enough disk space
  | "NCP-405" // the build directory cannot be used
  | "NCP-406" // builds were not begun, since disk space ran low
  | "NCP-407" // a build died of a full disk
  | "NCP-408" // disk space could not be reclaimed
  | "NCP-409" // nothing was built for a target, as a cache did not answer
  | "NCP-410" // a disk was full
  | "NCP-430" // targets that do not fit into a matrix
  | "NCP-450" // main's record for post was changed
  | "NCP-451" // a regular expression takes too long
  | "NCP-452" // our cache holds something under a path's name that must not be believed
  | "NCP-453" // a stranger's build could read a secret of this step
  | "NCP-454" // an entry of GitHub's cache holds what no run of ours saved
  | "NCP-501" // a deadline passed, or the run was interrupted
  | "NCP-600" // an audit could not look at something
  | "NCP-601" // what was pushed is not complete in our cache any more
  | "NCP-602" // a target is not in our cache
  | "NCP-603" // what our cache holds has no pin
  | "NCP-604" // a pin is on another path
  | "NCP-605" // a pin runs out
  | "NCP-606" // a pin that no target has
  | "NCP-607" // the pins take more than the quota
  | "NCP-610" // no cache is named, or its name is an example's
  | "NCP-611" // the key Nix trusts is not the cache's
  | "NCP-612" // a key is a placeholder, or none at all
  | "NCP-613" // a cache is not reachable, or left questions open
  | "NCP-614" // a cache is configured twice
  | "NCP-615" // caches are asked in a bad order
  | "NCP-616" // a cache is read that nothing vouches for
  | "NCP-617" // our cache is not configured
  | "NCP-618" // the token does not do what it is for
  | "NCP-620" // a workflow file cannot be read
  | "NCP-621" // a stranger's code meets a secret, or is pushed
  | "NCP-622" // a token is not where it is needed, or is no secret
  | "NCP-623" // an action, a machine or a service is retired
  | "NCP-624" // what sees Nix or a secret is not pinned
  | "NCP-625" // an input that the action does not have
  | "NCP-626" // the name of a cache is a secret
  | "NCP-627" // nix-env
  | "NCP-628" // a job without a cache
  | "NCP-629" // an obsolete cache step
  | "NCP-630" // a job without Nix
  | "NCP-631" // nothing pushes
  | "NCP-632" // nothing looks after the cache
  | "NCP-633" // a lock file is not committed
  | "NCP-634" // a stranger's code runs with our rights
  | "NCP-635" // strangers' pull requests run on a machine that stays
  | "NCP-636" // a push's failure is not seen
  | "NCP-637" // a cache is set up after the build
  | "NCP-638" // work that no binary cache gets
  | "NCP-640" // the command line is wrong
  | "NCP-641" // Nix's configuration cannot be written
  | "NCP-642" // there is no cache to set up
  | "NCP-643" // a cache that was set up can be used only in part
  | "NCP-649"; // a fault of nix-cache-preflight itself

export interface ErrorDetails {
  /** What to do about it: one line a person can follow. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** Said where the code does not: the next path would fare no better. */
  readonly fault?: "the server's";
}

/** An error whose text is for the user; anything else that is thrown is a fault of ours. */
export class UserError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly fault: "the server's" | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "UserError";
    this.code = code;
    this.hint = details.hint;
    this.fault = details.fault;
  }
}

/** What no path can help: credentials that are refused, a place that is not there, a way that is barred. */
const SERVERS: ReadonlySet<ErrorCode> = new Set([
  "NCP-303",
  "NCP-304",
  "NCP-332",
  "NCP-333",
  "NCP-334",
]);

/** Whether the next path would fare no better. */
export function isServersFault(error: unknown): boolean {
  if (!(error instanceof UserError)) return false;
  return error.fault === "the server's" || SERVERS.has(error.code);
}

/** The message of whatever was thrown, with the messages of its causes behind it. */
export function describeError(thrown: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = thrown, depth = 0; at !== undefined && depth < 5; depth++) {
    const text = at instanceof Error ? at.message || at.name : String(at);
    if (text !== "" && !parts.some((part) => part.includes(text))) parts.push(text);
    at = at instanceof Error ? at.cause : undefined;
  }
  return parts.join(": ");
}

export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** Why something ended: Node's own timers and files tell of an interruption only that there was one. */
export function reasonOf(thrown: unknown, signal: AbortSignal): unknown {
  const { name } = (thrown ?? {}) as { readonly name?: unknown };
  return name === "AbortError" && signal.aborted ? signal.reason : thrown;
}

export function isFullDisk(message: string): boolean {
  return /No space left on device|ENOSPC|database or disk is full|Disk quota exceeded/i.test(
    message,
  );
}

/** What the system refused this process; undefined for a fault of ours. */
export function systemTrouble(thrown: unknown): UserError | undefined {
  if (thrown instanceof UserError) return undefined;
  const { code, path } = (thrown ?? {}) as { readonly code?: unknown; readonly path?: unknown };
  const message = describeError(thrown);
  if (isFullDisk(message)) {
    const where = typeof path === "string" ? ` (${path})` : "";
    return new UserError("NCP-410", `a disk is full${where}: ${message}`, {
      hint: "this step writes into the runner's temporary folder, the store and its own cache: free disk space there",
    });
  }
  if (typeof code !== "string") return undefined;
  const means = TROUBLES[code];
  if (means === undefined) return undefined;
  return new UserError("NCP-359", `${means}: ${message}`, { hint: TROUBLE_HINT });
}

const TROUBLES: Readonly<Record<string, string>> = {
  EACCES: "this user may not do that",
  EPERM: "this user may not do that",
  EROFS: "a file system can only be read",
  EMFILE: "this process may open no more files",
  ENFILE: "this machine can open no more files",
  EIO: "a disk does not work",
};
const TROUBLE_HINT =
  "look at who owns RUNNER_TEMP, HOME and the workspace, and at the limits of the runner's user";
