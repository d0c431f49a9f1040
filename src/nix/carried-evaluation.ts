/** Takes over what an earlier job evaluated of the same commit, and leaves what this one did. */

import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { describeError } from "../domain/errors.ts";
import type { EvaluationRequest, EvaluationResult } from "../domain/evaluation.ts";
import type { RecordStore } from "../domain/evaluation-record.ts";
import type { Log } from "../domain/ports.ts";
import { count } from "../domain/size.ts";
import { parseStorePath, type StorePath } from "../domain/store-path.ts";
import { writeWhole } from "../host/atomic.ts";
import type { Environment } from "../host/environment.ts";
import { DEADLINES, type NixCommand } from "./command.ts";
import {
  cacheFolder,
  EvalCache,
  evalCacheFile,
  type KeptDerivation,
  removeEvalCache,
} from "./eval-cache.ts";
import {
  type Carried,
  type CarriedResult,
  fitting,
  pack,
  readFiles,
  unpack,
  writeFiles,
} from "./evaluation-file.ts";
import { indirectName, isIndirect } from "./flake.ts";
import { fileAddress } from "./known-caches.ts";

export interface CarriedParts {
  readonly nix: NixCommand;
  readonly version: string;
  readonly storeDir: string;
  /** Of the flake's lock. */
  readonly inputs: ReadonlySet<string>;
  readonly environment: Environment;
  /** A folder of ours. */
  readonly folder: string;
  /** Sealed: what it gives was left by a run that this one believes. */
  readonly store: RecordStore;
  /** What was evaluated and how, as a hash, and the name that Nix gives it; undefined: it cannot be named. */
  readonly key: (
    signal: AbortSignal,
  ) => Promise<{ readonly key: string; readonly fingerprint: string } | undefined>;
  /** What Nix has in its eval cache already. */
  readonly found: "believed" | "removed";
  /** Lines that take targets away count what they took: then each member is asked for. */
  readonly takesAway: "something" | "nothing";
  readonly log: Log;
}

/** Bytes, before they are compressed; what is largest stays out. */
const MOST = 100_000_000;

interface Begun {
  readonly key: string;
  readonly fingerprint: string;
  readonly taken: Pick<Carried, "results" | "kept">;
  /** Whether Nix's eval cache is the one that was carried here. */
  readonly evalCache: "carried" | "its own";
}

export class CarriedEvaluation {
  private readonly parts: CarriedParts;
  private readonly begun: Promise<Begun | undefined>;
  private readonly results = new Map<string, CarriedResult>();
  private readonly made = new Map<string, CarriedResult>();
  private cacheContent: Uint8Array | undefined;
  private cacheIn: string | undefined;
  private used = 0;

  /** Begins at once: it is fetched while the run finds out everything else. */
  constructor(parts: CarriedParts, signal: AbortSignal) {
    this.parts = parts;
    this.begun = this.begin(signal);
    // Whoever needs it awaits it; the signal alone makes it fail.
    this.begun.catch(() => undefined);
  }

  /** What an earlier job got. */
  async result(request: EvaluationRequest): Promise<EvaluationResult | undefined> {
    await this.begun;
    if (this.parts.takesAway === "something") return undefined;
    const key = keyOf(request);
    const found = this.results.get(key);
    if (!found) return undefined;
    this.used++;
    return {
      ...found,
      derivations: found.derivations.map((one) => ({ ...one, drvPath: one.drvPath as StorePath })),
      failures: [],
      built: [],
    };
  }

  /** What this one got, for the next. A failure is told anew each time, and so is what had to be built. */
  add(
    request: EvaluationRequest,
    { derivations, failures, passedOver, notices, built }: EvaluationResult,
  ): void {
    const { flake } = request;
    const isLocked =
      isIndirect(flake) && !flake.includes("/") && this.parts.inputs.has(indirectName(flake));
    if (failures.length > 0 || built.length > 0 || derivations.length === 0) return;
    if ((flake !== "." && !isLocked) || this.parts.takesAway === "something") return;
    this.made.set(keyOf(request), {
      derivations: derivations.map((one) => ({
        ...one,
        matched: [...one.matched],
        outputNames: [...one.outputNames],
      })),
      passedOver: passedOver.map((one) => ({ ...one })),
      notices: [...notices],
    });
  }

  /** The name that Nix gives the flake, where what is evaluated of it can be carried. */
  async name(): Promise<string | undefined> {
    return (await this.begun)?.fingerprint;
  }

  /** What Nix's eval cache holds of it, where that was carried here. */
  async kept(): Promise<ReadonlyMap<string, KeptDerivation> | undefined> {
    const begun = await this.begun;
    return begun?.evalCache === "carried" ? new Map(begun.taken.kept) : undefined;
  }

  /** Takes Nix's eval cache as it is now: nothing has been built by then that could write to it. */
  async hold(): Promise<string | undefined> {
    const begun = await this.begun;
    if (!begun) return undefined;
    const { version, environment } = this.parts;
    const file = await evalCacheFile(begun.fingerprint, version, environment);
    if (file !== undefined) {
      {
        using cache = await EvalCache.open(file, "by name");
        cache?.settle();
      }
      this.cacheContent = await readFile(file);
      this.cacheIn = basename(dirname(file));
    }
    if (this.used === 0) return undefined;
    return `an earlier job of this commit evaluated ${count(this.used, "line")} of the targets: they were not evaluated again`;
  }

  /** Leaves it for the next job. Throws for the signal alone. */
  async keep(kept: ReadonlyMap<string, KeptDerivation>, signal: AbortSignal): Promise<void> {
    const begun = await this.begun;
    const known = new Set(begun?.taken.kept.map(([key]) => key));
    const isNew = this.made.size > 0 || [...kept.keys()].some((key) => !known.has(key));
    if (!begun || !isNew) return;
    const { log, store } = this.parts;
    const folder = await this.folder();
    try {
      const content = await this.packed(folder, kept, signal);
      if (!content) return;
      await store.write(begun.key, content, signal);
    } catch (error) {
      signal.throwIfAborted();
      log.debug(
        `the evaluation was not left for other jobs: ${describeError(error).slice(0, 500)}`,
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  private async packed(
    folder: string,
    kept: ReadonlyMap<string, KeptDerivation>,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const { nix, storeDir } = this.parts;
    const results = [...new Map([...this.results, ...this.made])];
    const derivations = new Set<StorePath>();
    for (const [, result] of results) {
      for (const { drvPath } of result.derivations) derivations.add(drvPath as StorePath);
    }
    for (const { drvPath } of kept.values()) derivations.add(drvPath as StorePath);
    const to = `${this.address(folder)}?compression=none`;
    await nix.run("nix", ["copy", "--derivation", "--to", to, ...derivations], {
      signal,
      deadline: DEADLINES.query,
    });
    const evalCache =
      this.cacheContent !== undefined && this.cacheIn !== undefined
        ? { folder: this.cacheIn, content: this.cacheContent }
        : undefined;
    const most = MOST - (evalCache?.content.length ?? 0);
    const fit = fitting([...derivations], await readFiles(folder), storeDir, most);
    const isIn = ({ drvPath }: { readonly drvPath: string }) =>
      fit.derivations.has(drvPath as StorePath);
    if (most < 0 || fit.derivations.size === 0) return undefined;
    return pack({
      results: results.filter(([, { derivations: all }]) => all.every(isIn)),
      kept: evalCache
        ? [...kept]
            .filter(([, one]) => isIn(one))
            .map(([key, one]) => [key, { ...one, install: [...one.install] }])
        : [],
      evalCache,
      files: fit.files,
    });
  }

  private async begin(signal: AbortSignal): Promise<Begun | undefined> {
    const { key: name, store, log } = this.parts;
    const named = await name(signal);
    if (!named) return undefined;
    const nothing: Begun = { ...named, taken: { results: [], kept: [] }, evalCache: "its own" };
    try {
      const content = await store.read(named.key, signal);
      if (!content) return nothing;
      const carried = unpack(content);
      await this.takeDerivations(carried, signal);
      const evalCache = await this.takeEvalCache(carried, named.fingerprint);
      for (const [key, result] of carried.results) this.results.set(key, result);
      return { ...named, taken: carried, evalCache };
    } catch (error) {
      signal.throwIfAborted();
      // It may quote what somebody else wrote, and that may be long.
      log.debug(`an earlier job's evaluation is ignored: ${describeError(error).slice(0, 500)}`);
      return nothing;
    }
  }

  /** Each proves itself by its content address; that they are those of these names, the seal says. */
  private async takeDerivations(carried: Carried, signal: AbortSignal): Promise<void> {
    const { nix, storeDir } = this.parts;
    const wanted = new Set<string>();
    for (const [, { derivations }] of carried.results) {
      for (const { drvPath } of derivations) wanted.add(drvPath);
    }
    for (const [, { drvPath }] of carried.kept) wanted.add(drvPath);
    for (const path of wanted) {
      if (!parseStorePath(path, storeDir)?.endsWith(".drv"))
        throw new Error(`${path} is no derivation`);
    }
    if (wanted.size === 0) throw new Error("it has no derivation");
    const folder = await this.folder();
    try {
      await writeFiles(folder, carried.files);
      await nix.run("nix", ["copy", "--derivation", "--from", this.address(folder), ...wanted], {
        signal,
        deadline: DEADLINES.query,
      });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  private async takeEvalCache(
    { evalCache }: Carried,
    fingerprint: string,
  ): Promise<Begun["evalCache"]> {
    const { version, environment, found } = this.parts;
    if (!evalCache) return "its own";
    const before = await evalCacheFile(fingerprint, version, environment);
    // Its user's own may hold more than that.
    if (before !== undefined && found === "believed") return "its own";
    if (before !== undefined) await removeEvalCache(before);
    const folder = join(cacheFolder(environment), evalCache.folder);
    await mkdir(folder, { recursive: true });
    await writeWhole(join(folder, `${fingerprint}.sqlite`), evalCache.content);
    return "carried";
  }

  private async folder(): Promise<string> {
    await mkdir(this.parts.folder, { recursive: true });
    return mkdtemp(join(this.parts.folder, "evaluation-"));
  }

  private address(folder: string): string {
    return fileAddress(this.parts.version, pathToFileURL(folder).href);
  }
}

function keyOf({ flake, attrPath, system, outputs, absent }: EvaluationRequest): string {
  return JSON.stringify([flake, attrPath, system, outputs, absent ?? ""]);
}
