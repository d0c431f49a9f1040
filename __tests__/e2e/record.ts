/** Main's record as a step of the job finds it: in our folder, where the state points to. */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

interface Pointer {
  readonly sharedFolder: string;
  readonly use: string;
  readonly file: string;
}

export interface Recorded {
  readonly watcher?: { readonly pid: number };
}

export function folderOf(state: Readonly<Record<string, string>>): string {
  const { sharedFolder, use } = JSON.parse(state["preflight"] ?? "") as Pointer;
  return join(sharedFolder, use);
}

function fileOf(state: Readonly<Record<string, string>>): string {
  return join(folderOf(state), (JSON.parse(state["preflight"] ?? "") as Pointer).file);
}

export async function recordOf(state: Readonly<Record<string, string>>): Promise<Recorded> {
  return JSON.parse(await readFile(fileOf(state), "utf8")) as Recorded;
}

/** Writes over it, as any step of the job could; what was there before, and what is now. */
export async function changeRecord(
  state: Readonly<Record<string, string>>,
  change: (record: string) => string,
): Promise<{ readonly before: string; readonly after: string }> {
  const before = await readFile(fileOf(state), "utf8");
  const after = change(before);
  await writeFile(fileOf(state), after);
  return { before, after };
}
