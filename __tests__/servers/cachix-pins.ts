/** Owns the Cachix stand-in's pins: what a pin request may say, revisions, and how long each is kept. */

import { parseStorePath, type StorePath } from "../../src/domain/store-path.ts";
import { exactFields, isNatural, refuse } from "./cachix-refuse.ts";

export type Keep =
  | null
  | { readonly tag: "Days"; readonly contents: number }
  | { readonly tag: "Revisions"; readonly contents: number }
  | { readonly tag: "Forever" };

export interface PinRevision {
  readonly revision: number;
  readonly storePath: StorePath;
  readonly artifacts: readonly string[];
  readonly createdOn: number;
}

export interface PinRecord {
  readonly name: string;
  readonly createdOn: number;
  readonly keep: Keep;
  /** Oldest first. */
  readonly revisions: readonly PinRevision[];
}

export interface PinRequest {
  readonly name: string;
  readonly storePath: StorePath;
  readonly artifacts: readonly string[];
  readonly keep: Keep;
}

const DAY = 24 * 60 * 60 * 1000;

export class Pins {
  readonly byName = new Map<string, PinRecord>();
  readonly #storeDir: string;
  /** The server's own clock: it moves when a test says so. */
  #now = Date.parse("2026-01-01T00:00:00Z");

  constructor(storeDir: string) {
    this.#storeDir = storeDir;
  }

  /** Reads the body of a pin request; 400 for anything the declared type does not hold. */
  parse(body: unknown): PinRequest {
    const fields = exactFields(body, ["name", "storePath", "artifacts", "keep"], "pin");
    const { name, storePath, artifacts, keep } = fields;
    if (typeof name !== "string" || name === "") refuse("pin: name is empty");
    const path =
      typeof storePath === "string" ? parseStorePath(storePath, this.#storeDir) : undefined;
    if (!path) refuse(`pin: ${String(storePath)} is not a store path`);
    if (!Array.isArray(artifacts) || artifacts.some((file) => typeof file !== "string")) {
      refuse("pin: artifacts is not a list of paths");
    }
    return { name, storePath: path, artifacts: artifacts as string[], keep: parseKeep(keep) };
  }

  /** A new revision each time, the same path or not. */
  add(request: PinRequest): PinRevision {
    const old = this.byName.get(request.name);
    const revision: PinRevision = {
      revision: (old?.revisions.at(-1)?.revision ?? 0) + 1,
      storePath: request.storePath,
      artifacts: request.artifacts,
      createdOn: this.#now,
    };
    this.byName.set(request.name, {
      name: request.name,
      createdOn: old?.createdOn ?? this.#now,
      keep: request.keep,
      revisions: [...(old?.revisions ?? []), revision],
    });
    this.#expire();
    return revision;
  }

  advance(days: number): void {
    this.#now += days * DAY;
    this.#expire();
  }

  roots(): StorePath[] {
    return [...this.byName.values()].flatMap((pin) =>
      pin.revisions.map((revision) => revision.storePath),
    );
  }

  /** What the list endpoint shows; a revision for which `isVisible` is false is not there yet. */
  list(isVisible: (name: string, revision: number) => boolean): unknown[] {
    return [...this.byName.values()].flatMap((pin) => {
      const last = pin.revisions.findLast(({ revision }) => isVisible(pin.name, revision));
      if (!last) return [];
      const { storePath, revision, artifacts } = last;
      const lastRevision = { storePath, createdOn: iso(last.createdOn), revision, artifacts };
      return [{ name: pin.name, createdOn: iso(pin.createdOn), lastRevision }];
    });
  }

  #expire(): void {
    for (const pin of this.byName.values()) {
      const revisions = pin.revisions.filter((revision, index) => {
        if (pin.keep?.tag === "Days")
          return this.#now - revision.createdOn <= pin.keep.contents * DAY;
        if (pin.keep?.tag === "Revisions") return index >= pin.revisions.length - pin.keep.contents;
        return true;
      });
      if (revisions.length === 0) this.byName.delete(pin.name);
      else this.byName.set(pin.name, { ...pin, revisions });
    }
  }
}

/** Aeson's encoding of the client's `Maybe Keep`. */
function parseKeep(value: unknown): Keep {
  if (value === null) return null;
  const { tag } = (value ?? {}) as { readonly tag?: unknown };
  if (tag === "Forever") {
    exactFields(value, ["tag"], "pin: keep");
    return { tag };
  }
  const { contents } = exactFields(value, ["tag", "contents"], "pin: keep");
  if ((tag !== "Days" && tag !== "Revisions") || !isNatural(contents) || contents === 0) {
    refuse(`pin: keep ${JSON.stringify(value)} is not Days, Revisions or Forever`);
  }
  return { tag, contents };
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
