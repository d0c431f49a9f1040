/** Nix's own eval cache of a flake: where its file is, what it holds of an attribute, and what may not stay in it. */

import { createHash } from "node:crypto";
import { access, readdir, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import * as z from "zod/mini";
import type { Environment } from "../host/environment.ts";
import { DEADLINES, isAtLeast, type NixCommand } from "./command.ts";

/** How a version of Nix chooses outputs where none is named. */
export type ChosenOutputs = "by name" | "by meta";

/** What Nix keeps of a derivation at an attribute path. */
export interface KeptDerivation {
  readonly drvPath: string;
  /** What `nix build` takes when no output is named. */
  readonly install: readonly string[];
}

const Metadata = z.object({
  fingerprint: z.optional(z.string().check(z.regex(/^[0-9a-f]{64}$/))),
  /** Lazy trees (Determinate Nix) are not in the store. */
  path: z.optional(z.string()),
  revCount: z.optional(z.number()),
  lastModified: z.optional(z.number()),
  locked: z.object({ dir: z.optional(z.string()) }),
  locks: z.unknown(),
});

export type FlakeMetadata = z.infer<typeof Metadata>;

/**
 * The name that Nix gives to what it evaluates of the flake of this folder; undefined where it gives
 * none: an input is not locked, or the flake is not in git. Fetches no input.
 */
export async function fingerprint(
  nix: NixCommand,
  version: string,
  signal: AbortSignal,
  flake: readonly string[] = ["."],
): Promise<string | undefined> {
  return fingerprintIn(await flakeMetadata(nix, signal, flake), version);
}

/** What the fingerprint is read from; undefined where Nix does not tell. */
export async function flakeMetadata(
  nix: NixCommand,
  signal: AbortSignal,
  flake: readonly string[] = ["."],
): Promise<FlakeMetadata | undefined> {
  const args = ["flake", "metadata", "--json", "--no-update-lock-file", ...flake];
  const { code, stdout } = await nix.try("nix", args, { signal, deadline: DEADLINES.evaluate });
  if (code !== 0) return undefined;
  const parsed = Metadata.safeParse(json(stdout));
  return parsed.success ? parsed.data : undefined;
}

export function fingerprintIn(
  metadata: FlakeMetadata | undefined,
  version: string,
): string | undefined {
  if (!metadata) return undefined;
  const { fingerprint: told, path, revCount = 0, lastModified = 0, locked, locks } = metadata;
  if (told !== undefined || isAtLeast(version, 9)) return told;
  // nix/src/libexpr/flake/flake.cc of 2.8, which does not tell it.
  const name = path?.split("/").at(-1);
  const text = JSON.stringify(locks, null, 2);
  return createHash("sha256")
    .update(`${name};${locked.dir ?? ""};${revCount};${lastModified};${text}`)
    .digest("hex");
}

/** The file that Nix keeps under this fingerprint; undefined where it has none yet. */
export async function evalCacheFile(
  name: string,
  version: string,
  environment: Environment,
): Promise<string | undefined> {
  const folder = cacheFolder(environment);
  const folders = (await readdir(folder).catch(() => [])).filter((one) => isOf(one, version));
  const found = await Promise.all(
    folders.map(async (one) => {
      const file = join(folder, one, `${name}.sqlite`);
      const changed = await stat(file).then(
        ({ mtimeMs }) => mtimeMs,
        () => undefined,
      );
      return changed === undefined ? [] : [{ file, changed }];
    }),
  );
  return found.flat().sort((a, b) => b.changed - a.changed)[0]?.file;
}

/** Nix's own folder for what it can make again. */
export function cacheFolder(environment: Environment): string {
  const { NIX_CACHE_HOME: nix, XDG_CACHE_HOME: all, HOME: home } = environment;
  return nix || join(all || join(home || homedir(), ".cache"), "nix");
}

/** The form of the file is in its folder's name; other versions than these are not known for sure. */
function isOf(folder: string, version: string): boolean {
  const form = /^eval-cache-v(\d+)$/.exec(folder)?.[1];
  if (form === undefined) return false;
  if (!isAtLeast(version, 9)) return form === "2";
  if (isAtLeast(version, 31)) return Number(form) >= 6;
  return isAtLeast(version, 18) ? form === "5" : true;
}

export async function removeEvalCache(file: string): Promise<void> {
  for (const end of ["", "-wal", "-shm", "-journal"]) await rm(file + end, { force: true });
}

/** Brings what was written last into the file itself, so that it can be copied alone. */
export async function settle(file: string): Promise<void> {
  using cache = await EvalCache.open(file, "by name");
  cache?.settle();
}

/** Whether Nix knows all names of the set already, or that there is no such set. */
export async function isSealed(file: string, set: readonly string[]): Promise<boolean> {
  if (set.length === 0) return false;
  using cache = await EvalCache.open(file, "by name");
  for (const [place, name] of set.entries()) {
    const names = cache?.names(set.slice(0, place));
    if (!names?.includes(name)) return names !== undefined;
  }
  return cache?.names(set) !== undefined;
}

/** Of which all names are known. */
const SET = 1;
const TEXT = 2;
const MISSING = 3;
const FAILED = 5;
const LIST = 7;
const YES = 6;

/** Milliseconds that a Nix which writes to it is waited for; nothing else of ours goes on meanwhile. */
const PATIENCE = 2_000;

/**
 * The rows of an eval cache. nix/src/libexpr/eval-cache.cc is its form. Where another Nix holds it, or it is
 * damaged, it has nothing: what is not there is evaluated.
 */
export class EvalCache implements Disposable {
  private readonly database: DatabaseSync;
  private readonly row: StatementSync;

  private readonly outputs: ChosenOutputs;
  private state: "read" | "not to be read" = "read";

  private constructor(database: DatabaseSync, outputs: ChosenOutputs) {
    this.database = database;
    this.outputs = outputs;
    database.exec(`pragma busy_timeout = ${PATIENCE}`);
    this.row = database.prepare(
      "select rowid as id, type, value from Attributes where parent = ? and name = ?",
    );
  }

  /** Undefined where this Node has no SQLite, or the file is none. */
  static async open(file: string, outputs: ChosenOutputs): Promise<EvalCache | undefined> {
    try {
      await access(file);
      const { DatabaseSync } = await sqlite();
      return new EvalCache(new DatabaseSync(file), outputs);
    } catch {
      return undefined;
    }
  }

  /** Whether there is such an attribute, as far as was looked. */
  has(path: readonly string[]): boolean {
    const at = this.asked(() => this.at(path));
    return at !== undefined && at.type !== MISSING;
  }

  /** The string that stands there; null: nothing does; undefined: Nix has not looked, or it is no string. */
  string(path: readonly string[]): string | null | undefined {
    return this.asked(() => {
      let row = this.find(0, "");
      for (const name of path) {
        const next = row && this.find(row.id, name);
        if (next?.type === MISSING || (!next && row?.type === SET)) return null;
        row = next;
      }
      return row?.type === TEXT ? row.value : undefined;
    });
  }

  derivation(path: readonly string[]): KeptDerivation | undefined {
    return this.asked(() => {
      const at = this.at(path);
      const drvPath = at && this.text(at.id, "drvPath");
      if (at === undefined || drvPath === undefined) return undefined;
      return { drvPath, install: this.install(at.id) };
    });
  }

  /** Names of the set that stands there, where all are known. */
  names(path: readonly string[]): readonly string[] | undefined {
    return this.asked(() => {
      const at = this.at(path);
      if (at?.type !== SET) return undefined;
      const rows = this.database.prepare("select name from Attributes where parent = ?").all(at.id);
      return rows.map(({ name }) => String(name));
    });
  }

  /** What failed is asked for again: Nix would say of it that it is no derivation (2.8), or no set (2.26). */
  forgetFailures(): void {
    this.asked(() =>
      this.database.exec(
        `update Attributes set type = 0, value = null, context = null where type = ${FAILED}`,
      ),
    );
  }

  settle(): void {
    this.asked(() => this.database.exec("pragma wal_checkpoint(truncate)"));
  }

  [Symbol.dispose](): void {
    this.database.close();
  }

  /** Who was kept waiting once does not ask again. */
  private asked<T>(ask: () => T): T | undefined {
    if (this.state === "not to be read") return undefined;
    try {
      return ask();
    } catch (error) {
      const isItsOwn = typeof error === "object" && error !== null && "code" in error;
      if (!isItsOwn || error.code !== "ERR_SQLITE_ERROR") throw error;
      this.state = "not to be read";
      return undefined;
    }
  }

  /** nix/src/libcmd/installable-flake.cc. */
  private install(parent: number): readonly string[] {
    const outputName = this.text(parent, "outputName") ?? "out";
    if (this.outputs === "by name") return [outputName];
    const specified = this.find(parent, "outputSpecified");
    if (specified?.type === YES) return specified.value === "1" ? [outputName] : ["out"];
    const meta = this.find(parent, "meta");
    const listed = meta && this.find(meta.id, "outputsToInstall");
    const names = listed?.type === LIST ? words(listed.value) : [];
    return names.length > 0 ? names : ["out"];
  }

  private at(path: readonly string[]): Row | undefined {
    let row = this.find(0, "");
    for (const name of path) row = row && this.find(row.id, name);
    return row;
  }

  private text(parent: number, name: string): string | undefined {
    const row = this.find(parent, name);
    return row?.type === TEXT ? row.value : undefined;
  }

  private find(parent: number, name: string): Row | undefined {
    const row = this.row.get(parent, name);
    if (!row) return undefined;
    return { id: Number(row["id"]), type: Number(row["type"]), value: String(row["value"] ?? "") };
  }
}

interface Row {
  readonly id: number;
  readonly type: number;
  readonly value: string;
}

function words(text: string): string[] {
  return text.split(/[\t ]+/).filter((word) => word !== "");
}

/** Older Nodes say of it that it is an experiment; that is no news for who reads our log. */
async function sqlite(): Promise<typeof import("node:sqlite")> {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return await import("node:sqlite");
  } finally {
    process.emitWarning = emitWarning;
  }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
