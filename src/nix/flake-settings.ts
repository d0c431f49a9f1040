/** Which caches a flake's own `nixConfig` adds to Nix's settings, and which Nix does not take from it. */

import { join } from "node:path";
import type { Code, Job } from "../domain/job.ts";
import { plainAddress, withoutCredentials } from "../domain/location.ts";
import { parsePublicKey } from "../domain/signature.ts";
import { readIfThere } from "../host/disk.ts";
import type { Environment } from "../host/environment.ts";
import { nixConfigOf } from "../host/project.ts";
import { isAtLeast } from "./command.ts";
import { homeOf } from "./configure.ts";
import type { Flake } from "./flake.ts";
import type { NixMachine, NixSettings } from "./machine.ts";

export interface FlakeCaches {
  readonly substituters: readonly string[];
  readonly publicKeys: readonly string[];
}

/**
 * What the flake's own `nixConfig` makes of Nix's settings: `settings` are those of commands on this flake
 * (of no others), `refused` is what Nix ignores, as nobody is there to be asked.
 */
async function flakeCaches(
  { directory }: Flake,
  machine: NixMachine,
  environment: Environment,
): Promise<{ readonly settings: NixSettings; readonly refused: FlakeCaches }> {
  const { setup, settings } = machine;
  const config = nixConfigOf((await readIfThere(join(directory, "flake.nix"))) ?? "");
  const accepts = settings.flakeConfig === "accepted" ? "all" : await told(environment, setup);
  const refused = { substituters: [] as string[], publicKeys: [] as string[] };
  const named = (setting: string, before: readonly string[], left: string[]) => {
    let now = before;
    // In the order of their names, as Nix does: what adds comes first, and what replaces takes it away.
    for (const name of [`extra-${setting}`, setting]) {
      const value = config.get(name);
      if (value === undefined) continue;
      const words = value.split(/\s+/).filter(Boolean);
      if (accepts !== "all" && accepts[name]?.[value] !== true) left.push(...words);
      else now = name === setting ? words : [...now, ...words];
    }
    return [...new Set(now)];
  };
  const keys = named("trusted-public-keys", settings.publicKeyTexts, refused.publicKeys);
  const known = settings.trustedPublicKeys.map(({ text }) => text);
  // A key that the daemon does not take from this user makes no path good.
  const more = setup.untrusted ? [] : keys.filter((text) => !known.includes(text));
  const parsed = more.flatMap((text) => parsePublicKey(text) ?? []);
  const bad = more.find((text) => !settings.publicKeyTexts.includes(text) && !parsePublicKey(text));
  return {
    settings: {
      ...settings,
      substituters: named("substituters", settings.substituters, refused.substituters),
      trustedPublicKeys: [
        ...settings.trustedPublicKeys.filter(
          ({ text }) => !settings.publicKeyTexts.includes(text) || keys.includes(text),
        ),
        ...parsed,
      ],
      badKey:
        settings.badKey ??
        (bad === undefined ? undefined : `"${bad.split(":")[0]?.slice(0, 40)}" in flake.nix`),
    },
    refused,
  };
}

type Trusted = Readonly<Record<string, Readonly<Record<string, boolean>> | undefined>>;

/** What this user once told Nix of it: each setting with its whole value (`trusted-settings.json`). */
async function told(environment: Environment, { version }: NixMachine["setup"]): Promise<Trusted> {
  const own = isAtLeast(version, 25) ? environment["NIX_DATA_HOME"] : undefined;
  const data = environment["XDG_DATA_HOME"] || join(homeOf(environment, version), ".local/share");
  const text = await readIfThere(join(own || join(data, "nix"), "trusted-settings.json"));
  try {
    return (JSON.parse(text ?? "{}") ?? {}) as Trusted;
  } catch {
    return {};
  }
}

interface Asked {
  readonly job: Job;
  readonly environment: Environment;
  readonly code: Code;
}

/** Nix's settings as they are for commands on the flake that this run is about. */
export async function settingsHere(
  { job, environment, code }: Asked,
  machine: NixMachine,
  flake: Flake | undefined,
): Promise<{ readonly settings: NixSettings; readonly refused: FlakeCaches }> {
  const isMeant =
    job.targets.length === 0 ||
    job.targets.some(({ installable: one }) => one.kind === "flake" && one.flake === ".");
  if (!flake || !isMeant) {
    return { settings: machine.settings, refused: { substituters: [], publicKeys: [] } };
  }
  const { settings, refused } = await flakeCaches(flake, machine, environment);
  const before = machine.settings.substituters;
  // A stranger's flake has us log in nowhere, and read no folder.
  const isRead = (url: string) =>
    code === "ours" || before.includes(url) || /^https?:\/\//.test(url);
  return { settings: { ...settings, substituters: settings.substituters.filter(isRead) }, refused };
}

/** What the flake alone names: who runs a command on another one has not accepted it. */
export function onlyOfFlake(job: Job, configured: NixSettings, here: NixSettings): FlakeCaches {
  const urls = [...configured.substituters, ...job.substituters.map(({ text }) => text)];
  const known = new Set(urls.map(plainAddress));
  const keys = new Set([
    ...configured.trustedPublicKeys.map(({ text }) => text),
    ...job.substituters.flatMap(({ publicKeys }) => publicKeys.map(({ text }) => text)),
  ]);
  return {
    substituters: here.substituters.filter((url) => !known.has(plainAddress(url))),
    publicKeys: here.trustedPublicKeys.map(({ text }) => text).filter((text) => !keys.has(text)),
  };
}

/** `asked`: where the caches are that are asked in any case. */
export function refusedNotices(asked: readonly string[], refused: FlakeCaches): string[] {
  const known = new Set(asked.map(plainAddress));
  const lacking = refused.substituters.filter((url) => !known.has(plainAddress(url)));
  const [first, ...rest] = lacking.map(withoutCredentials);
  if (first === undefined) return [];
  const line = [first, ...refused.publicKeys].join(" ");
  return [
    `NCP-136 flake.nix names caches that Nix does not take from it here, so they are not asked: ${[first, ...rest].join(" ")}. To have them, write "${line}" on a line of substituters, or accept-flake-config = true into Nix's configuration`,
  ];
}
