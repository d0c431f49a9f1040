/** Sets a machine up for good: the caches that were named are asked, and written to Nix's configuration. */

import type { ComposeRequest } from "./compose.ts";
import type { BinaryCache, CacheDescription } from "./domain/cache.ts";
import { asError, UserError } from "./domain/errors.ts";
import type { Untrusted } from "./domain/ports.ts";
import { HttpClient } from "./host/http-client.ts";
import { nixCommand } from "./nix/command.ts";
import {
  type Adopted,
  adopt,
  type NixConfiguration,
  type TakenBack,
  takeBack,
  userConfigurationFile,
} from "./nix/configure.ts";
import { readMachine } from "./nix/machine.ts";
import { readNetrc } from "./nix/netrc.ts";
import { openCaches } from "./open-caches.ts";

/** Takes back what `setup` wrote into the user's configuration. Throws a UserError. */
export async function takeBackSetUp(
  request: Pick<ComposeRequest, "environment" | "workspace" | "signal">,
): Promise<TakenBack> {
  const { environment, workspace, signal } = request;
  const { setup } = await readMachine(nixCommand(environment, workspace), environment, signal);
  return takeBack(userConfigurationFile(environment, setup.version), setup.storeDir);
}

export type { TakenBack };

export interface SetUp extends Adopted {
  /** Every cache that was named and is there, in the order it was named. */
  readonly caches: readonly { readonly name: string; readonly url: string }[];
  readonly troubles: readonly UserError[];
}

interface Found {
  readonly cache: BinaryCache;
  readonly info: CacheDescription;
}

/** Writes nothing where no cache that was named answers. Throws a UserError. */
export async function setUp(request: Omit<ComposeRequest, "needs">): Promise<SetUp> {
  const { environment, workspace, signal, log } = request;
  const machine = await readMachine(nixCommand(environment, workspace), environment, signal);
  const { settings } = machine;
  const http = new HttpClient(environment, {
    certificates: Promise.resolve(settings.certificates),
  });
  try {
    const { untrusted, ...setup } = machine.setup;
    // Those that Nix has already are not named, and no concern of ours.
    const named = { ...machine, setup, settings: { ...settings, substituters: [] } };
    const { own, substituters, notices } = openCaches(
      request,
      named,
      http,
      await readNetrc(settings.netrcFile),
    );
    for (const notice of notices) log.info(notice);
    const all = [...(own ? [own] : []), ...substituters];
    const { found, troubles } = await ask(all, signal);
    const [first] = troubles;
    if (found.length === 0 && first) throw first;
    const wanted = {
      substituters: found.map(({ cache }) => cache.substituter.url),
      publicKeys: found.flatMap(({ cache, info }) =>
        [...cache.substituter.publicKeys, ...info.publicKeys].map(({ text }) => text),
      ),
    };
    const adopted = await adopt(
      userConfigurationFile(environment, setup.version),
      wanted,
      {
        substituters: settings.substituters,
        publicKeys: settings.trustedPublicKeys.map(({ text }) => text),
      },
      setup.storeDir,
    );
    return {
      ...adopted,
      caches: found.map(({ cache }) => ({ name: cache.name, url: cache.substituter.url })),
      troubles: [...troubles, ...found.flatMap(privateOnes), ...untrustedUser(untrusted, wanted)],
    };
  } finally {
    http.close();
  }
}

async function ask(
  all: readonly BinaryCache[],
  signal: AbortSignal,
): Promise<{ readonly found: readonly Found[]; readonly troubles: readonly UserError[] }> {
  const troubles: UserError[] = [];
  const found = await Promise.all(
    all.map(async (cache): Promise<Found[]> => {
      try {
        return [{ cache, info: await cache.describe(signal) }];
      } catch (error) {
        signal.throwIfAborted();
        const cause = asError(error);
        troubles.push(cause instanceof UserError ? cause : unreachable(cache, cause));
        return [];
      }
    }),
  );
  return { found: found.flat(), troubles };
}

function unreachable({ name }: BinaryCache, cause: Error): UserError {
  return new UserError("NCP-302", `${name} did not answer, and is not set up`, {
    hint: "run setup again when it does",
    cause,
  });
}

/** A token is written to no file that stays: where Nix is to read a private cache, the user says so. */
function privateOnes({ cache }: Found): UserError[] {
  const credentials = cache.substituter.credentials?.();
  if (!credentials) return [];
  return [
    new UserError("NCP-643", `${cache.name} is private: Nix needs its token to read it`, {
      hint: `add a line to the file that netrc-file names: machine ${credentials.machine} password TOKEN`,
    }),
  ];
}

/** A user's own lines count for nothing where the daemon does not trust the user. */
function untrustedUser(untrusted: Untrusted | undefined, wanted: NixConfiguration): UserError[] {
  if (!untrusted) return [];
  const { user, file } = untrusted;
  const urls = wanted.substituters.filter((url) => !untrusted.substituters.includes(url));
  const keys = wanted.publicKeys.filter((key) => !untrusted.publicKeys.includes(key));
  if (urls.length + keys.length === 0) return [];
  return [
    new UserError("NCP-351", `Nix's daemon does not let ${user} add caches or keys`, {
      hint: [
        `as root, add to ${file}, and restart nix-daemon:`,
        ...(urls.length > 0 ? [`extra-trusted-substituters = ${urls.join(" ")}`] : []),
        ...(keys.length > 0 ? [`extra-trusted-public-keys = ${[...new Set(keys)].join(" ")}`] : []),
      ].join("\n"),
    }),
  ];
}
