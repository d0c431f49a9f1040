/** The inputs of a flake's lock as store paths: fetched from caches before Nix would ask where they come from, and which of them anybody may have. */

import { join } from "node:path";
import { sourceName } from "../domain/content-address.ts";
import type { InputSource } from "../domain/evaluation.ts";
import type { Log } from "../domain/ports.ts";
import { count } from "../domain/size.ts";
import { parseStorePath, type StorePath } from "../domain/store-path.ts";
import { readIfThere } from "../host/disk.ts";
import type { Flake } from "./flake.ts";

export interface LockReading {
  readonly storeDir: string;
  /** Whether Nix has a secret for this host. */
  readonly hasSecret: (host: string) => boolean;
}

interface LockNode {
  readonly locked?: Readonly<Record<string, unknown>>;
  /** By the input's name: its node, or the inputs to follow from the root. */
  readonly inputs?: Readonly<Record<string, unknown>>;
}

interface Lock {
  readonly root?: unknown;
  readonly nodes?: Readonly<Record<string, LockNode | undefined>>;
}

/** Of all nodes of a lock: an input of an input is fetched as well. What has no `narHash` has no known path. */
export function lockedSources(text: string, { storeDir, hasSecret }: LockReading): InputSource[] {
  const { nodes = {} } = parseLock(text);
  const found = new Map<StorePath, InputSource>();
  for (const [name, node] of Object.entries(nodes)) {
    const narHash = node?.locked?.["narHash"];
    const base = typeof narHash === "string" ? sourceName(narHash, storeDir) : undefined;
    const path = base && parseStorePath(`${storeDir}/${base}`, storeDir);
    if (!path || !node?.locked) continue;
    const readers = isForAll(node.locked, hasSecret) ? "everybody" : "perhaps only some";
    // What is for everybody under one name is so under another.
    if (found.get(path)?.readers !== "everybody") found.set(path, { name, path, readers });
  }
  return [...found.values()];
}

const FORGES: Readonly<Record<string, string>> = {
  github: "github.com",
  gitlab: "gitlab.com",
  sourcehut: "git.sr.ht",
};

/** Nix itself says what is wrong with one that is no JSON. */
function parseLock(text: string): Lock {
  try {
    const lock = JSON.parse(text) as Lock | null;
    return { root: lock?.root, nodes: lock?.nodes ?? {} };
  } catch {
    return {};
  }
}

/** What the lock file calls the input that the flake calls so. */
export function lockedNode(text: string, input: string): string | undefined {
  const { root, nodes = {} } = parseLock(text);
  let follow = [input];
  let at = typeof root === "string" ? root : undefined;
  // A lock that Nix wrote follows no input twice.
  for (let steps = 0; at !== undefined && follow.length > 0 && steps < 100; steps++) {
    const [name = "", ...rest] = follow;
    const next: unknown = nodes[at]?.inputs?.[name];
    if (Array.isArray(next)) {
      follow = [...next.map(String), ...rest];
      at = String(root);
    } else {
      follow = rest;
      at = typeof next === "string" ? next : undefined;
    }
  }
  return follow.length === 0 ? at : undefined;
}

/**
 * A token may be what a private repository is read with, and git has helpers that nobody sees: only what is
 * fetched over HTTP from a host that Nix holds no secret for is everybody's for certain.
 */
function isForAll(
  locked: Readonly<Record<string, unknown>>,
  hasSecret: LockReading["hasSecret"],
): boolean {
  const { type, host, url } = locked;
  if (typeof type !== "string") return false;
  const forge = FORGES[type];
  if (forge !== undefined) {
    const name = typeof host === "string" ? host : forge;
    return !hasSecret(name) && !hasSecret(`api.${name}`);
  }
  if ((type !== "tarball" && type !== "file") || typeof url !== "string") return false;
  const parsed = URL.parse(url);
  if (!parsed || !/^https?:$/.test(parsed.protocol)) return false;
  const { username, password, search, hostname } = parsed;
  return username === "" && password === "" && search === "" && !hasSecret(hostname);
}

export interface FlakeInputsParts extends LockReading {
  readonly flake: Flake | undefined;
  readonly log: Log;
  readonly valid: (
    paths: readonly StorePath[],
    signal: AbortSignal,
  ) => Promise<ReadonlySet<StorePath>>;
  /** Has Nix fetch what the caches have of these. */
  readonly fetch: (paths: readonly StorePath[], signal: AbortSignal) => Promise<unknown>;
}

export class FlakeInputs {
  private readonly parts: FlakeInputsParts;
  private sources: Promise<readonly InputSource[]> | undefined;
  private fetched: Promise<void> | undefined;
  /** All of them, where all were here before the first evaluation. */
  private here: ReadonlySet<StorePath> | undefined;

  constructor(parts: FlakeInputsParts) {
    this.parts = parts;
  }

  /** Once, before the first evaluation. What no cache has Nix fetches from where it comes from. */
  fetch(signal: AbortSignal): Promise<void> {
    this.fetched ??= this.fetchOnce(signal);
    return this.fetched;
  }

  private async fetchOnce(signal: AbortSignal): Promise<void> {
    const { valid, fetch, log } = this.parts;
    const paths = (await this.locked()).map(({ path }) => path);
    if (paths.length === 0) return;
    const before = await valid(paths, signal);
    const absent = paths.filter((path) => !before.has(path));
    if (absent.length === 0) {
      this.here = before;
      return;
    }
    await fetch(absent, signal);
    const got = (await valid(absent, signal)).size;
    if (got === 0) return;
    const all = got === absent.length ? "" : `${got} of `;
    log.info(`${all}${count(absent.length, "input")} of the flake fetched from caches`);
  }

  /** The source of the input that the flake calls so; undefined where the lock does not pin it. */
  async sourceOf(input: string): Promise<StorePath | undefined> {
    const text = await this.lockText();
    const node = text === undefined ? undefined : lockedNode(text, input);
    return (await this.locked()).find(({ name }) => name === node)?.path;
  }

  /** What a later command looks into, though nothing more is evaluated here. */
  async fetchOne(input: string, why: string, signal: AbortSignal): Promise<void> {
    const { valid, fetch, log } = this.parts;
    const path = await this.sourceOf(input);
    if (!path || (await valid([path], signal)).size > 0) return;
    await fetch([path], signal);
    if ((await valid([path], signal)).size > 0) log.info(`${input} fetched from caches: ${why}`);
  }

  /** Those that are here, so that our cache can have them. */
  async present(signal: AbortSignal): Promise<readonly InputSource[]> {
    const sources = await this.locked();
    const paths = sources.map(({ path }) => path);
    const here = this.here ?? (await this.parts.valid(paths, signal));
    return sources.filter(({ path }) => here.has(path));
  }

  private locked(): Promise<readonly InputSource[]> {
    this.sources ??= this.read();
    return this.sources;
  }

  private async read(): Promise<readonly InputSource[]> {
    const text = await this.lockText();
    return text === undefined ? [] : lockedSources(text, this.parts);
  }

  private async lockText(): Promise<string | undefined> {
    const { flake } = this.parts;
    return flake && (await readIfThere(join(flake.directory, "flake.lock")));
  }
}
