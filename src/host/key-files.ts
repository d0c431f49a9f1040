/** Hashes lock files, byte for byte as `sha256sum FILE | head -c 16` does. */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { glob, stat } from "node:fs/promises";
import { join, normalize } from "node:path";
import type { KeyFile } from "../domain/cache-key.ts";

/** In the order of `patterns`, and by name within one; a pattern without a file has no hash. */
export async function hashKeyFiles(
  directory: string,
  patterns: readonly string[],
): Promise<KeyFile[]> {
  const found: KeyFile[] = [];
  for (const pattern of patterns) {
    const names = await matching(directory, pattern);
    if (names.length === 0) found.push({ name: pattern, hash: undefined });
    for (const name of names) {
      if (found.some((file) => file.name === name)) continue;
      found.push({ name, hash: (await sha256File(join(directory, name))).slice(0, 16) });
    }
  }
  return found;
}

async function matching(directory: string, pattern: string): Promise<string[]> {
  // Node's globber is loaded for what is a glob: it takes 15 ms, and most patterns are names.
  if (!/[*?[\]{}()!\\]/.test(pattern)) {
    const name = normalize(pattern);
    return (await isFile(directory, name)) ? [name] : [];
  }
  const names: string[] = [];
  const exclude = (name: string) => name === "node_modules" || name === ".git";
  for await (const name of glob(pattern, { cwd: directory, exclude })) {
    if (await isFile(directory, name)) names.push(name);
  }
  return names.sort();
}

/** A link that leads nowhere is none. */
async function isFile(directory: string, name: string): Promise<boolean> {
  const stats = await stat(join(directory, name)).catch(() => undefined);
  return stats?.isFile() ?? false;
}

export async function sha256File(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
