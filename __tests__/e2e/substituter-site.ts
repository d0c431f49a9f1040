/** Owns caches for the end-to-end tests of substituters: filled and signed by real Nix, served, and spoilt. */

import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Machine } from "../../scripts/machine.ts";
import { type FileServer, fileServer } from "../servers/files.ts";
import { type LoopbackServer, listen } from "../servers/http.ts";
import type { TestJob } from "./job.ts";

export interface Key {
  /** `NAME:BASE64` */
  readonly public: string;
  readonly secretFile: string;
}

export async function makeKey(machine: Machine, name: string, file = name): Promise<Key> {
  const secretFile = join(machine.root, `${file}.sec`);
  const publicFile = join(machine.root, `${file}.pub`);
  const args = ["--generate-binary-cache-key", name, secretFile, publicFile];
  await machine.nix("nix-store", args);
  return { public: (await readFile(publicFile, "utf8")).trim(), secretFile };
}

/** A directory with the closures of the attributes, built and signed; the store is empty again after. */
export async function fillCache(
  { machine, workspace }: TestJob,
  name: string,
  attributes: readonly string[],
  key: Key,
): Promise<string> {
  const directory = join(machine.root, name);
  const paths: string[] = [];
  for (const attribute of attributes) {
    const drv = await machine.nix("nix", ["eval", "--raw", `.#${attribute}.drvPath`], workspace);
    const made = await machine.nix("nix-store", ["--realise", drv]);
    paths.push(...made.trim().split("\n"));
  }
  const to = `file://${directory}?secret-key=${key.secretFile}`;
  await machine.nix("nix", ["copy", "--to", to, ...paths]);
  await machine.forget();
  return directory;
}

/** A copy of the substituter, to be spoilt. */
export async function copyCache(directory: string, name: string): Promise<string> {
  const copy = `${directory}-${name}`;
  await cp(directory, copy, { recursive: true });
  return copy;
}

/** The narinfo of the path with that name: `good-1`. */
export async function narInfoFile(directory: string, name: string): Promise<string> {
  for (const file of await readdir(directory)) {
    if (!file.endsWith(".narinfo")) continue;
    const text = await readFile(join(directory, file), "utf8");
    if (new RegExp(`^StorePath: .*-${name}$`, "m").test(text)) return join(directory, file);
  }
  throw new Error(`${directory} has no ${name}`);
}

export async function change(file: string, to: (text: string) => string): Promise<void> {
  await writeFile(file, to(await readFile(file, "utf8")));
}

export const LOGIN_PAGE = "<!DOCTYPE html>\n<html><body>Please sign in</body></html>\n";

/** Nobody listens there. */
export async function deadOrigin(): Promise<string> {
  const server = await listen(async () => ({ status: 200 }));
  await server[Symbol.asyncDispose]();
  return server.origin;
}

/** Accepts, and never answers. */
export async function silentServer(): Promise<LoopbackServer & { asked(): number }> {
  let asked = 0;
  const server = await listen(async () => {
    asked++;
    return "hang";
  });
  return { ...server, asked: () => asked };
}

export async function cacheServer(directory: string): Promise<FileServer> {
  return fileServer(directory);
}
