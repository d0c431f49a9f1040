/** Owns the engine's port to Nix: one object, put together from the files of this room. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { BinaryCache } from "../domain/cache.ts";
import { outputPaths, parseDerivation } from "../domain/derivation.ts";
import { UserError } from "../domain/errors.ts";
import type { Log, Nix } from "../domain/ports.ts";
import { baseName, type StorePath } from "../domain/store-path.ts";
import { isMissing } from "../host/disk.ts";
import type { Environment } from "../host/environment.ts";
import { build, type CallSubstituters, importFrom, substitute } from "./build.ts";
import { builtHere } from "./built-here.ts";
import type { NixCommand } from "./command.ts";
import {
  type NixConfiguration,
  netrcBefore,
  userConfigurationFile,
  writeConfiguration,
} from "./configure.ts";
import { evaluate } from "./evaluate.ts";
import type { Flake } from "./flake.ts";
import { collect, garbageBytes } from "./garbage.ts";
import { narOf } from "./nar.ts";
import { writeNetrc } from "./netrc.ts";
import type { NixMachine } from "./setup.ts";
import { closureOf, validPaths } from "./store.ts";

export interface NixParts {
  readonly command: NixCommand;
  readonly machine: NixMachine;
  readonly flake: Flake | undefined;
  readonly environment: Environment;
  readonly log: Log;
  /** What every fetch and build may take from, before the configuration says so. */
  readonly caches: () => Promise<readonly BinaryCache[]>;
  /** Where the netrc file for private caches goes: a folder of ours that is the job's own. */
  readonly folder: string;
}

export function nixPort(parts: NixParts): Nix {
  const { command, flake, environment, log } = parts;
  const setup = { ...parts.machine.setup, flake: flake ? ("here" as const) : ("absent" as const) };
  const { storeDir, realStoreDir, system } = setup;
  const real = (path: StorePath) => join(realStoreDir, baseName(path));
  const derivation = async (path: StorePath) => parseDerivation(await readDrv(real(path)), path);
  let buildDirectory = setup.buildDir;
  let kept: "this run" | "later steps too" | undefined;
  return {
    setup,
    evaluate: (request, signal) =>
      evaluate({ nix: command, storeDir, system, flake }, request, signal),
    derivation,
    valid: (paths, signal) => validPaths(command, paths, signal),
    closure: async (roots, signal) =>
      roots.length === 0 ? new Map() : closureOf(command, storeDir, roots, signal),
    substitute: async (paths, signal) =>
      substitute(command, log, await perCall(parts), paths, signal),
    importFrom: async (url, paths, signal) => {
      const { publicKeys } = configurationOf(await parts.caches());
      return importFrom(command, url, publicKeys, paths, signal);
    },
    build: async (wanted, control) =>
      build(
        command,
        log,
        {
          wanted,
          substituters: await perCall(parts),
          place: {
            storeDir,
            realStoreDir,
            directory: buildDirectory,
            movedBy: kept && setup.buildDirBy !== "nothing" ? setup.buildDirBy : undefined,
          },
          outputs: async (drvPath, names) => {
            const one = await derivation(drvPath);
            return outputPaths(one, names ?? [...one.outputs.keys()]) ?? [];
          },
        },
        control,
      ),
    buildDirectory: () => buildDirectory,
    buildIn: (directory, how) => {
      [buildDirectory, kept] = [directory, how];
    },
    garbage: (keep, signal) => garbageBytes(command, setup, keep, signal),
    collect: (keep, bytes, signal) => collect(command, setup, keep, bytes, parts.folder, signal),
    configure: async (caches) => {
      const file = userConfigurationFile(environment);
      const { substituters, trustedPublicKeys } = parts.machine.settings;
      const netrc = await prepareNetrc(parts, caches);
      const moved = kept === "later steps too" && setup.buildDirBy === "setting";
      const wanted = {
        ...configurationOf(caches),
        ...(netrc ? { netrc } : {}),
        ...(moved ? { buildDir: buildDirectory } : {}),
      };
      const state = await writeConfiguration(file, wanted, {
        substituters,
        publicKeys: trustedPublicKeys.map(({ text }) => text),
      });
      return [`${file}: ${state === "written" ? "caches added" : "already as it should be"}`];
    },
    builtHere: (since, signal) => builtHere(command, { storeDir, realStoreDir }, since, signal),
    nar: (path, signal) => narOf(real(path), signal),
  };
}

async function readDrv(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    if (!isMissing(cause)) throw cause;
    throw new UserError("NCP-203", `${file}: there is no such derivation`, {
      hint: "it was collected as garbage, or it is another machine's; evaluate it anew",
      cause,
    });
  }
}

/** Every cache, for one call of Nix's: its configuration may not name them yet. */
async function perCall(parts: NixParts): Promise<CallSubstituters> {
  const caches = await parts.caches();
  const { substituters, publicKeys } = configurationOf(caches);
  const netrc = await prepareNetrc(parts, caches);
  return { urls: substituters, publicKeys, netrcFile: netrc?.file };
}

/** The netrc file, written where a private cache needs one. */
async function prepareNetrc(
  { environment, folder, machine }: NixParts,
  caches: readonly BinaryCache[],
): Promise<NixConfiguration["netrc"]> {
  const credentials = caches.flatMap(({ substituter }) => substituter.credentials?.() ?? []);
  if (credentials.length === 0) return undefined;
  const configuration = userConfigurationFile(environment);
  const before = await netrcBefore(configuration, machine.settings.netrcFile);
  const file = join(folder, "netrc");
  await writeNetrc(file, credentials, before);
  return { file, before };
}

function configurationOf(caches: readonly BinaryCache[]): NixConfiguration {
  return {
    substituters: caches.map(({ substituter }) => substituter.url),
    publicKeys: caches.flatMap(({ substituter }) => substituter.publicKeys.map(({ text }) => text)),
  };
}
