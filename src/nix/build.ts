/** Has Nix build and fetch: `nix-store --realise`, the same in every version. */

import { type Derivation, isFixedOutput, structuredAttributes } from "../domain/derivation.ts";
import { isFullDisk } from "../domain/errors.ts";
import type {
  BuildControl,
  BuildResult,
  DerivationOutputs,
  Log,
  Progress,
} from "../domain/ports.ts";
import { isDerivationPath, type StorePath } from "../domain/store-path.ts";
import type { Environment } from "../host/environment.ts";
import { HOOK_LINE, type Realised, type RealiseListener, realise } from "./activities.ts";
import { DEADLINES, type NixCommand, nixErrors, nixMessage } from "./command.ts";
import { type BuildPlace, BuildSampler, measure, type Observed } from "./measure.ts";
import { validPaths } from "./store.ts";

/** What makes our caches known to a single call, before any configuration is written. */
export interface CallSubstituters {
  readonly urls: readonly string[];
  /** All there are to ask, where some that Nix is configured with are gone. */
  readonly instead: readonly string[] | undefined;
  readonly publicKeys: readonly string[];
  /** For private caches; Nix reads the token from it, and no argument list holds one. */
  readonly netrcFile: string | undefined;
  /** For a process that evaluates and builds nothing. */
  readonly environment?: Environment;
  /** A daemon takes most settings from users whom it trusts alone. */
  readonly settings: "all" | "those of everybody";
  readonly sandbox: "as configured" | "or not at all";
}

/** Seconds to a connection, and without a byte on one: Nix's own patience is 300, five times over. */
const PATIENCE = { connect: "15", stalled: "60" };

export function substituterOptions(call: CallSubstituters): string[] {
  const { urls, instead, publicKeys, netrcFile, settings, sandbox } = call;
  return [
    // A cache that is broken in one place does not end the rest.
    ...["--option", "fallback", "true", "--option", "connect-timeout", PATIENCE.connect],
    ...(instead
      ? ["--option", "substituters", instead.join(" ")]
      : urls.length > 0
        ? ["--option", "extra-substituters", urls.join(" ")]
        : []),
    ...(publicKeys.length > 0
      ? ["--option", "extra-trusted-public-keys", publicKeys.join(" ")]
      : []),
    ...(netrcFile === undefined ? [] : ["--option", "netrc-file", netrcFile]),
    ...(settings === "all"
      ? [
          ...["--option", "stalled-download-timeout", PATIENCE.stalled],
          // What was pushed a minute ago is there now, whatever was answered an hour ago.
          ...["--option", "narinfo-cache-negative-ttl", "0"],
          ...(sandbox === "or not at all" ? ["--option", "sandbox-fallback", "false"] : []),
        ]
      : []),
  ];
}

/** Variables of the builder's environment that a fixed output asks for; of others Nix passes none. */
export function impureVariables(derivation: Derivation): readonly string[] {
  if (!isFixedOutput(derivation)) return [];
  const plain = derivation.environment.get("impureEnvVars");
  if (plain !== undefined) return plain.split(/\s+/).filter((name) => name !== "");
  const listed = structuredAttributes(derivation)?.["impureEnvVars"];
  return Array.isArray(listed) ? listed.filter((name) => typeof name === "string") : [];
}

export interface BuildRequest {
  readonly wanted: readonly DerivationOutputs[];
  readonly substituters: CallSubstituters;
  readonly place: BuildPlace;
  /** Variables beside those of every child. */
  readonly environment: Environment;
  /** The machine's post-build-hook; it does not run on what strangers made. */
  readonly hook: { readonly program: string | undefined; readonly runs: "yes" | "no" };
  /** Paths of the outputs named, or of all; those that are not known before the build left out. */
  readonly outputs: (
    drvPath: StorePath,
    names?: readonly string[],
  ) => Promise<readonly StorePath[]>;
}

export async function build(
  nix: NixCommand,
  log: Log,
  { wanted, substituters, place, outputs, environment, hook }: BuildRequest,
  { signal, mayBegin, told }: BuildControl,
): Promise<BuildResult> {
  const begun = new Map<StorePath, number>();
  let elsewhere: "some" | "none" = "none";
  const gate = new AbortController();
  const sampler = new BuildSampler(place.directory, place.realStoreDir);
  let result: Realised | undefined;
  try {
    result = await realise(
      nix,
      [
        ...substituterOptions(substituters),
        ...(hook.runs === "no" && hook.program !== undefined
          ? ["--option", "post-build-hook", ""]
          : []),
        ...(place.movedBy === "setting" ? ["--option", "build-dir", place.directory] : []),
        ...wanted.map(({ drvPath, outputNames }) => `${drvPath}!${outputNames.join(",")}`),
      ],
      {
        ...listener(log, ({ path, ...rest }) => {
          // What is fetched on the way is not what is built.
          if (isDerivationPath(path)) told?.({ path, ...rest });
        }),
        begun(drvPath, machine) {
          // Another machine's disk is not ours to plan.
          if (machine === "") {
            begun.set(drvPath, Date.now());
            sampler.begun(drvPath);
          } else elsewhere = "some";
          // Nix cannot be told to begin nothing more: what it begins now has lost nothing yet.
          if (mayBegin?.() === false) gate.abort();
        },
      },
      {
        signal: AbortSignal.any([signal, gate.signal]),
        deadline: DEADLINES.build,
        environment: {
          ...environment,
          ...(place.movedBy === "environment" ? { TMPDIR: place.directory } : {}),
        },
      },
    );
  } catch (error) {
    signal.throwIfAborted();
    if (!gate.signal.aborted) throw error;
  } finally {
    await sampler[Symbol.asyncDispose]();
  }
  const failed = new Map<StorePath, string>();
  const stopped: StorePath[] = [];
  const hookFailed = hookFailure(result?.stderr ?? "", hook.program);
  for (const { drvPath, outputNames } of wanted) {
    const paths = await outputs(drvPath, outputNames);
    const valid = await validPaths(nix, paths, signal);
    const made = result?.code === 0 || (paths.length > 0 && valid.size === paths.length);
    if (made) continue;
    if (result) failed.set(drvPath, await failureOf(nix, drvPath, result.stderr, signal));
    else stopped.push(drvPath);
  }
  const full = whatWasFull(result?.stderr ?? "", place);
  const observed = { place, begun, elsewhere, peaks: sampler.peaks(), full, outputs };
  const { made, ...measured } = await measure(nix, observed, signal);
  const built = result ? [...result.built.keys()] : made;
  return {
    built: built.filter((drvPath) => !failed.has(drvPath)),
    failed,
    stopped,
    ...measured,
    seconds: result?.built ?? new Map(),
    ...(hookFailed === undefined ? {} : { hookFailed }),
  };
}

/** Nix's own word of it, which stands for all that it did not build after; with the hook's last lines. */
function hookFailure(stderr: string, program: string | undefined): string | undefined {
  if (program === undefined) return undefined;
  const said = nixErrors(stderr)
    .flatMap((message) => message.split("\n"))
    .find((line) => line.includes(program) && / failed with exit code \d+/.test(line));
  if (said === undefined) return undefined;
  const lines = stderr.split("\n").filter((line) => line.startsWith(HOOK_LINE));
  return [said, ...lines.slice(-LOG_LINES).map((line) => `> ${line}`)].join("\n");
}

/** By the path that could not be written; a builder names its own files without a folder. */
function whatWasFull(stderr: string, { realStoreDir }: BuildPlace): Observed["full"] {
  const line = stderr.split("\n").find(isFullDisk);
  if (line === undefined) return undefined;
  return line.includes(`${realStoreDir}/`) ? "store" : "build directory";
}

export async function substitute(
  nix: NixCommand,
  log: Log,
  substituters: CallSubstituters,
  paths: readonly StorePath[],
  signal: AbortSignal,
  told?: (progress: Progress) => void,
): Promise<Map<StorePath, string>> {
  const failed = new Map<StorePath, string>();
  for (let at = 0; at < paths.length; at += 1_000) {
    const chunk = paths.slice(at, at + 1_000);
    const result = await realise(
      nix,
      [...substituterOptions(substituters), ...chunk],
      listener(log, told),
      {
        signal,
        deadline: DEADLINES.build,
        ...(substituters.environment ? { environment: substituters.environment } : {}),
      },
    );
    if (result.code === 0) continue;
    const valid = await validPaths(nix, chunk, signal);
    for (const path of chunk) if (!valid.has(path)) failed.set(path, nixMessage(result.stderr));
  }
  return failed;
}

/** An argument list may hold 128 kB; a store path takes some 80 bytes. */
const COPIED_AT_ONCE = 1_000;

/** Undefined when all are valid; `--no-recursive`: what they refer to is valid, or among them. */
export async function importFrom(
  nix: NixCommand,
  url: string,
  publicKeys: readonly string[],
  paths: readonly StorePath[],
  signal: AbortSignal,
): Promise<string | undefined> {
  for (let at = 0; at < paths.length; at += COPIED_AT_ONCE) {
    const { code, stderr } = await nix.try(
      "nix",
      [
        "copy",
        "--no-recursive",
        ...["--from", url],
        ...(publicKeys.length > 0
          ? ["--option", "extra-trusted-public-keys", publicKeys.join(" ")]
          : []),
        ...paths.slice(at, at + COPIED_AT_ONCE),
      ],
      { signal, deadline: DEADLINES.build },
    );
    if (code !== 0) return nixMessage(stderr);
  }
  return undefined;
}

function listener(log: Log, told: ((progress: Progress) => void) | undefined): RealiseListener {
  return { line: (line) => tell(log, line), progress: (progress) => told?.(progress) };
}

function tell(log: Log, line: string): void {
  // Nix says this of every path we have it realise; the paths are rooted by the steps that use them.
  if (line.includes("you did not specify '--add-root'")) return;
  log.info(line);
}

const LOG_LINES = 10;

/**
 * What Nix says of this derivation; of all that failed, where it was one of its dependencies. With
 * it the end of the builder's log, which Nix leaves out where it has shown the log before.
 */
export async function failureOf(
  nix: NixCommand,
  drvPath: StorePath,
  stderr: string,
  signal: AbortSignal,
): Promise<string> {
  const errors = nixErrors(stderr).filter((message) => !message.startsWith("build of '"));
  const own = errors.filter(
    (message) => message.includes(`'${drvPath}'`) && !/\bdependenc(y|ies)\b/.test(message),
  );
  const told = own.length > 0 ? own : errors;
  const builders = told.flatMap(
    (message) => /^(?:builder for|Cannot build) '([^']+\.drv)'/.exec(message)?.[1] ?? [],
  );
  const tails = await Promise.all(
    builders.slice(0, 3).map(async (path) => {
      const log = await nix.try("nix-store", ["--read-log", path], {
        signal,
        deadline: DEADLINES.query,
      });
      return log.stdout.trimEnd().split("\n").slice(-LOG_LINES);
    }),
  );
  const lines = tails.flat().filter((line) => line !== "");
  return [told.join("\n") || nixMessage(stderr), ...lines.map((line) => `> ${line}`)].join("\n");
}
