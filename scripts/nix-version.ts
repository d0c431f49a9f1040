/** Looks for a newer release of Nix than the one that `install-nix` offers. */

import { RELEASE } from "../src/action/install-nix.ts";
import { isNewer } from "./release.ts";

const DEADLINE = 30_000;
/** Tags come in no order of versions, and Nix has some hundreds. */
const PAGES = 5;
const AT_ONCE = 100;

/** The newest release of Nix, by the tags of its repository. `api`: `https://api.github.com`. */
export async function newestNix(api: string, token?: string): Promise<string> {
  const versions: string[] = [];
  for (let page = 1; page <= PAGES; page++) {
    const response = await fetch(`${api}/repos/NixOS/nix/tags?per_page=${AT_ONCE}&page=${page}`, {
      headers: {
        accept: "application/vnd.github+json",
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      signal: AbortSignal.timeout(DEADLINE),
    });
    if (!response.ok) throw new Error(`the tags of Nix: GitHub answered ${response.status}`);
    const tags = (await response.json()) as { name: string }[];
    versions.push(...tags.map(({ name }) => name).filter((name) => /^\d+\.\d+\.\d+$/.test(name)));
    if (tags.length < AT_ONCE) break;
  }
  const [first, ...rest] = versions;
  if (first === undefined) throw new Error("the tags of Nix: there is none");
  return rest.reduce((newest, one) => (isNewer(one, newest) ? one : newest), first);
}

/** What to do, where there is something to do. */
export function outdated(ours: string, newest: string): string | undefined {
  if (!isNewer(newest, ours)) return undefined;
  return `Nix ${newest} is out, and install-nix offers ${ours}: see its release notes, and put the sums of https://releases.nixos.org/nix/nix-${newest}/install into src/action/install-nix.ts`;
}

if (import.meta.main) {
  // biome-ignore lint/style/noProcessEnv: the runner tells it in the environment
  const { GITHUB_API_URL: api = "https://api.github.com", GITHUB_TOKEN: token } = process.env;
  const told = outdated(RELEASE.version, await newestNix(api, token));
  console.log(
    told === undefined ? `install-nix offers ${RELEASE.version}, the newest` : `::error::${told}`,
  );
  process.exitCode = told === undefined ? 0 : 1;
}
