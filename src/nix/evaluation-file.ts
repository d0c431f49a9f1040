/** An evaluation as one file that can be carried to another machine: its results, Nix's eval cache, the derivations. */

import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import { mapLimited } from "../domain/limit.ts";
import { parseNarInfo } from "../domain/narinfo.ts";
import type { StorePath } from "../domain/store-path.ts";

const PATH = z.string().check(z.regex(/^\/[^\s"]{1,400}$/));

const Result = z.object({
  derivations: z.array(
    z.object({
      attrPath: z.string(),
      matched: z.array(z.string()),
      drvPath: PATH,
      outputNames: z.array(z.string()),
    }),
  ),
  passedOver: z.array(z.object({ attrPath: z.string(), why: z.string() })),
  notices: z.array(z.string()),
});

const Header = z.object({
  version: z.literal(1),
  /** By what was asked. */
  results: z.array(z.tuple([z.string(), Result])),
  /** What Nix's eval cache has, by the attribute path. */
  kept: z.array(z.tuple([z.string(), z.object({ drvPath: PATH, install: z.array(z.string()) })])),
  evalCache: z.optional(
    z.object({ folder: z.string().check(z.regex(/^eval-cache-v\d{1,3}$/)), bytes: z.int() }),
  ),
  /** A binary cache's, in a folder: names and sizes. */
  files: z.array(z.tuple([z.string(), z.int()])),
});

export type CarriedResult = z.infer<typeof Result>;
type CarriedHeader = z.infer<typeof Header>;

export interface Carried extends Pick<CarriedHeader, "results" | "kept"> {
  readonly evalCache: { readonly folder: string; readonly content: Uint8Array } | undefined;
  /** Of a binary cache with the derivations and all that they refer to. */
  readonly files: readonly (readonly [name: string, content: Uint8Array])[];
}

/** Nothing else is written, and so nowhere else. */
const NAME = /^(nix-cache-info|[0-9a-z]{32}\.narinfo|nar\/[0-9a-z]{52}\.nar(\.[a-z0-9]+)?)$/;

export function pack({ results, kept, evalCache, files }: Carried): Uint8Array {
  const header = Buffer.from(
    JSON.stringify({
      version: 1,
      results,
      kept,
      ...(evalCache
        ? { evalCache: { folder: evalCache.folder, bytes: evalCache.content.length } }
        : {}),
      files: files.map(([name, content]) => [name, content.length]),
    } satisfies CarriedHeader),
  );
  const size = Buffer.alloc(4);
  size.writeUInt32BE(header.length);
  const content = files.map(([, bytes]) => bytes);
  return Buffer.concat([size, header, ...(evalCache ? [evalCache.content] : []), ...content]);
}

/** Throws for anything that `pack` did not write. */
export function unpack(content: Uint8Array): Carried {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  let at = 4 + bytes.readUInt32BE(0);
  const { evalCache, files, results, kept } = Header.parse(
    JSON.parse(bytes.subarray(4, at).toString("utf8")),
  );
  const next = (length: number) => {
    const end = at + length;
    if (length < 0 || end > bytes.length) throw new Error("it ends too early");
    const part = bytes.subarray(at, end);
    at = end;
    return part;
  };
  const cache = evalCache && { folder: evalCache.folder, content: next(evalCache.bytes) };
  const all = files.map(([name, length]): [string, Uint8Array] => {
    if (!NAME.test(name)) throw new Error(`it has a file ${JSON.stringify(name).slice(0, 80)}`);
    return [name, next(length)];
  });
  if (at !== bytes.length) throw new Error("it does not end where it should");
  return { results, kept, evalCache: cache, files: all };
}

/** Thousands of small files: one after another, each would wait for the one before. */
const AT_ONCE = 16;

/** Into a folder that nobody reads yet, so that none has to be whole before all are. */
export async function writeFiles(folder: string, files: Carried["files"]): Promise<void> {
  await mkdir(join(folder, "nar"), { recursive: true });
  await mapLimited(files, AT_ONCE, ([name, content]) => writeFile(join(folder, name), content));
}

export async function readFiles(folder: string): Promise<[string, Uint8Array][]> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => NAME.test(name));
  return mapLimited(names, AT_ONCE, async (name) => [name, await readFile(join(folder, name))]);
}

/**
 * As many of the derivations, the smallest closures first, as fit into `most` bytes; and the files of a
 * binary cache that they need.
 */
export function fitting(
  derivations: readonly StorePath[],
  files: Carried["files"],
  storeDir: string,
  most: number,
): { readonly derivations: ReadonlySet<StorePath>; readonly files: Carried["files"] } {
  const content = new Map(files);
  const nodes = new Map(
    files.flatMap(([name, bytes]) => {
      if (!name.endsWith(".narinfo")) return [];
      const info = parseNarInfo(Buffer.from(bytes).toString("utf8"), name, storeDir);
      const size = bytes.length + (content.get(info.url)?.length ?? 0);
      return [[info.storePath, { name, info, size }] as const];
    }),
  );
  const closure = (root: StorePath, has: ReadonlySet<StorePath>) => {
    const found = new Set<StorePath>();
    const open = [root];
    for (let path = open.pop(); path !== undefined; path = open.pop()) {
      if (found.has(path) || has.has(path)) continue;
      found.add(path);
      open.push(...(nodes.get(path)?.info.references ?? []));
    }
    return found;
  };
  const bytes = (paths: Iterable<StorePath>) =>
    [...paths].reduce((sum, path) => sum + (nodes.get(path)?.size ?? 0), 0);
  const none = new Set<StorePath>();
  const sorted = derivations
    .map((root) => ({ root, size: bytes(closure(root, none)) }))
    .sort((a, b) => a.size - b.size);
  const taken = new Set<StorePath>();
  const roots = new Set<StorePath>();
  let total = 0;
  for (const { root } of sorted) {
    const more = closure(root, taken);
    total += bytes(more);
    if (total > most) break;
    roots.add(root);
    for (const path of more) taken.add(path);
  }
  const names = new Set(["nix-cache-info"]);
  for (const path of taken) {
    const node = nodes.get(path);
    if (!node) continue;
    names.add(node.name).add(node.info.url);
  }
  return { derivations: roots, files: files.filter(([name]) => names.has(name)) };
}
