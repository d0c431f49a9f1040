/** Closures of derivations as content-addressed files: read out of the store, and put into another one. */

import { hash, randomUUID } from "node:crypto";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { contentAddressOf, textPath } from "../domain/content-address.ts";
import { parseDerivation } from "../domain/derivation.ts";
import { baseName, isDerivationPath, namePart, type StorePath } from "../domain/store-path.ts";
import { DEADLINES, isAtLeast, type NixCommand } from "./command.ts";
import { NarWriter, narOf, narOfFile } from "./nar.ts";
import { parsePathInfos } from "./remote-store.ts";

/** What its own content vouches for. */
export interface AddressedPath {
  readonly storePath: StorePath;
  readonly references: readonly StorePath[];
  /** `text:sha256:SUM`, `fixed:r:sha256:SUM`, … */
  readonly contentAddress: string;
  /** Of a `text:` the file itself, of others their NAR. */
  readonly content: Uint8Array;
}

/** Of a path in the store; its content is read when it is wanted. */
export interface StoredPath extends Pick<AddressedPath, "references" | "contentAddress"> {
  readonly bytes: number;
  content(signal: AbortSignal): Promise<Uint8Array>;
}

export interface ClosurePlace {
  readonly nix: NixCommand;
  readonly version: string;
  readonly storeDir: string;
  readonly realStoreDir: string;
}

/** A store path takes some 80 bytes of an argument list. */
const PATHS_PER_PROCESS = 1_000;

/**
 * All that the derivations are made of. A `.drv` says itself what it refers to; of the sources Nix is asked,
 * in one process. What its own content does not vouch for is left out.
 */
export async function readClosure(
  { nix, version, storeDir, realStoreDir }: ClosurePlace,
  roots: Iterable<StorePath>,
  signal: AbortSignal,
): Promise<Map<StorePath, StoredPath>> {
  const found = new Map<StorePath, StoredPath>();
  const sources = new Set<StorePath>();
  const real = (path: StorePath) => join(realStoreDir, baseName(path));
  const open = [...roots];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (found.has(path)) continue;
    // At once: they are small, and were read a moment ago.
    const content = readFileSync(real(path));
    const derivation = parseDerivation(content.toString("utf8"), path);
    const references = [...derivation.inputs.keys(), ...derivation.sources];
    const made = textPath(namePart(path), content, references, storeDir);
    if (made?.storePath !== path) continue;
    const { contentAddress } = made;
    const bytes = content.length;
    found.set(path, { references, contentAddress, bytes, content: async () => content });
    for (const input of references) {
      if (isDerivationPath(input)) open.push(input);
      else sources.add(input);
    }
  }
  const format = isAtLeast(version, 33) ? ["--json-format", "1"] : [];
  const all = [...sources];
  for (let at = 0; at < all.length; at += PATHS_PER_PROCESS) {
    const some = all.slice(at, at + PATHS_PER_PROCESS);
    const args = ["path-info", "--json", ...format, "--offline", "--recursive", ...some];
    const text = await nix.run("nix", args, { signal, deadline: DEADLINES.query });
    for (const info of parsePathInfos(text, storeDir, "the store")) {
      const { storePath: path, references, contentAddress, narSize: bytes } = info;
      const isAddressed = contentAddress !== undefined && contentAddressOf(info) === "good";
      if (!isAddressed || references.includes(path)) continue;
      const content = async (end: AbortSignal) => {
        const isText = contentAddress.startsWith("text:");
        return isText ? readFileSync(real(path)) : wholeNar(real(path), end);
      };
      found.set(path, { references, contentAddress, bytes, content });
    }
  }
  return found;
}

async function wholeNar(path: string, signal: AbortSignal): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of narOf(path, signal)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** nix/src/libstore/serve-protocol.hh, the same from 2.8 to 2.34. */
const HELLO = 0x390c9deb;
const VERSION = (2 << 8) | 6;
const ADD_TO_STORE = 9;
const DONE = "\u0001".padEnd(8, "\0");

export interface Taking extends Pick<ClosurePlace, "nix"> {
  /** Of the job; what is put there is removed. */
  readonly folder: string;
}

/**
 * Puts them into the store, each behind what it refers to. `nix-store --serve` is what Nix starts at the
 * other end of SSH: one process takes them all. It takes the content only where it is that of its address,
 * from users too that the daemon does not trust.
 */
export async function addToStore(
  { nix, folder }: Taking,
  paths: readonly AddressedPath[],
  signal: AbortSignal,
): Promise<void> {
  const pieces: Uint8Array[] = [];
  const writer = new NarWriter();
  writer.length(HELLO);
  writer.length(VERSION);
  for (const { storePath, references, contentAddress, content } of paths) {
    const nar = contentAddress.startsWith("text:") ? narOfFile(content) : content;
    writer.length(ADD_TO_STORE);
    writer.string(storePath);
    writer.string("");
    writer.string(`sha256:${hash("sha256", nar)}`);
    writer.length(references.length);
    for (const one of references) writer.string(one);
    // When it was registered, its size, no claim that it was built here, no signatures.
    for (const number of [0, nar.length, 0, 0]) writer.length(number);
    writer.string(contentAddress);
    writer.raw(nar);
    if (writer.size > FLUSH) pieces.push(writer.take());
  }
  pieces.push(writer.take());
  // Nix reads a file at its own pace, whatever else this process is busy with; at once, before that begins.
  const file = join(folder, `taking-${randomUUID()}`);
  const out = openSync(file, "wx", 0o600);
  try {
    try {
      for (const piece of pieces) writeFileSync(out, piece);
    } finally {
      closeSync(out);
    }
    const told = await nix.run("nix-store", ["--serve", "--write"], {
      signal,
      deadline: DEADLINES.import,
      input: { file },
    });
    if (!told.endsWith(DONE.repeat(paths.length))) throw new Error("Nix did not take all of it");
  } finally {
    await rm(file, { force: true });
  }
}

const FLUSH = 1024 * 1024;
