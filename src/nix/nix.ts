/** The engine's port to Nix: one object, put together from the files of this folder. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { outputPaths, parseDerivation } from "../domain/derivation.ts";
import { UserError } from "../domain/errors.ts";
import type { EvaluationResult } from "../domain/evaluation.ts";
import type { Log, Nix } from "../domain/ports.ts";
import { realisationReading } from "../domain/realisation.ts";
import { baseName, type StorePath } from "../domain/store-path.ts";
import { isMissing } from "../host/disk.ts";
import { buildEnvironment } from "../host/environment.ts";
import { build, importFrom, impureVariables, substitute } from "./build.ts";
import type { CarriedEvaluation } from "./carried-evaluation.ts";
import { BashFill, isBash } from "./eval-by-name.ts";
import type { ChosenOutputs } from "./eval-cache.ts";
import { EvaluationDoor } from "./eval-command.ts";
import { EvalFill } from "./eval-fill.ts";
import { PATIENCE, tellLater } from "./eval-later.ts";
import { type Evaluator, evaluate } from "./evaluate.ts";
import type { Flake, KnownNames } from "./flake.ts";
import { FlakeInputs } from "./flake-inputs.ts";
import { collect, garbageBytes, Roots } from "./garbage.ts";
import { fileAddress, KnownCaches, type KnownCachesParts } from "./known-caches.ts";
import { narOf } from "./nar.ts";
import { fileEnvironment } from "./nix-file.ts";
import { realisations } from "./realisations.ts";
import { builtHere, closureOf, descending, onDisk, validPaths } from "./store.ts";

export interface NixParts extends KnownCachesParts {
  readonly flake: Flake | undefined;
  /** What is linked there is the job's own. */
  readonly jobFolders: readonly string[];
  readonly log: Log;
  /** Whether Nix has a secret for a host: what is fetched from there may be private. */
  readonly hasSecret: (host: string) => boolean;
  /** Whether evaluation may build what it imports and no cache has. */
  readonly buildsToEvaluate: "allowed" | "forbidden";
  /** What an earlier job evaluated; undefined where nothing is carried. */
  readonly carried: CarriedEvaluation | undefined;
  /** What Nix evaluated before, on this machine: an eval cache proves nothing of what it says. */
  readonly evaluatedBefore: "believed" | "removed" | "not looked at";
  /** Where links go that keep from Nix's own collection what the run uses; undefined: nowhere. */
  readonly rootsFolder: string | undefined;
}

export function nixPort(parts: NixParts): Nix {
  const { command, flake, log, laterSteps } = parts;
  const setup = {
    ...parts.machine.setup,
    flake: flake ? ("here" as const) : ("absent" as const),
    inputs: flake?.inputs ?? new Set<string>(),
  };
  const { storeDir, realStoreDir, system } = setup;
  const real = (path: StorePath) => join(realStoreDir, baseName(path));
  const known = new KnownCaches(parts);
  const roots = new Roots(command, parts.rootsFolder, log);
  // What is built was read before: what its fetches declare is known by then.
  const declared = new Set<string>();
  const derivation = async (path: StorePath) => {
    const read = parseDerivation(carried?.text(path) ?? readDrv(real(path)), path);
    for (const name of impureVariables(read)) declared.add(name);
    return read;
  };
  const { postBuildHook } = parts.machine.settings;
  // A daemon runs it in an environment of its own.
  const hook = postBuildHook !== undefined && parts.machine.builder !== "daemon" ? "here" : "none";
  const outputsOf = async (drvPath: StorePath, names?: readonly string[]) => {
    const one = await derivation(drvPath);
    return outputPaths(one, names ?? [...one.outputs.keys()]) ?? [];
  };
  const door = new EvaluationDoor({
    nix: command,
    storeDir,
    system,
    flake,
    builds: parts.buildsToEvaluate,
    forFiles: (file) => ({
      ...buildEnvironment(parts.environment, {
        code: parts.code,
        named: parts.passEnv,
        declared: [],
        hook: "none",
      }),
      ...fileEnvironment(file),
    }),
    // From here on evaluation may write to the store, and Nix may collect garbage for it.
    substituters: async (signal) => {
      await roots.hold([], signal);
      const isTrusted = parts.buildsToEvaluate === "allowed";
      return known.forCall(isTrusted ? "builds" : "evaluates a stranger's code", signal);
    },
    isBuilt: async (drvPath, signal) => {
      const outputs = await outputsOf(drvPath);
      const valid = await validPaths(command, await onDisk(realStoreDir, outputs), signal);
      return outputs.length > 0 && valid.size === outputs.length;
    },
  });
  // Since 2.9 `nix build` heeds what the package itself says.
  const [major = 0, minor = 0] = setup.version.split(".").map(Number);
  const outputs: ChosenOutputs = major === 2 && minor < 9 ? "by name" : "by meta";
  const { evaluatedBefore: found, carried } = parts;
  const namesOf = async (drvPath: StorePath) => [...(await derivation(drvPath)).outputs.keys()];
  const filling = {
    ...{ door, nix: command, version: setup.version, system, realStoreDir, outputs },
    environment: parts.environment,
  };
  const reuses = found === "not looked at" ? undefined : { ...filling, found };
  const fill = reuses && new EvalFill({ ...reuses, carried });
  const ofBash =
    reuses && flake && new BashFill({ ...reuses, flake, storeDir, outputsOf: namesOf });
  const sets = new Map<string, Promise<KnownNames>>();
  const names: Evaluator["names"] = async (set, signal) => {
    const known = sets.get(JSON.stringify(set)) ?? fill?.members(set, signal);
    if (known) sets.set(JSON.stringify(set), known);
    return known;
  };
  const evaluator = {
    ...{ door, fill, ofBash, names, storeDir, system, flake, outputs, outputsOf: namesOf },
  };
  const fetched = new Set<string>();
  const valid = async (paths: readonly StorePath[], signal: AbortSignal) =>
    validPaths(command, await onDisk(realStoreDir, paths), signal);
  const inputs = new FlakeInputs({
    ...{ flake, log, storeDir, valid, hasSecret: parts.hasSecret },
    fetch: async (paths, signal) => {
      await roots.hold([], signal);
      const caches = await known.forCall("fetches", signal);
      if (caches.urls.length === 0) return;
      await substitute(command, quiet(log), caches, paths, signal);
      await roots.hold([...(await valid(paths, signal))], signal);
    },
  });
  /** Of shells' targets `nix develop` starts a bash; a run that recalls its targets evaluates none. */
  let asked: "for no bash" | "for bash" = "for no bash";
  const startsBash = async () => asked === "for bash" || ((await carried?.hasOf(NIXPKGS)) ?? false);
  const bashIsKept = async (signal: AbortSignal) => {
    const source = (await startsBash()) ? await inputs.sourceOf(NIXPKGS) : undefined;
    // Without its source Nix would fetch it to see what it has kept.
    if (!source || (await valid([source], signal)).size === 0) return false;
    return ofBash?.isKept(signal) ?? false;
  };
  const evaluateNow: Nix["evaluate"] = async (request, signal) => {
    // A file names no flake.
    if (!request.file) await inputs.fetch(signal);
    const result = await evaluate(evaluator, request, signal);
    carried?.add(request, result);
    return result;
  };
  let buildDirectory = setup.buildDir;
  let kept: "this run" | "later steps too" | undefined;
  return {
    setup,
    evaluate: async (request, signal) => {
      if (isBash(request)) asked = "for bash";
      const result = (await carried?.result(request)) ?? (await evaluateNow(request, signal));
      roots.add(result.derivations.map(({ drvPath }) => drvPath));
      if (door.imports === "met") {
        const made = await Promise.all(result.built.map((drvPath) => outputsOf(drvPath)));
        await roots.hold(made.flat(), signal);
      }
      return result;
    },
    evaluated: {
      inputs: (signal) => inputs.present(signal),
      tell: async (signal) => {
        for (const { request, result } of (await carried?.unarrived()) ?? []) {
          refuseOther(result, await evaluateNow(request, signal));
        }
        const bash = (await bashIsKept(signal)) ? "kept" : "evaluated";
        const { store } = parts.machine.settings;
        const later = fill && { ...filling, fill, store, patience: PATIENCE };
        const lines = later ? await tellLater(later, bash, signal) : [];
        const reused = await carried?.hold(ofBash?.names ?? new Map());
        return reused === undefined ? lines : [reused, ...lines];
      },
      ...(carried
        ? { leave: (signal: AbortSignal) => carried.keep(fill?.kept() ?? new Map(), signal) }
        : {}),
    },
    derivation,
    valid,
    closure: async (roots, signal) =>
      roots.length === 0 ? new Map() : closureOf(command, storeDir, roots, signal),
    substitute: async (paths, signal, told) => {
      await roots.hold([], signal);
      const caches = await known.forCall("fetches", signal);
      const failed = await substitute(command, log, caches, paths, signal, told);
      await roots.hold(paths, signal);
      return failed;
    },
    importFrom: async (url, paths, tops, signal) => {
      await roots.hold([], signal);
      const trouble = await importFrom(
        command,
        fileAddress(setup.version, url),
        await known.publicKeys(),
        paths,
        signal,
      );
      await roots.hold(tops, signal);
      return trouble;
    },
    build: async (wanted, control) => {
      await roots.hold([], control.signal);
      const result = await build(
        command,
        log,
        {
          wanted,
          environment: buildEnvironment(parts.environment, {
            code: parts.code,
            named: parts.passEnv,
            declared,
            hook,
          }),
          hook: { program: postBuildHook, runs: parts.code === "ours" ? "yes" : "no" },
          substituters: await known.forCall("builds", control.signal),
          place: {
            storeDir,
            realStoreDir,
            directory: buildDirectory,
            movedBy: kept && setup.buildDirBy !== "nothing" ? setup.buildDirBy : undefined,
          },
          outputs: outputsOf,
        },
        control,
      );
      const made = await Promise.all(wanted.map((one) => outputsOf(one.drvPath, one.outputNames)));
      await roots.hold(made.flat(), control.signal);
      return result;
    },
    ...(realisationReading(setup.version)
      ? {
          realisations: (wanted, signal) =>
            wanted.length === 0
              ? Promise.resolve([])
              : realisations(command, storeDir, derivation, wanted, signal),
        }
      : {}),
    buildDirectory: () => buildDirectory,
    buildIn: (directory, how) => {
      [buildDirectory, kept] = [directory, how];
    },
    garbage: (keep, signal) => garbageBytes(command, setup, keep, signal),
    collect: (keep, bytes, signal) => collect(command, setup, keep, bytes, parts.folder, signal),
    ...(laterSteps
      ? {
          configure: async (caches, signal) => {
            const moved = kept === "later steps too" && setup.buildDirBy === "setting";
            const directory = moved ? buildDirectory : undefined;
            const configured = await known.configure(laterSteps, caches, directory, signal);
            const why = "nix develop looks there for the bash that it starts";
            if (await startsBash()) await inputs.fetchOne(NIXPKGS, why, signal);
            return configured;
          },
        }
      : {}),
    builtHere: (since, signal) =>
      builtHere(command, { storeDir, realStoreDir }, since, fetched, signal),
    descending: (built, origin, signal) => {
      const stateDir = parts.environment["NIX_STATE_DIR"] || "/nix/var/nix";
      const scope = { command, storeDir, stateDir, folders: parts.jobFolders };
      return descending(scope, built, origin, signal);
    },
    nar: (path, signal) => narOf(real(path), signal),
  };
}

const NIXPKGS = "nixpkgs";

/** What was told of already has to be what this job's own evaluation gives, which is in the store. */
function refuseOther(told: EvaluationResult, now: EvaluationResult): void {
  const paths = (of: EvaluationResult) => of.derivations.map(({ drvPath }) => drvPath).join(" ");
  if (paths(told) === paths(now)) return;
  throw new UserError(
    "NCP-138",
    "what an earlier job of this commit evaluated is not what this job evaluates, and Nix did not take it",
    { hint: "set reuse-evaluation: off, and name the flake's inputs in its lock" },
  );
}

/** That a cache has no input is nothing to tell: Nix fetches it from where it comes from. */
function quiet(log: Log): Log {
  const debug = (line: string) => log.debug(line);
  return { group: debug, endGroup: () => undefined, info: debug, debug };
}

/** At once: a few kB on this disk, by the thousand, cost five times as much when each is waited for. */
function readDrv(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    if (!isMissing(cause)) throw cause;
    throw new UserError("NCP-203", `${file}: there is no such derivation`, {
      hint: "it was collected as garbage, or it is another machine's; evaluate it anew",
      cause,
    });
  }
}
