/** Writes files so that nobody ever sees half of one. */

import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isMissing } from "./disk.ts";

/**
 * Writes `content` beside `path` and moves it there when it is whole. A run that is
 * killed in between leaves a `.tmp-…` file, which no reader looks at.
 */
export async function writeWhole(
  path: string,
  content: string | Uint8Array,
  mode = 0o644,
): Promise<void> {
  await writeStream(
    path,
    (async function* () {
      yield typeof content === "string" ? Buffer.from(content) : content;
    })(),
    mode,
  );
}

/** As `writeWhole`, from a stream; nothing is left at `path` when the stream throws. */
export async function writeStream(
  path: string,
  content: AsyncIterable<Uint8Array>,
  mode = 0o644,
): Promise<void> {
  const staged = await stage(path, content, mode);
  await staged.commit();
}

/** A full disk first shortens a write and fails the next one: the rest must not be forgotten. */
async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, at);
    if (bytesWritten === 0) throw new Error("nothing more can be written");
    at += bytesWritten;
  }
}

/**
 * Makes a folder and those above it. Node's own way asks for ever where a folder cannot be made in one that is
 * there, and the kernel calls it absent (`/proc`, an automount without a server).
 */
export async function makeFolder(path: string, mode = 0o777): Promise<void> {
  try {
    await makeOne(path, mode);
  } catch (error) {
    if (!isMissing(error) || dirname(path) === path) throw error;
    await makeFolder(dirname(path), mode);
    await makeOne(path, mode);
  }
}

async function makeOne(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, mode);
  } catch (error) {
    const isThere = await stat(path).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (!isThere) throw error;
  }
}

export interface Staged {
  /** Moves the file to `path` (or to its first, staged target). */
  commit(path?: string): Promise<void>;
  discard(): Promise<void>;
}

/** Writes all of `content` to a temporary file beside `path`, to be moved later. */
export async function stage(
  path: string,
  content: AsyncIterable<Uint8Array>,
  mode = 0o644,
): Promise<Staged> {
  await makeFolder(dirname(path));
  const temporary = `${path}.tmp-${randomBytes(6).toString("hex")}`;
  let file: FileHandle | undefined;
  try {
    file = await open(temporary, "wx", mode);
    for await (const chunk of content) await writeAll(file, chunk);
    await file.close();
    file = undefined;
  } catch (error) {
    await file?.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
  return {
    commit: async (to = path) => {
      await makeFolder(dirname(to));
      await rename(temporary, to);
    },
    discard: () => rm(temporary, { force: true }),
  };
}

/** Removes what killed runs left in `directory`: temporary files older than `age` milliseconds. */
export async function sweep(directory: string, age: number): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names) {
    if (!/\.tmp-[0-9a-f]{12}$/.test(name)) continue;
    const file = join(directory, name);
    const changed = await stat(file).then(
      ({ mtimeMs }) => mtimeMs,
      () => Date.now(),
    );
    if (Date.now() - changed > age) await rm(file, { force: true });
  }
}
