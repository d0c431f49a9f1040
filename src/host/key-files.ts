/** Finds and hashes lock files: which ones a line names, and SHA-256 as `sha256sum FILE` gives it. */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readlink, realpath, stat } from "node:fs/promises";
import { isAbsolute, join, normalize, relative, sep } from "node:path";
import type { KeyFile } from "../domain/cache-key.ts";
import { describeError, UserError } from "../domain/errors.ts";

/**
 * In the order of `patterns`, and by name within one; a pattern without a file has no hash, and says
 * why. `!` takes away what lines above it matched. Throws a UserError for a line that is no pattern,
 * and for a file that cannot be read.
 */
export async function hashKeyFiles(
  directory: string,
  patterns: readonly string[],
): Promise<KeyFile[]> {
  const found: KeyFile[] = [];
  for (const [index, pattern] of patterns.entries()) {
    if (isExclusion(pattern)) continue;
    const without = patterns.slice(index + 1).filter(isExclusion);
    for (const file of await filesOf(directory, pattern, without)) {
      if (!found.some(({ name }) => name === file.name)) found.push(file);
    }
  }
  return found;
}

function isExclusion(line: string): boolean {
  return line.startsWith("!");
}

async function filesOf(
  directory: string,
  pattern: string,
  without: readonly string[],
): Promise<KeyFile[]> {
  const place = placeOf(directory, pattern);
  const isPattern = /[*?[\\]/.test(pattern);
  const names =
    isPattern || without.length > 0
      ? await matching(directory, place, isPattern, without)
      : [normalize(place)];
  const files: KeyFile[] = [];
  for (const name of names) {
    const why = await whyNot(directory, name);
    // What a pattern happens to match, and is no file, nobody has named.
    if (why !== undefined && isPattern && why.kind === "no file") continue;
    if (why !== undefined) {
      files.push({ name, hash: undefined, ...(why.words === "" ? {} : { why: why.words }) });
      continue;
    }
    const sha256 = await hashOf(directory, name);
    const hash = sha256.slice(0, 16);
    files.push({ name, hash, ...(isPattern ? { from: { pattern, sha256 } } : {}) });
  }
  return files.length > 0 ? files : [{ name: pattern, hash: undefined, ...hintOf(pattern) }];
}

/** A line as it is seen from the workspace; a path may be absolute, and leads nowhere else. */
function placeOf(directory: string, pattern: string): string {
  const place = isAbsolute(pattern) ? relative(directory, normalize(pattern)) : pattern;
  if (!leadsOut(normalize(place)) && !place.startsWith("~")) return place;
  throw new UserError("NCP-101", `key-files: "${pattern}" is outside of the workspace`, {
    hint: `name files below ${directory}: what lies elsewhere is no part of the project`,
  });
}

function leadsOut(place: string): boolean {
  return place === ".." || place.startsWith(`..${sep}`) || isAbsolute(place);
}

/** What people write who take the lines for a list. */
function hintOf(pattern: string): Pick<KeyFile, "why"> {
  if (!/[,\s]/.test(pattern)) return {};
  return { why: "no such file; key-files takes one name or pattern per line" };
}

/** A pull request's link may lead to a file of the runner, or to one without an end. */
async function whyNot(
  directory: string,
  name: string,
): Promise<{ readonly kind: "no file" | "refused"; readonly words: string } | undefined> {
  const path = join(directory, name);
  const stats = await stat(path).catch(() => undefined);
  if (!stats) return { kind: "no file", words: hintOf(name).why ?? "" };
  const real = await realpath(path);
  if (leadsOut(relative(await realpath(directory), real))) {
    const to = await readlink(path).catch(() => real);
    return {
      kind: "refused",
      words: `it is a link that leads out of the workspace (to ${to}), and is not read`,
    };
  }
  if (stats.isDirectory()) {
    return { kind: "no file", words: `it is a folder; its files are ${name}/**` };
  }
  return stats.isFile() ? undefined : { kind: "refused", words: "it is no regular file" };
}

/** With the action's own globber, as `hashFiles` in a workflow has it: loaded for what is a pattern. */
async function matching(
  directory: string,
  place: string,
  isPattern: boolean,
  without: readonly string[],
): Promise<string[]> {
  const top = escaped(directory);
  const absolute = (one: string) => `${top}/${normalize(one)}`;
  const lines = [
    absolute(isPattern ? place : escaped(place)),
    ...without.map((line) => `!${absolute(placeOf(directory, line.slice(1).trim()))}`),
    // What packages and git keep for themselves is no part of the project, unless it is named.
    ...["node_modules", ".git"]
      .filter((name) => !place.split("/").includes(name))
      .map((name) => `!${top}/**/${name}/**`),
  ];
  const { create } = await import("@actions/glob");
  const options = {
    followSymbolicLinks: false,
    matchDirectories: false,
    implicitDescendants: false,
  };
  try {
    const globber = await create(lines.join("\n"), options);
    const names = (await globber.glob()).map((path) => relative(directory, path));
    return names.sort();
  } catch (cause) {
    throw new UserError("NCP-101", `key-files: "${place}": ${describeError(cause)}`, {
      hint: "patterns are those of hashFiles: *, ?, [a-z] and **, and ! in front to take away",
    });
  }
}

/** Source: Pattern.globEscape in @actions/glob, which does not export it. */
function escaped(path: string): string {
  return path
    .replace(/\\/g, "\\\\")
    .replace(/(\[)(?=[^/]+\])/g, "[[]")
    .replace(/\?/g, "[?]")
    .replace(/\*/g, "[*]");
}

async function hashOf(directory: string, name: string): Promise<string> {
  try {
    return await sha256File(join(directory, name));
  } catch (error) {
    throw new UserError("NCP-359", `key-files: ${name} cannot be read: ${describeError(error)}`, {
      hint: "let the runner's user read it (chmod, chown), or take its line away",
    });
  }
}

export async function sha256File(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
