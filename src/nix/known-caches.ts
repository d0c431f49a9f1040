/** What Nix is told of the caches: for a single call, and for the steps that follow. */

import { type BinaryCache, needsCredentials } from "../domain/cache.ts";
import type { Code } from "../domain/job.ts";
import { holdsPassword, plainAddress } from "../domain/location.ts";
import type { Configured } from "../domain/ports.ts";
import type { Environment } from "../host/environment.ts";
import type { CallSubstituters } from "./build.ts";
import type { NixCommand } from "./command.ts";
import {
  checkConfiguration,
  type LaterSteps,
  type NixConfiguration,
  userConfigurationFiles,
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
  /** The input `pass-env`. */
  readonly passEnv: readonly string[];
  readonly machine: NixMachine;
  readonly environment: Environment;
  /** What every fetch and build may take from, before the configuration says so. */
  readonly caches: () => Promise<CachesNow>;
  /** Where the netrc file for private caches goes: a folder of this use's own, gone when it is over. */
  readonly folder: string;
  /** Strange code could read a netrc file, and what a process of this user was started with. */
  readonly code: Code;
  /** `to be kept`: this process was started with one, and what is built is a stranger's. */
  readonly secret: "to be kept" | "none";
  /** Undefined on the command line: there the caches are given to each call, and nothing is kept. */
  readonly laterSteps: LaterSteps | undefined;
  /** What the flake's `nixConfig` alone names: Nix takes it in commands on this flake, and in no others. */
  readonly ofFlake: Pick<NixConfiguration, "substituters" | "publicKeys">;
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
  async forCall(
    what: "fetches" | "builds" | "evaluates a stranger's code",
    signal: AbortSignal,
  ): Promise<CallSubstituters> {
    const { there, gone } = await this.parts.caches();
    const open = there.filter(({ substituter: { environment, credentials } }) => {
      if (what === "fetches") return true;
      // Evaluation reads any file that it can name, the netrc too.
      return environment === undefined && (what === "builds" || credentials === undefined);
    });
    const caches = await this.readable(open, signal);
    const { substituters, publicKeys } = this.configurationOf(caches);
    const netrcFile = await this.prepareNetrc(caches);
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
      netrcFile,
      settings: setup.untrusted ? "those of everybody" : "all",
      // Nix would go on without a sandbox where it cannot have one, and say nothing.
      sandbox: this.parts.secret === "to be kept" ? "or not at all" : "as configured",
      ...(what === "fetches" ? { environment: await fetchEnvironment(caches) } : {}),
    };
  }

  /** Tells later steps of the caches. */
  async configure(
    later: LaterSteps,
    caches: readonly BinaryCache[],
    buildDir: string | undefined,
    signal: AbortSignal,
  ): Promise<Configured> {
    const { command, environment, machine } = this.parts;
    const { substituters, trustedPublicKeys } = machine.settings;
    const readable = await this.readable(caches, signal);
    const netrcFile = await this.prepareNetrc(readable);
    const { ofFlake } = this.parts;
    const all = this.configurationOf(readable);
    const flakes = ofFlake.substituters.map(plainAddress);
    const wanted = {
      substituters: all.substituters.filter((url) => !flakes.includes(plainAddress(url))),
      publicKeys: all.publicKeys.filter((key) => !ofFlake.publicKeys.includes(key)),
      ...(netrcFile === undefined ? {} : { netrcFile }),
      ...(buildDir === undefined ? {} : { buildDir }),
    };
    const before = userConfigurationFiles(environment, machine.setup.version);
    const isNew = await writeConfiguration(later, before, wanted, {
      substituters,
      publicKeys: trustedPublicKeys.map(({ text }) => text),
    });
    if (isNew) await checkConfiguration(command, later, before, wanted, signal);
    const left = caches.filter((cache) => !readable.includes(cache));
    const blank = left.filter((cache) => this.hasBlank(cache));
    return {
      lines: [
        isNew ? `${later.file}: caches added, for this job` : "Nix knows these caches already",
        ...left.filter((cache) => !blank.includes(cache)).map((cache) => this.whyNot(cache)),
      ],
      findings: blank.map(({ name }) => ({
        kind: "cache",
        level: "warning",
        code: "NCP-330",
        message: `Nix ${machine.setup.version} here can be told of no folder with a blank in its name: later steps do not know ${name}, and build what only it has`,
        hint: "keep it in a folder without one, or take a newer Nix (2.26 reads %20)",
      })),
    };
  }

  private whyNot(cache: BinaryCache): string {
    const { code, machine } = this.parts;
    const { name } = cache;
    return code === "strange" && needsCredentials(cache)
      ? `${name}: it needs credentials, and this job may run a stranger's code: later steps are not told of it`
      : `NCP-330 ${name}: Nix ${machine.setup.version} here cannot read it itself; it is not added to its configuration`;
  }

  /** Words of a setting end at a blank. */
  private hasBlank({ substituter: { url } }: BinaryCache): boolean {
    return /\s/.test(fileAddress(this.parts.machine.setup.version, url));
  }

  /** Those that this Nix can be told of; about buckets it is asked, once. */
  private async readable(
    all: readonly BinaryCache[],
    signal: AbortSignal,
  ): Promise<readonly BinaryCache[]> {
    const { code } = this.parts;
    const told = code === "ours" ? all : all.filter((cache) => !needsCredentials(cache));
    const named = told.filter((cache) => !this.hasBlank(cache));
    if (!named.some(isBucket)) return named;
    this.readingS3 ??= readsS3(this.parts.command, signal);
    return (await this.readingS3) ? named : named.filter((cache) => !isBucket(cache));
  }

  /** The netrc file, written where a private cache needs one, and where the daemon would read it. */
  private async prepareNetrc(caches: readonly BinaryCache[]): Promise<string | undefined> {
    const { folder, machine } = this.parts;
    const credentials = caches.flatMap(({ substituter }) => substituter.credentials?.() ?? []);
    if (credentials.length === 0 || machine.setup.untrusted) return undefined;
    const file = netrcIn(folder);
    await writeNetrc(file, credentials, machine.settings.netrcFile);
    return file;
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
async function readsS3(nix: NixCommand, signal: AbortSignal): Promise<boolean> {
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
async function fetchEnvironment(caches: readonly BinaryCache[]): Promise<Environment> {
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
