/** An evaluation as one file that can be carried to another machine: its results, Nix's eval cache, the derivations. */

import * as z from "zod/mini";
import { contentAddressOf, textPath } from "../domain/content-address.ts";
import { namePart, type StorePath, storePathFromBaseName } from "../domain/store-path.ts";
import type { AddressedPath, StoredPath } from "./derivation-closure.ts";

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
  version: z.literal(2),
  /** By what was asked. */
  results: z.array(z.tuple([z.string(), Result])),
  /** What Nix's eval cache has, by the attribute path. */
  kept: z.array(z.tuple([z.string(), z.object({ drvPath: PATH, install: z.array(z.string()) })])),
  /** The flake's own, and those of its inputs that were looked into. */
  evalCaches: z.array(
    z.object({
      flake: z.string(),
      name: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
      folder: z.string().check(z.regex(/^eval-cache-v\d{1,3}$/)),
      bytes: z.int(),
    }),
  ),
  /**
   * Each behind what it refers to, which is named by its place. The path of a text follows from the rest; of
   * any other the base name is here, and its content address.
   */
  paths: z.array(z.tuple([z.string(), z.array(z.int()), z.string(), z.int()])),
});

export type CarriedResult = z.infer<typeof Result>;
type CarriedHeader = z.infer<typeof Header>;

export interface CarriedEvalCache {
  /** `.`, or the name of an input. */
  readonly flake: string;
  /** What Nix calls it: of what was evaluated. */
  readonly name: string;
  readonly folder: string;
  readonly content: Uint8Array;
}

export interface Carried extends Pick<CarriedHeader, "results" | "kept"> {
  readonly evalCaches: readonly CarriedEvalCache[];
  /** The derivations and all that they refer to, each behind that. */
  readonly paths: readonly AddressedPath[];
}

export function pack({ results, kept, evalCaches, paths }: Carried): Uint8Array {
  const places = new Map(paths.map(({ storePath }, place) => [storePath, place]));
  const header = Buffer.from(
    JSON.stringify({
      version: 2,
      results,
      kept,
      evalCaches: evalCaches.map(({ content, ...of }) => ({ ...of, bytes: content.length })),
      paths: paths.map(({ storePath, references, contentAddress, content }) => {
        const isText = contentAddress.startsWith(TEXT);
        return [
          isText ? namePart(storePath) : storePath.slice(storePath.lastIndexOf("/") + 1),
          references.flatMap((one) => places.get(one) ?? []),
          isText ? "" : contentAddress,
          content.length,
        ];
      }),
    } satisfies CarriedHeader),
  );
  const size = Buffer.alloc(4);
  size.writeUInt32BE(header.length);
  const contents = [...evalCaches, ...paths].map(({ content }) => content);
  return Buffer.concat([size, header, ...contents]);
}

const TEXT = "text:";
/** Of a header that is read: as objects it takes many times as much, and that of 100,000 paths has 10 MB. */
const HEADER_MOST = 32 * 1024 * 1024;

/** Throws for anything that `pack` did not write. Of no path more is believed than its content says. */
export function unpack(content: Uint8Array, storeDir: string): Carried {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  let at = 4 + bytes.readUInt32BE(0);
  if (at > HEADER_MOST) throw new Error(`its header has ${at} bytes`);
  const { evalCaches, paths, results, kept } = Header.parse(
    JSON.parse(bytes.subarray(4, at).toString("utf8")),
  );
  const next = (length: number) => {
    const end = at + length;
    if (length < 0 || end > bytes.length) throw new Error("it ends too early");
    const part = bytes.subarray(at, end);
    at = end;
    return part;
  };
  const caches = evalCaches.map(({ bytes: length, ...of }) => ({ ...of, content: next(length) }));
  const all: AddressedPath[] = [];
  for (const [name, places, contentAddress, length] of paths) {
    const references = places.map((place) => {
      const path = all[place]?.storePath;
      if (path === undefined) throw new Error("it lacks what it refers to");
      return path;
    });
    const content = next(length);
    const of = pathOf({ name, contentAddress, references, content }, storeDir);
    if (!of) throw new Error(`it has a path ${JSON.stringify(name).slice(0, 80)}`);
    all.push({ ...of, references, content });
  }
  if (at !== bytes.length) throw new Error("it does not end where it should");
  check({ results, kept, paths: all });
  return { results, kept, evalCaches: caches, paths: all };
}

/** Each derivation proves itself by its content; that they are those of these names, the seal says. */
function check({ results, kept, paths }: Pick<Carried, "results" | "kept" | "paths">): void {
  const there = new Set<string>(paths.map(({ storePath }) => storePath));
  const wanted = [
    ...results.flatMap(([, { derivations }]) => derivations),
    ...kept.map(([, one]) => one),
  ];
  if (wanted.length === 0) throw new Error("it has no derivation");
  for (const { drvPath } of wanted) {
    if (!drvPath.endsWith(".drv")) throw new Error(`${drvPath} is no derivation`);
    if (!there.has(drvPath)) throw new Error(`it lacks ${drvPath}`);
  }
}

interface Unnamed extends Pick<AddressedPath, "contentAddress" | "references" | "content"> {
  readonly name: string;
}

/** That the content has this address Nix sees when it takes it; that the path has it is seen here. */
function pathOf(
  { name, contentAddress, references, content }: Unnamed,
  storeDir: string,
): Pick<AddressedPath, "storePath" | "contentAddress"> | undefined {
  if (contentAddress === "") return textPath(name, content, references, storeDir);
  const storePath = storePathFromBaseName(name, storeDir);
  if (!storePath || contentAddress.startsWith(TEXT)) return undefined;
  const made = { storePath, references, contentAddress };
  return contentAddressOf(made) === "good" ? { storePath, contentAddress } : undefined;
}

/**
 * As many of the derivations, the smallest closures first, as fit into `most` bytes; and all that they are
 * made of, each behind what it refers to. What refers to a path that is not there is left out.
 */
export function fitting(
  derivations: readonly StorePath[],
  nodes: Nodes,
  most: number,
): { readonly derivations: ReadonlySet<StorePath>; readonly paths: readonly StorePath[] } {
  const order = inOrder(derivations, nodes);
  const whole = new Set(order);
  const roots = derivations.filter((root) => whole.has(root));
  if (bytesOf(order, nodes) <= most) return { derivations: new Set(roots), paths: order };
  const sorted = roots
    .map((root) => ({ root, closure: inOrder([root], nodes) }))
    .sort((a, b) => bytesOf(a.closure, nodes) - bytesOf(b.closure, nodes));
  const taken = new Set<StorePath>();
  const fit = new Set<StorePath>();
  let total = 0;
  for (const { root, closure } of sorted) {
    const more = closure.filter((path) => !taken.has(path));
    total += bytesOf(more, nodes);
    if (total > most) break;
    fit.add(root);
    for (const path of more) taken.add(path);
  }
  return { derivations: fit, paths: [...taken] };
}

type Nodes = ReadonlyMap<StorePath, Pick<StoredPath, "references" | "bytes">>;

function bytesOf(paths: readonly StorePath[], nodes: Nodes): number {
  return paths.reduce((sum, path) => sum + (nodes.get(path)?.bytes ?? 0), 0);
}

/** The roots' closures, what is referred to first; without what refers, however far, to a path that is not there. */
function inOrder(roots: readonly StorePath[], nodes: Nodes): readonly StorePath[] {
  const done: StorePath[] = [];
  /** Whether all that it refers to is there; undefined while that is looked at. */
  const whole = new Map<StorePath, boolean | undefined>();
  for (const root of roots) {
    const open = [root];
    for (let path = open.at(-1); path !== undefined; path = open.at(-1)) {
      const node = nodes.get(path);
      if (node && !whole.has(path)) {
        whole.set(path, undefined);
        open.push(...node.references.filter((one) => !whole.has(one)));
        continue;
      }
      open.pop();
      if (whole.get(path) !== undefined) continue;
      const isWhole = node?.references.every((one) => whole.get(one) === true) === true;
      whole.set(path, isWhole);
      if (isWhole) done.push(path);
    }
  }
  return done;
}
