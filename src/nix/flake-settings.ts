/** Which caches a flake's own `nixConfig` adds to Nix's settings, and which Nix does not take from it. */

import type { Code, Job } from "../domain/job.ts";
import { plainAddress, withoutCredentials } from "../domain/location.ts";
import type { Environment } from "../host/environment.ts";
import { type Flake, type FlakeCaches, flakeCaches } from "./flake.ts";
import type { NixMachine, NixSettings } from "./machine.ts";

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
