/** Owns having Nix build and fetch: `nix-store --realise`, the same in every version. */

import { isFullDisk } from "../domain/full-disk.ts";
import type { BuildControl, BuildResult, DerivationOutputs, Log } from "../domain/ports.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { ExecResult } from "../host/exec.ts";
import { DEADLINES, type NixCommand, nixErrors, nixMessage } from "./command.ts";
import { type BuildPlace, measure, type Observed } from "./measure.ts";
import { BuildSampler } from "./sample.ts";
import { validPaths } from "./store.ts";

/** What makes our caches known to a single call, before any configuration is written. */
export interface CallSubstituters {
  readonly urls: readonly string[];
  readonly publicKeys: readonly string[];
  /** For private caches; Nix reads the token from it, and no argument list holds one. */
  readonly netrcFile: string | undefined;
}

function substituterOptions({ urls, publicKeys, netrcFile }: CallSubstituters): string[] {
  return [
    ...(urls.length > 0 ? ["--option", "extra-substituters", urls.join(" ")] : []),
    ...(publicKeys.length > 0
      ? ["--option", "extra-trusted-public-keys", publicKeys.join(" ")]
      : []),
    ...(netrcFile === undefined ? [] : ["--option", "netrc-file", netrcFile]),
    // What was pushed a minute ago is there now, whatever was answered an hour ago.
    "--option",
    "narinfo-cache-negative-ttl",
    "0",
  ];
}

export interface BuildRequest {
  readonly wanted: readonly DerivationOutputs[];
  readonly substituters: CallSubstituters;
  readonly place: BuildPlace;
  /** Paths of the outputs named, or of all; those that are not known before the build left out. */
  readonly outputs: (
    drvPath: StorePath,
    names?: readonly string[],
  ) => Promise<readonly StorePath[]>;
}

export async function build(
  nix: NixCommand,
  log: Log,
  { wanted, substituters, place, outputs }: BuildRequest,
  { signal, mayBegin }: BuildControl,
): Promise<BuildResult> {
  const begun = new Map<StorePath, number>();
  const gate = new AbortController();
  const sampler = new BuildSampler(place.directory, place.realStoreDir);
  let result: ExecResult | undefined;
  try {
    result = await nix.try(
      "nix-store",
      [
        "--realise",
        "--keep-going",
        ...substituterOptions(substituters),
        ...(place.movedBy === "setting" ? ["--option", "build-dir", place.directory] : []),
        ...wanted.map(({ drvPath, outputNames }) => `${drvPath}!${outputNames.join(",")}`),
      ],
      {
        signal: AbortSignal.any([signal, gate.signal]),
        deadline: DEADLINES.build,
        ...(place.movedBy === "environment" ? { more: { TMPDIR: place.directory } } : {}),
        onErrorLine: (line) => {
          const building = /^building '([^']+\.drv)'(?! on )/.exec(line)?.[1] as StorePath;
          if (building) {
            begun.set(building, Date.now());
            sampler.begun(building);
            // Nix cannot be told to begin nothing more: what it begins now has lost nothing yet.
            if (mayBegin?.() === false) gate.abort();
          }
          tell(log, line);
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
  for (const { drvPath, outputNames } of wanted) {
    const paths = await outputs(drvPath, outputNames);
    const valid = await validPaths(nix, paths, signal);
    const made = result?.code === 0 || (paths.length > 0 && valid.size === paths.length);
    if (made) continue;
    if (result) failed.set(drvPath, await failureOf(nix, drvPath, result.stderr, signal));
    else stopped.push(drvPath);
  }
  const full = whatWasFull(result?.stderr ?? "", place);
  const { built, figures } = await measure(
    nix,
    { place, begun, peaks: sampler.peaks(), full, outputs },
    signal,
  );
  return { built: built.filter((drvPath) => !failed.has(drvPath)), failed, stopped, figures };
}

/** By the path that could not be written; a builder names its own files without a folder. */
function whatWasFull(stderr: string, { realStoreDir }: BuildPlace): Observed["full"] {
  const line = stderr.split("\n").find(isFullDisk);
  if (line === undefined) return undefined;
  return line.includes(`${realStoreDir}/`) ? "store" : "build directory";
}

const LOG_LINES = 10;

/**
 * What Nix says of this derivation; of all that failed, where it was one of its dependencies. With
 * it the end of the builder's log, which Nix leaves out where it has shown the log before.
 */
async function failureOf(
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

export async function substitute(
  nix: NixCommand,
  log: Log,
  substituters: CallSubstituters,
  paths: readonly StorePath[],
  signal: AbortSignal,
): Promise<Map<StorePath, string>> {
  const failed = new Map<StorePath, string>();
  for (let at = 0; at < paths.length; at += 1_000) {
    const chunk = paths.slice(at, at + 1_000);
    const result = await nix.try(
      "nix-store",
      ["--realise", "--keep-going", ...substituterOptions(substituters), ...chunk],
      { signal, deadline: DEADLINES.build, onErrorLine: (line) => tell(log, line) },
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

function tell(log: Log, line: string): void {
  // Nix says this of every path we have it realise; the paths are rooted by the steps that use them.
  if (line.includes("you did not specify '--add-root'")) return;
  log.info(line);
}
