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
  checkConfiguration,
  type NixConfiguration,
  netrcBefore,
  userConfigurationFile,
  writeConfiguration,
} from "./configure.ts";
import { evaluate } from "./evaluate.ts";
import type { Flake } from "./flake.ts";
import { narOf } from "./nar.ts";
import { netrcIn, writeNetrc } from "./netrc.ts";
import type { NixMachine } from "./setup.ts";
import { closureOf, onDisk, validPaths } from "./store.ts";

/** The caches as they answer now: who stopped in between is gone. */
export interface CachesNow {
  readonly there: readonly BinaryCache[];
  readonly gone: readonly BinaryCache[];
}

export interface NixParts {
  readonly command: NixCommand;
  readonly machine: NixMachine;
  readonly flake: Flake | undefined;
  readonly environment: Environment;
  readonly log: Log;
  /** What every fetch and build may take from, before the configuration says so. */
  readonly caches: () => Promise<CachesNow>;
  /** Where the netrc file for private caches goes: a folder of ours that is the job's own. */
  readonly folder: string;
}

export function nixPort(parts: NixParts): Nix {
  const { command, flake, log } = parts;
  const setup = { ...parts.machine.setup, flake: flake ? ("here" as const) : ("absent" as const) };
  const { storeDir, realStoreDir, system } = setup;
  const real = (path: StorePath) => join(realStoreDir, baseName(path));
  const derivation = async (path: StorePath) => parseDerivation(await readDrv(real(path)), path);
  return {
    setup,
    evaluate: (request, signal) =>
      evaluate({ nix: command, storeDir, system, flake }, request, signal),
    derivation,
    valid: async (paths, signal) => validPaths(command, await onDisk(realStoreDir, paths), signal),
    closure: async (roots, signal) =>
      roots.length === 0 ? new Map() : closureOf(command, storeDir, roots, signal),
    substitute: async (paths, signal, told) =>
      substitute(command, log, await perCall(parts), paths, signal, told),
    importFrom: async (url, paths, signal) => {
      const { publicKeys } = configurationOf(parts, (await parts.caches()).there);
      return importFrom(command, url, publicKeys, paths, signal);
    },
    build: async (wanted, signal, told) =>
      build(
        command,
        log,
        await perCall(parts),
        wanted,
        async (drvPath) => {
          const names = wanted.find((one) => one.drvPath === drvPath)?.outputNames ?? [];
          return outputPaths(await derivation(drvPath), names) ?? [];
        },
        signal,
        told,
      ),
    configure: (caches, signal) => configure(parts, caches, signal),
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

async function configure(
  parts: NixParts,
  caches: readonly BinaryCache[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { command, environment, machine } = parts;
  const file = userConfigurationFile(environment);
  const { substituters, trustedPublicKeys } = machine.settings;
  const netrc = await prepareNetrc(parts, caches);
  const wanted = { ...configurationOf(parts, caches), ...(netrc ? { netrc } : {}) };
  const state = await writeConfiguration(file, wanted, {
    substituters,
    publicKeys: trustedPublicKeys.map(({ text }) => text),
  });
  if (state === "unchanged") return [`${file}: already as it should be`];
  await checkConfiguration(command, file, wanted, signal);
  return [`${file}: caches added`];
}

/** Every cache, for one call of Nix's: its configuration may not name them yet. */
async function perCall(parts: NixParts): Promise<CallSubstituters> {
  const { there, gone } = await parts.caches();
  const { untrusted } = parts.machine.setup;
  const { substituters, publicKeys } = configurationOf(parts, there);
  const netrc = await prepareNetrc(parts, there);
  const configured = parts.machine.settings.substituters;
  const left = without(configured, gone);
  return {
    urls: substituters,
    // Nix would ask those that are gone as well, and wait for them.
    instead: left.length < configured.length ? [...left, ...substituters] : undefined,
    publicKeys,
    netrcFile: netrc?.file,
    settings: untrusted ? "those of everybody" : "all",
  };
}

function without(urls: readonly string[], caches: readonly BinaryCache[]): string[] {
  const plain = (url: string) => url.replace(/\/+$/, "");
  const out = new Set(caches.map(({ substituter }) => plain(substituter.url)));
  return urls.filter((url) => !out.has(plain(url)));
}

/** The netrc file, written where a private cache needs one, and where the daemon would read it. */
async function prepareNetrc(
  { environment, folder, machine }: NixParts,
  caches: readonly BinaryCache[],
): Promise<NixConfiguration["netrc"]> {
  const credentials = caches.flatMap(({ substituter }) => substituter.credentials?.() ?? []);
  if (credentials.length === 0 || machine.setup.untrusted) return undefined;
  const configuration = userConfigurationFile(environment);
  const file = netrcIn(folder);
  const before = await netrcBefore(configuration, machine.settings.netrcFile);
  await writeNetrc(file, credentials, before);
  return { file, before };
}

/** What of the caches Nix takes from this user: all, or what root allows. */
function configurationOf({ machine }: NixParts, caches: readonly BinaryCache[]): NixConfiguration {
  const { untrusted } = machine.setup;
  const allowed = new Set(untrusted?.substituters.map((url) => url.replace(/\/+$/, "")));
  const urls = caches.map(({ substituter }) => substituter.url);
  return {
    substituters: untrusted ? urls.filter((url) => allowed.has(url.replace(/\/+$/, ""))) : urls,
    publicKeys: untrusted
      ? []
      : caches.flatMap(({ substituter }) => substituter.publicKeys.map(({ text }) => text)),
  };
}
