/** Owns fetching: what caches far away serve is staged on this disk first, the rest is Nix's own affair. */

import type { BinaryCache } from "../../domain/cache.ts";
import { dependencies } from "../../domain/narinfo.ts";
import type { Nix, Progress, Stageable, World } from "../../domain/ports.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Lookup } from "../survey/lookup.ts";
import { fetchAhead } from "./fetch-ahead.ts";
import type { Meter } from "./meter.ts";

/** Has Nix fetch `paths`; those it could not get are returned with the reason. */
export async function fetchPaths(
  world: World,
  nix: Nix,
  lookup: Lookup,
  paths: readonly StorePath[],
  signal: AbortSignal,
  meter?: Meter,
): Promise<ReadonlyMap<StorePath, string>> {
  const members = await inOrder(lookup, paths);
  const sizes = new Map(members.map(({ path, narSize }) => [path, narSize]));
  const told = ({ path, state, bytes }: Progress) => {
    if (state === "done") meter?.finish(path, sizes.get(path) ?? bytes);
    else meter?.at(path, bytes);
  };
  const here = new Set<StorePath>();
  if (world.staging) {
    const stageable = members.flatMap((member) => member.stageable ?? []);
    await fetchAhead(
      { staging: world.staging, nix, log: world.log, told },
      stageable,
      here,
      signal,
    );
  }
  const rest = members.filter(({ path }) => !here.has(path));
  if (rest.length === 0) return new Map();
  // Whatever others refer to comes along with them.
  const below = new Set(rest.flatMap(({ references }) => references));
  const tops = rest.flatMap(({ path }) => (below.has(path) ? [] : [path]));
  const failed = await nix.substitute(tops, signal, told);
  if (failed.size === 0) return failed;
  const valid = await nix.valid(
    rest.map(({ path }) => path),
    signal,
  );
  const [why = "Nix could not fetch it"] = failed.values();
  return new Map(
    rest.flatMap(({ path }): [StorePath, string][] =>
      valid.has(path) ? [] : [[path, failed.get(path) ?? why]],
    ),
  );
}

interface Member {
  readonly path: StorePath;
  readonly references: readonly StorePath[];
  readonly narSize: number;
  /** Undefined where Nix has to fetch it itself. */
  readonly stageable: Stageable | undefined;
}

/** References first: a path can be taken in only where what it refers to is valid. */
async function inOrder(lookup: Lookup, paths: readonly StorePath[]): Promise<Member[]> {
  const members = new Map<StorePath, Member>();
  await Promise.all(
    paths.map(async (path) => {
      const { own, upstream } = await lookup.ask(path);
      const served = own ?? upstream;
      const cache = served && lookup.cacheOf(served);
      members.set(path, {
        path,
        references: served ? dependencies(served.narInfo) : [],
        narSize: served?.narInfo.narSize ?? 0,
        stageable:
          served && cache && isStageable(cache) && served.narInfo.signatures.length > 0
            ? { narInfo: served.narInfo, cache }
            : undefined,
      });
    }),
  );
  const ordered = new Set<Member>();
  const visited = new Set<StorePath>();
  for (const path of paths) {
    const stack: StorePath[] = [path];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const member = members.get(top);
      const first = visited.has(top);
      visited.add(top);
      const next = member && !first ? member.references.filter((one) => !visited.has(one)) : [];
      if (next.length > 0) stack.push(...next);
      else {
        stack.pop();
        if (member) ordered.add(member);
      }
    }
  }
  return withoutDependents([...ordered]);
}

/** What refers to a path that is not staged cannot be taken in before Nix has fetched that one. */
function withoutDependents(ordered: readonly Member[]): Member[] {
  const left = new Set<StorePath>();
  return ordered.map((member) => {
    const { path, references, stageable } = member;
    if (stageable && !references.some((reference) => left.has(reference))) return member;
    left.add(path);
    return { ...member, stageable: undefined };
  });
}

/**
 * A cache on this disk is near already; and it may be trusted for where it is, which staging is not.
 * A store over SSH takes a process for each NAR: Nix brings them all through one connection.
 */
function isStageable({ substituter }: BinaryCache): boolean {
  return /^(https?|s3):/.test(substituter.url);
}
