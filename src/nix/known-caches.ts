/** What Nix is told of the caches: for a single call, and for the steps that follow. */

import type { BinaryCache } from "../domain/cache.ts";
import { holdsPassword, plainAddress } from "../domain/location.ts";
import type { Environment } from "../host/environment.ts";
import type { CallSubstituters } from "./build.ts";
import type { NixCommand } from "./command.ts";
import {
  checkConfiguration,
  type NixConfiguration,
  netrcBefore,
  userConfigurationFile,
  writeConfiguration,
} from "./configure.ts";
import type { NixMachine } from "./machine.ts";
import { netrcIn, writeNetrc } from "./netrc.ts";

/** The caches as they answer now: who stopped in between is gone. */
export interface CachesNow {
  readonly there: readonly BinaryCache[];
  readonly gone: readonly BinaryCache[];
}

export interface KnownCachesParts {
  readonly command: NixCommand;
  readonly machine: NixMachine;
  readonly environment: Environment;
  /** What every fetch and build may take from, before the configuration says so. */
  readonly caches: () => Promise<CachesNow>;
  /** Where the netrc file for private caches goes: a folder of ours that is the job's own. */
  readonly folder: string;
}

export class KnownCaches {
  private readonly parts: KnownCachesParts;
  private readingS3: Promise<boolean> | undefined;

  constructor(parts: KnownCachesParts) {
    this.parts = parts;
  }

  /** Keys under which Nix imports what was staged. */
  async publicKeys(): Promise<readonly string[]> {
    return this.configurationOf((await this.parts.caches()).there).publicKeys;
  }

  /**
   * Every cache Nix can read, for one call: its configuration may not name them yet. A build could
   * read its process's environment, so what needs credentials there is for fetching only.
   */
  async forCall(what: "fetches" | "builds", signal: AbortSignal): Promise<CallSubstituters> {
    const { there, gone } = await this.parts.caches();
    const open =
      what === "fetches"
        ? there
        : there.filter(({ substituter }) => substituter.environment === undefined);
    const caches = await this.readable(open, signal);
    const { substituters, publicKeys } = this.configurationOf(caches);
    const netrc = await this.prepareNetrc(caches);
    const { setup, settings } = this.parts.machine;
    const left = without(settings.substituters, gone);
    // Told again they would stand in an argument list, which everybody on the machine can read.
    const tellable = left.filter((url) => !holdsPassword(url));
    return {
      urls: substituters,
      // Nix would ask those that are gone as well, and wait for them.
      instead:
        left.length < settings.substituters.length ? [...tellable, ...substituters] : undefined,
      publicKeys,
      netrcFile: netrc?.file,
      settings: setup.untrusted ? "those of everybody" : "all",
      ...(what === "fetches" ? { environment: await fetchEnvironment(caches) } : {}),
    };
  }

  /** Written once however often it runs; what was done, in words. */
  async configure(
    caches: readonly BinaryCache[],
    buildDir: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const { command, environment, machine } = this.parts;
    const file = userConfigurationFile(environment);
    const { substituters, trustedPublicKeys } = machine.settings;
    const readable = await this.readable(caches, signal);
    const netrc = await this.prepareNetrc(readable);
    const wanted = {
      ...this.configurationOf(readable),
      ...(netrc ? { netrc } : {}),
      ...(buildDir === undefined ? {} : { buildDir }),
    };
    const state = await writeConfiguration(file, wanted, {
      substituters,
      publicKeys: trustedPublicKeys.map(({ text }) => text),
    });
    if (state === "written") await checkConfiguration(command, file, wanted, signal);
    return [
      `${file}: ${state === "written" ? "caches added" : "already as it should be"}`,
      ...caches
        .filter((cache) => !readable.includes(cache))
        .map(
          ({ name }) =>
            `NCP-330 ${name}: Nix ${machine.setup.version} here cannot read it itself; it is left out of its configuration`,
        ),
    ];
  }

  /** Those that this Nix can be told of; about buckets it is asked, once. */
  private async readable(
    caches: readonly BinaryCache[],
    signal: AbortSignal,
  ): Promise<readonly BinaryCache[]> {
    const { version } = this.parts.machine.setup;
    // Words of a setting end at a blank.
    const named = caches.filter(
      ({ substituter: { url } }) => !/\s/.test(fileAddress(version, url)),
    );
    if (!named.some(isBucket)) return named;
    this.readingS3 ??= readsS3(this.parts.command, signal);
    return (await this.readingS3) ? named : named.filter((cache) => !isBucket(cache));
  }

  /** The netrc file, written where a private cache needs one, and where the daemon would read it. */
  private async prepareNetrc(caches: readonly BinaryCache[]): Promise<NixConfiguration["netrc"]> {
    const { environment, folder, machine } = this.parts;
    const credentials = caches.flatMap(({ substituter }) => substituter.credentials?.() ?? []);
    if (credentials.length === 0 || machine.setup.untrusted) return undefined;
    const configuration = userConfigurationFile(environment);
    const file = netrcIn(folder);
    const before = await netrcBefore(configuration, machine.settings.netrcFile);
    await writeNetrc(file, credentials, before);
    return { file, before };
  }

  /** What of the caches Nix takes from this user: all, or what root allows. */
  private configurationOf(caches: readonly BinaryCache[]): NixConfiguration {
    const { untrusted, version } = this.parts.machine.setup;
    const urls = caches.map(({ substituter }) => fileAddress(version, substituter.url));
    const allowed = new Set(untrusted?.substituters.map(plainAddress));
    return {
      substituters: untrusted ? urls.filter((url) => allowed.has(plainAddress(url))) : urls,
      publicKeys: untrusted
        ? []
        : caches.flatMap(({ substituter }) => substituter.publicKeys.map(({ text }) => text)),
    };
  }
}

function without(urls: readonly string[], caches: readonly BinaryCache[]): string[] {
  const out = new Set(caches.map(({ substituter }) => plainAddress(substituter.url)));
  return urls.filter((url) => !out.has(plainAddress(url)));
}

/** Nobody listens there; a Nix that knows such stores says so at once, and another that it does not. */
const NOWHERE = "s3://preflight?scheme=http&endpoint=127.0.0.1:9";
const DEADLINE = 10_000;

/** Nix of Debian 12 and 13 is built without S3; the question is put to the program, not to its version. */
export async function readsS3(nix: NixCommand, signal: AbortSignal): Promise<boolean> {
  const args = ["--store", NOWHERE, "--option", "download-attempts", "1", "--query", "--hash"];
  const path = `/nix/store/${"0".repeat(32)}-preflight`;
  const options = { signal, deadline: DEADLINE };
  const asked = await nix.try("nix-store", [...args, path], options).catch(() => {
    signal.throwIfAborted();
    return undefined;
  });
  return !/don't know how to open Nix store/.test(asked?.stderr ?? "");
}

function isBucket({ staging }: BinaryCache): boolean {
  return staging === "needed";
}

/** For a process that only fetches: one that evaluates or builds is told no credentials. */
export async function fetchEnvironment(caches: readonly BinaryCache[]): Promise<Environment> {
  const each = await Promise.all(caches.map(({ substituter }) => substituter.environment?.()));
  return Object.assign({}, ...each.reverse());
}

/** The address of a folder as this Nix reads it: 2.8 takes what is encoded there for another folder. */
export function fileAddress(version: string, url: string): string {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  if (!url.startsWith("file:") || major > 2 || minor >= 26) return url;
  const [folder = "", ...options] = url.split("?");
  const plain = decodeURIComponent(folder);
  // Neither would be read as part of it.
  return /[?#]/.test(plain) ? url : [plain, ...options].join("?");
}
