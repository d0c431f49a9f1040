/** Which caches a flake's own `nixConfig` adds to Nix's settings, and which Nix does not take from it. */

import { join, resolve } from "node:path";
import type { Substitution } from "../domain/derivation.ts";
import type { Code, Job } from "../domain/job.ts";
import { plainAddress, withoutCredentials } from "../domain/location.ts";
import { parsePublicKey } from "../domain/signature.ts";
import { readIfThere } from "../host/disk.ts";
import type { Environment } from "../host/environment.ts";
import { nixConfigOf } from "../host/project.ts";
import { isAtLeast } from "./command.ts";
import { homeOf } from "./configure.ts";
import { findFlake } from "./flake.ts";
import type { NixMachine, NixSettings } from "./machine.ts";

export interface FlakeCaches {
  readonly substituters: readonly string[];
  readonly publicKeys: readonly string[];
}

interface Here {
  readonly settings: NixSettings;
  readonly substitution: Substitution;
  readonly refused: FlakeCaches;
}

/**
 * What the flake's own `nixConfig` makes of Nix's settings: `settings` are those of commands on this flake
 * (of no others), `refused` is what Nix ignores, as nobody is there to be asked.
 */
async function flakeCaches(
  directory: string,
  machine: NixMachine,
  environment: Environment,
): Promise<Here> {
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
    substitution: accepts === "all" ? substitutionBy(config, setup) : setup.substitution,
    refused,
  };
}

function substitutionBy(
  config: ReadonlyMap<string, string>,
  { substitution: before, version }: NixMachine["setup"],
): Substitution {
  const substitute = config.get("substitute");
  if (substitute === "false" || (substitute === undefined && before === "never")) return "never";
  const always = isAtLeast(version, 19) ? config.get("always-allow-substitutes") : undefined;
  if (always !== undefined) return always === "true" ? "always" : "where allowed";
  return before === "always" ? before : "where allowed";
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
  readonly workspace: string;
  /** At the end of a job the checkout may be gone. */
  readonly needs: "store and checkout" | "store";
}

/** Nix's settings as they are for commands on the flakes that this run is about. */
export async function settingsHere(asked: Asked, machine: NixMachine): Promise<Here> {
  const { environment, code } = asked;
  let { settings } = machine;
  let { substitution } = machine.setup;
  const refused = { substituters: [] as string[], publicKeys: [] as string[] };
  for (const folder of await foldersOf(asked)) {
    const setup = { ...machine.setup, substitution };
    const here = await flakeCaches(folder, { ...machine, setup, settings }, environment);
    ({ settings, substitution } = here);
    refused.substituters.push(...here.refused.substituters);
    refused.publicKeys.push(...here.refused.publicKeys);
  }
  const before = machine.settings.substituters;
  // A stranger's flake has us log in nowhere, and read no folder.
  const isRead = (url: string) =>
    code === "ours" || before.includes(url) || /^https?:\/\//.test(url);
  const substituters = settings.substituters.filter(isRead);
  return { settings: { ...settings, substituters }, substitution, refused };
}

/** Where the flakes of the targets are, those that are on this machine. */
async function foldersOf({ job, workspace, needs }: Asked): Promise<ReadonlySet<string>> {
  if (needs === "store") return new Set();
  const named = job.targets.flatMap(({ installable: one }) =>
    one.kind === "flake" ? [one.flake] : [],
  );
  const flakes = new Set(job.targets.length === 0 ? ["."] : named);
  const found = await Promise.all([...flakes].map((flake) => folderOf(flake, workspace)));
  return new Set(found.filter((folder) => folder !== undefined));
}

/** As Nix reads it: a path is looked for upwards, and what is an address (`path:`) stands where it says. */
async function folderOf(flake: string, workspace: string): Promise<string | undefined> {
  const [place = "", query = ""] = flake.split("?", 2);
  const options = new URLSearchParams(query);
  // Another commit's is in no folder.
  if (options.has("ref") || options.has("rev")) return undefined;
  const dir = options.get("dir") ?? "";
  const path = /^(?:path|git\+file):(?:\/\/)?(.*)$/.exec(place)?.[1];
  if (path !== undefined) return join(resolve(workspace, decoded(path)), dir);
  if (!/^[./]/.test(place)) return undefined;
  const found = await findFlake(resolve(workspace, place));
  return found && join(found.directory, dir);
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // Nix says that it is no address
  }
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
