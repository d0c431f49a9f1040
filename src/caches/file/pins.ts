/** The pins of a `file://` cache: a file each, beside the NARs. */

import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Pin, StoredPin } from "../../domain/cache.ts";
import { describeError, UserError } from "../../domain/errors.ts";
import { baseName, type StorePath, storePathFromBaseName } from "../../domain/store-path.ts";
import { writeWhole } from "../../host/atomic.ts";
import { isMissing, readIfThere } from "../../host/disk.ts";

interface PinFile {
  readonly version: 1;
  readonly name: string;
  readonly keep: Pin["keep"];
  /** Newest first. */
  readonly revisions: readonly {
    readonly revision: number;
    readonly storePath: string;
    readonly createdOn: string;
  }[];
}

/** A file's name has 255 bytes at most, and one that is being written 17 more than it will have. */
const LONGEST = 200;

function pinFile(directory: string, name: string): string {
  const encoded = encodeURIComponent(name);
  // Which pin it is stands in the file: its name has only to be one of its own.
  const short =
    encoded.length <= LONGEST
      ? encoded
      : `${encoded.slice(0, LONGEST - 33)}-${sha256(name).slice(0, 32)}`;
  return join(directory, "pins", `${short}.json`);
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

export async function writePin(directory: string, pin: Pin): Promise<void> {
  const file = pinFile(directory, pin.name);
  const before = await readPin(file);
  const revision = (before?.revisions[0]?.revision ?? 0) + 1;
  const now = new Date();
  const revisions = [
    { revision, storePath: baseName(pin.storePath), createdOn: now.toISOString() },
    ...(before?.revisions ?? []),
  ].filter(({ createdOn }, index) => {
    if (index === 0 || pin.keep.kind === "forever") return true;
    if (pin.keep.kind === "revisions") return index < pin.keep.revisions;
    return now.getTime() - Date.parse(createdOn) < pin.keep.days * 86_400_000;
  });
  const content: PinFile = { version: 1, name: pin.name, keep: pin.keep, revisions };
  await writeWhole(file, `${JSON.stringify(content, null, 2)}\n`);
}

async function readPin(file: string): Promise<PinFile | undefined> {
  const text = await readIfThere(file);
  if (text === undefined) return undefined;
  try {
    const parsed = JSON.parse(text) as Partial<PinFile>;
    if (parsed.version !== 1 || !Array.isArray(parsed.revisions) || !parsed.name) {
      throw new Error("it is not a pin of version 1");
    }
    return parsed as PinFile;
  } catch (cause) {
    throw new UserError("NCP-307", `${file} cannot be read: ${describeError(cause)}`, {
      hint: "delete the file; the next warming run writes it anew",
      cause,
    });
  }
}

export async function readPins(directory: string, storeDir: string): Promise<StoredPin[]> {
  const folder = join(directory, "pins");
  const names = await readdir(folder).catch((error) => {
    if (isMissing(error)) return [];
    throw error;
  });
  const found: StoredPin[] = [];
  for (const name of names.filter((file) => file.endsWith(".json")).sort()) {
    const pin = await readPin(join(folder, name));
    const [last] = pin?.revisions ?? [];
    const storePath = last && storePathFromBaseName(String(last.storePath), storeDir);
    if (pin && last && storePath) {
      found.push({
        name: pin.name,
        storePath: storePath satisfies StorePath,
        revision: last.revision,
        createdOn: last.createdOn,
        ...(isKeep(pin.keep) ? { keep: pin.keep } : {}),
      });
    }
  }
  return found;
}

/** The file may be of anybody's making. */
function isKeep(keep: Pin["keep"] | undefined): keep is Pin["keep"] {
  switch (keep?.kind) {
    case "forever":
      return true;
    case "days":
      return Number.isFinite(keep.days);
    case "revisions":
      return Number.isFinite(keep.revisions);
    default:
      return false;
  }
}
